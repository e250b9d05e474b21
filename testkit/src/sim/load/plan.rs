//! What one user is to take next, as the library and as the oracles understand it.

use std::time::Duration;

use leasehold::{Lock, Owner};

use super::session::Session;
use crate::sim::fault::one_of;
use crate::sim::judge::{Ask, Judge};
use crate::sim::mix::{Family, How};

/// The longest tenure of one that is leaked.
const LEAK: Duration = Duration::from_millis(2500);

/// How long an attempt may take.
#[derive(Clone, Copy)]
pub(super) enum Limit {
    /// It does not wait.
    Tries,
    /// It waits so long.
    Within(Duration),
    /// It waits for ever.
    Never,
}

/// One lock to be taken.
pub(super) struct Plan {
    pub(super) lock: Lock,
    pub(super) ask: Ask,
    pub(super) ttl: Duration,
    pub(super) leak: bool,
    pub(super) owned: bool,
}

impl Session {
    pub(super) fn limit(&self) -> Limit {
        if self.one_in(4) {
            Limit::Tries
        } else if self.one_in(3) {
            Limit::Never
        } else {
            Limit::Within(Duration::from_millis(20 + self.random.below(6000)))
        }
    }

    /// One lock by itself.
    pub(super) fn plan(&self, limit: Limit) -> Plan {
        let (leak, fixed) = (self.one_in(40), self.one_in(8));
        let max_hold = leak.then_some(LEAK).or_else(|| {
            self.one_in(12).then(|| Duration::from_millis(300 + self.random.below(3000)))
        });
        let mut plan = self.describe(self.lock(), limit);
        plan.leak = leak;
        if fixed {
            plan.lock = plan.lock.fixed_term();
        }
        if let Some(limit) = max_hold {
            plan.lock = plan.lock.max_hold(limit);
        }
        plan.ask.kept = !fixed && max_hold.is_none();
        if let Some(owner) = self.owner.filter(|_| plan.ask.how == How::Alone && self.one_in(2)) {
            plan = plan.owned_by(owner);
        }
        plan
    }

    /// Two or three of the locks, in any order.
    pub(super) fn plan_several(&self, limit: Limit) -> Vec<Plan> {
        let mut locks: Vec<usize> = (0..self.stage.mix.places.len()).collect();
        for index in (1..locks.len()).rev() {
            let other = self.random.below(index as u64 + 1);
            locks.swap(index, usize::try_from(other).unwrap_or_default());
        }
        locks.truncate(if self.one_in(2) { 2 } else { 3 });
        locks.into_iter().map(|lock| self.describe(lock, limit)).collect()
    }

    fn describe(&self, index: usize, limit: Limit) -> Plan {
        let place = &self.stage.mix.places[index];
        let ttl = Duration::from_millis(one_of(&self.random, &self.stage.ttls).unwrap_or(1000));
        let (lock, how) = match place.family {
            Family::Alone => (self.client.lock(&place.name), How::Alone),
            Family::Reads if self.one_in(3) => {
                (self.client.rwlock(&place.name).write(), How::Alone)
            }
            Family::Reads => (self.client.rwlock(&place.name).read(), How::Reads),
            Family::Permits(capacity) => {
                let most = if self.one_in(3) { capacity } else { 1 };
                let count = 1 + self.random.below(u64::from(most)) as u32;
                let permits = self.client.semaphore(&place.name, capacity).permits(count);
                (permits, How::Permits(count))
            }
        };
        let (wait, queues) = match limit {
            Limit::Tries => (Some(Judge::no_wait()), false),
            Limit::Within(span) => (Some(nanos(span)), true),
            Limit::Never => (None, true),
        };
        let ask = Ask { lock: index, how, wait, queues, ttl: nanos(ttl), kept: true };
        Plan { lock: lock.ttl(ttl), ask, ttl, leak: false, owned: false }
    }
}

impl Plan {
    fn owned_by(mut self, owner: Owner) -> Self {
        self.lock = self.lock.owner(owner);
        self.owned = true;
        self
    }
}

pub(super) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
