//! The guard of a Redis resource, in a real server.

use std::time::Duration;

use leasehold::block_on;
use leasehold::guard::redis::{SCRIPT, STALE};
use leasehold_testkit::server::Reply;

use super::scene::{Scene, Test, test};

pub(super) const TESTS: &[Test] = &[test("refuse_what_comes_after_its_time", late)];

fn late(scene: &Scene<'_>) {
    let guarded = |fence: u64, command: &[&str]| {
        let fence = fence.to_string();
        let call = ["EVAL", SCRIPT, "2", "{stock}:fence", "{stock}:left", &fence];
        scene.server.admin(&[&call[..], command].concat())
    };
    let sell = |fence: u64| guarded(fence, &["DECRBY", "{stock}:left", "3"]);
    let lock = || scene.client.lock("stock");
    let first = lock().ttl(Duration::from_millis(100)).fixed_term().acquire_blocking();
    let first = first.expect("free");
    assert_eq!(
        guarded(first.fence(), &["SET", "{stock}:left", "10"]),
        Reply::Status("OK".to_owned())
    );
    assert_eq!(sell(first.fence()), Reply::Integer(7));
    let second = lock().acquire_blocking().expect("its lease has ended");
    assert_eq!(sell(second.fence()), Reply::Integer(4));
    let refused = sell(first.fence());
    assert!(matches!(&refused, Reply::Error(text) if text.starts_with(STALE)), "{refused:?}");
    assert_eq!(scene.server.admin(&["GET", "{stock}:left"]).text(), "4");
    assert_eq!(sell(second.fence()), Reply::Integer(1), "the holder goes on");
    // A command that fails is the script's failure, and its fence counts.
    let wrong = guarded(second.fence() + 1, &["LPUSH", "{stock}:left", "x"]);
    assert!(matches!(&wrong, Reply::Error(text) if text.contains("WRONGTYPE")), "{wrong:?}");
    for bare in [guarded(second.fence() + 2, &[]), sell(0)] {
        assert!(matches!(bare, Reply::Error(_)), "{bare:?}");
    }
    block_on(second.release());
}
