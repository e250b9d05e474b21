//! The one facade under every binding: owned, `'static`, without generics in its calls.
//!
//! Why it exists: a future that *returns* a lease loses it when a language drops the future between
//! completion and delivery (UniFFI does; measured), and a lost lease is renewed for ever. Here an
//! [`Attempt`] is made synchronously, owns what it obtains, and gives it back when it is cancelled
//! or dropped. A binding converts arguments, delivers completions and wraps the idiom; it decides
//! nothing about locks.

mod adaptive;
mod allocator;
mod ask_back;
mod attempt;
mod audit;
mod bell;
mod client;
mod error;
pub mod guard;
mod held;
mod latch;
mod mailbox;
mod manager;
mod observer;
mod pending;
mod request;
mod stop;

pub use adaptive::{AdaptiveTtl, Choice};
pub use ask_back::{AskedBack, Returned};
pub use attempt::{Attempt, Outcome};
pub use audit::{Audit, AuditEntry, Trail};
pub use client::{Client, release_all};
pub use error::{ErrorInfo, error_codes, lost_reasons};
pub use held::{Held, Release};
pub use latch::Latch;
pub use leasehold::Deadlocks;
pub use leasehold::runtime::{EventLoop, LOOKS};
pub use leasehold::store::Kind;
pub use leasehold::sys::OwnMap;
pub use mailbox::Mailbox;
pub use manager::{HealthInfo, Managed, Manager, PlacedInfo, Source, UsageInfo};
pub use observer::{LeaderInfo, Observer};
pub use pending::Pending;
pub use request::{ClientRequest, HolderInfo, LockInfo, LockRequest, WaiterInfo, kind};
