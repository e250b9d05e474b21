//! The machines' processes: each start is a client of its own, with its own runtime and store, and a
//! few users of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use leasehold::runtime::Runtime;
use leasehold::store::redis::{RedisStore, Settings};
use leasehold::{Client, ClientOptions, Leases};

use super::session::Session;
use crate::SeededRandom;
use crate::sim::judge::Judge;
use crate::sim::kernel::{Kernel, Life};
use crate::sim::mix::Mix;
use crate::sim::net::{Net, SimDial};

/// What all users of a schedule share.
pub(crate) struct Stage {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) judge: Arc<Judge>,
    pub(crate) net: Arc<Net>,
    pub(crate) mix: Mix,
    /// The spans of time that its users favour, in ms.
    pub(crate) ttls: Vec<u64>,
    pub(crate) hold_ms: u64,
    pub(crate) think_ms: u64,
    /// How many operations are still to be done.
    budget: AtomicU64,
    closing: AtomicBool,
    sessions: AtomicU64,
    users: u64,
    random: SeededRandom,
    leaked: Mutex<Vec<Arc<Leases>>>,
}

impl Stage {
    pub(crate) fn new(
        kernel: Arc<Kernel>,
        judge: Arc<Judge>,
        net: Arc<Net>,
        mix: Mix,
        random: SeededRandom,
    ) -> Arc<Self> {
        let pick = |all: &[u64]| all[random.below(all.len() as u64) as usize];
        let ttls = (0..2).map(|_| pick(&[150, 500, 1000, 2000, 4000, 9000])).collect();
        Arc::new(Self {
            kernel,
            judge,
            net,
            mix,
            ttls,
            hold_ms: pick(&[5, 50, 400, 1500]),
            think_ms: pick(&[5, 50, 300]),
            budget: AtomicU64::new(230),
            closing: AtomicBool::new(false),
            sessions: AtomicU64::new(0),
            users: pick(&[1, 2, 3]),
            random,
            leaked: Mutex::default(),
        })
    }

    /// A process starts on this machine.
    pub(crate) fn start(self: &Arc<Self>, machine: usize) {
        let life = self.kernel.life(machine);
        if self.closing() {
            return;
        }
        self.judge.note(|| format!("m{machine} starts (life {})", life.number));
        let client = self.client(life);
        for _ in 0..self.users {
            let random = SeededRandom::new(self.random.next());
            let session = Session::new(Arc::clone(self), life, client.clone(), random);
            self.sessions.fetch_add(1, Ordering::Relaxed);
            self.kernel.spawn(life, Box::pin(session.run()));
        }
    }

    #[allow(clippy::expect_used, reason = "a schedule without its client can't run")]
    fn client(self: &Arc<Self>, life: Life) -> Client {
        let sys = self.kernel.sys(life);
        let runtime = Arc::new(Runtime::new(sys.clone()));
        let dial = SimDial { net: Arc::clone(&self.net), life };
        let store = RedisStore::new(Arc::new(dial), &sys, Settings::default());
        let options = ClientOptions { runtime: Some(runtime), ..ClientOptions::default() };
        Client::over(Arc::new(store), options).expect("a client")
    }

    /// Takes one operation from what is to be done; false where nothing is left.
    pub(crate) fn take(&self) -> bool {
        self.judge.step_done();
        let left = self
            .budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.is_ok() && !self.closing()
    }

    /// Whether something is left to be done.
    pub(crate) fn more(&self) -> bool {
        self.budget.load(Ordering::Relaxed) > 0 && !self.closing()
    }

    /// No new operations.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    pub(crate) fn closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// A lease that no user will touch again, nor drop.
    pub(super) fn leak(&self, lease: Arc<Leases>) {
        self.leaked.lock().unwrap_or_else(PoisonError::into_inner).push(lease);
    }

    /// Ends the leaked ones' memory, when their tenures are over.
    pub(crate) fn sweep(&self) {
        let all = std::mem::take(&mut *self.leaked.lock().unwrap_or_else(PoisonError::into_inner));
        drop(all);
    }

    /// Users that are still at it.
    pub(crate) fn at_work(&self) -> u64 {
        self.sessions.load(Ordering::Relaxed)
    }

    pub(super) fn left(&self) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}
