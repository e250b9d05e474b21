//! Cells as the kinds use them: read, changed by comparison, waited for.
//!
//! The traps are a write whose answer is lost and a push that is. A write that may have taken place is
//! followed by another look, so whoever writes must know its own mark in the value. A watcher looks
//! again at each heartbeat, at the cell's own end and when the connection was lost, whatever it was
//! told; a registration that nobody renews ends by itself, so a dropped future leaves nothing behind.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::Desk;
use super::desk::SILENCE;
use crate::options::{ALIVE_FOR, HEARTBEAT, REQUEST_TIMEOUT};
use crate::runtime::{Runtime, within};
use crate::store::{Cell, Cells, Kind, LockView, Query, Resize, Resized, Watched};
use crate::sys::{BootTime, BoxFuture};
use crate::{Error, ErrorKind, Name, Result};

/// After a request that failed and may be tried again.
const AGAIN: Duration = Duration::from_millis(100);
/// So often others may be first before a writer lets some time pass.
const IN_A_ROW: u32 = 4;
/// The most that it lets pass.
const STEP_BACK: Duration = Duration::from_millis(20);

/// The cells of one client's store.
#[derive(Clone)]
pub(crate) struct Shelf {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) desk: Arc<Desk>,
}

/// What is to become of a cell.
pub(crate) enum Next<T> {
    /// It is as it should be.
    Done(T),
    /// It is to have this value, for so long, and then the answer is this.
    Write(Vec<u8>, Option<Duration>, T),
}

/// The watchers of one client, by cell.
#[derive(Default)]
pub(super) struct Watchers(Mutex<State>);

#[derive(Default)]
struct State {
    closed: bool,
    /// How often all watchers were sent home.
    ended: u64,
    bells: HashMap<Name, Bell>,
}

struct Bell {
    bell: Arc<Notify>,
    watchers: usize,
}

/// One watcher: until it is dropped.
struct Watching<'a> {
    watchers: &'a Watchers,
    name: &'a Name,
    bell: Arc<Notify>,
    since: u64,
}

impl Shelf {
    /// The cell, if there is one.
    pub(crate) async fn get(&self, name: &Name) -> Result<Option<Cell>> {
        let mut failing = None;
        loop {
            match self.answer(BootTime::NEVER, self.cells()?.get(name)).await {
                Err(error) => self.may_go_on(&mut failing, error).await?,
                Ok(found) => return Ok(found),
            }
        }
    }

    /// The lock of the same name, as people see it.
    pub(crate) async fn view(&self, name: &Name) -> Result<LockView> {
        let (mut failing, what) = (None, Query::Name(name.clone()));
        loop {
            let look = self.desk.store().inspect(&what);
            match self.answer(BootTime::NEVER, look).await.map(|views| views.into_iter().next()) {
                Err(error) => self.may_go_on(&mut failing, error).await?,
                Ok(Some(view)) => return Ok(view),
                Ok(None) => {
                    let what = format!("the store has no view of lock {name}");
                    return Err(Error::new(ErrorKind::Internal, what));
                }
            }
        }
    }

    /// Changes the permits of the semaphore `name`; the number of the change. Asked once more for each
    /// change that it did not know of, and where an answer was lost.
    pub(crate) async fn resize(&self, name: &Name, from: u32, to: u32) -> Result<u64> {
        let (mut failing, mut version) = (None, 0);
        loop {
            let change = Resize { from, to, version };
            let asked = self.desk.store().resize(name, &change);
            match self.answer(BootTime::NEVER, asked).await {
                Err(error) => self.may_go_on(&mut failing, error).await?,
                Ok(Resized::Changed { version }) => return Ok(version),
                Ok(Resized::Unchanged { used, version: last }) => {
                    let of = |permits| Kind::Permits { count: 0, capacity: permits };
                    if last > 0 && used.is_some_and(|used| used.fits(of(to))) {
                        return Ok(last);
                    }
                    if let Some(used) = used.filter(|used| !used.fits(of(from))) {
                        let from = of(from);
                        return Err(Error::invalid(format!(
                            "lock {name} is in use as {used}, and was to be changed from {from}"
                        )));
                    }
                    (failing, version) = (None, last);
                }
            }
        }
    }

    /// Has the cell be what `next` makes of it, which is asked again each time that another was first,
    /// or that a write's answer was lost.
    pub(crate) async fn update<T>(
        &self,
        name: &Name,
        mut next: impl FnMut(Option<&Cell>) -> Result<Next<T>>,
    ) -> Result<T> {
        let (mut found, mut failing, mut late) = (self.get(name).await?, None, 0);
        loop {
            let (value, keep, then) = match next(found.as_ref())? {
                Next::Done(value) => return Ok(value),
                Next::Write(value, keep, then) => (value, keep, then),
            };
            let version = found.as_ref().map_or(0, |cell| cell.version);
            let write = self.cells()?.compare_and_set(name, version, &value, keep);
            match self.answer(BootTime::NEVER, write).await {
                Ok((true, _)) => return Ok(then),
                Ok((false, now)) => {
                    failing = None;
                    found = now;
                    late += 1;
                    if late > IN_A_ROW {
                        let span = (STEP_BACK / 10 * (late - IN_A_ROW)).min(STEP_BACK);
                        let sys = &self.runtime.sys;
                        sys.sleep_until(sys.now() + sys.jitter(span)).await;
                    }
                }
                Err(error) => {
                    self.may_go_on(&mut failing, error).await?;
                    found = self.get(name).await?;
                }
            }
        }
    }

    /// Writes `value` if the cell is still at `version`, once. False where another was first, and where
    /// the answer was lost: whoever asks looks again then. `failing` is since when that is so.
    pub(crate) async fn try_set(
        &self,
        failing: &mut Option<BootTime>,
        name: &Name,
        version: u64,
        value: &[u8],
    ) -> Result<bool> {
        let write = self.cells()?.compare_and_set(name, version, value, None);
        match self.answer(BootTime::NEVER, write).await {
            Ok((written, _)) => {
                *failing = None;
                Ok(written)
            }
            Err(error) => self.may_go_on(failing, error).await.map(|()| false),
        }
    }

    /// Completes when the cell is no longer at `version`, with what it is then; with none at `until`.
    pub(crate) async fn changed(
        &self,
        name: &Name,
        version: u64,
        until: BootTime,
    ) -> Result<Option<Option<Cell>>> {
        self.changed_by_looks(name, version, until, HEARTBEAT).await
    }

    /// As [`changed`](Self::changed), but where no push comes it is looked for each `pace` only.
    pub(crate) async fn changed_by_looks(
        &self,
        name: &Name,
        version: u64,
        until: BootTime,
        pace: Duration,
    ) -> Result<Option<Option<Cell>>> {
        let sys = &self.runtime.sys;
        let alive_for = ALIVE_FOR.max(pace * 5 / 4);
        let watching = self.desk.watchers.enter(name)?;
        let mut failing = None;
        loop {
            // Before the look: a change after it must not be missed.
            let mut told = pin!(watching.bell.notified());
            told.as_mut().enable();
            watching.goes_on()?;
            let look = self.cells()?.watch(name, version, alive_for);
            match self.answer(until, look).await {
                Ok(Watched::Changed(cell)) => return Ok(Some(cell)),
                Ok(Watched::Same { left }) => {
                    failing = None;
                    let mut again = sys.now() + sys.jitter(pace);
                    if let Some(left) = left {
                        // Just after its end, not at it.
                        again = again.min(sys.now() + left + Duration::from_millis(1));
                    }
                    within(sys, again.min(until), told).await;
                }
                Err(_) if sys.now() >= until => {}
                Err(error) => self.may_go_on(&mut failing, error).await?,
            }
            if sys.now() >= until {
                watching.goes_on()?;
                return Ok(None);
            }
        }
    }

    fn cells(&self) -> Result<&dyn Cells> {
        let store = self.desk.store();
        store.cells().ok_or_else(|| {
            let name = store.capabilities().store;
            Error::new(ErrorKind::Unsupported, format!("the {name} store has no cells"))
        })
    }

    async fn answer<T>(&self, until: BootTime, request: BoxFuture<'_, Result<T>>) -> Result<T> {
        let sys = &self.runtime.sys;
        let limit = until.min(sys.now() + REQUEST_TIMEOUT);
        within(sys, limit, request).await.unwrap_or_else(|| {
            Err(Error::new(
                ErrorKind::StoreUnavailable,
                format!("the store did not answer within {REQUEST_TIMEOUT:?}"),
            ))
        })
    }

    /// After a failure: lets some time pass, unless trying again can't help or the store has failed
    /// for too long.
    async fn may_go_on(&self, failing: &mut Option<BootTime>, error: Error) -> Result<()> {
        let sys = &self.runtime.sys;
        let since = *failing.get_or_insert(sys.now());
        if !error.kind().retryable() || sys.now().since(since) > SILENCE {
            return Err(error);
        }
        tracing::debug!(%error, "a cell is asked for again");
        sys.sleep_until(sys.now() + sys.jitter(AGAIN)).await;
        Ok(())
    }
}

impl Watchers {
    fn enter<'a>(&'a self, name: &'a Name) -> Result<Watching<'a>> {
        let mut state = self.state();
        if state.closed {
            return Err(shut_down(name));
        }
        let since = state.ended;
        let fresh = || Bell { bell: Arc::default(), watchers: 0 };
        let entry = state.bells.entry(name.clone()).or_insert_with(fresh);
        entry.watchers += 1;
        let bell = Arc::clone(&entry.bell);
        Ok(Watching { watchers: self, name, bell, since })
    }

    /// The cell was written.
    pub(super) fn changed(&self, name: &Name) {
        if let Some(entry) = self.state().bells.get(name) {
            entry.bell.notify_waiters();
        }
    }

    /// All should look.
    pub(super) fn all(&self) {
        for entry in self.state().bells.values() {
            entry.bell.notify_waiters();
        }
    }

    /// Ends all watches, for `good` also those to come.
    pub(super) fn close(&self, good: bool) {
        let mut state = self.state();
        state.closed |= good;
        state.ended += 1;
        drop(state);
        self.all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watching<'_> {
    fn goes_on(&self) -> Result<()> {
        if self.watchers.state().ended == self.since { Ok(()) } else { Err(shut_down(self.name)) }
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        let mut state = self.watchers.state();
        if let Some(entry) = state.bells.get_mut(self.name) {
            entry.watchers -= 1;
            if entry.watchers == 0 {
                state.bells.remove(self.name);
            }
        }
    }
}

fn shut_down(name: &Name) -> Error {
    let message = format!("the client was shut down while {name} was waited for");
    Error::new(ErrorKind::ShutDown, message)
}
