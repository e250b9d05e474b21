//! The semaphore as Rust users see it.

use crate::store::Kind;
use crate::{Lock, Result};

/// So many permits, of which each holder has some for as long as its lease lasts.
///
/// How many there are is part of each request. While anyone holds permits or waits for them, a
/// request with another number is refused; once all are free again nothing is remembered. To change the
/// number while the semaphore is in use there is [`resize`](Self::resize).
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

    /// How many permits there are, as this description says.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// `count` permits, which are granted and given back together. Granted by arrival: while a
    /// request doesn't fit, none behind it is granted. Acquiring fails for none and for more than
    /// there are.
    pub fn permits(&self, count: u32) -> Lock {
        self.lock.clone().kind(Kind::Permits { count, capacity: self.capacity })
    }

    /// Changes how many permits there are, to `permits`, if there are as many now as this object says;
    /// answers the number of the change, which is larger than that of any before.
    ///
    /// Those who hold permits keep them, also beyond a smaller number: nobody is granted more until
    /// what is held fits. Those who wait go on waiting, and who fits into the larger number is granted
    /// at once; who waits for more than there are any more is refused.
    ///
    /// Programs that still say the former number mean the new one from here on, so that a change needs
    /// no restart of all at once. That is remembered until none of them has said it for half a day to a day; until
    /// then a request with any other number is refused and names the right one, also while nobody holds
    /// permits. After that, programs that were not brought to the new number say what they say.
    ///
    /// ```
    /// # fn main() -> leasehold::Result<()> { leasehold::block_on(async {
    /// let client = leasehold::Client::connect("memory://")?;
    /// let slots = client.semaphore("slots", 2);
    /// let both = slots.permits(2).await?;
    /// slots.resize(3).await?;
    /// let third = slots.permits(1).await?;
    /// assert!(client.semaphore("slots", 3).permits(1).try_acquire().await?.is_none());
    /// # third.release().await; drop(both);
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) where there is another number of permits, which
    /// it names, or the name is in use as another kind of lock, and for `permits` of 0;
    /// [`Unsupported`](crate::ErrorKind::Unsupported) by a store without permits. After
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable) it may have taken place; to ask again
    /// is safe.
    pub async fn resize(&self, permits: u32) -> Result<u64> {
        self.lock.resize(self.capacity, permits).await
    }
}
