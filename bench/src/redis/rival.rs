//! What a contestant is to a worker in Rust.

use std::time::Duration;

use crate::Result;

/// How long a lock is taken for: longer than any round, so that nothing expires in one.
pub(crate) const TTL_MS: u64 = 30_000;

/// A lock library, or a hand-written limit.
pub(crate) trait Rival {
    /// One of those who take the lock.
    type One: Contender;
    /// Contender number `index`, for the lock `name`.
    fn contender(&self, name: &str, index: u32) -> impl Future<Output = Result<Self::One>>;
}

/// One task's way to take a lock and to give it back.
pub(crate) trait Contender: Send + 'static {
    /// Waits for the lock.
    fn take(&mut self) -> impl Future<Output = Result<()>> + Send;
    /// Gives it back, or marks that the next `take` shall.
    fn give(&mut self) -> impl Future<Output = Result<()>> + Send;
    /// No further `take` comes: sends what `give` put off.
    fn leave(&mut self) -> impl Future<Output = Result<()>> + Send {
        std::future::ready(Ok(()))
    }
}

/// The name of held lock number `index`.
pub(crate) fn held_name(index: u32) -> String {
    format!("bench:held:{index:05}")
}

/// What can hold many locks and keep them alive.
pub(crate) trait Holder {
    /// The locks.
    type Held;
    /// Takes locks number 0 to `locks`, each for `ttl`.
    fn hold(&self, locks: u32, ttl: Duration) -> impl Future<Output = Result<Self::Held>>;
    /// Keeps them for `span`.
    fn keep(&self, held: Self::Held, span: Duration) -> impl Future<Output = Result<Self::Held>>;
    /// Gives them back: how many were still held.
    fn let_go(held: Self::Held) -> impl Future<Output = Result<u64>>;
}
