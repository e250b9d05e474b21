//! A ttl from the lock's own history, over the shipped client in virtual time: what was chosen is what is
//! held, and a change is followed.

mod common;

use std::time::Duration;

use common::{Stage, millis, seconds};
use leasehold::{AdaptiveTtl, ErrorKind};

/// Holds the lock for `span`; what the store kept it for.
fn hold(stage: &Stage, adaptive: &AdaptiveTtl, span: Duration) -> Duration {
    let sys = stage.world.sys();
    let done = stage.world.run(adaptive.run(stage.client.lock("report"), async |lease| {
        let left = lease.remaining();
        sys.sleep_until(sys.now() + span).await;
        left
    }));
    done.expect("held to the end")
}

#[test]
fn the_ttl_follows_the_holds() {
    let (stage, adaptive) = (Stage::new(), AdaptiveTtl::new());
    let left = hold(&stage, &adaptive, millis(20));
    assert!(left > seconds(29), "nothing is known: {left:?}");
    for _ in 0..10 {
        hold(&stage, &adaptive, millis(20));
    }
    let left = hold(&stage, &adaptive, millis(20));
    assert!(left > millis(900) && left <= seconds(1), "{left:?}");
    // A hold that outlives its ttl is renewed meanwhile, and is news.
    for _ in 0..50 {
        hold(&stage, &adaptive, seconds(4));
    }
    let left = hold(&stage, &adaptive, seconds(4));
    assert!(left > millis(5900) && left <= millis(6000), "{left:?}");
    println!("{}", adaptive.choose());
}

#[test]
fn a_wait_in_vain_is_a_part_of_the_history() {
    let (stage, adaptive) = (Stage::new(), AdaptiveTtl::new());
    for _ in 0..10 {
        hold(&stage, &adaptive, millis(20));
    }
    assert_eq!(adaptive.choose().wait, AdaptiveTtl::SHORTEST);
    let _other = stage.world.run(stage.other.lock("report").acquire()).expect("free");
    for _ in 0..5 {
        let run = adaptive.run(stage.client.lock("report"), async |_| ());
        let error = stage.world.run(run).expect_err("another holds it");
        assert_eq!(error.kind(), ErrorKind::Timeout);
    }
    let choice = adaptive.choose();
    assert!(choice.wait > AdaptiveTtl::SHORTEST * 2, "{choice}");
    assert_eq!(choice.holds, 10, "nothing was held");
}
