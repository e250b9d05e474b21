//! What lies where our data would lie and is none of ours.

use leasehold::store::redis::Keys;
use leasehold::{ErrorKind, Name, block_on};
use leasehold_testkit::server::Reply;

use super::scene::{LONG, Scene, Test, test};

pub(super) const TESTS: &[Test] = &[test("are_left_alone_and_nothing_is_held_beside_them", beside)];

/// A lock whose state is a list: nobody can take it, alone or with others, and what a script did before it
/// found out is undone.
fn beside(scene: &Scene<'_>) {
    let lock = |name: &str| scene.client.lock(name).ttl(LONG);
    let state = Keys::of("", &Name::new("odd").expect("a name")).state;
    let state = String::from_utf8(state).expect("text");
    assert_eq!(scene.server.admin(&["LPUSH", &state, "mine"]), Reply::Integer(1));

    let all = ["first", "odd", "last"].map(lock);
    let refused = block_on(scene.client.lock_all(all).acquire()).expect_err("one has no state");
    assert_eq!(refused.kind(), ErrorKind::StoreFailed, "{refused}");
    let refused = lock("odd").acquire_blocking().expect_err("it has no state");
    assert_eq!(refused.kind(), ErrorKind::StoreFailed, "{refused}");
    for name in ["first", "odd", "last"] {
        assert_eq!(scene.token(name), "", "{name} is held, for nobody");
    }
    assert_eq!(scene.server.admin(&["LLEN", &state]), Reply::Integer(1));
    scene.assert_free("first");
}
