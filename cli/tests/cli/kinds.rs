//! Programs that share a lock, and one that is ended from outside.

use crate::support::Place;

const WAITS: &str = "echo in; read x";

#[test]
fn readers_run_beside_each_other_and_no_writer_beside_them() {
    let place = Place::new();
    let mut one = place.under("x", &["--shared"], WAITS);
    assert_eq!(one.line(), "in");
    let mut other = place.under("x", &["--shared"], WAITS);
    assert_eq!(other.line(), "in");
    assert!(!place.free("x"));
    for mut reader in [one, other] {
        reader.say("");
        assert_eq!(reader.finish().code(), Some(0));
    }
    assert!(place.free("x"));
}

#[test]
fn a_writer_keeps_readers_waiting() {
    let place = Place::new();
    let mut writer = place.under("x", &[], "echo $LEASEHOLD_FENCE; read x");
    let fence = writer.line();
    let reader = place.under("x", &["--shared"], "echo $LEASEHOLD_FENCE");
    place.until_waiting("x", 1);
    writer.say("");
    assert_eq!(writer.finish().code(), Some(0));
    assert_eq!(reader.finish().text(), fence, "what it reads is that writer's");
}

#[test]
fn permits_are_counted() {
    let place = Place::new();
    let mut two = place.under("x", &["--permits", "2/3"], WAITS);
    assert_eq!(two.line(), "in");
    let full = place.under("x", &["--permits", "2/3", "--wait", "0"], "true").finish();
    assert_eq!(full.code(), Some(75), "{full:?}");
    assert_eq!(place.under("x", &["--permits", "1/3"], "exit 9").finish().code(), Some(9));
    let other = place.under("x", &["--permits", "1/4"], "true").finish();
    assert_eq!(other.code(), Some(64), "{other:?}");
    assert!(other.err.contains("3"), "it names the capacity that is in use: {other:?}");
    two.say("");
    assert_eq!(two.finish().code(), Some(0));
}

#[test]
fn what_are_no_permits_is_named() {
    let place = Place::new();
    for wrong in ["", "2", "0/3", "4/3", "-1/3", "2/", "/3", "2/3/4", "a/b", "1/4294967296"] {
        let ended = place.run(["run", "x", "--permits", wrong, "--", "true"]);
        assert_eq!(ended.code(), Some(64), "{wrong:?}: {ended:?}");
        assert!(ended.err.contains(&format!("'{wrong}'")), "{wrong:?}: {ended:?}");
    }
    let both = place.run(["run", "x", "--shared", "--permits", "1/2", "--", "true"]);
    assert_eq!(both.code(), Some(64), "{both:?}");
}

#[test]
fn a_tenure_is_ended_from_outside() {
    let place = Place::new();
    let mut holder = place.under("x", &["--ttl", "600ms"], WAITS);
    assert_eq!(holder.line(), "in");
    let fence: u64 = place.show("x")["holder"]["fence"].as_u64().unwrap();
    let next = place.under("x", &[], "exit 7");
    place.until_waiting("x", 1);

    let wrong = (fence + 1).to_string();
    let ended = place.run(["evict", "x", "--fence", &wrong, "--why", "a test"]);
    assert_eq!((ended.code(), ended.text()), (Some(1), ""), "{ended:?}");
    let right = fence.to_string();
    let ended = place.run(["evict", "x", "--fence", &right, "--why", "a test"]);
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    assert!(ended.text().starts_with(&format!("ended fence {fence} of ")), "{ended:?}");

    assert_eq!(holder.line(), "", "its stdin is open: it ends by being killed");
    assert_eq!(holder.finish().code(), Some(70));
    assert_eq!(next.finish().code(), Some(7));
    let nobody = place.run(["evict", "x", "--why", "a test"]);
    assert_eq!(nobody.code(), Some(1), "{nobody:?}");
    assert_eq!(place.run(["evict", "x"]).code(), Some(64), "a reason is needed");
}
