//! What users call: one file per kind of lock, and the builder that they share.

use std::time::Duration;

use crate::options::MAX_WAIT;
use crate::sys::{BootTime, Sys};
use crate::{Error, Result};

mod ask_back;
mod barrier;
mod election;
mod latch;
mod lock;
mod multi;
mod record;
mod rwlock;
mod semaphore;

pub use ask_back::{AskBack, AskedBack, Returned};
pub use barrier::{Barrier, Inside};
pub use election::{Campaign, Election, Leader, Leadership, Observer};
pub use latch::Latch;
pub use lock::Lock;
pub use multi::{Leases, LockAll};
pub use rwlock::RwLock;
pub use semaphore::Semaphore;

/// The kinds that keep a state in the cell of their name, by their words there.
const WITH_STATE: [&str; 4] = [ask_back::WORD, barrier::WORD, election::WORD, latch::WORD];

/// When a wait of at most `limit` that begins now is over.
fn until(sys: &Sys, limit: Option<Duration>) -> Result<BootTime> {
    match limit {
        None => Ok(BootTime::NEVER),
        Some(limit) if limit <= MAX_WAIT => Ok(sys.now() + limit),
        Some(limit) => {
            Err(Error::invalid(format!("wait is {limit:?}: at most 365 days are allowed")))
        }
    }
}
