//! `order = throughput`: the waiters of one client queue here, one of them asks the store for all, and
//! what it is granted goes from hand to hand with no step of the store in between (lock cohorting:
//! Dice, Marathe and Shavit, PPoPP 2012).
//!
//! To the store and the watchdog this is one tenure: one token, one deadline, one loss, which ends it for
//! whoever has it then. Each of its holders has a lease and a fence of its own; the store reserved as many
//! fences with the grant (lock/fence.rs). What must not go wrong:
//! * a cohort must not starve the others (hazard 48): it goes on for so many holders and so long, and then
//!   gives the lock back, and asks for it behind all who wait by then;
//! * a name is its own (hazard 76): no stripes, no eviction. An entry is there while somebody of this client
//!   holds the name or asks for it, and no longer;
//! * what is handed to a waiter that goes away goes on (hazard 46): the turn itself is in the channel, and
//!   dropped there it is the next one's.
//!
//! Nobody here is known to the store but the one who asks, so there are no owners here: neither re-entry
//! nor a search for deadlocks would find them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::attempt::{Attempt, Request, waited_out};
use super::cells::Shelf;
use super::desk::shut_down;
use crate::lock::MAX_FENCES;
use crate::options::Patience;
use crate::runtime::within;
use crate::store::{FenceSource, Kind};
use crate::sys::fork::Inherited;
use crate::sys::{BootTime, Sys};
use crate::watchdog::Held;
use crate::{Error, ErrorKind, Lease, LostReason, Name, Result};

/// How many hold one tenure in turn, at most: by then the round trip is a small part of each. So many that
/// hold it for no time take less than a millisecond; of all others [`SPAN`] lets fewer do so.
const MOST: u32 = MAX_FENCES;
/// How many fences are reserved at first, and then twice as many as were used the last time: fences that
/// nobody used must not get ahead of the clock, which is what they are numbered by when their rows
/// are gone (lock/fence.rs).
const FIRST: u32 = 4;
/// How long a tenure goes from hand to hand, at most; half its ttl if that is shorter.
const SPAN: Duration = Duration::from_millis(50);

/// The cohorts of one client, by name.
pub(crate) struct Cohorts {
    sys: Sys,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last_arrival: u64,
    cohorts: HashMap<Name, Cohort>,
}

/// Those of this client who hold a lock or ask for it.
#[derive(Default)]
struct Cohort {
    tenure: Option<Tenure>,
    /// The priorities of those who ask the store: one, unless another came who goes before it.
    leaders: Vec<i32>,
    queue: BTreeMap<Place, Waiting>,
    /// How many held the last tenure that was given back.
    holders: u32,
}

/// Larger priority first, then arrival.
type Place = (i64, u64);

/// What the store granted, and how much of it is used.
struct Tenure {
    id: u64,
    /// The last fence of it, and how many there are; how many are used.
    last: u64,
    fences: u32,
    holders: u32,
    /// Until when it may go on.
    until: BootTime,
}

struct Waiting {
    ttl: Duration,
    renew: bool,
    max_hold: Option<Duration>,
    to: oneshot::Sender<Turn>,
}

/// What a waiter is told.
enum Turn {
    /// The tenure is its own now.
    Passed(Lease),
    /// It is to ask the store.
    Lead(Leading),
    /// The client was shut down.
    Refused,
}

enum Joined {
    Lead(Leading),
    Wait(Seat),
    /// Another of this client holds the lock.
    Busy,
}

/// The one who asks the store for its cohort. Dropped before it was granted anything, it has the next one do so.
struct Leading {
    cohorts: Inherited<Arc<Cohorts>>,
    name: Name,
    /// None: it asks for itself only, and nobody waits for it.
    priority: Option<i32>,
    /// How many fences it asks for: one, unless others were there before, who would hold the lock after it.
    fences: u32,
}

/// A place in a cohort's queue, left when it is dropped.
struct Seat {
    cohorts: Inherited<Arc<Cohorts>>,
    name: Name,
    place: Place,
    turn: oneshot::Receiver<Turn>,
}

/// Takes the lock by way of its cohort. None where it is taken and the request doesn't wait.
pub(super) async fn acquire(
    attempt: &Attempt,
    request: &Request,
    give_up: BootTime,
) -> Result<Option<Lease>> {
    check(attempt, request)?;
    let (cohorts, sys) = (&attempt.desk.cohorts, &attempt.runtime.sys);
    let mut arrival = None;
    loop {
        let leading = match cohorts.join(request, &mut arrival)? {
            Joined::Busy => return Ok(None),
            Joined::Lead(leading) => leading,
            Joined::Wait(mut seat) => match within(sys, give_up, &mut seat.turn).await {
                None => return Err(waited_out(&request.name)),
                Some(Ok(Turn::Lead(leading))) => leading,
                Some(Ok(Turn::Passed(lease))) if lease.is_held() => return Ok(Some(lease)),
                Some(Ok(Turn::Passed(lease)))
                    if lease.lost_reason() != Some(LostReason::Shutdown) =>
                {
                    // It was lost on the way; the place in the queue is still the same.
                    continue;
                }
                Some(_) => return Err(shut_down(&request.name)),
            },
        };
        return match attempt.take(request, give_up, leading.fences).await? {
            Some(held) => Ok(Some(leading.granted(held, attempt.shelf()))),
            None => Ok(None),
        };
    }
}

/// Refuses what has no cohort.
fn check(attempt: &Attempt, request: &Request) -> Result<()> {
    let capabilities = attempt.desk.store().capabilities();
    let why = if request.kind != Kind::Exclusive {
        "is for exclusive locks"
    } else if request.options.owner.is_some() {
        "knows no owners: those who wait in one process are not in the store, where re-entry and \
         deadlocks are looked for"
    } else if capabilities.fence != FenceSource::Clock {
        "needs a store that reserves several fences"
    } else {
        return Ok(());
    };
    Err(unsupported(&request.name, why))
}

pub(crate) fn unsupported(name: &Name, why: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the order throughput of lock {name} {why}"))
}

impl Cohorts {
    pub(super) fn new(sys: Sys) -> Self {
        Self { sys, state: Mutex::default() }
    }

    /// Takes a place in the cohort of the lock. `arrival` keeps it the same.
    fn join(self: &Arc<Self>, request: &Request, arrival: &mut Option<u64>) -> Result<Joined> {
        let (name, options) = (&request.name, &request.options);
        let priority = options.priority;
        let mut state = self.state();
        let State { last_arrival, cohorts } = &mut *state;
        let known = cohorts.get_mut(name);
        let held = known.as_ref().is_some_and(|cohort| cohort.tenure.is_some());
        let leading = |priority| {
            let (cohorts, name) = (self.stamped(), name.clone());
            Joined::Lead(Leading { cohorts, name, priority, fences: 1 })
        };
        if options.wait == Patience::None {
            return Ok(if held { Joined::Busy } else { leading(None) });
        }
        let cohort = match known {
            Some(cohort) if held || cohort.is_behind(priority) => cohort,
            _ => {
                cohorts.entry(name.clone()).or_default().leaders.push(priority);
                return Ok(leading(Some(priority)));
            }
        };
        if cohort.queue.len() + cohort.leaders.len() >= options.max_queue as usize {
            let limit = options.max_queue;
            let message = format!("lock {name} has {limit} waiters already");
            return Err(Error::new(ErrorKind::QueueFull, message));
        }
        let arrival = *arrival.get_or_insert_with(|| {
            *last_arrival += 1;
            *last_arrival
        });
        let place = (-i64::from(priority), arrival);
        let (to, turn) = oneshot::channel();
        let (ttl, renew, max_hold) = (options.ttl, options.renew, options.max_hold);
        cohort.queue.insert(place, Waiting { ttl, renew, max_hold, to });
        Ok(Joined::Wait(Seat { cohorts: self.stamped(), name: name.clone(), place, turn }))
    }

    /// Hands the tenure, whose last lease was left, to the next of its cohort. False where that is over, or
    /// where nobody waits who can go on with it: then it is to be given back, and [`next`](Self::next) told.
    pub(crate) fn pass(self: &Arc<Self>, held: &Arc<Held>, shelf: &Shelf) -> bool {
        let name = &held.hold().name;
        let now = self.sys.now();
        let (next, fence) = {
            let mut state = self.state();
            let Some(cohort) = state.cohorts.get_mut(name) else { return false };
            let Cohort { tenure: current, queue, holders, .. } = cohort;
            let Some(tenure) = current.as_mut().filter(|tenure| tenure.id == held.id()) else {
                return false;
            };
            let next = queue.first_entry().filter(|next| {
                // Who wants another length of lease, or one of its own, asks the store for it.
                let Waiting { ttl, renew, max_hold, .. } = next.get();
                tenure.holders < tenure.fences
                    && now < tenure.until
                    && *ttl == held.ttl()
                    && *renew
                    && held.hand_on(*max_hold, now)
            });
            let Some(next) = next else {
                *holders = tenure.holders;
                *current = None;
                state.tidy(name);
                return false;
            };
            tenure.holders += 1;
            (next.remove(), tenure.fence())
        };
        if next.max_hold.is_some() {
            shelf.runtime.watchdog.rearm(held);
        }
        let lease = Lease::in_turn(Arc::clone(held), shelf.clone(), Arc::clone(self), fence);
        // One that is gone drops the lease, and so passes it on.
        let _ = next.to.send(Turn::Passed(lease));
        true
    }

    /// Has the first in the queue ask the store, unless the lock is held here or another asks for it.
    pub(crate) fn next(self: &Arc<Self>, name: &Name) {
        self.settle(name, |_| ());
    }

    /// Refuses all who wait. Those who ask the store or hold the lock are told elsewhere.
    pub(super) fn close(&self) {
        let mut waiting = Vec::new();
        {
            let mut state = self.state();
            for cohort in state.cohorts.values_mut() {
                waiting.extend(std::mem::take(&mut cohort.queue).into_values());
            }
        }
        for Waiting { to, .. } in waiting {
            let _ = to.send(Turn::Refused);
        }
    }

    /// Changes the cohort of `name`, and sees to it that somebody asks for those who wait.
    fn settle(self: &Arc<Self>, name: &Name, change: impl FnOnce(&mut Cohort)) {
        let next = {
            let mut state = self.state();
            let Some(cohort) = state.cohorts.get_mut(name) else { return };
            change(cohort);
            let next = cohort.next_leader();
            state.tidy(name);
            next
        };
        if let Some((priority, fences, next)) = next {
            let (cohorts, name, priority) = (self.stamped(), name.clone(), Some(priority));
            let leading = Leading { cohorts, name, priority, fences };
            // One that is gone drops it, and the next one leads.
            let _ = next.to.send(Turn::Lead(leading));
        }
    }

    /// A forked child may not touch the mutex, which another thread may have held at the fork.
    fn stamped(self: &Arc<Self>) -> Inherited<Arc<Self>> {
        Inherited::new(Arc::clone(self))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Names used once leave nothing behind.
    fn tidy(&mut self, name: &Name) {
        let empty = |cohort: &Cohort| {
            cohort.tenure.is_none() && cohort.leaders.is_empty() && cohort.queue.is_empty()
        };
        if self.cohorts.get(name).is_some_and(empty) {
            self.cohorts.remove(name);
        }
    }
}

impl Tenure {
    /// The fence of the present holder.
    fn fence(&self) -> u64 {
        self.last + u64::from(self.holders) - u64::from(self.fences)
    }
}

impl Cohort {
    /// Whether a newcomer of this priority stands behind one who asks the store or is about to.
    fn is_behind(&self, priority: i32) -> bool {
        let first = self.queue.first_key_value().map(|(place, _)| place.0);
        self.led(priority) || first.is_some_and(|first| first <= -i64::from(priority))
    }

    /// Whether one asks the store who goes before a waiter of this priority, or came before it.
    fn led(&self, priority: i32) -> bool {
        self.leaders.iter().any(|leader| *leader >= priority)
    }

    /// The waiter who is to ask the store now, its priority, and the fences to ask for.
    fn next_leader(&mut self) -> Option<(i32, u32, Waiting)> {
        if self.tenure.is_some() {
            return None;
        }
        let priority = i32::try_from(-self.queue.first_key_value()?.0.0).unwrap_or_default();
        if self.led(priority) {
            return None;
        }
        let (_, waiting) = self.queue.pop_first()?;
        self.leaders.push(priority);
        Some((priority, (2 * self.holders).clamp(FIRST, MOST), waiting))
    }

    fn step_down(&mut self, leader: Option<i32>) {
        if let Some(place) = self.leaders.iter().position(|priority| Some(*priority) == leader) {
            self.leaders.swap_remove(place);
        }
    }
}

impl Leading {
    /// The lease of the first holder of what the store granted.
    fn granted(mut self, held: Arc<Held>, shelf: Shelf) -> Lease {
        let (id, last, fences) = (held.id(), held.fence(), self.fences);
        let until = shelf.runtime.sys.now() + SPAN.min(held.ttl() / 2);
        let tenure = Tenure { id, last, fences, holders: 1, until };
        let fence = tenure.fence();
        let leader = self.priority.take();
        {
            let mut state = self.cohorts.state();
            let cohort = state.cohorts.entry(self.name.clone()).or_default();
            cohort.step_down(leader);
            cohort.tenure = Some(tenure);
        }
        // Its loss is nobody's release: those who wait must not wait for one.
        let (cohorts, name) = (Arc::downgrade(&self.cohorts), self.name.clone());
        held.on_lost(move |_| {
            if let Some(cohorts) = cohorts.upgrade() {
                cohorts.settle(&name, |cohort| {
                    cohort.tenure.take_if(|tenure| tenure.id == id);
                });
            }
        });
        Lease::in_turn(held, shelf, Arc::clone(&self.cohorts), fence)
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        if let Some(priority) = self.priority
            && !self.cohorts.forked()
        {
            self.cohorts.settle(&self.name, |cohort| cohort.step_down(Some(priority)));
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.cohorts.forked() {
            return;
        }
        // First the place, then the channel: whoever finds the place finds somebody who listens.
        let mut state = self.cohorts.state();
        let Some(cohort) = state.cohorts.get_mut(&self.name) else { return };
        if cohort.queue.remove(&self.place).is_some() {
            state.tidy(&self.name);
        }
    }
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use super::*;
    use crate::{Client, Order, block_on};

    /// Names used once leave nothing behind, whatever became of those who asked.
    #[test]
    fn a_name_that_nobody_uses_is_forgotten() {
        let client = Client::connect("memory://").unwrap();
        let cohorts = Arc::clone(&client.attempt().unwrap().desk.cohorts);
        let names = || cohorts.state().cohorts.len();
        block_on(async {
            for index in 0..1000_u32 {
                let lock = client.lock(index.to_string()).order(Order::Throughput);
                let lease = lock.clone().acquire().await.unwrap();
                assert_eq!(names(), 1);
                assert!(lock.clone().try_acquire().await.unwrap().is_none());
                let full = lock.clone().max_queue(0).acquire().await.unwrap_err();
                assert_eq!(full.kind(), ErrorKind::QueueFull);
                {
                    let (mut left, mut late) = (pin(lock.clone()), pin(lock.clone()));
                    for waiting in [&mut left, &mut late] {
                        let limit = BootTime::default();
                        assert!(within(&cohorts.sys, limit, waiting.as_mut()).await.is_none());
                    }
                    drop(left);
                    lease.release().await;
                    // The second is told to ask the store, and goes away.
                    assert_eq!(names(), 1);
                }
                assert_eq!(names(), 0, "after {index}");
            }
        });
    }

    fn pin(lock: crate::Lock) -> crate::sys::BoxFuture<'static, Result<Lease>> {
        Box::pin(lock.acquire())
    }
}
