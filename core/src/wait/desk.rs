//! The waiters of one client: their heartbeats in one request, and the grants pushed to them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use crate::options::{HEARTBEAT, REQUEST_TIMEOUT};
use crate::runtime::within;
use crate::store::{Answer, Ask, Grant, Hold, How, Pushed, Store};
use crate::sys::{BootTime, Sys, Token};
use crate::watchdog::{Schedule, believed_until, claimed_until};
use crate::{Error, ErrorKind, Name};

/// Asks in one heartbeat request.
const BATCH: usize = 500;
/// Heartbeats are moved up to this much later, so that they share a request.
const GRID: Duration = Duration::from_millis(50);
/// A waiter gives up on a store that has not answered it for this long.
const SILENCE: Duration = Duration::from_secs(15);

/// What a wait came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Held, believed until `deadline`. `claimed` where a confirmation is still due.
    Granted { fence: u64, deadline: BootTime, claimed: bool },
    /// The attempt was refused or can't go on.
    Refused(Error),
}

/// The waiters of one client.
pub(crate) struct Desk {
    sys: Sys,
    store: Arc<dyn Store>,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    running: bool,
    asleep_until: BootTime,
    last_id: u64,
    entries: HashMap<u64, Entry>,
    ids: HashMap<Token, u64>,
    schedule: Schedule,
}

struct Entry {
    ask: Ask,
    /// When the last ask was sent that found this waiter in the queue: a later grant can't be
    /// older than that.
    queued_at: BootTime,
    heard_at: BootTime,
    to: oneshot::Sender<Outcome>,
}

impl Desk {
    pub(crate) fn new(sys: Sys, store: Arc<dyn Store>) -> Self {
        Self { sys, store, state: Mutex::default(), wake: Notify::new() }
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Registers a waiter, before its first ask is sent: a push may overtake the answer.
    pub(crate) fn register(&self, ask: &Ask, sent: BootTime) -> oneshot::Receiver<Outcome> {
        let (to, outcome) = oneshot::channel();
        let mut state = self.state();
        state.last_id += 1;
        let id = state.last_id;
        state.ids.insert(ask.token, id);
        state.entries.insert(id, Entry { ask: ask.clone(), queued_at: sent, heard_at: sent, to });
        outcome
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

    /// Refuses all waiters: the client is shut down. Answers what the store may know of them.
    pub(crate) fn close(&self) -> Vec<Hold> {
        let mut state = self.state();
        let entries = std::mem::take(&mut state.entries);
        state.ids.clear();
        state.schedule = Schedule::default();
        drop(state);
        let mut holds = Vec::with_capacity(entries.len());
        for entry in entries.into_values() {
            let name = &entry.ask.name;
            let message = format!("the client was shut down while lock {name} was waited for");
            holds.push(Hold::of(&entry.ask));
            let _ = entry.to.send(Outcome::Refused(Error::new(ErrorKind::ShutDown, message)));
        }
        self.wake.notify_one();
        holds
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
            let Some(entry) = state.entries.get(&id) else { continue };
            if entry.to.is_closed() {
                let token = entry.ask.token;
                state.entries.remove(&id);
                state.ids.remove(&token);
            } else {
                asks.push(entry.ask.clone());
            }
        }
        asks
    }

    fn answered(self: &Arc<Self>, ask: &Ask, sent: BootTime, answer: Answer) {
        let outcome = match answer {
            Answer::Queued { first, look_again_in, .. } => {
                {
                    let mut state = self.state();
                    let Some(id) = state.ids.get(&ask.token).copied() else { return };
                    if let Some(entry) = state.entries.get_mut(&id) {
                        entry.queued_at = sent;
                        entry.heard_at = sent;
                    }
                }
                self.queued(&ask.token, look_again_in, first);
                return;
            }
            other => settle(ask, sent, other),
        };
        if let Some(entry) = self.take(&ask.token) {
            // A receiver that is gone has the reaper give the grant back.
            let _ = entry.to.send(outcome);
        }
    }

    /// A heartbeat was not answered. Waiting goes on unless trying again can't help, or the store
    /// has been silent for too long.
    fn failed(self: &Arc<Self>, ask: &Ask, error: &Error) {
        let silent = {
            let state = self.state();
            let entry = state.ids.get(&ask.token).and_then(|id| state.entries.get(id));
            let Some(entry) = entry else { return };
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

/// What an answer other than `Queued` means to the attempt.
pub(crate) fn settle(ask: &Ask, sent: BootTime, answer: Answer) -> Outcome {
    let name = &ask.name;
    Outcome::Refused(match answer {
        Answer::Granted { fence, .. } => {
            let deadline = believed_until(sent, ask.ttl);
            return Outcome::Granted { fence, deadline, claimed: false };
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
        Answer::Deadlock { cycle } => Error::new(
            ErrorKind::Deadlock,
            format!("waiting for lock {name} would never end: {}", cycle.join(" → ")),
        ),
    })
}

impl Pushed for Desk {
    fn granted(&self, grant: Grant) {
        let Some(entry) = self.take(&grant.token) else { return };
        let claim = entry.ask.wait.map_or(Duration::ZERO, |wait| wait.claim);
        let deadline = match grant.claim_until {
            Some(until) => claimed_until(until),
            None => believed_until(entry.queued_at, claim),
        };
        let fence = grant.fence;
        let _ = entry.to.send(Outcome::Granted { fence, deadline, claimed: true });
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
            if state.entries.is_empty() {
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
