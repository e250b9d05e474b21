//! Who interfered with whose tenure, why, and what came of it.
//!
//! The trap is an interference that leaves no trace: one whose answer was lost, whose future was
//! dropped, or whose log could not be written. So what is about to be done is told first, and is not
//! done where that fails; what came of it is told afterwards.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::sys::{MaybeSend, MaybeSync, Sys};
use crate::{ErrorKind, Name, Profile, Result};

/// What is done to a tenure from outside.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuditAction {
    /// It is ended.
    Evict,
    /// Its holder is asked to end it.
    AskBack,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuditOutcome {
    /// It is about to be done. Another event follows with what came of it; where none does, that is
    /// not known.
    Begun,
    /// It was not permitted, and nothing was done.
    Refused,
    /// Nobody held the lock, or not with that fence.
    NotHeld,
    /// The tenure was ended.
    Evicted,
    /// The holder was asked, and the tenure was over in time.
    GivenBack,
    /// The holder was asked, and still holds the lock.
    StillHeld,
    /// It failed. A request that was not answered may have taken place.
    Failed,
}

/// One interference with a tenure. It holds no token and no password.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AuditEvent {
    /// When, in microseconds since 1970 by the wall clock.
    pub at_us: u64,
    /// Who does it: host, process, language, and the note of the client's defaults.
    pub by: Profile,
    /// What is done.
    pub action: AuditAction,
    /// The store, as its URL without secrets; empty for a client over a given store.
    pub store: String,
    /// The lock.
    pub lock: String,
    /// The fence that was meant or met, if one is known.
    pub fence: Option<u64>,
    /// The reason, as the caller said it.
    pub why: String,
    /// Whose tenure it is, where that is known.
    pub holder: Option<Profile>,
    /// What came of it.
    pub outcome: AuditOutcome,
    /// Of what failed or was refused, the error's one line.
    pub error: Option<String>,
}

/// Receives each [`AuditEvent`] of a client, in the caller's own task: it should be quick.
///
/// A closure that takes `&AuditEvent` is one.
pub trait AuditSink: MaybeSend + MaybeSync {
    /// Keeps `event`.
    ///
    /// # Errors
    /// Where it can't be kept: what was about to be done is then not done, and what was done fails
    /// with that error all the same.
    fn record(&self, event: &AuditEvent) -> Result<()>;
}

impl<F: Fn(&AuditEvent) -> Result<()> + MaybeSend + MaybeSync> AuditSink for F {
    fn record(&self, event: &AuditEvent) -> Result<()> {
        self(event)
    }
}

impl fmt::Debug for dyn AuditSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditSink")
    }
}

/// One interference on its way, where someone wants to know of it.
pub(crate) struct Audit {
    pub(crate) sys: Sys,
    pub(crate) sink: Option<Arc<dyn AuditSink>>,
    pub(crate) event: AuditEvent,
}

/// What is interfered with.
pub(crate) struct Matter<'a> {
    pub(crate) action: AuditAction,
    pub(crate) name: &'a Name,
    pub(crate) fence: Option<u64>,
    pub(crate) why: &'a str,
}

impl Audit {
    /// Tells that it is about to be done.
    pub(crate) fn begin(&self) -> Result<()> {
        self.tell(self.event.clone())
    }

    /// Tells that it was not permitted; the error to answer with.
    #[cfg(feature = "manager")]
    pub(crate) fn refuse(&self, error: crate::Error) -> crate::Error {
        let told = self.tell(AuditEvent {
            outcome: AuditOutcome::Refused,
            error: Some(error.message().to_owned()),
            ..self.event.clone()
        });
        match told {
            Ok(()) => error,
            Err(cause) => error.caused_by(cause),
        }
    }

    /// Tells what came of it, which is what the caller gets, unless that can't be told.
    pub(crate) fn end<T>(
        &self,
        done: Result<T>,
        seen: impl FnOnce(&T) -> (AuditOutcome, Option<u64>, Option<Profile>),
    ) -> Result<T> {
        let event = match &done {
            Ok(done) => {
                let (outcome, fence, holder) = seen(done);
                let fence = fence.or(self.event.fence);
                AuditEvent { outcome, fence, holder, ..self.event.clone() }
            }
            Err(error) => AuditEvent {
                outcome: AuditOutcome::Failed,
                error: Some(error.message().to_owned()),
                ..self.event.clone()
            },
        };
        let outcome = event.outcome;
        match (done, self.tell(event)) {
            (done, Ok(())) => done,
            (Err(error), Err(cause)) => Err(error.caused_by(cause)),
            (Ok(_), Err(cause)) => {
                let what = format!("lock {}: {outcome:?}, but that could not be audited", {
                    crate::name::shown(&self.event.lock)
                });
                Err(crate::Error::new(ErrorKind::StoreFailed, what).caused_by(cause))
            }
        }
    }

    fn tell(&self, mut event: AuditEvent) -> Result<()> {
        let Some(sink) = &self.sink else { return Ok(()) };
        event.at_us = self.sys.moment().wall_us;
        sink.record(&event).inspect_err(|error| {
            tracing::error!(%error, lock = event.lock, "an audit event could not be kept");
        })
    }
}
