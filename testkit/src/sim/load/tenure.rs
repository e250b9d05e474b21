//! One attempt to take a lock and, if it is granted, the time under it.

use std::sync::Arc;
use std::time::Duration;

use leasehold::{ErrorKind, Lease, Lock};

use super::session::Session;
use crate::sim::fault::{Fault, one_of};
use crate::sim::judge::{Ask, Ending, Judge};
use crate::sim::net::first;

/// The longest tenure of one that is leaked.
const LEAK: Duration = Duration::from_millis(2500);

enum Got {
    Lease(Arc<Lease>),
    Busy,
    Gave,
}

impl Session {
    /// Takes a lock, or not, and all that follows.
    pub(super) async fn tenure(&self) {
        let (stage, judge) = (&self.stage, &self.stage.judge);
        let lock = self.lock();
        let ttl = Duration::from_millis(one_of(&self.random, &stage.ttls).unwrap_or(1000));
        let (leak, fixed) = (self.one_in(40), self.one_in(8));
        let max_hold = leak.then_some(LEAK).or_else(|| {
            self.one_in(12).then(|| Duration::from_millis(300 + self.random.below(3000)))
        });
        let mut described = self.client.lock(&stage.locks[lock]).ttl(ttl);
        if fixed {
            described = described.fixed_term();
        }
        if let Some(limit) = max_hold {
            described = described.max_hold(limit);
        }
        let kept = !fixed && max_hold.is_none();
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let tries = self.one_in(4);
        let limit = if tries {
            Some(Duration::from_nanos(Judge::no_wait()))
        } else {
            (!self.one_in(3)).then(|| Duration::from_millis(20 + self.random.below(6000)))
        };
        let ask = Ask { lock, wait: limit.map(nanos), queues: !tries, ttl: nanos(ttl), kept };
        let op = judge.begin(self.life, ask);
        match self.attempt(op, described, tries, limit).await {
            Got::Lease(lease) => self.hold(op, lease, ttl, leak).await,
            Got::Busy | Got::Gave => judge.finish(op, Ending::Tidy),
        }
    }

    /// Awaits the lock, perhaps only for a moment.
    async fn attempt(&self, op: usize, lock: Lock, tries: bool, limit: Option<Duration>) -> Got {
        let (stage, judge) = (&self.stage, &self.stage.judge);
        let lock = match limit {
            Some(limit) if !tries => lock.wait(limit),
            _ => lock,
        };
        let cancels = stage.net.swarm.has(Fault::Cancel) && self.one_in(4);
        // Before the answer, around it, or after a while in the queue; waits for ever end somehow.
        let scale = [200, 3000, 50_000, 2_000_000][self.random.below(4) as usize];
        let moment = match cancels {
            true => Duration::from_micros(self.random.below(scale) + self.random.below(scale)),
            false => Duration::from_secs(40),
        };
        let future =
            async { if tries { lock.try_acquire().await } else { lock.acquire().await.map(Some) } };
        let future = stage.kernel.as_op(op, future);
        let done = first(future, self.sleep(moment)).await;
        match done {
            Some(Ok(Some(lease))) => {
                let lease = Arc::new(lease);
                let heard = Arc::clone(judge);
                lease.on_lost(move |reason| heard.lost(op, reason));
                judge.granted(op, &lease);
                Got::Lease(lease)
            }
            Some(Ok(None)) => Got::Busy,
            Some(Err(error)) => {
                judge.note(|| format!("op{op} fails: {error}"));
                match error.kind() {
                    ErrorKind::Timeout => judge.timed_out(op),
                    ErrorKind::StoreUnavailable => {}
                    kind => judge.accuse(format!("op{op} fails with {kind:?}: {error}")),
                }
                Got::Gave
            }
            None => {
                if cancels {
                    judge.struck(Fault::Cancel, judge.at(self.life.machine), self.life.machine);
                }
                Got::Gave
            }
        }
    }

    async fn hold(&self, op: usize, lease: Arc<Lease>, ttl: Duration, leak: bool) {
        let judge = &self.stage.judge;
        while self.stage.more() && self.stage.take() && !self.one_in(3) {
            match self.random.below(12) {
                0 => self.extend(op, &lease, ttl).await,
                1 => lease.touch(),
                2 => self.sleep(ttl.mul_f64(0.3 + self.random.below(14) as f64 / 10.0)).await,
                _ => self.rest(self.stage.hold_ms).await,
            }
            // Some go on as if nothing had happened, as users do.
            if !lease.is_held() && !self.one_in(3) {
                break;
            }
        }
        if leak {
            judge.leaked(op);
            self.stage.leak(lease);
            return;
        }
        let lost = !lease.is_held();
        match self.random.below(10) {
            0..=5 => {
                judge.finish(op, if lost { Ending::Lost } else { Ending::Tidy });
                lease.release().await;
            }
            6 => {
                judge.finish(op, if lost { Ending::Lost } else { Ending::Tidy });
                let moment = Duration::from_micros(self.random.below(3000));
                first(lease.release(), self.sleep(moment)).await;
            }
            _ => judge.finish(op, if lost { Ending::Lost } else { Ending::Tidy }),
        }
        drop(lease);
    }

    async fn extend(&self, op: usize, lease: &Lease, ttl: Duration) {
        let longer = ttl.mul_f64(0.5 + self.random.below(20) as f64 / 10.0);
        self.stage.judge.longer(op, u64::try_from(longer.as_nanos()).unwrap_or(u64::MAX));
        if self.one_in(3) {
            let moment = Duration::from_micros(self.random.below(20_000));
            first(lease.extend(longer), self.sleep(moment)).await;
        } else {
            let _ = lease.extend(longer).await;
        }
    }
}
