//! The watchdog: one task on the lease thread for all leases of the process.
//!
//! Renewals are sent in one request per store, at a third of the ttl with jitter, and again after a
//! twelfth while they fail. The deadline of each lease is an entry of the same schedule, so the
//! news of a loss needs no reply from anyone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::belief::believed_until;
use super::held::{Held, Terms};
use super::schedule::Schedule;
use crate::LostReason;
use crate::options::REQUEST_TIMEOUT;
use crate::runtime::{Burial, Reaper, within};
use crate::store::{Hold, Renewal, Store};
use crate::sys::{BootTime, OwnMap, Sys};

/// Renewals in one request.
const BATCH: usize = 500;

/// Renewals are moved up by at most this share of the ttl, so that they share a request.
const GRID: u32 = 100;

/// Keeps the leases of one runtime.
pub(crate) struct Watchdog {
    sys: Sys,
    reaper: Reaper,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    running: bool,
    asleep_until: BootTime,
    last_id: u64,
    schedule: Schedule,
    held: OwnMap<u64, Watched>,
}

struct Watched {
    held: Arc<Held>,
    /// When to renew next; never while a renewal is under way.
    renew_at: BootTime,
}

impl Watched {
    fn due(&self) -> BootTime {
        self.renew_at.min(self.held.deadline())
    }
}

impl Watchdog {
    pub(crate) fn new(sys: Sys, reaper: Reaper) -> Self {
        Self { sys, reaper, state: Mutex::default(), wake: Notify::new() }
    }

    /// Takes a tenure into its care, `now`. `confirm_in` asks for a first renewal sooner than a third of
    /// the ttl: a hand-off lasts only for its claim until then.
    pub(crate) fn watch(
        self: &Arc<Self>,
        now: BootTime,
        store: Arc<dyn Store>,
        hold: Hold,
        terms: Terms,
        confirm_in: Option<Duration>,
    ) -> Arc<Held> {
        let renew_at = match (terms.renew, confirm_in) {
            (false, _) => BootTime::NEVER,
            (true, Some(span)) => now + span,
            (true, None) => self.in_a_third(now, terms.ttl),
        };
        let mut state = self.state();
        state.last_id += 1;
        let held = Arc::new(Held::new(state.last_id, self.sys.clone(), store, hold, terms));
        let watched = Watched { held: Arc::clone(&held), renew_at };
        let due = watched.due();
        state.schedule.set(held.id(), due);
        state.held.insert(held.id(), watched);
        let wake = state.running && due < state.asleep_until;
        let start = !std::mem::replace(&mut state.running, true);
        drop(state);
        if start {
            self.sys.spawn_lease(Box::pin(run(Arc::clone(self))));
        } else if wake {
            self.wake.notify_one();
        }
        held
    }

    /// Lets a tenure go out of its care.
    pub(crate) fn forget(&self, held: &Held) {
        let mut state = self.state();
        state.schedule.remove(held.id());
        state.held.remove(&held.id());
    }

    /// Ends `held` as lost. False if it was over already.
    pub(crate) fn lose(&self, held: &Held, reason: LostReason) -> bool {
        self.forget(held);
        let lost = held.lose(reason);
        if lost && reason != LostReason::Shutdown {
            let hold = held.hold();
            tracing::warn!(name = %hold.name, fence = held.fence(), %reason, "lease lost");
        }
        lost
    }

    /// Looks at `held` again: its limit was moved.
    pub(crate) fn rearm(&self, held: &Held) {
        let mut state = self.state();
        let Some(due) = state.held.get(&held.id()).map(Watched::due) else { return };
        state.schedule.set(held.id(), due);
        let wake = state.running && due < state.asleep_until;
        drop(state);
        if wake {
            self.wake.notify_one();
        }
    }

    /// The tenures in its care that `which` picks.
    pub(crate) fn held(&self, which: impl Fn(&Held) -> bool) -> Vec<Arc<Held>> {
        let state = self.state();
        let all = state.held.values().map(|watched| &watched.held);
        all.filter(|held| which(held)).cloned().collect()
    }

    /// Renews `held` now and waits for the answer, at most until the lease's own deadline.
    ///
    /// # Errors
    /// As the store fails; [`Lost`](crate::ErrorKind::Lost) where the lease is gone.
    pub(crate) async fn renew_now(self: &Arc<Self>, held: &Arc<Held>) -> crate::Result<()> {
        let sent = self.sys.now();
        let request = [held.request()];
        let limit = held.deadline().min(sent + REQUEST_TIMEOUT);
        let answer = within(&self.sys, limit, held.store().renew(&request)).await;
        match answer {
            Some(Ok(renewals)) => {
                self.answered(held, sent, &request[0], renewals.first().copied());
                match held.lost_reason() {
                    Some(reason) => Err(crate::Error::lost(&held.hold().name, reason)),
                    None => Ok(()),
                }
            }
            Some(Err(error)) => Err(error),
            None => Err(crate::Error::new(
                crate::ErrorKind::StoreUnavailable,
                format!("no answer to the renewal of lock {}", held.hold().name),
            )),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is due: tenures to renew, and tenures whose deadline passed.
    fn take_due(&self, now: BootTime) -> (Vec<Arc<Held>>, Vec<Arc<Held>>) {
        let (mut renew, mut over) = (Vec::new(), Vec::new());
        let mut state = self.state();
        let State { schedule, held, .. } = &mut *state;
        for id in schedule.take_due(now) {
            let Some(watched) = held.get_mut(&id) else { continue };
            if watched.held.deadline() <= now {
                over.push(Arc::clone(&watched.held));
                continue;
            }
            if watched.renew_at <= now {
                renew.push(Arc::clone(&watched.held));
                watched.renew_at = BootTime::NEVER;
            }
            schedule.set(id, watched.due());
        }
        (renew, over)
    }

    /// What the store answered to a renewal sent at `sent`.
    fn answered(&self, held: &Arc<Held>, sent: BootTime, asked: &Hold, answer: Option<Renewal>) {
        match answer {
            Some(Renewal::Renewed { .. }) => {
                if held.renewed(believed_until(sent, asked.ttl)) {
                    self.next_renewal(held, self.in_a_third(self.sys.now(), asked.ttl));
                } else if let Some(reason) = held.lost_reason() {
                    // It came back to life in the store after its holder was told.
                    self.lose(held, reason);
                    self.give_back(held);
                }
            }
            Some(Renewal::Gone(reason)) => {
                self.lose(held, reason);
            }
            None => self.failed(held),
        }
    }

    /// A third of `ttl` from `now`, with jitter, on a grid that other leases share.
    fn in_a_third(&self, now: BootTime, ttl: Duration) -> BootTime {
        let at = now + self.sys.jitter(ttl / 3);
        let grid = u64::try_from((ttl / GRID).as_nanos()).unwrap_or(u64::MAX).max(1);
        BootTime::from_nanos(at.as_nanos() / grid * grid)
    }

    fn failed(&self, held: &Held) {
        held.renewal_failed();
        self.next_renewal(held, self.sys.now() + held.ttl() / 12);
    }

    fn next_renewal(&self, held: &Held, at: BootTime) {
        let mut state = self.state();
        let State { schedule, held: all, asleep_until, running, .. } = &mut *state;
        let Some(watched) = all.get_mut(&held.id()) else { return };
        watched.renew_at = if held.renews() { at } else { BootTime::NEVER };
        let due = watched.due();
        schedule.set(held.id(), due);
        let wake = *running && due < *asleep_until;
        drop(state);
        if wake {
            self.wake.notify_one();
        }
    }

    fn give_back(&self, held: &Held) {
        self.reaper.bury(Burial {
            store: Arc::clone(held.store()),
            hold: held.hold().clone(),
            cancel: held.cancel(),
            until: self.sys.now() + held.kept_for(),
            desk: None,
        });
    }
}

async fn run(watchdog: Arc<Watchdog>) {
    let sys = watchdog.sys.clone();
    loop {
        let now = sys.now();
        let (renew, over) = watchdog.take_due(now);
        for held in over {
            if sys.now() < held.deadline() {
                // It went on to another holder just now, with a limit of its own.
                watchdog.rearm(&held);
                continue;
            }
            // Whoever is told may end the process: not before the lock is on its way back.
            let _under_way = watchdog.reaper.wait_for_mine();
            let reason = held.overdue();
            watchdog.lose(&held, reason);
            // A longest tenure ends for good: the next holder need not wait for the expiry.
            if held.lost_reason() == Some(LostReason::MaxHold) {
                watchdog.give_back(&held);
            }
        }
        for batch in by_store(renew) {
            sys.spawn_lease(Box::pin(renew_batch(Arc::clone(&watchdog), batch)));
        }
        let notified = watchdog.wake.notified();
        let until = {
            let mut state = watchdog.state();
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

/// Leases that are renewed in one request.
struct Batch {
    store: Arc<dyn Store>,
    leases: Vec<Arc<Held>>,
}

fn by_store(all: Vec<Arc<Held>>) -> impl Iterator<Item = Batch> {
    let mut groups: HashMap<usize, Vec<Batch>> = HashMap::new();
    for held in all {
        let store = Arc::clone(held.store());
        let batches = groups.entry(Arc::as_ptr(&store).cast::<()>() as usize).or_default();
        match batches.last_mut() {
            Some(batch) if batch.leases.len() < BATCH => batch.leases.push(held),
            _ => batches.push(Batch { store, leases: vec![held] }),
        }
    }
    groups.into_values().flatten()
}

async fn renew_batch(watchdog: Arc<Watchdog>, batch: Batch) {
    let Batch { store, leases: batch } = batch;
    let sys = watchdog.sys.clone();
    let holds: Vec<Hold> = batch.iter().map(|held| held.request()).collect();
    let sent = sys.now();
    // Longer than the shortest ttl's retry would starve it behind the others of its batch.
    let shortest = batch.iter().map(|held| held.ttl()).min().unwrap_or(REQUEST_TIMEOUT);
    let limit = sent + REQUEST_TIMEOUT.min(shortest / 3);
    let answers = match within(&sys, limit, store.renew(&holds)).await {
        Some(Ok(answers)) => answers,
        Some(Err(error)) => {
            tracing::warn!(%error, leases = holds.len(), "renewal failed; trying again");
            Vec::new()
        }
        None => Vec::new(),
    };
    for (index, held) in batch.iter().enumerate() {
        watchdog.answered(held, sent, &holds[index], answers.get(index).copied());
    }
}
