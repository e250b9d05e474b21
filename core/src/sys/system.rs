//! The bundle of clock, randomness and executor that a client carries.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{BootTime, Clock, Executor, Moment, Randomness, Token};

/// Time, randomness and spawning, as one cheap handle.
#[derive(Clone)]
pub struct Sys {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Randomness>,
    executor: Arc<dyn Executor>,
    jitter: Arc<AtomicU64>,
}

impl Sys {
    /// A system of the caller's own parts: a simulator, a test, a WebAssembly host.
    #[must_use]
    pub fn new(
        clock: Arc<dyn Clock>,
        random: Arc<dyn Randomness>,
        executor: Arc<dyn Executor>,
    ) -> Self {
        let mut seed = [0; 8];
        random.fill(&mut seed);
        let jitter = Arc::new(AtomicU64::new(u64::from_le_bytes(seed)));
        Self { clock, random, executor, jitter }
    }

    /// Boot time.
    #[must_use]
    pub fn now(&self) -> BootTime {
        self.clock.now()
    }

    /// Boot time and wall time.
    #[must_use]
    pub fn moment(&self) -> Moment {
        self.clock.moment()
    }

    /// A fresh secret token.
    #[must_use]
    pub fn token(&self) -> Token {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes);
        Token::from_bytes(bytes)
    }

    /// So many fresh secret tokens: the system is asked once.
    #[must_use]
    pub(crate) fn tokens(&self, count: usize) -> Vec<Token> {
        let mut bytes = vec![0; 16 * count];
        self.random.fill(&mut bytes);
        let (tokens, _) = bytes.as_chunks();
        tokens.iter().copied().map(Token::from_bytes).collect()
    }

    /// `span` changed by up to ten percent either way, so that many clients don't move in step. No
    /// secret, so it asks the operating system only once, for a seed (SplitMix64; Steele, Lea and
    /// Flood, OOPSLA 2014).
    #[must_use]
    pub fn jitter(&self, span: Duration) -> Duration {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut mixed = self.jitter.fetch_add(STEP, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let share = (mixed >> 40) as f64 / (1_u64 << 24) as f64;
        span.mul_f64(0.9 + 0.2 * share)
    }

    /// The same, with background tasks run on `runtime`.
    #[cfg(feature = "native")]
    #[must_use]
    pub(crate) fn hosted(&self, runtime: tokio::runtime::Handle) -> Self {
        let executor = Arc::new(Hosted { runtime, rest: Arc::clone(&self.executor) });
        Self { executor, ..self.clone() }
    }

    /// Runs `task` in the background.
    pub fn spawn(&self, task: super::BoxFuture<'static, ()>) {
        self.executor.spawn(task);
    }

    /// Runs `task` on the lease thread.
    pub fn spawn_lease(&self, task: super::BoxFuture<'static, ()>) {
        self.executor.spawn_lease(task);
    }

    /// Completes at `until`.
    #[must_use]
    pub fn sleep_until(&self, until: BootTime) -> super::BoxFuture<'static, ()> {
        self.executor.sleep_until(until)
    }

    /// The parts, for a store that must read time in its own transaction.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }
}

/// An executor with a runtime of the caller's for its background tasks.
#[cfg(feature = "native")]
struct Hosted {
    runtime: tokio::runtime::Handle,
    rest: Arc<dyn Executor>,
}

#[cfg(feature = "native")]
impl Executor for Hosted {
    #[allow(clippy::disallowed_methods, reason = "one implementation of spawning")]
    fn spawn(&self, task: super::BoxFuture<'static, ()>) {
        self.runtime.spawn(task);
    }

    fn spawn_lease(&self, task: super::BoxFuture<'static, ()>) {
        self.rest.spawn_lease(task);
    }

    fn sleep_until(&self, until: BootTime) -> super::BoxFuture<'static, ()> {
        self.rest.sleep_until(until)
    }
}

impl fmt::Debug for Sys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sys")
    }
}
