//! Dropping a future at any of its await points leaves nothing held and nothing queued
//! (hazard 25).
//!
//! The explorer polls a future N times and drops it, for each N up to its completion, with what
//! happens in the world in between: heartbeats, a hand-off, an expiry, a stalled store.

mod common;

use std::task::Poll;
use std::time::Duration;

use common::{Stage, await_view, is_free, seconds};
use leasehold::{Client, Lease, Lock, Result, block_on};
use leasehold_testkit::{Stepper, Turn, folder};

/// What happens between two polls.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Event {
    /// Time for a heartbeat.
    Beat,
    /// The holder gives the lock back.
    Release,
    /// The holder is gone, and its lease runs out.
    Expire,
    /// Nothing.
    Nothing,
}

use Event::{Beat, Expire, Nothing, Release};

/// All histories that the explorer drops a waiter in.
const HISTORIES: &[&[Event]] = &[
    &[],
    &[Nothing, Nothing],
    &[Release, Nothing],
    &[Beat, Beat, Beat, Release, Nothing],
    &[Release, Beat, Beat],
    &[Expire, Nothing],
    &[Beat, Expire, Nothing],
];

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Debug)]
enum What {
    Lock,
    Read,
    Permits,
}

const ALL: [What; 3] = [What::Lock, What::Read, What::Permits];

impl What {
    fn of(self, client: &Client) -> Lock {
        match self {
            Self::Lock => client.lock("explored"),
            Self::Read => client.rwlock("explored").read(),
            Self::Permits => client.semaphore("explored", 3).permits(2),
        }
    }

    /// What keeps it waiting.
    fn other(self, client: &Client) -> Lock {
        match self {
            Self::Read => client.rwlock("explored").write(),
            _ => self.of(client),
        }
    }
}

fn acquire(client: &Client) -> impl Future<Output = Result<Lease>> + use<> {
    client.lock("explored").ttl(seconds(30)).acquire()
}

/// One drop: after `polls` polls, and after the event that follows the last if `late`. Answers
/// whether the future had completed.
fn explore(what: What, history: &[Event], contended: bool, polls: usize, late: bool) -> bool {
    let stage = Stage::new();
    let mut holder = contended.then(|| {
        let lock = what.other(&stage.other).ttl(seconds(60)).fixed_term();
        stage.world.run(lock.acquire()).expect("free")
    });
    let mut future = Box::pin(what.of(&stage.client).ttl(seconds(30)).acquire());
    let mut done = false;
    for poll in 0..polls {
        if let Poll::Ready(lease) = stage.world.poll_once(future.as_mut()) {
            drop(lease.expect("granted"));
            done = true;
            break;
        }
        if poll + 1 == polls && !late {
            break;
        }
        match history.get(poll).copied().unwrap_or(Nothing) {
            Beat => stage.world.advance(seconds(1)),
            Release => drop(holder.take()),
            Expire => stage.world.advance(seconds(70)),
            Nothing => {}
        }
        stage.world.settle();
    }
    drop(future);
    let case = format!("{what:?}, {history:?}, contended {contended}, {polls} polls, late {late}");
    stage.world.settle();
    let view = stage.view("explored");
    assert_eq!(view.waiting, 0, "{case}: a waiter without a future");
    match &holder {
        Some(lease) if lease.is_held() => {
            assert_eq!(view.holder.map(|held| held.fence), Some(lease.fence()), "{case}");
        }
        _ => assert_eq!(view.holder, None, "{case}: an orphan"),
    }
    drop(holder);
    stage.world.settle();
    let next = stage.world.run(what.other(&stage.other).try_acquire()).expect("an answer");
    assert!(next.is_some(), "{case}: the next is not granted at once");
    drop(next);
    // What was still under way may not bring anything back either.
    stage.world.advance(seconds(120));
    let view = stage.view("explored");
    assert_eq!((view.holder, view.waiting), (None, 0), "{case}: something came late");
    done
}

#[test]
fn an_acquire_dropped_anywhere_leaves_nothing_on_memory() {
    let mut drops = 0;
    for what in ALL {
        for contended in [false, true] {
            for history in HISTORIES {
                for late in [false, true] {
                    let mut polls = 0;
                    while !explore(what, history, contended, polls, late)
                        && polls < history.len() + 3
                    {
                        polls += 1;
                    }
                    drops += polls + 1;
                }
            }
        }
    }
    println!("{drops} drops");
}

#[test]
fn a_body_dropped_anywhere_leaves_nothing() {
    for polls in 0..6 {
        let stage = Stage::new();
        let lock = stage.client.lock("body").ttl(seconds(30));
        let mut future = Box::pin(lock.run(async |_| {
            for _ in 0..3 {
                let mut ready = false;
                std::future::poll_fn(|context| {
                    context.waker().wake_by_ref();
                    if std::mem::replace(&mut ready, true) {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
            }
        }));
        for _ in 0..polls {
            if stage.world.poll_once(future.as_mut()).is_ready() {
                break;
            }
        }
        drop(future);
        let view = stage.view("body");
        assert_eq!((view.holder, view.waiting), (None, 0), "dropped after {polls} polls");
    }
}

#[test]
fn a_release_dropped_anywhere_still_frees_the_lock() {
    for polls in 0..4 {
        let stage = Stage::new();
        let lease = stage.world.run(acquire(&stage.client)).expect("free");
        let mut future = Box::pin(lease.release());
        for _ in 0..polls {
            if stage.world.poll_once(future.as_mut()).is_ready() {
                break;
            }
        }
        drop(future);
        drop(lease);
        assert_eq!(stage.holder("explored"), None, "dropped after {polls} polls");
    }
}

/// Real time and a real file from here on: a future that isn't woken for this long is stuck.
const STUCK: Duration = Duration::from_secs(30);

struct File {
    client: Client,
    other: Client,
    folder: tempfile::TempDir,
}

/// What is still given back in the background would make the folder anew.
impl Drop for File {
    fn drop(&mut self) {
        for client in [&self.client, &self.other] {
            block_on(client.shutdown(seconds(10)));
        }
    }
}

impl File {
    fn new() -> Self {
        let folder = folder("cancel").expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("locks.db").display());
        let connect = || Client::connect(&url).expect("a client");
        let file = Self { client: connect(), other: connect(), folder };
        block_on(file.other.ping()).expect("the store answers");
        file
    }

    fn turn(&self) -> Turn {
        Turn::take(&self.folder.path().join("locks.db"))
    }

    /// Nothing is held or queued, soon, and stays so.
    fn assert_free(&self, case: &str) {
        await_view(&self.other, "explored", &format!("free ({case})"), is_free);
        let next = block_on(self.other.lock("explored").try_acquire()).expect("an answer");
        assert!(next.is_some(), "{case}: the next is not granted");
    }
}

#[test]
fn an_acquire_dropped_anywhere_leaves_nothing_on_sqlite() {
    for polls in 0..3 {
        let file = File::new();
        let mut stepper = Stepper::new(acquire(&file.client));
        for _ in 0..polls {
            if stepper.poll().is_ready() {
                break;
            }
            assert!(stepper.woken(STUCK), "nothing woke the acquire");
        }
        drop(stepper);
        file.assert_free(&format!("free, {polls} polls"));
    }
}

/// The request stands in line for the file when its future is dropped.
#[test]
fn an_acquire_dropped_while_the_file_is_busy_leaves_nothing() {
    for polls in 1..3 {
        let file = File::new();
        let turn = file.turn();
        let mut stepper = Stepper::new(acquire(&file.client));
        assert!(stepper.poll().is_pending(), "the file is another's");
        let turn = match polls {
            1 => Some(turn),
            _ => {
                drop(turn);
                assert!(stepper.woken(STUCK), "nothing woke the acquire");
                None
            }
        };
        drop(stepper);
        drop(turn);
        file.assert_free(&format!("busy, {polls} polls"));
    }
}

#[test]
fn a_waiter_dropped_anywhere_leaves_nothing_on_sqlite() {
    for (what, dropped) in
        ALL.into_iter().flat_map(|what| ["queued", "handed over", "granted"].map(|it| (what, it)))
    {
        let file = File::new();
        let lease = block_on(what.other(&file.other).acquire()).expect("free");
        let mut stepper = Stepper::new(what.of(&file.client).acquire());
        while stepper.poll().is_pending() {
            let waiting = block_on(file.other.inspect("explored")).expect("a view").waiting;
            if waiting == 1 {
                break;
            }
            assert!(stepper.woken(STUCK), "nothing woke the acquire");
        }
        if dropped != "queued" {
            block_on(lease.release());
            assert!(stepper.woken(STUCK), "nobody told the waiter");
        }
        if dropped == "granted" {
            while stepper.poll().is_pending() {
                assert!(stepper.woken(STUCK), "nothing woke the acquire");
            }
        }
        drop(stepper);
        drop(lease);
        file.assert_free(&format!("{what:?}, {dropped}"));
    }
}

#[test]
fn a_dropped_client_leaves_no_socket() {
    let folder = folder("socket").expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("locks.db").display());
    let [client, other] = [0; 2].map(|_| Client::connect(&url).expect("a client"));
    let lease = block_on(acquire(&other)).expect("free");
    let mut waiting = Stepper::new(acquire(&client));
    while waiting.poll().is_pending() {
        if block_on(other.inspect("explored")).expect("a view").waiting == 1 {
            break;
        }
        assert!(waiting.woken(STUCK), "nothing woke the acquire");
    }
    drop(waiting);
    drop(lease);
    drop((client, other));
    // Its background tasks end at their next look; nothing tells when.
    let sockets = folder.path().join("locks.db-wake");
    let left = || std::fs::read_dir(&sockets).map_or(0, Iterator::count);
    common::eventually("the clients' sockets are gone", || left() == 0);
}
