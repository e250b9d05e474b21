//! How we wait for a holder that tells us nothing, by the store's own word.

use std::time::Duration;

use leasehold::store::redis::Dialect;
use leasehold::store::{Answer, Ask};
use leasehold_testkit::contract::{HEARTBEAT, RedisRig, Scene, Way};
use leasehold_testkit::server::{Flavour, Resp};

use super::scene::{LONG, SHORT};

/// Only the first in line looks often, and never past the expiry.
pub(super) fn looks() -> Result<String, String> {
    let mut rig = RedisRig::new(Flavour::Redis, Way::Plain)?;
    let mut other = other(&rig);
    let mut scene = Scene::new(&mut rig);
    let (first, second) = (scene.patient("foreign"), scene.patient("foreign"));
    let look = |scene: &Scene<'_>, ask: &Ask| match scene.acquire(ask) {
        Answer::Queued { first, look_again_in, .. } => (first, look_again_in),
        other => panic!("should wait, not {other:?}"),
    };
    let hold = |other: &mut Resp, ttl: Duration| {
        let ttl = ttl.as_millis().to_string();
        let reply = other.ask(&["SET", "foreign", "another's", "PX", &ttl]).expect("an answer");
        assert_eq!(reply.text(), "OK");
    };
    hold(&mut other, LONG);
    let (is_first, often) = look(&scene, &first);
    let (low, high) = (Duration::from_millis(90), Duration::from_millis(110));
    assert!(is_first && often >= low && often <= high, "{often:?}");
    assert_eq!(look(&scene, &second), (false, HEARTBEAT));
    hold(&mut other, Duration::from_millis(40));
    let (_, soon) = look(&scene, &first);
    assert!(soon <= Duration::from_millis(41), "{soon:?}: not at its expiry");
    assert_eq!(other.ask(&["DEL", "foreign"]).expect("an answer").integer(), 1);
    scene.grant(&first);
    assert_eq!(look(&scene, &second), (true, HEARTBEAT), "we tell each other");
    assert!(HEARTBEAT < SHORT);
    Ok(format!("the first looks again after {often:.0?}, the second after {HEARTBEAT:?}"))
}

/// A bell that nobody hears: one element, and gone before it can wake who comes much later.
pub(super) fn a_bell_ends() -> Result<String, String> {
    let mut rig = RedisRig::new(Flavour::Redis, Way::Dialect(Dialect::PythonRedisLock))?;
    let mut other = other(&rig);
    let mut scene = Scene::new(&mut rig);
    for _ in 0..3 {
        let ask = scene.ask("bell");
        scene.grant(&ask);
        scene.release(&ask);
    }
    let mut ask = |command: &str| other.ask(&[command, "lock-signal:bell"]).expect("an answer");
    assert_eq!(ask("LLEN").integer(), 1);
    let left = ask("PTTL").integer();
    assert!((1..=1000).contains(&left), "{left}");
    Ok(format!("one element for {left} ms"))
}

/// A client of the rig's database without any library.
pub(super) fn other(rig: &RedisRig) -> Resp {
    let mut other = rig.server().connect(LONG).expect("a connection");
    let selected = other.ask(&["SELECT", &rig.database().to_string()]).expect("an answer");
    assert_eq!(selected.text(), "OK");
    other
}
