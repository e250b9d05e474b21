//! Every interference is told of before and after, and none is done that can't be told of.

use std::sync::{Arc, Mutex};

use leasehold::manager::{Config, Manager, Permissions};
use leasehold::store::{Evict, Evicted};
use leasehold::{
    AuditAction, AuditEvent, AuditFile, AuditOutcome, AuditSink, ClientOptions, Error, ErrorKind,
    LockOptions, Result, Returned, block_on,
};
use leasehold_testkit::folder;

use super::scene::{LONG, SHORT, Scene, ask, heard};

pub(super) const CASES: &[super::Case] = super::cases![
    alone:
        an_eviction_is_told_of_before_and_after,
        a_request_is_told_of_before_and_after,
        what_cant_be_audited_is_not_done,
        what_was_done_and_cant_be_audited_is_an_error;
    processes:;
];

pub(super) const PLAIN: &[super::Plain] = super::plain![
    what_is_refused_is_told_of,
    lines_of_many_writers_are_whole,
    a_file_that_cant_be_written_is_an_error,
];

/// Keeps the events, and refuses those for which `fails`.
struct Kept {
    events: Mutex<Vec<AuditEvent>>,
    fails: fn(&AuditEvent) -> bool,
}

impl Kept {
    fn new(fails: fn(&AuditEvent) -> bool) -> Arc<Self> {
        Arc::new(Self { events: Mutex::default(), fails })
    }

    fn take(&self) -> Vec<AuditEvent> {
        std::mem::take(&mut self.events.lock().expect("no panic"))
    }
}

impl AuditSink for Kept {
    fn record(&self, event: &AuditEvent) -> Result<()> {
        if (self.fails)(event) {
            return Err(Error::new(ErrorKind::StoreFailed, "the log is full"));
        }
        self.events.lock().expect("no panic").push(event.clone());
        Ok(())
    }
}

fn options(kept: &Arc<Kept>) -> ClientOptions {
    ClientOptions {
        audit: Some(Arc::clone(kept) as _),
        defaults: LockOptions { note: "by hand".to_owned(), ..LockOptions::default() },
        ..ClientOptions::default()
    }
}

fn why(fence: Option<u64>) -> Evict {
    Evict { why: "its host is gone".to_owned(), fence }
}

async fn an_eviction_is_told_of_before_and_after(scene: &Scene) {
    let kept = Kept::new(|_| false);
    let client = scene.with(options(&kept));
    let lease = scene.held("evicted").await;
    client.evict("evicted", &why(None)).await.expect("an answer");
    client.evict("evicted", &why(Some(7))).await.expect("an answer");
    let events = kept.take();
    let seen: Vec<_> = events.iter().map(|it| (it.outcome, it.fence)).collect();
    assert_eq!(
        seen,
        [
            (AuditOutcome::Begun, None),
            (AuditOutcome::Evicted, Some(lease.fence())),
            (AuditOutcome::Begun, Some(7)),
            (AuditOutcome::NotHeld, Some(7)),
        ]
    );
    for event in &events {
        assert_eq!((event.action, event.lock.as_str()), (AuditAction::Evict, "evicted"));
        assert_eq!((event.why.as_str(), event.by.note.as_str()), ("its host is gone", "by hand"));
        assert_eq!((event.by.pid, event.by.language.as_str()), (std::process::id(), "rust"));
        assert!(!event.by.host.is_empty() && event.at_us > 0, "{event:?}");
    }
    let holder = events[1].holder.as_ref().expect("its holder");
    assert_eq!((holder.pid, holder.note.as_str()), (std::process::id(), ""));
}

async fn a_request_is_told_of_before_and_after(scene: &Scene) {
    let kept = Kept::new(|_| false);
    let client = scene.with(options(&kept));
    let lease = scene.held("asked").await;
    client.ask_back("asked", &ask(SHORT)).await.expect("an answer");
    let giving = async {
        heard(&lease).await;
        lease.release().await
    };
    let again = ask(LONG);
    let (found, _) = tokio::join!(client.ask_back("asked", &again), giving);
    assert!(matches!(found, Ok(Returned::GivenBack { .. })), "{found:?}");
    client.ask_back("asked", &ask(LONG)).await.expect("an answer");
    let fence = Some(lease.fence());
    let seen: Vec<_> = kept.take().iter().map(|it| (it.action, it.outcome, it.fence)).collect();
    let asked = |outcome, fence| (AuditAction::AskBack, outcome, fence);
    assert_eq!(
        seen,
        [
            asked(AuditOutcome::Begun, None),
            asked(AuditOutcome::StillHeld, fence),
            asked(AuditOutcome::Begun, None),
            asked(AuditOutcome::GivenBack, fence),
            asked(AuditOutcome::Begun, None),
            asked(AuditOutcome::NotHeld, None),
        ]
    );
}

async fn what_cant_be_audited_is_not_done(scene: &Scene) {
    let kept = Kept::new(|_| true);
    let client = scene.with(options(&kept));
    let lease = scene.held("safe").await;
    let evicted = client.evict("safe", &why(None)).await.expect_err("not audited");
    let asked = client.ask_back("safe", &ask(LONG)).await.expect_err("not audited");
    for error in [evicted, asked] {
        assert_eq!((error.kind(), error.message()), (ErrorKind::StoreFailed, "the log is full"));
    }
    lease.extend(LONG).await.expect("it is held");
}

async fn what_was_done_and_cant_be_audited_is_an_error(scene: &Scene) {
    let kept = Kept::new(|event| event.outcome != AuditOutcome::Begun);
    let client = scene.with(options(&kept));
    let lease = scene.held("done").await;
    let error = client.evict("done", &why(None)).await.expect_err("not audited");
    assert_eq!(error.kind(), ErrorKind::StoreFailed);
    assert!(error.message().contains("Evicted, but that could not be audited"), "{error}");
    assert_eq!(error.causes(), ["the log is full"]);
    assert!(lease.extend(LONG).await.is_err(), "it was evicted all the same");
}

fn what_is_refused_is_told_of() {
    let kept = Kept::new(|_| false);
    let config = || Config::new().store("main", "memory://").expect("one");
    let manager = Manager::with(config(), options(&kept)).expect("a manager");
    block_on(async {
        let lease = manager.lock("kept").expect("a lock").await.expect("granted");
        let evicted = manager.evict("kept", &why(None)).await.expect_err("not permitted");
        let revoked = manager.revoke("kept", &ask(LONG)).await.expect_err("not permitted");
        for error in [&evicted, &revoked] {
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.message().contains("lock \"kept\" can't be evicted"), "{error}");
        }
        assert!(lease.is_held());
        lease.extend(LONG).await.expect("it is held");
        let events = kept.take();
        let seen: Vec<_> = events.iter().map(|it| (it.action, it.outcome)).collect();
        assert_eq!(seen, [(AuditAction::Evict, AuditOutcome::Refused); 2]);
        assert_eq!(events[0].error.as_deref(), Some(evicted.message()));
        assert_eq!(events[0].store, "memory://");

        // What needs no leave is not refused, and with leave nothing is.
        assert!(matches!(
            manager.ask_back("kept", &ask(SHORT)).await,
            Ok(Returned::StillHeld { .. })
        ));
        let able = config().permissions(Permissions { evict: true });
        let manager = Manager::with(able, options(&kept)).expect("a manager");
        let lease = manager.lock("kept").expect("a lock").await.expect("granted");
        let evicted = manager.evict("kept", &why(None)).await.expect("an answer");
        assert!(matches!(evicted, Evicted::Evicted { fence, .. } if fence == lease.fence()));
    });
}

/// More than a pipe takes at once, from many threads, as from many processes: each line is one event.
fn lines_of_many_writers_are_whole() {
    const WRITERS: usize = 8;
    const EVENTS: usize = 25;
    let folder = folder("audit").expect("a folder");
    let path = folder.path().join("audit.jsonl");
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let path = &path;
            scope.spawn(move || {
                let file = AuditFile::open(path).expect("a file");
                let options = ClientOptions { audit: Some(Arc::new(file)), ..Default::default() };
                let client = leasehold::Client::with("memory://", options).expect("a client");
                for event in 0..EVENTS {
                    let why = format!("{writer}/{event} \n\u{1b}[2J {}", "x".repeat(9000));
                    let evict = Evict { why, fence: None };
                    block_on(client.evict("a\nlock", &evict)).expect("an answer");
                }
            });
        }
    });
    let text = std::fs::read_to_string(&path).expect("a file");
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for line in text.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("one event a line");
        assert_eq!((&event["action"], &event["lock"]), (&"evict".into(), &"a\nlock".into()));
        let which = event["why"].as_str().and_then(|why| why.split(' ').next()).expect("a reason");
        *seen.entry(format!("{which} {}", event["outcome"])).or_default() += 1;
    }
    assert_eq!(seen.len(), WRITERS * EVENTS * 2, "each before and after");
    assert!(seen.values().all(|times| *times == 1));
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

fn a_file_that_cant_be_written_is_an_error() {
    let folder = folder("audit").expect("a folder");
    let error = AuditFile::open(folder.path()).expect_err("a folder is no file");
    assert_eq!(error.kind(), ErrorKind::StoreFailed);
    assert!(error.message().contains(&folder.path().display().to_string()), "{error}");
    // A device that is full takes no line: nothing is evicted.
    let full = std::path::Path::new("/dev/full");
    if !full.exists() {
        return;
    }
    let file = AuditFile::open(full).expect("it can be opened");
    let options = ClientOptions { audit: Some(Arc::new(file)), ..Default::default() };
    let client = leasehold::Client::with("memory://", options).expect("a client");
    let lease = client.lock("kept").acquire_blocking().expect("granted");
    let error = block_on(client.evict("kept", &why(None))).expect_err("not audited");
    assert_eq!(error.kind(), ErrorKind::StoreFailed);
    assert!(error.message().contains("/dev/full"), "{error}");
    block_on(lease.extend(LONG)).expect("it is held");
}
