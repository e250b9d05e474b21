//! One attempt to take a lock, or several, and if they are granted the time under them.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use leasehold::store::Kind;
use leasehold::{ErrorKind, Leases, Result};

use super::plan::{Limit, Plan, nanos};
use super::session::Session;
use crate::sim::fault::Fault;
use crate::sim::judge::{Ask, Ending, Judge};
use crate::sim::mix::Family;
use crate::sim::net::first;

impl Session {
    /// Takes a lock, or not, and all that follows.
    pub(super) async fn tenure(&self) {
        let limit = self.limit();
        let plan = self.plan(limit);
        let op = self.stage.judge.begin(self.life, &[plan.ask]);
        let lock = plan.lock.clone();
        let future = async {
            let got = match limit {
                Limit::Tries => lock.try_acquire().await?,
                Limit::Within(limit) => Some(lock.wait(limit).acquire().await?),
                Limit::Never => Some(lock.acquire().await?),
            };
            Ok(got.map(Leases::from))
        };
        if let Some(leases) = self.attempt(&op, future).await {
            self.stage.judge.granted(op.clone(), &leases);
            self.hold(op, leases, &plan).await;
        }
    }

    /// Takes several locks together, or none of them.
    pub(super) async fn several(&self) {
        let limit = self.limit();
        let plans = self.plan_several(limit);
        let asks: Vec<Ask> = plans.iter().map(|plan| plan.ask).collect();
        let ops = self.stage.judge.begin(self.life, &asks);
        let all = self.client.lock_all(plans.iter().map(|plan| plan.lock.clone()));
        let future = async {
            match limit {
                Limit::Tries => all.try_acquire().await,
                Limit::Within(limit) => all.wait(limit).acquire().await.map(Some),
                Limit::Never => all.acquire().await.map(Some),
            }
        };
        if let Some(leases) = self.attempt(&ops, future).await {
            self.stage.judge.granted(ops.clone(), &leases);
            self.hold(ops, leases, &plans[0]).await;
        }
    }

    /// Awaits the locks, perhaps only for a moment. None where they were not had, and that is noted.
    async fn attempt(
        &self,
        ops: &Range<usize>,
        future: impl Future<Output = Result<Option<Leases>>>,
    ) -> Option<Arc<Leases>> {
        let (stage, judge, op) = (&self.stage, &self.stage.judge, ops.start);
        let cancels = stage.net.swarm.has(Fault::Cancel) && self.one_in(4);
        // Before the answer, around it, or after a while in the queue; waits for ever end somehow.
        let scale = [200, 3000, 50_000, 2_000_000][self.random.below(4) as usize];
        let moment = match cancels {
            true => Duration::from_micros(self.random.below(scale) + self.random.below(scale)),
            false => Duration::from_secs(40),
        };
        let done = first(stage.kernel.as_op(op, future), self.sleep(moment)).await;
        match done {
            Some(Ok(Some(leases))) => {
                let leases = Arc::new(leases);
                for (op, lease) in ops.clone().zip(leases.iter()) {
                    let heard = Arc::clone(judge);
                    lease.on_lost(move |reason| heard.lost(op, reason));
                }
                return Some(leases);
            }
            Some(Ok(None)) => {}
            Some(Err(error)) => {
                judge.note(|| format!("op{op} fails: {error}"));
                match error.kind() {
                    ErrorKind::Timeout => judge.timed_out(op),
                    ErrorKind::StoreUnavailable => {}
                    ErrorKind::Deadlock => judge.deadlocked(op),
                    kind => judge.accuse(format!("O5: op{op} fails with {kind:?}: {error}")),
                }
            }
            None if cancels => {
                judge.struck(Fault::Cancel, judge.at(self.life.machine), self.life.machine);
            }
            None => {}
        }
        self.finish(ops, Ending::Tidy);
        None
    }

    async fn hold(&self, ops: Range<usize>, leases: Arc<Leases>, plan: &Plan) {
        let (stage, judge) = (&self.stage, &self.stage.judge);
        let alone = leases.len() == 1;
        let reads = alone && stage.mix.places[plan.ask.lock].family == Family::Reads;
        while stage.more() && stage.take() && !self.one_in(3) {
            match self.random.below(12) {
                0 => self.extend(&ops, &leases, plan.ttl).await,
                1 => {
                    leases.touch();
                    judge.look(self.life.machine);
                }
                2 => self.sleep(plan.ttl.mul_f64(0.3 + self.random.below(14) as f64 / 10.0)).await,
                3 | 4 if stage.mix.changes && reads && !plan.owned => {
                    self.change(ops.start, &leases).await;
                }
                3 | 4 if plan.owned => self.again(plan).await,
                _ => self.rest(stage.hold_ms).await,
            }
            // Some go on as if nothing had happened, as users do.
            if !leases.is_held() && !self.one_in(3) {
                break;
            }
        }
        for (op, lease) in ops.clone().zip(leases.iter()) {
            judge.steady(op, lease.fence());
        }
        if plan.leak {
            judge.leaked(ops.start);
            stage.leak(leases);
            return;
        }
        for (op, lease) in ops.clone().zip(leases.iter()) {
            let lost = !lease.is_held();
            judge.finish(op, if lost { Ending::Lost } else { Ending::Tidy });
        }
        let release = async {
            match alone {
                true => drop(leases[0].release().await),
                false => drop(leases.release().await),
            }
        };
        match self.random.below(10) {
            0..=5 => release.await,
            6 => {
                let moment = Duration::from_micros(self.random.below(3000));
                first(release, self.sleep(moment)).await;
            }
            _ => {}
        }
    }

    fn finish(&self, ops: &Range<usize>, ending: Ending) {
        ops.clone().for_each(|op| self.stage.judge.finish(op, ending));
    }

    async fn extend(&self, ops: &Range<usize>, leases: &Leases, ttl: Duration) {
        let longer = ttl.mul_f64(0.5 + self.random.below(20) as f64 / 10.0);
        ops.clone().for_each(|op| self.stage.judge.longer(op, nanos(longer)));
        if self.one_in(3) {
            let moment = Duration::from_micros(self.random.below(20_000));
            first(leases.extend(longer), self.sleep(moment)).await;
        } else {
            let _ = leases.extend(longer).await;
        }
    }

    /// A reader is to write, or a writer to read on.
    async fn change(&self, op: usize, leases: &Arc<Leases>) {
        let (judge, lease) = (&self.stage.judge, &leases[0]);
        let reads = lease.kind() == Kind::Shared;
        let change = async { if reads { lease.upgrade().await } else { lease.downgrade().await } };
        let moment = match self.one_in(3) {
            true => Duration::from_micros(self.random.below(20_000)),
            false => Duration::from_secs(40),
        };
        match first(change, self.sleep(moment)).await {
            Some(Ok(())) => judge.turned(op, leases),
            Some(Err(error)) => match error.kind() {
                ErrorKind::Lost | ErrorKind::StoreUnavailable | ErrorKind::Unsupported => {}
                ErrorKind::Deadlock if reads => {}
                kind => judge.accuse(format!("O5: op{op} can't change, {kind:?}: {error}")),
            },
            None => {}
        }
    }

    /// The owner takes what it holds once more; where it does not hold it any more, in its own right.
    async fn again(&self, plan: &Plan) {
        let judge = &self.stage.judge;
        let ask = Ask { queues: false, wait: Some(Judge::no_wait()), ..plan.ask };
        let op = judge.begin(self.life, &[ask]);
        let lock = plan.lock.clone();
        let future = async { lock.try_acquire().await.map(|lease| lease.map(Leases::from)) };
        let Some(leases) = self.attempt(&op, future).await else { return };
        judge.granted(op.clone(), &leases);
        self.rest(self.stage.hold_ms).await;
        let lost = !leases.is_held();
        judge.finish(op.start, if lost { Ending::Lost } else { Ending::Tidy });
        if self.one_in(2) {
            leases[0].release().await;
        }
    }
}
