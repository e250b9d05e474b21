//! leasehold: a distributed lock.
//!
//! Exactly one holder at a time, a fencing token with every grant, renewal that user code can't
//! starve, hand-off without polling, and a holder that is told before another can be granted.
//!
//! ```
//! # fn main() -> leasehold::Result<()> { leasehold::block_on(async {
//! let client = leasehold::Client::connect("memory://")?;
//! let total = client.lock("invoice:42").run(async |lease| {
//!     assert!(lease.is_held());
//!     41 + 1
//! }).await?;
//! assert_eq!(total, 42);
//! # Ok(()) }) }
//! ```

mod client;
mod error;
pub mod guard;
mod kinds;
mod lease;
pub mod lock;
#[cfg(feature = "manager")]
pub mod manager;
mod name;
mod observe;
pub mod options;
mod owner;
mod recipes;
pub mod runtime;
pub mod store;
pub mod sys;
mod url;
mod wait;
pub mod watchdog;

#[cfg(feature = "sqlite")]
pub use client::default_url;
pub use client::{Client, ClientOptions};
pub use error::{Error, ErrorKind, Result};
pub use kinds::{
    AskBack, AskedBack, Barrier, Campaign, Election, Inside, Latch, Leader, Leadership, Leases,
    Lock, LockAll, Observer, Returned, RwLock, Semaphore,
};
pub use lease::{Lease, LostReason, Release};
pub use name::Name;
#[cfg(feature = "native")]
pub use observe::AuditFile;
pub use observe::{AuditAction, AuditEvent, AuditOutcome, AuditSink};
pub use options::{LockOptions, Order, Patience};
pub use owner::{Owner, Profile};
pub use recipes::{AdaptiveTtl, Batcher, Choice};
#[cfg(feature = "native")]
pub use runtime::block_on;
pub use url::StoreUrl;
pub use wait::Deadlocks;
