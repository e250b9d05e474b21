//! A ttl and a wait from a lock's own history. The numbers are the core's; here is who notes what, so
//! that no language has to keep the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use leasehold::options::seconds;
use leasehold::sys::{BootTime, Sys};
use leasehold::{Choice as Chosen, ErrorKind, Lease, Lock, Result};

use crate::ErrorInfo;

/// Follows how long a lock was held and waited for; shared by all who take it in this process.
#[derive(Clone, Default)]
pub struct AdaptiveTtl(Arc<leasehold::AdaptiveTtl>);

/// What was chosen, and from what.
#[derive(Clone, PartialEq, Debug)]
pub struct Choice {
    /// The lease's length in seconds.
    pub ttl: f64,
    /// How long to wait, in seconds.
    pub wait: f64,
    /// How many of the latest holds it goes by.
    pub holds: u64,
    /// What 95 % of them were not longer than, in seconds.
    pub hold: f64,
    /// What 95 % of the latest waits were not longer than, in seconds.
    pub waited: f64,
    /// The part of the latest acquires that had to wait, 0 to 1.
    pub load: f64,
    /// All of it in words.
    pub words: String,
}

impl AdaptiveTtl {
    /// Notes that the lock was held for so many seconds.
    ///
    /// # Errors
    /// `INVALID_INPUT` for what is no span.
    pub fn held(&self, span: f64) -> Result<(), ErrorInfo> {
        self.0.held(seconds("the hold", span)?);
        Ok(())
    }

    /// Notes that it was waited for, for so many seconds.
    ///
    /// # Errors
    /// `INVALID_INPUT` for what is no span.
    pub fn waited(&self, span: f64) -> Result<(), ErrorInfo> {
        self.0.waited(seconds("the wait", span)?);
        Ok(())
    }

    /// What to ask for now.
    #[must_use]
    pub fn choose(&self) -> Choice {
        let choice = self.0.choose();
        let words = choice.to_string();
        let Chosen { ttl, wait, holds, hold, waited, load, .. } = choice;
        let [ttl, wait, hold, waited] = [ttl, wait, hold, waited].map(|it| it.as_secs_f64());
        Choice { ttl, wait, holds: holds as u64, hold, waited, load, words }
    }

    /// Takes `lock` with what is chosen now, and notes how long that took.
    pub(crate) async fn take(&self, lock: Lock) -> Result<(Lease, Hold)> {
        let sys = leasehold::runtime::native_sys()?;
        let (choice, begun) = (self.0.choose(), sys.now());
        let taken = lock.ttl(choice.ttl).wait(choice.wait).acquire().await;
        let at = sys.now();
        match &taken {
            Ok(_) => self.0.waited(at.since(begun)),
            Err(error) if error.kind() == ErrorKind::Timeout => self.0.waited(at.since(begun)),
            Err(_) => {}
        }
        let hold = Hold { of: Arc::clone(&self.0), sys, since: at, over: AtomicBool::new(false) };
        Ok((taken?, hold))
    }
}

/// A hold that is noted when it is over.
pub(crate) struct Hold {
    of: Arc<leasehold::AdaptiveTtl>,
    sys: Sys,
    since: BootTime,
    over: AtomicBool,
}

impl Hold {
    /// Also of a lease that was lost: it took that long at least.
    pub(crate) fn is_over(&self) {
        if !self.over.swap(true, Ordering::AcqRel) {
            self.of.held(self.sys.now().since(self.since));
        }
    }

    /// It was none: nobody worked under it.
    pub(crate) fn is_none(&self) {
        self.over.store(true, Ordering::Release);
    }
}
