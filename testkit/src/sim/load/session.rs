//! One user: takes locks, keeps them for a while, gives them back or fails to.

use std::sync::Arc;
use std::time::Duration;

use leasehold::store::Evict;
use leasehold::{Client, Owner};

use super::Stage;
use crate::SeededRandom;
use crate::sim::fault::{Fault, spread};
use crate::sim::kernel::Life;

/// Counts as at work until it is dropped, with its process or by itself.
struct AtWork(Arc<Stage>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.left();
    }
}

pub(super) struct Session {
    pub(super) stage: Arc<Stage>,
    pub(super) life: Life,
    pub(super) client: Client,
    pub(super) random: SeededRandom,
    /// For what it takes more than once.
    pub(super) owner: Option<Owner>,
    _at_work: AtWork,
}

impl Session {
    pub(super) fn new(stage: Arc<Stage>, life: Life, client: Client, random: SeededRandom) -> Self {
        let at_work = AtWork(Arc::clone(&stage));
        let owner = if stage.mix.owners { client.owner().ok() } else { None };
        Self { stage, life, client, random, owner, _at_work: at_work }
    }

    pub(super) async fn run(self) {
        while self.stage.take() {
            let evicts = self.stage.net.swarm.has(Fault::Evict);
            match self.random.below(40) {
                0 => self.inspect().await,
                1 if evicts => self.evict().await,
                2..=9 if self.stage.mix.several => self.several().await,
                _ => self.tenure().await,
            }
            self.rest(self.stage.think_ms).await;
        }
    }

    /// Lets around `mean` ms pass on this machine.
    pub(super) async fn rest(&self, mean: u64) {
        self.sleep(Duration::from_micros(spread(&self.random, mean * 1000))).await;
    }

    pub(super) async fn sleep(&self, span: Duration) {
        let kernel = &self.stage.kernel;
        let until = kernel.boot(self.life.machine) + span;
        let at = kernel.clock(self.life.machine).when(i128::from(until.as_nanos()));
        kernel.sleep(at).await;
    }

    pub(super) fn lock(&self) -> usize {
        usize::try_from(self.random.below(self.stage.mix.places.len() as u64)).unwrap_or_default()
    }

    pub(super) fn one_in(&self, count: u64) -> bool {
        self.random.below(count) == 0
    }

    async fn inspect(&self) {
        let name = &self.stage.mix.places[self.lock()].name;
        if self.one_in(4) {
            let _ = self.client.list("", None, 10).await;
        } else {
            let _ = self.client.inspect(name).await;
        }
    }

    async fn evict(&self) {
        let name = &self.stage.mix.places[self.lock()].name;
        let judge = &self.stage.judge;
        judge.struck(Fault::Evict, judge.at(self.life.machine), self.life.machine);
        judge.note(|| format!("m{} evicts {name}", self.life.machine));
        let why = Evict { why: "for a test".to_owned(), fence: None };
        let _ = self.client.evict(name, &why).await;
    }
}
