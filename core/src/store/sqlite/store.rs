//! The store's requests: each is one step, tried in the calling thread and, where the file is
//! another's, waited for on the worker.

use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::oneshot;

use super::db::Db;
use super::rows::{SqlBook, SqlError};
use super::wake::{Told, Wake};
use super::worker::Worker;
use crate::lock::{self, Book, Event, HandOff};
use crate::store::{
    Answer, Ask, Cancel, Capabilities, Cells, Evict, Evicted, FenceSource, Grant, Hold, How, Kind,
    Kinds, LockView, Pushed, Query, Released, Renewal, Resize, Resized, SHOWN, Store, Survives,
    TtlScope, WaitsFor, Wanting,
};
use crate::sys::{BoxFuture, Sys};
use crate::{Error, ErrorKind, LostReason, Name, Owner, Result};

/// One client's access to the locks of one database file. Nothing is opened before the first
/// request.
pub struct SqliteStore {
    pub(super) inner: Arc<Inner>,
    capabilities: Capabilities,
}

pub(super) struct Inner {
    pub(super) db: Arc<Db>,
    pub(super) wake: Wake,
    worker: Worker,
    pub(super) listener: OnceLock<Weak<dyn Pushed>>,
}

impl SqliteStore {
    /// Access to the database at `path`, with expiry counted on the clock of `sys`.
    ///
    /// # Errors
    /// None today: the file is looked at by the first request.
    pub fn open(path: &Path, sys: &Sys) -> Result<Self> {
        let capabilities = Capabilities {
            store: "sqlite",
            kinds: Kinds { exclusive: true, shared: true, permits: true },
            ttl: TtlScope::Lock,
            fence: FenceSource::Clock,
            push: true,
            queue: true,
            tombstones: true,
            atomic_multi: true,
            local_clock: true,
            survives: Survives { holder_crash: true, store_restart: true, clock_step: true },
        };
        let inner = Inner {
            db: Db::new(path, sys.clock()),
            wake: Wake::new(path, sys.clone()),
            worker: Worker::default(),
            listener: OnceLock::new(),
        };
        Ok(Self { inner: Arc::new(inner), capabilities })
    }

    /// The database's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.inner.db.path()
    }

    /// One step in this thread if the file is free, else on the worker.
    async fn step<T: Send + 'static>(
        &self,
        rules: impl Fn(&mut SqlBook<'_>, Event, &mut Vec<HandOff>) -> Result<T, SqlError>
        + Send
        + 'static,
    ) -> Result<T> {
        self.request(move |inner, wait| Inner::step(inner, wait, &rules)).await
    }

    /// `job` in this thread, and on the worker where it must wait.
    pub(super) async fn request<T: Send + 'static>(
        &self,
        job: impl Fn(&Arc<Inner>, bool) -> Result<Option<T>> + Send + 'static,
    ) -> Result<T> {
        match job(&self.inner, false)? {
            Some(value) => Ok(value),
            None => self.wait_request(job, None).await,
        }
    }

    /// `job` on the worker; `gone` instead, if there is one and the file was deleted.
    async fn wait_request<T: Send + 'static>(
        &self,
        job: impl Fn(&Arc<Inner>, bool) -> Result<Option<T>> + Send + 'static,
        gone: Option<T>,
    ) -> Result<T> {
        let (send, receive) = oneshot::channel();
        let inner = Arc::downgrade(&self.inner);
        self.inner.worker.submit(move || {
            // Given up while it stood in line: must not take place late.
            if send.is_closed() {
                return;
            }
            let Some(inner) = inner.upgrade() else { return };
            if let Some(gone) = gone
                && inner.db.is_gone()
            {
                let _ = send.send(Ok(gone));
                return;
            }
            let done = job(&inner, true).and_then(|value| {
                value.ok_or_else(|| Error::new(ErrorKind::Internal, "a step was not waited for"))
            });
            let _ = send.send(done);
        })?;
        receive.await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Internal, "the database's thread gave no answer"))
        })
    }
}

impl Inner {
    /// One transaction, and the telling of its grants after the commit. None where it must wait.
    fn step<T>(
        this: &Arc<Self>,
        wait: bool,
        rules: impl Fn(&mut SqlBook<'_>, Event, &mut Vec<HandOff>) -> Result<T, SqlError>,
    ) -> Result<Option<T>> {
        let done = this.db.step(wait, |book, at| {
            let mut hand_offs = Vec::new();
            rules(book, at, &mut hand_offs).map(|value| (value, hand_offs))
        })?;
        let Some((value, hand_offs)) = done else { return Ok(None) };
        Self::tell(this, &hand_offs);
        Ok(Some(value))
    }

    /// Tells the waiters that now hold a lock. One whose process is gone is released for, so that
    /// the next is granted without waiting for the claim to end.
    fn tell(this: &Arc<Self>, hand_offs: &[HandOff]) {
        let mut dead = Vec::new();
        for hand_off in hand_offs {
            if this.wake.is_own(hand_off.channel) {
                if let Some(listener) = this.listener.get().and_then(Weak::upgrade) {
                    listener.granted(Grant::of(hand_off));
                }
            } else if this.wake.tell(hand_off) == Told::Dead {
                dead.push(hold_of(hand_off));
            }
        }
        if dead.is_empty() {
            return;
        }
        let inner = Arc::clone(this);
        let queued = this.worker.submit(move || {
            let done = Self::step(&inner, true, |book, at, hand_offs| {
                lock::release_many(book, &dead, Cancel::No, at, hand_offs)
            });
            if let Err(error) = done {
                tracing::warn!(%error, "a dead waiter's lock was not handed on; its claim will end");
            }
        });
        if let Err(error) = queued {
            tracing::warn!(%error, "a dead waiter's lock was not handed on; its claim will end");
        }
    }

    /// The address of this client's waiters; none is needed where nobody waits.
    fn channel(&self, asks: &[Ask]) -> Result<u64> {
        match self.listener.get() {
            Some(listener) if asks.iter().any(|ask| ask.wait.is_some()) => self.ear(listener),
            _ => Ok(0),
        }
    }

    /// The address that `listener` is told at.
    pub(super) fn ear(&self, listener: &Weak<dyn Pushed>) -> Result<u64> {
        if !self.wake.is_bound() {
            // Opens the database first: what is wrong with it is the better news.
            self.db.step(false, |_, _| Ok(()))?;
        }
        self.wake.channel(listener)
    }
}

fn hold_of(hand_off: &HandOff) -> Hold {
    Hold {
        name: hand_off.name.clone(),
        kind: Kind::Exclusive,
        token: hand_off.token,
        ttl: Duration::ZERO,
        grace: Duration::ZERO,
    }
}

impl Store for SqliteStore {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn acquire<'a>(&'a self, asks: &'a [Ask], how: How) -> BoxFuture<'a, Result<Vec<Answer>>> {
        Box::pin(async move {
            self.capabilities.check(asks)?;
            let channel = self.inner.channel(asks)?;
            let asks = asks.to_vec();
            self.step(move |book, at, hand_offs| {
                lock::acquire_many(book, &asks, how, channel, at, hand_offs)
            })
            .await
        })
    }

    fn renew<'a>(&'a self, holds: &'a [Hold]) -> BoxFuture<'a, Result<Vec<Renewal>>> {
        let gone = vec![Renewal::Gone(LostReason::Expired); holds.len()];
        let holds = holds.to_vec();
        let renew = move |inner: &Arc<Inner>, wait| {
            Inner::step(inner, wait, |book, at, _| lock::renew_many(book, &holds, at))
        };
        Box::pin(self.wait_request(renew, Some(gone)))
    }

    fn release<'a>(
        &'a self,
        holds: &'a [Hold],
        cancel: Cancel,
    ) -> BoxFuture<'a, Result<Vec<Released>>> {
        if self.inner.db.is_gone() {
            return Box::pin(std::future::ready(Ok(vec![Released::NotHeld; holds.len()])));
        }
        let holds = holds.to_vec();
        Box::pin(self.step(move |book, at, hand_offs| {
            lock::release_many(book, &holds, cancel, at, hand_offs)
        }))
    }

    fn inspect<'a>(&'a self, what: &'a Query) -> BoxFuture<'a, Result<Vec<LockView>>> {
        let what = what.clone();
        Box::pin(self.step(move |book, at, _| match &what {
            Query::Name(name) => Ok(vec![view(book, name, at)?]),
            Query::Prefix { prefix, after, limit } => {
                let names = book.names(prefix, after.as_ref(), *limit, at.now)?;
                names.iter().map(|name| view(book, name, at)).collect()
            }
        }))
    }

    fn evict<'a>(&'a self, name: &'a Name, why: &'a Evict) -> BoxFuture<'a, Result<Evicted>> {
        let (name, why) = (name.clone(), why.clone());
        Box::pin(self.step(move |book, at, hand_offs| {
            lock::evict(&mut book.rows(&name), &why, at, hand_offs)
        }))
    }

    fn resize<'a>(&'a self, name: &'a Name, change: &'a Resize) -> BoxFuture<'a, Result<Resized>> {
        Box::pin(async move {
            self.capabilities.check_resize(name, change)?;
            let (name, change) = (name.clone(), *change);
            self.step(move |book, at, hand_offs| {
                lock::resize(&mut book.rows(&name), &change, at, hand_offs)
            })
            .await
        })
    }

    fn waits_for(&self) -> Option<&dyn WaitsFor> {
        Some(self)
    }

    fn cells(&self) -> Option<&dyn Cells> {
        Some(self)
    }

    fn subscribe(&self, to: Weak<dyn Pushed>) {
        // Once per store, by the contract.
        let _ = self.inner.listener.set(to);
    }

    fn ping(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.step(|_, _, _| Ok(())))
    }
}

impl WaitsFor for SqliteStore {
    fn wants(&self, owner: Owner) -> BoxFuture<'_, Result<Vec<Wanting>>> {
        Box::pin(self.step(move |book, at, _| book.wants(owner, at.now)))
    }
}

fn view(book: &SqlBook<'_>, name: &Name, at: Event) -> Result<LockView, SqlError> {
    let (tenures, holding) = book.tenures(name, SHOWN, at.now)?;
    let (queue, waiting) = book.queue(name, SHOWN, at.now)?;
    Ok(LockView::of(name, at.now, (&tenures, holding), (&queue, waiting)))
}
