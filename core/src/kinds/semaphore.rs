//! The semaphore as Rust users see it.

use crate::Lock;
use crate::store::Kind;

/// So many permits, of which each holder has some for as long as its lease lasts.
///
/// How many there are is part of each request. While anyone holds permits or waits for them, a
/// request with another number is refused; once all are free again nothing is remembered.
///
/// ```
/// # fn main() -> leasehold::Result<()> { leasehold::block_on(async {
/// let client = leasehold::Client::connect("memory://")?;
/// let slots = client.semaphore("slots", 10);
/// let (light, heavy) = (slots.permits(2).await?, slots.permits(8).await?);
/// assert!(slots.permits(1).try_acquire().await?.is_none());
/// # heavy.release().await; drop(light);
/// # Ok(()) }) }
/// ```
#[derive(Clone, Debug)]
pub struct Semaphore {
    lock: Lock,
    capacity: u32,
}

impl Semaphore {
    pub(crate) fn new(lock: Lock, capacity: u32) -> Self {
        Self { lock, capacity }
    }

    /// `count` permits, which are granted and given back together. Granted by arrival: while a
    /// request doesn't fit, none behind it is granted. Acquiring fails for none and for more than
    /// there are.
    pub fn permits(&self, count: u32) -> Lock {
        self.lock.clone().kind(Kind::Permits { count, capacity: self.capacity })
    }
}
