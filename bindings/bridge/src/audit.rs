//! Who interfered with whose tenure, for a language's own record of it.
//!
//! The trap is a record that nobody reads. The core tells of an interference before it is begun, and
//! doesn't begin one that can't be told; a call into a language from there would wait for its lock on a
//! thread of ours. So the events lie here until the language takes them, and where so many lie that
//! evidently nobody does, nothing is done any more.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use leasehold::sys::fork::PerProcess;
use leasehold::{
    AuditAction, AuditEvent, AuditFile, AuditOutcome, AuditSink, Error, ErrorKind, Result,
};

use crate::request::WaiterInfo;
use crate::{ErrorInfo, Pending};

/// So many events may lie untaken.
const MOST: usize = 10_000;

/// Who is told of each eviction and each request to give a lock back.
#[derive(Clone, Debug)]
pub enum Audit {
    /// The file at this path: a line of JSON each, on the disk before anything is done.
    File(String),
    /// The language.
    Trail(Trail),
}

/// One interference, as plain data.
#[derive(Clone, PartialEq, Debug)]
pub struct AuditEntry {
    /// When, in seconds since 1970.
    pub at: f64,
    /// Who does it.
    pub by: WaiterInfo,
    /// `evict` or `ask_back`.
    pub action: &'static str,
    /// The store's URL, without secrets.
    pub store: String,
    /// The lock.
    pub lock: String,
    /// The fence that was meant or met, if one is known.
    pub fence: Option<u64>,
    /// The reason, as the caller said it.
    pub why: String,
    /// Whose tenure it is, where that is known.
    pub holder: Option<WaiterInfo>,
    /// `begun`, `refused`, `not_held`, `evicted`, `given_back`, `still_held` or `failed`.
    pub outcome: &'static str,
    /// Of what failed or was refused, the error's one line.
    pub error: Option<String>,
}

/// The events of a client that its language has not taken yet. Its clones are one; a forked child's is
/// empty at first.
#[derive(Clone, Default)]
pub struct Trail(Arc<PerProcess<Mutex<State>>>);

#[derive(Default)]
struct State {
    events: VecDeque<AuditEntry>,
    waiting: Vec<Waker>,
}

impl Audit {
    pub(crate) fn sink(self) -> Result<Arc<dyn AuditSink>> {
        Ok(match self {
            Self::File(path) => Arc::new(AuditFile::open(path)?),
            Self::Trail(trail) => Arc::new(trail),
        })
    }
}

impl Trail {
    /// Waits until there is an event to take. Cancelling or dropping it loses nothing.
    #[must_use]
    pub fn arrived(&self) -> Pending<()> {
        let state = self.state();
        Pending::wait(std::future::poll_fn(move |context| {
            let mut state = locked(&state);
            if state.events.is_empty() {
                if !state.waiting.iter().any(|other| other.will_wake(context.waker())) {
                    state.waiting.push(context.waker().clone());
                }
                return Poll::Pending;
            }
            Poll::Ready(Ok::<(), ErrorInfo>(()))
        }))
    }

    /// The next event, if there is one.
    #[must_use]
    pub fn take(&self) -> Option<AuditEntry> {
        locked(&self.state()).events.pop_front()
    }

    fn state(&self) -> Arc<Mutex<State>> {
        let Ok(state) = self.0.get_or_try_init(|| Ok::<_, Infallible>(Mutex::default()));
        state
    }
}

impl AuditSink for Trail {
    fn record(&self, event: &AuditEvent) -> Result<()> {
        let state = self.state();
        let waiting = {
            let mut state = locked(&state);
            if state.events.len() >= MOST {
                let what = format!("{MOST} audit events lie untaken: no one reads them");
                return Err(Error::new(ErrorKind::StoreFailed, what));
            }
            state.events.push_back(event.into());
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
        Ok(())
    }
}

impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trail")
    }
}

impl From<&AuditEvent> for AuditEntry {
    fn from(event: &AuditEvent) -> Self {
        let action = match event.action {
            AuditAction::Evict => "evict",
            AuditAction::AskBack => "ask_back",
            _ => "other",
        };
        let outcome = match event.outcome {
            AuditOutcome::Begun => "begun",
            AuditOutcome::Refused => "refused",
            AuditOutcome::NotHeld => "not_held",
            AuditOutcome::Evicted => "evicted",
            AuditOutcome::GivenBack => "given_back",
            AuditOutcome::StillHeld => "still_held",
            AuditOutcome::Failed => "failed",
            _ => "other",
        };
        Self {
            at: event.at_us as f64 / 1e6,
            by: WaiterInfo::of(&event.by),
            action,
            store: event.store.clone(),
            lock: event.lock.clone(),
            fence: event.fence,
            why: event.why.clone(),
            holder: event.holder.as_ref().map(WaiterInfo::of),
            outcome,
            error: event.error.clone(),
        }
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
