//! Who leads, one change at a time.
//!
//! The trap is a change that a language had and dropped: its wait was cancelled between the
//! completion and the delivery, and what it was not shown will not come again. So a wait yields
//! nothing; the change lies here until it is taken, in the call that hands it to the caller.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leasehold::sys::fork::Inherited;

use crate::request::WaiterInfo;
use crate::{ErrorInfo, Pending};

/// Who leads.
#[derive(Clone, PartialEq, Debug)]
pub struct LeaderInfo {
    /// The fence of its lease.
    pub fence: u64,
    /// What it said last.
    pub value: Vec<u8>,
    /// Who it is, and since when it has campaigned.
    pub who: WaiterInfo,
}

impl From<leasehold::Leader> for LeaderInfo {
    fn from(leader: leasehold::Leader) -> Self {
        let leasehold::Leader { fence, value, profile } = leader;
        Self { fence, value, who: WaiterInfo::of(&profile) }
    }
}

/// Watches who leads. Does nothing by itself: a caller that no longer asks leaves nothing behind.
pub struct Observer(Inherited<Arc<Mutex<State>>>);

struct State {
    /// Where it goes on.
    observer: leasehold::Observer,
    /// How many changes were found.
    found: u64,
    /// The last, until it is taken.
    change: Option<Option<LeaderInfo>>,
}

impl Observer {
    pub(crate) fn of(observer: leasehold::Observer) -> Self {
        let state = State { observer, found: 0, change: None };
        Self(Inherited::new(Arc::new(Mutex::new(state))))
    }

    /// Waits until there is a change to take: at the first call there is, later as soon as another
    /// leads or the leader says something else. Cancelling or dropping it loses nothing. It yields
    /// an error as the store fails, and may be called again then.
    #[must_use]
    pub fn changed(&self) -> Pending<()> {
        if self.0.forked() {
            return Pending::start(async { Err(ErrorInfo::forked("the observer")) });
        }
        let state = Arc::clone(&self.0);
        Pending::wait(async move {
            let (mut observer, found) = {
                let state = locked(&state);
                if state.change.is_some() {
                    return Ok(());
                }
                (state.observer.clone(), state.found)
            };
            let change = observer.next().await?.map(LeaderInfo::from);
            let mut state = locked(&state);
            // Unless another wait on this observer was first.
            if state.found == found {
                *state = State { observer, found: found + 1, change: Some(change) };
            }
            Ok(())
        })
    }

    /// The change, if there is one that was not taken: the leader, or none inside of it while nobody
    /// leads.
    #[must_use]
    pub fn take(&self) -> Option<Option<LeaderInfo>> {
        if self.0.forked() { None } else { locked(&self.0).change.take() }
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
