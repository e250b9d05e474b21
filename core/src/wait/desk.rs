//! The attempts of one client: the heartbeats of those that wait in one request, the grants pushed
//! to them, and which of them the store may know of.
//!
//! The trap is the end of the client or the process: whatever state an attempt is in then, also one
//! whose grant has come and is not watched yet, exactly one must give it back. It stands under
//! `under_way` from before its first ask until its lease is watched, and who takes it off is the one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::cells::Watchers;
use super::cohort::Cohorts;
use super::cycle::{Deadlocks, Searches};
use super::reentry::Reentry;
use crate::options::{HEARTBEAT, REQUEST_TIMEOUT};
use crate::runtime::within;
use crate::store::{Answer, Ask, Grant, Hold, How, Pushed, Store};
use crate::sys::{BootTime, OwnMap, Sys, Token};
use crate::watchdog::{Schedule, believed_until, claimed_until};
use crate::{Error, ErrorKind, Name, Result};

/// Asks in one heartbeat request.
const BATCH: usize = 500;
/// Heartbeats are moved up to this much later, so that they share a request.
const GRID: Duration = Duration::from_millis(50);
/// A waiter gives up on a store that has not answered it for this long.
pub(super) const SILENCE: Duration = Duration::from_secs(15);

/// What a wait came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Held, believed until `deadline`. `claimed` where a confirmation is still due; `stray` where
    /// an ask was never answered, and may still be on its way.
    Granted { fence: u64, deadline: BootTime, claimed: bool, stray: bool },
    /// The attempt was refused or can't go on.
    Refused(Error),
}

/// The waiters of one client.
pub(crate) struct Desk {
    sys: Sys,
    store: Arc<dyn Store>,
    pub(super) reentry: Reentry,
    pub(super) cohorts: Arc<Cohorts>,
    pub(super) searches: Searches,
    pub(super) watchers: Watchers,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    closed: bool,
    /// What the store may know of, by attempts that nobody watches yet.
    under_way: OwnMap<Token, Hold>,
    running: bool,
    asleep_until: BootTime,
    last_id: u64,
    entries: OwnMap<u64, Entry>,
    ids: OwnMap<Token, u64>,
    schedule: Schedule,
}

struct Entry {
    ask: Ask,
    /// When the last ask was sent that found this waiter in the queue: a later grant can't be
    /// older than that.
    queued_at: BootTime,
    heard_at: BootTime,
    /// Heartbeats that the store has not answered yet.
    under_way: u32,
    /// Whether one was never answered.
    stray: bool,
    /// A hand-off came meanwhile.
    pushed: bool,
    to: oneshot::Sender<Outcome>,
}

impl Desk {
    /// `depth`: of the search for deadlocks.
    pub(crate) fn new(sys: Sys, store: Arc<dyn Store>, depth: u32) -> Self {
        let (reentry, searches) = (Reentry::default(), Searches::new(depth));
        let (watchers, cohorts) = (Watchers::default(), Arc::new(Cohorts::new(sys.clone())));
        Self {
            sys,
            store,
            reentry,
            cohorts,
            searches,
            watchers,
            state: Mutex::default(),
            wake: Notify::new(),
        }
    }

    pub(crate) fn sys(&self) -> &Sys {
        &self.sys
    }

    /// What the searches for deadlocks of this client's waits came to.
    pub(crate) fn deadlocks(&self) -> Deadlocks {
        self.searches.sum()
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// How many attempts ask or wait.
    #[cfg(feature = "manager")]
    pub(crate) fn asking(&self) -> usize {
        self.state().under_way.len()
    }

    /// Attempts are about to ask. An error where the client was shut down.
    pub(crate) fn begin(&self, holds: &[Hold]) -> Result<()> {
        let mut state = self.state();
        if let (true, Some(first)) = (state.closed, holds.first()) {
            return Err(shut_down(&first.name));
        }
        state.under_way.extend(holds.iter().map(|hold| (hold.token, hold.clone())));
        Ok(())
    }

    /// The attempts are over or watched. False where the client's end took one, and gives it back; it takes
    /// all that began together, or none.
    pub(crate) fn settled<'t>(&self, tokens: impl IntoIterator<Item = &'t Token>) -> bool {
        let (mut state, mut all) = (self.state(), true);
        for token in tokens {
            all &= state.under_way.remove(token).is_some();
        }
        all
    }

    /// Whether the client's end left the attempt alone so far.
    pub(crate) fn goes_on(&self, token: &Token) -> bool {
        self.state().under_way.contains_key(token)
    }

    /// Registers a waiter, before its first ask is sent: a push may overtake the answer. An error
    /// where the client's end took it.
    pub(crate) fn register(&self, ask: &Ask, sent: BootTime) -> Result<oneshot::Receiver<Outcome>> {
        let (to, outcome) = oneshot::channel();
        let mut state = self.state();
        if !state.under_way.contains_key(&ask.token) {
            return Err(shut_down(&ask.name));
        }
        state.last_id += 1;
        let id = state.last_id;
        state.ids.insert(ask.token, id);
        let (queued_at, heard_at) = (sent, sent);
        let ask = ask.clone();
        let (under_way, stray, pushed) = (0, false, false);
        let entry = Entry { ask, queued_at, heard_at, under_way, stray, pushed, to };
        state.entries.insert(id, entry);
        Ok(outcome)
    }

    /// The waiter's first ask found it in the queue: from now on the desk asks for it.
    pub(crate) fn queued(self: &Arc<Self>, token: &Token, look_again_in: Duration, first: bool) {
        let at = self.next_look(look_again_in, first);
        let mut state = self.state();
        let Some(id) = state.ids.get(token).copied() else { return };
        state.schedule.set(id, at);
        let wake = at < state.asleep_until;
        let start = !std::mem::replace(&mut state.running, true);
        drop(state);
        if start {
            self.sys.spawn(Box::pin(run(Arc::clone(self))));
        } else if wake {
            self.wake.notify_one();
        }
    }

    /// Takes a waiter off the desk.
    pub(crate) fn remove(&self, token: &Token) {
        self.take(token);
    }

    /// Ends all attempts, for `good` also those to come: they are refused. Answers what the store may
    /// know of them.
    pub(crate) fn close(&self, good: bool) -> Vec<Hold> {
        self.watchers.close(good);
        self.cohorts.close();
        let mut state = self.state();
        state.closed |= good;
        let under_way = std::mem::take(&mut state.under_way);
        let entries = std::mem::take(&mut state.entries);
        state.ids.clear();
        state.schedule = Schedule::default();
        drop(state);
        for entry in entries.into_values() {
            let _ = entry.to.send(Outcome::Refused(shut_down(&entry.ask.name)));
        }
        self.wake.notify_one();
        under_way.into_values().collect()
    }

    fn next_look(&self, look_again_in: Duration, first: bool) -> BootTime {
        let at = self.sys.now() + look_again_in;
        if first {
            // Just after the expiry it waits for, not at it.
            return at + Duration::from_millis(1);
        }
        let grid = GRID.as_nanos() as u64;
        BootTime::from_nanos(at.as_nanos().div_ceil(grid) * grid)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, token: &Token) -> Option<Entry> {
        let mut state = self.state();
        let id = state.ids.remove(token)?;
        state.schedule.remove(id);
        state.entries.remove(&id)
    }

    /// Asks whose next look is due. Those that nobody waits for any more are let go.
    fn take_due(&self, now: BootTime) -> Vec<Ask> {
        let mut asks = Vec::new();
        let mut state = self.state();
        for id in state.schedule.take_due(now) {
            let Some(entry) = state.entries.get_mut(&id) else { continue };
            if entry.to.is_closed() {
                let token = entry.ask.token;
                state.entries.remove(&id);
                state.ids.remove(&token);
            } else {
                entry.under_way += 1;
                asks.push(entry.ask.clone());
            }
        }
        asks
    }

    fn answered(self: &Arc<Self>, ask: &Ask, sent: BootTime, answer: Answer) {
        let outcome = match answer {
            Answer::Queued { first, look_again_in, .. } => {
                let pushed = {
                    let mut state = self.state();
                    let Some(entry) = state.entry(&ask.token) else { return };
                    entry.queued_at = sent;
                    entry.heard_at = sent;
                    entry.under_way = entry.under_way.saturating_sub(1);
                    std::mem::take(&mut entry.pushed)
                };
                // The hand-off came after this ask took place, or before the store lost what it knew: then
                // the lock may be another's by now. Asking again tells.
                match pushed {
                    true => self.queued(&ask.token, Duration::ZERO, true),
                    false => self.queued(&ask.token, look_again_in, first),
                }
                return;
            }
            other => settle(ask, sent, other),
        };
        if let Some(entry) = self.take(&ask.token) {
            let outcome = match outcome {
                Outcome::Granted { fence, deadline, claimed, .. } => {
                    Outcome::Granted { fence, deadline, claimed, stray: entry.stray }
                }
                refused => refused,
            };
            // A receiver that is gone has the reaper give the grant back.
            let _ = entry.to.send(outcome);
        }
    }

    /// A heartbeat was not answered. Waiting goes on unless trying again can't help, or the store
    /// has been silent for too long.
    fn failed(self: &Arc<Self>, ask: &Ask, error: &Error) {
        let silent = {
            let mut state = self.state();
            let Some(entry) = state.entry(&ask.token) else { return };
            entry.under_way = entry.under_way.saturating_sub(1);
            entry.stray = true;
            self.sys.now().since(entry.heard_at) > SILENCE
        };
        if error.kind().retryable() && !silent {
            self.queued(&ask.token, self.sys.jitter(HEARTBEAT / 2), false);
        } else if let Some(entry) = self.take(&ask.token) {
            let copy =
                Error::new(error.kind(), error.message()).caused_by(error.causes().join(": "));
            let _ = entry.to.send(Outcome::Refused(copy));
        }
    }
}

impl State {
    fn entry(&mut self, token: &Token) -> Option<&mut Entry> {
        self.entries.get_mut(self.ids.get(token)?)
    }
}

pub(super) fn shut_down(name: &Name) -> Error {
    let message = format!("the client was shut down while lock {name} was asked for");
    Error::new(ErrorKind::ShutDown, message)
}

/// What an answer other than `Queued` means to the attempt.
pub(crate) fn settle(ask: &Ask, sent: BootTime, answer: Answer) -> Outcome {
    let name = &ask.name;
    Outcome::Refused(match answer {
        Answer::Granted { fence, .. } => {
            let deadline = believed_until(sent, ask.ttl);
            return Outcome::Granted { fence, deadline, claimed: false, stray: false };
        }
        Answer::Queued { .. } | Answer::Busy { .. } => {
            Error::new(ErrorKind::Timeout, format!("lock {name} is held by another"))
        }
        Answer::QueueFull { limit } => {
            Error::new(ErrorKind::QueueFull, format!("lock {name} has {limit} waiters already"))
        }
        Answer::Cancelled => {
            Error::new(ErrorKind::Cancelled, format!("the attempt for lock {name} was cancelled"))
        }
        Answer::Misfit { used } => {
            let asked = ask.kind;
            Error::invalid(format!("lock {name} is in use as {used} and was asked for as {asked}"))
        }
        Answer::Deadlock { cycle } => Error::deadlock(name, cycle),
    })
}

impl Pushed for Desk {
    fn granted(&self, grant: Grant) {
        // While a heartbeat is under way its answer is waited for: given to the user at once, the
        // lease could be released before that heartbeat takes place, which would then take the lock
        // again, for nobody.
        if let Some(entry) = self.state().entry(&grant.token)
            && entry.under_way > 0
        {
            entry.pushed = true;
            return;
        }
        let Some(entry) = self.take(&grant.token) else { return };
        let claim = entry.ask.wait.map_or(Duration::ZERO, |wait| wait.claim);
        let deadline = match grant.claim_until {
            Some(until) => claimed_until(until),
            None => believed_until(entry.queued_at, claim),
        };
        let fence = grant.fence;
        let stray = entry.stray;
        let _ = entry.to.send(Outcome::Granted { fence, deadline, claimed: true, stray });
    }

    fn hint(&self, name: &Name) {
        let now = self.sys.now();
        let mut state = self.state();
        let State { entries, schedule, .. } = &mut *state;
        let same = entries.iter().filter(|(_, entry)| entry.ask.name == *name);
        for (id, _) in same {
            schedule.set(*id, now);
        }
        drop(state);
        self.wake.notify_one();
    }

    fn changed(&self, name: &Name) {
        self.watchers.changed(name);
    }

    fn lost(&self) {
        self.watchers.all();
        let now = self.sys.now();
        let mut state = self.state();
        // Only those that wait for their next look: the others have an ask under way, whose answer
        // sets it.
        for id in state.schedule.ids() {
            state.schedule.set(id, now);
        }
        drop(state);
        self.wake.notify_one();
    }
}

async fn run(desk: Arc<Desk>) {
    let sys = desk.sys.clone();
    loop {
        let asks = desk.take_due(sys.now());
        for batch in asks.chunks(BATCH) {
            let (desk, batch) = (Arc::clone(&desk), batch.to_vec());
            sys.spawn(Box::pin(async move { heartbeat(&desk, &batch).await }));
        }
        let notified = desk.wake.notified();
        let until = {
            let mut state = desk.state();
            // Not "no entries": one whose first ask is under way has no time yet, and starts this
            // anew when it is queued.
            if state.schedule.is_empty() {
                state.running = false;
                return;
            }
            state.asleep_until = state.schedule.next();
            state.asleep_until
        };
        within(&sys, until, notified).await;
    }
}

async fn heartbeat(desk: &Arc<Desk>, asks: &[Ask]) {
    let sent = desk.sys.now();
    let answers =
        within(&desk.sys, sent + REQUEST_TIMEOUT, desk.store.acquire(asks, How::EachAlone))
            .await
            .unwrap_or_else(|| {
                Err(Error::new(ErrorKind::StoreUnavailable, "the store did not answer a heartbeat"))
            });
    match answers {
        Ok(answers) => {
            for (ask, answer) in asks.iter().zip(answers) {
                desk.answered(ask, sent, answer);
            }
        }
        Err(error) => {
            tracing::warn!(%error, waiters = asks.len(), "heartbeat failed");
            for ask in asks {
                desk.failed(ask, &error);
            }
        }
    }
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use std::sync::Weak;
    use std::sync::mpsc;

    use super::*;
    use crate::runtime::{Runtime, block_on, native_sys};
    use crate::store::memory::{MemoryStore, Shared};
    use crate::store::{
        Cancel, Capabilities, Evict, Evicted, LockView, Query, Released, Renewal, Wait,
    };
    use crate::sys::BoxFuture;
    use crate::wait::{Attempt, Request};
    use crate::{LockOptions, Result};

    /// A store whose asks can be kept on their way.
    struct Slow {
        store: MemoryStore,
        gate: tokio::sync::Semaphore,
        told: mpsc::Sender<&'static str>,
    }

    impl Store for Slow {
        fn capabilities(&self) -> &Capabilities {
            self.store.capabilities()
        }
        fn acquire<'a>(&'a self, asks: &'a [Ask], how: How) -> BoxFuture<'a, Result<Vec<Answer>>> {
            Box::pin(async move {
                let _ = self.told.send("sent");
                let _pass = self.gate.acquire().await;
                let answers = self.store.acquire(asks, how).await;
                let _ = self.told.send("answered");
                answers
            })
        }
        fn renew<'a>(&'a self, holds: &'a [Hold]) -> BoxFuture<'a, Result<Vec<Renewal>>> {
            self.store.renew(holds)
        }
        fn release<'a>(
            &'a self,
            holds: &'a [Hold],
            cancel: Cancel,
        ) -> BoxFuture<'a, Result<Vec<Released>>> {
            self.store.release(holds, cancel)
        }
        fn inspect<'a>(&'a self, what: &'a Query) -> BoxFuture<'a, Result<Vec<LockView>>> {
            self.store.inspect(what)
        }
        fn evict<'a>(&'a self, name: &'a Name, why: &'a Evict) -> BoxFuture<'a, Result<Evicted>> {
            self.store.evict(name, why)
        }
        fn subscribe(&self, to: Weak<dyn Pushed>) {
            self.store.subscribe(to);
        }
        fn ping(&self) -> BoxFuture<'_, Result<()>> {
            self.store.ping()
        }
    }

    fn ask_of(name: &Name, wait: Option<Wait>) -> Ask {
        Ask {
            name: name.clone(),
            kind: crate::store::Kind::Exclusive,
            token: Token::from_bytes([1; 16]),
            ttl: Duration::from_secs(30),
            grace: Duration::from_secs(3),
            wait,
            owner: None,
            profile: Arc::default(),
        }
    }

    const LONG: Duration = Duration::from_secs(20);

    /// A lock that `holder` has, and one that waits for it and whose heartbeats can be kept on their way.
    struct Scene {
        holder: MemoryStore,
        held: Ask,
        slow: Arc<Slow>,
        desk: Arc<Desk>,
        asks: mpsc::Receiver<&'static str>,
        /// The fence that the waiter got, once it has given the lock back.
        done: mpsc::Receiver<u64>,
    }

    impl Scene {
        fn new() -> Self {
            let sys = native_sys().unwrap();
            let (told, asks) = mpsc::channel();
            let shared = Arc::<Shared>::default();
            let holder = MemoryStore::new(Arc::clone(&shared), sys.clock());
            let slow = Arc::new(Slow {
                store: MemoryStore::new(shared, sys.clock()),
                gate: tokio::sync::Semaphore::new(1),
                told,
            });
            let runtime = Arc::new(Runtime::new(sys.clone()));
            runtime.reaper.start();
            let desk = Arc::new(Desk::new(sys, Arc::clone(&slow) as Arc<dyn Store>, 64));
            let pushed: Arc<dyn Pushed> = Arc::clone(&desk) as _;
            slow.subscribe(Arc::downgrade(&pushed));

            let name = Name::new("slow").unwrap();
            let held = ask_of(&name, None);
            block_on(holder.acquire(std::slice::from_ref(&held), How::EachAlone)).unwrap();
            let attempt = Attempt { runtime, desk: Arc::clone(&desk) };
            let (kind, options) = (crate::store::Kind::Exclusive, LockOptions::default());
            let request = Request { name, kind, options, who: Arc::default() };
            let (tell, done) = mpsc::channel();
            crate::sys::thread("waits", move || {
                let lease = block_on(attempt.acquire(request)).unwrap().unwrap();
                let fence = lease.fence();
                block_on(lease.release());
                tell.send(fence).unwrap();
            })
            .unwrap();
            let scene = Self { holder, held, slow, desk, asks, done };
            assert_eq!((scene.next(), scene.next()), ("sent", "answered"), "its first ask");
            scene
        }

        fn next(&self) -> &'static str {
            self.asks.recv_timeout(LONG).expect("an ask")
        }

        fn give_back(&self) {
            block_on(self.holder.release(&[Hold::of(&self.held)], Cancel::No)).unwrap();
        }
    }

    /// Hazard 26: a heartbeat that is on its way while its waiter is granted the lock, uses it and
    /// gives it back.
    #[test]
    fn a_heartbeat_under_way_takes_no_lock_for_nobody() {
        let scene = Scene::new();
        // From here on asks stay on their way: the first to come is a heartbeat.
        let closed = block_on(scene.slow.gate.acquire()).unwrap();
        assert_eq!(scene.next(), "sent", "its heartbeat");
        scene.give_back();
        // A lease given out now would be released within this time.
        let early = scene.done.recv_timeout(Duration::from_millis(500));
        drop(closed);
        assert_eq!(scene.next(), "answered", "its heartbeat took place");
        if early.is_err() {
            scene.done.recv_timeout(LONG).expect("granted after the heartbeat was answered");
        }
        let other = Ask { token: Token::from_bytes([2; 16]), ..scene.held.clone() };
        let answers = block_on(scene.holder.acquire(&[other], How::EachAlone)).unwrap();
        assert!(matches!(answers[0], Answer::Granted { .. }), "{answers:?}");
    }

    /// A server hands the lock over, crashes and loses it, and lets another have it; then it hears the
    /// waiter's heartbeat. Found by the simulator.
    #[test]
    fn a_hand_off_that_the_store_has_forgotten_is_no_grant() {
        const FORGOTTEN: u64 = 7;
        let scene = Scene::new();
        let closed = block_on(scene.slow.gate.acquire()).unwrap();
        assert_eq!(scene.next(), "sent", "its heartbeat");
        let token = *scene.desk.state().ids.keys().next().expect("one waits");
        scene.desk.granted(Grant { token, fence: FORGOTTEN, claim_until: None });
        drop(closed);
        assert_eq!(scene.next(), "answered", "it waits, says the store");
        scene.give_back();
        let fence = scene.done.recv_timeout(LONG).expect("granted in the end");
        assert_ne!(fence, FORGOTTEN, "the lock was another's");
    }
}
