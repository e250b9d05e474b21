//! What a language can't lose: whatever it drops or cancels, and when.

use std::time::Duration;

use leasehold_bridge::{
    AdaptiveTtl, Attempt, Audit, Client, ClientRequest, ErrorInfo, LockRequest, Observer, Outcome,
    Pending, Trail,
};

/// Beyond it something hangs. Never a measure.
const PATIENCE: Duration = Duration::from_secs(60);
/// No lease's end is as near.
const TTL: f64 = 3600.0;

fn client() -> Client {
    let request = ClientRequest {
        url: Some("memory://".to_owned()),
        language: "test",
        ..ClientRequest::default()
    };
    Client::connect(request).expect("a client")
}

fn request(name: &str) -> LockRequest {
    LockRequest { name: name.to_owned(), ttl: Some(TTL), ..LockRequest::default() }
}

fn finish<T: Clone + Send>(pending: &Pending<T>) -> Result<T, ErrorInfo> {
    pending.wait_for(PATIENCE).expect("it takes no minute")
}

/// Waits until it has its outcome, which is that something is held, and takes nothing of it.
fn obtained(attempt: &Attempt) {
    let outcome = attempt.wait_for(PATIENCE).expect("it takes no minute");
    assert!(matches!(outcome, Outcome::Held { .. }), "{outcome:?}");
}

/// What is given back in the background comes back at some time, and nothing tells when.
fn free(client: &Client, name: &str) {
    let sys = leasehold::runtime::native_sys().expect("threads");
    let limit = sys.now() + PATIENCE;
    loop {
        let info = finish(&client.inspect(name.to_owned())).expect("a look");
        if info.holder.is_none() && info.waiting == 0 {
            return;
        }
        assert!(sys.now() < limit, "{info:?}");
        leasehold::block_on(sys.sleep_until(sys.now() + Duration::from_millis(2)));
    }
}

/// The value of the next leader that `observer` is told of, or none.
fn next(observer: &Observer) -> Option<Vec<u8>> {
    finish(&observer.changed()).expect("an answer");
    observer.take().expect("a change").map(|leader| leader.value)
}

type Way = fn(&Client) -> Attempt;

#[test]
fn what_is_obtained_and_not_taken_is_given_back() {
    let ways: [(&str, Way); 6] = [
        ("a lock", |client| client.attempt(&request("a"))),
        ("a lock by its history", |client| {
            client.attempt_adaptive(&request("a"), &AdaptiveTtl::default())
        }),
        ("all of several", |client| client.attempt_all(&[request("a"), request("b")], None, false)),
        ("each of several", |client| client.attempt_each(&[request("a"), request("b")])),
        ("the lead", |client| client.campaign(&request("a"), b"me".to_vec())),
        ("a place inside", |client| client.enter(&request("a"), 1)),
    ];
    for (what, way) in ways {
        println!("{what}");
        // A name that was an election's is not free for a barrier at once.
        let client = client();
        let attempt = way(&client);
        obtained(&attempt);
        drop(attempt);
        free(&client, "a");
        free(&client, "b");
        let attempt = way(&client);
        obtained(&attempt);
        // A handle that a traceback keeps alive.
        let kept = attempt.held().expect("what is held");
        attempt.cancel();
        assert_eq!(attempt.outcome(), Some(Outcome::Cancelled));
        assert!(attempt.held().is_none() && attempt.each().is_empty());
        free(&client, "a");
        free(&client, "b");
        assert!(!kept.is_held());
    }
}

#[test]
fn a_lead_that_is_cancelled_is_resigned() {
    let client = client();
    let observer = client.observe("a");
    assert_eq!(next(&observer), None);
    let attempt = client.campaign(&request("a"), b"me".to_vec());
    obtained(&attempt);
    assert_eq!(next(&observer), Some(b"me".to_vec()));
    let told = observer.changed();
    told.unless_done(|_| ());
    attempt.cancel();
    // At once, not at the lease's end.
    finish(&told).expect("told");
    assert_eq!(observer.take(), Some(None));
}

#[test]
fn a_change_that_nobody_took_is_not_lost() {
    let client = client();
    let observer = client.observe("a");
    assert_eq!(next(&observer), None);
    let lead = client.campaign(&request("a"), b"one".to_vec());
    obtained(&lead);
    // Found, and then given up: by a task that was cancelled between the two.
    let found = observer.changed();
    finish(&found).expect("a change");
    found.cancel();
    drop(found);
    let again = observer.changed();
    assert_eq!(again.result(), Some(Ok(())), "it is there at once");
    assert_eq!(observer.take().expect("a change").expect("one leads").value, b"one");
    assert_eq!(observer.take(), None);
}

#[test]
fn two_that_wait_on_one_observer_see_each_change_once() {
    let client = client();
    let observer = client.observe("a");
    assert_eq!(next(&observer), None);
    let waits = [observer.changed(), observer.changed()];
    for wait in &waits {
        wait.unless_done(|_| ());
    }
    let lead = client.campaign(&request("a"), b"one".to_vec());
    obtained(&lead);
    finish(&waits[0]).expect("a change");
    assert_eq!(observer.take().expect("a change").expect("one leads").value, b"one");
    finish(&waits[1]).expect("a change");
    assert_eq!(observer.take(), None, "the other had it");
}

#[test]
fn what_only_waits_can_be_given_up() {
    let client = client();
    let (latch, observer) = (client.latch("l", 1, None), client.observe("a"));
    assert_eq!(next(&observer), None);
    let entered = client.enter(&request("b"), 2);
    entered.unless_done(|_| ());
    let other = client.enter(&request("b"), 2);
    obtained(&other);
    obtained(&entered);
    let inside = entered.held().expect("a place");
    let leaving = inside.leave(None);
    for (what, wait) in [("latch", latch.wait(None)), ("observer", observer.changed())] {
        assert_eq!(wait.result(), None, "{what}");
        wait.cancel();
        assert_eq!(finish(&wait).expect_err(what).code, "CANCELLED");
    }
    assert_eq!(leaving.result(), None);
    leaving.cancel();
    assert_eq!(finish(&leaving).expect_err("the other is in").code, "CANCELLED");
    // It is out, or can be let out.
    let release = finish(&inside.release()).expect("a release");
    assert!(["released", "repeated"].contains(&release.state), "{release:?}");
    finish(&other.held().expect("a place").leave(Some(60.0))).expect("all left");
    // Given up in the middle of a blocking wait, as Ctrl-C does.
    let wait = latch.wait(None);
    assert_eq!(wait.wait_for(Duration::from_millis(5)), None);
    wait.cancel();
    assert_eq!(finish(&wait).expect_err("given up").code, "CANCELLED");
    assert_eq!(finish(&latch.count_down(1)), Ok(0));
    finish(&latch.wait(None)).expect("open");
}

#[test]
fn what_is_begun_and_dropped_is_finished() {
    let client = client();
    let latch = client.latch("l", 2, None);
    drop(latch.count_down(1));
    drop(latch.count_down(1));
    finish(&latch.wait(Some(60.0))).expect("both count");
}

#[test]
fn what_a_lease_is_not_is_said() {
    let client = client();
    let attempt = client.attempt(&request("a"));
    obtained(&attempt);
    let held = attempt.held().expect("a lease");
    assert_eq!(finish(&held.proclaim(Vec::new())).expect_err("no lead").code, "INVALID_INPUT");
    assert_eq!(finish(&held.leave(None)).expect_err("no place").code, "INVALID_INPUT");
    assert!(held.is_held());
    assert_eq!(
        finish(&client.latch("l", 1, Some(-1.0)).count()).expect_err("keep").code,
        "INVALID_INPUT"
    );
    assert_eq!(
        finish(&client.latch("l", 1, Some(1.0)).count()).expect_err("keep").code,
        "INVALID_INPUT"
    );
}

#[test]
fn a_history_is_of_what_was_waited_for_and_worked_under() {
    let (client, reports) = (client(), AdaptiveTtl::default());
    let take = || client.attempt_adaptive(&request("a"), &reports);
    for _ in 0..5 {
        let attempt = take();
        obtained(&attempt);
        let held = attempt.held().expect("a lease");
        assert!(held.remaining() <= 30.0, "the request's ttl does not count");
        finish(&held.release()).expect("a release");
        finish(&held.release()).expect("another, which is no hold");
    }
    // Nobody worked under these.
    for _ in 0..5 {
        let attempt = take();
        obtained(&attempt);
        attempt.cancel();
        drop(take());
    }
    let choice = reports.choose();
    assert_eq!((choice.holds, choice.ttl), (5, 1.0), "{}", choice.words);
    assert!(choice.words.starts_with("ttl 1.0s"), "{}", choice.words);
    // One that waits too long has waited.
    for _ in 0..50 {
        reports.waited(0.0).expect("a span");
    }
    assert_eq!((reports.choose().wait, reports.choose().load), (1.0, 0.0));
    let held = client.attempt(&request("a"));
    obtained(&held);
    let attempt = take();
    let outcome = attempt.wait_for(PATIENCE).expect("it takes a second");
    assert!(matches!(outcome, Outcome::TimedOut(_)), "{outcome:?}");
    assert!(reports.choose().load > 0.0);
    assert_eq!(reports.held(-1.0).expect_err("no span").code, "INVALID_INPUT");
}

#[test]
fn what_a_lease_was_asked_lies_until_it_is_taken() {
    let client = client();
    let attempt = client.attempt(&request("a"));
    obtained(&attempt);
    let held = attempt.held().expect("a lease");
    let ask = |why: &str| client.ask_back("a".to_owned(), why.to_owned(), TTL, None);
    let asking = ask("one");
    // Waits that are dropped, cancelled or come to something that nobody looks at.
    drop(held.asked_back());
    held.asked_back().cancel();
    assert_eq!(finish(&held.asked_back()), Ok(true));
    assert_eq!(finish(&held.asked_back()), Ok(true));
    // Two that wait for the next one at once come to the same one.
    assert_eq!(held.take_asked().expect("a request").why, "one");
    assert_eq!(held.take_asked(), None);
    asking.cancel();
    assert_eq!(finish(&asking).expect_err("given up").code, "CANCELLED");
    let waits = [held.asked_back(), held.asked_back()];
    waits.iter().for_each(|wait| assert!(wait.unless_done(|_| ())));
    let asking = ask("other");
    asking.unless_done(|_| ());
    for wait in &waits {
        assert_eq!(finish(wait), Ok(true));
    }
    assert_eq!(held.take_asked().expect("a request").why, "other");
    assert_eq!(held.take_asked(), None);
    let last = held.asked_back();
    last.unless_done(|_| ());
    finish(&held.release()).expect("a release");
    assert_eq!(finish(&last), Ok(false));
    assert_eq!(finish(&asking).expect("an answer").state, "given_back");
}

#[test]
fn nothing_is_done_that_a_full_trail_does_not_take() {
    let trail = Trail::default();
    let client = Client::connect(ClientRequest {
        url: Some("memory://".to_owned()),
        language: "test",
        audit: Some(Audit::Trail(trail.clone())),
        ..ClientRequest::default()
    });
    let client = client.expect("a client");
    let evict = || client.evict("a".to_owned(), None, "a test".to_owned());
    let waiting = trail.arrived();
    waiting.unless_done(|_| ());
    // Each tells twice.
    for _ in 0..5000 {
        assert_eq!(finish(&evict()), Ok(None));
    }
    finish(&waiting).expect("something to take");
    let attempt = client.attempt(&request("a"));
    obtained(&attempt);
    assert_eq!(finish(&evict()).expect_err("refused").code, "STORE_FAILED");
    assert!(attempt.held().expect("a lease").is_held());
    let first = trail.take().expect("an event");
    assert_eq!((first.action, first.outcome, &*first.lock), ("evict", "begun", "a"));
    assert_eq!(trail.take().expect("an event").outcome, "not_held");
    assert_eq!(finish(&evict()).map(|fence| fence.is_some()), Ok(true));
}
