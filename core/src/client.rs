//! Access to one store.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::kinds::{Barrier, Election, Latch, Lock, LockAll, RwLock, Semaphore};
use crate::observe::{Audit, AuditAction, AuditEvent, AuditOutcome, AuditSink, Matter};
use crate::options::{MAX_DEPTH, REQUEST_TIMEOUT, check_depth};
use crate::owner::Who;
use crate::runtime::{Runtime, within};
use crate::store::{self, Capabilities, Evict, Evicted, LockView, Query, Store};
use crate::sys::Sys;
use crate::sys::fork::{Inherited, PerProcess};
use crate::url::StoreUrl;
use crate::wait::{Attempt, Desk, Shelf};
use crate::{Deadlocks, Error, ErrorKind, LockOptions, Name, Owner, Profile, Result};

/// Access to one store, made from a URL. Cheap to clone, safe to share, lazy: nothing is opened
/// before the first request ([`ping`](Self::ping) proves the store). After `fork` the child's first
/// use opens a connection of its own.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    source: Source,
    defaults: LockOptions,
    language: &'static str,
    audit: Option<Arc<dyn AuditSink>>,
    runtime: Option<Arc<Runtime>>,
    #[cfg(feature = "native")]
    io: Option<tokio::runtime::Handle>,
    deadlock_depth: u32,
    live: PerProcess<Live>,
    closed: AtomicBool,
}

/// Where the store comes from.
enum Source {
    Url(StoreUrl),
    Given(Inherited<Arc<dyn Store>>),
}

/// The part that belongs to one process.
struct Live {
    runtime: Arc<Runtime>,
    desk: Arc<Desk>,
    who: Arc<Who>,
}

/// How a client is made, beyond its URL.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// What a lock gets that names nothing else.
    pub defaults: LockOptions,
    /// The caller's language, for people who look at a lock. Default `rust`.
    pub language: Option<&'static str>,
    /// Who is told of each eviction and each request to give a lock back. Default: nobody.
    pub audit: Option<Arc<dyn AuditSink>>,
    /// A runtime of its own. Default: the process's shared one.
    pub runtime: Option<Arc<Runtime>>,
    /// The tokio runtime that drives the connection for requests: the caller's own saves a thread
    /// hop with each answer. It must have I/O enabled; while it is blocked, so are acquire and
    /// release, but never renewal, which stays on leasehold's lease thread. Where a server's answers
    /// come within 90 µs, one of its threads looks for the next for up to 50 µs at a time, after all
    /// tasks that can run have had their turn. Default: leasehold's pool. Of no effect for the
    /// embedded stores.
    #[cfg(feature = "native")]
    pub io: Option<tokio::runtime::Handle>,
    /// How many owners the search for deadlocks follows from one that waits to the next: 1 to 10,000.
    /// A longer circle is not found by this client's waits, which is counted and logged; they run out.
    /// Default 64. Clients that wait for each other should have the same.
    pub deadlock_depth: Option<u32>,
}

impl Client {
    /// A client of the store at `url`: `memory://`, `memory://name`, `sqlite:///path`,
    /// `redis://[user:password@]host[:port][/database]`, `rediss://…`.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for what is no URL of a store,
    /// [`Unsupported`](ErrorKind::Unsupported) for a store that this version lacks.
    pub fn connect(url: &str) -> Result<Self> {
        Self::with(url, ClientOptions::default())
    }

    /// A client of the default store: `LEASEHOLD_URL` if it is set and not empty, else the file
    /// `~/.local/state/leasehold/locks.db` of the effective user. Its scope is this user on this
    /// host.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and where the user has no home. Never another place instead.
    #[cfg(feature = "sqlite")]
    pub fn connect_default() -> Result<Self> {
        Self::with(&default_url()?, ClientOptions::default())
    }

    /// A client with options.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and for defaults that are out of bounds.
    pub fn with(url: &str, options: ClientOptions) -> Result<Self> {
        Self::of(Source::Url(StoreUrl::parse(url)?.anchored()?), options)
    }

    /// A client of `store`: one of the caller's own, or one whose network is a simulator's. No other
    /// client may use it, and a forked child can't.
    ///
    /// # Errors
    /// For defaults that are out of bounds.
    pub fn over(store: Arc<dyn Store>, options: ClientOptions) -> Result<Self> {
        Self::of(Source::Given(Inherited::new(store)), options)
    }

    fn of(source: Source, options: ClientOptions) -> Result<Self> {
        options.defaults.check()?;
        let deadlock_depth = check_depth(options.deadlock_depth.unwrap_or(MAX_DEPTH))?;
        Ok(Self {
            shared: Arc::new(Shared {
                source,
                defaults: options.defaults,
                language: options.language.unwrap_or("rust"),
                audit: options.audit,
                runtime: options.runtime,
                #[cfg(feature = "native")]
                io: options.io,
                deadlock_depth,
                live: PerProcess::new(),
                closed: AtomicBool::new(false),
            }),
        })
    }

    /// Where the locks live; none for a client over a given store.
    #[must_use]
    pub fn url(&self) -> Option<&StoreUrl> {
        match &self.shared.source {
            Source::Url(url) => Some(url),
            Source::Given(_) => None,
        }
    }

    /// What a lock gets that names nothing else.
    #[must_use]
    pub fn defaults(&self) -> &LockOptions {
        &self.shared.defaults
    }

    /// Describes a lock; awaiting or acquiring it yields a [`Lease`](crate::Lease). The name is
    /// checked then.
    pub fn lock(&self, name: impl AsRef<str>) -> Lock {
        Lock::new(self.clone(), Name::new(name))
    }

    /// Describes a read-write lock. The name is checked when it is acquired.
    pub fn rwlock(&self, name: impl AsRef<str>) -> RwLock {
        RwLock::new(self.lock(name))
    }

    /// Describes a semaphore of `capacity` permits. The name is checked when permits are acquired.
    pub fn semaphore(&self, name: impl AsRef<str>, capacity: u32) -> Semaphore {
        Semaphore::new(self.lock(name), capacity)
    }

    /// Describes an election. The name is checked when someone campaigns or observes.
    pub fn election(&self, name: impl AsRef<str>) -> Election {
        Election::new(self.clone(), self.lock(&name), Name::new(name))
    }

    /// Describes a latch that opens once it was counted down by `count`. The name is checked when it is
    /// used. Who counts down several times should keep the object: the latch remembers each.
    pub fn latch(&self, name: impl AsRef<str>, count: u64) -> Latch {
        Latch::new(self.clone(), Name::new(name), count)
    }

    /// Describes a double barrier for so many parties. The name is checked when it is used.
    pub fn barrier(&self, name: impl AsRef<str>, parties: u32) -> Barrier {
        Barrier::new(self.clone(), Name::new(name), parties)
    }

    /// Describes several locks of this client, to be taken all or none. Each has its own options.
    pub fn lock_all(&self, locks: impl IntoIterator<Item = Lock>) -> LockAll {
        LockAll::new(self.clone(), locks.into_iter().collect())
    }

    /// Whether `other` is this client or a clone of it.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// A fresh identity, for the locks of one unit of work.
    ///
    /// # Errors
    /// As the store can't be opened.
    pub fn owner(&self) -> Result<Owner> {
        let live = self.live()?;
        let token = live.runtime.sys.token();
        Ok(Owner::from_number(u128::from_be_bytes(*token.as_bytes())))
    }

    /// Proves that the store answers.
    ///
    /// # Errors
    /// As the store can't be opened or doesn't answer.
    pub async fn ping(&self) -> Result<()> {
        let live = self.live()?;
        live.answer("ping", live.store().ping()).await
    }

    /// What the store can do, survive and promise.
    ///
    /// # Errors
    /// As the store can't be opened.
    pub fn capabilities(&self) -> Result<Capabilities> {
        Ok(self.live()?.store().capabilities().clone())
    }

    /// One lock, as people see it.
    ///
    /// # Errors
    /// For a name out of bounds, and as the store fails.
    pub async fn inspect(&self, name: &str) -> Result<LockView> {
        let name = Name::new(name)?;
        let views = self.look(&Query::Name(name.clone())).await?;
        views.into_iter().next().ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("the store has no view of lock {name}"))
        })
    }

    /// Locks that are held or waited for and start with `prefix`, in order of name: at most
    /// `limit`, only those after `after`.
    ///
    /// # Errors
    /// As the store fails.
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<&Name>,
        limit: u32,
    ) -> Result<Vec<LockView>> {
        let query = Query::Prefix { prefix: prefix.to_owned(), after: after.cloned(), limit };
        self.look(&query).await
    }

    /// Ends a tenure from outside. Its holder is told `revoked` at its next renewal; until then
    /// only the fence keeps it from harm. [`ask_back`](Self::ask_back) asks it first.
    ///
    /// # Errors
    /// For a name out of bounds, and as the store fails; as the client's
    /// [`AuditSink`] fails, and nothing is ended then unless the message says so.
    pub async fn evict(&self, name: &str, why: &Evict) -> Result<Evicted> {
        let name = Name::new(name)?;
        let matter =
            Matter { action: AuditAction::Evict, name: &name, fence: why.fence, why: &why.why };
        let audit = self.audit(matter)?;
        audit.begin()?;
        let live = self.live()?;
        let evicted = live.answer("eviction", live.store().evict(&name, why)).await;
        if let Ok(Evicted::Evicted { fence, .. }) = &evicted {
            tracing::warn!(%name, fence, why = why.why, "tenure ended from outside");
        }
        audit.end(evicted, |evicted| match evicted {
            Evicted::Evicted { fence, profile } => {
                (AuditOutcome::Evicted, Some(*fence), Some(Profile::clone(profile)))
            }
            Evicted::NotHeld => (AuditOutcome::NotHeld, None, None),
        })
    }

    /// What is to be told of an interference by this client.
    pub(crate) fn audit(&self, matter: Matter<'_>) -> Result<Audit> {
        let Matter { action, name, fence, why } = matter;
        let event = AuditEvent {
            at_us: 0,
            by: self.profile()?,
            action,
            store: self.url().map(StoreUrl::to_string).unwrap_or_default(),
            lock: name.as_str().to_owned(),
            fence,
            why: why.to_owned(),
            holder: None,
            outcome: AuditOutcome::Begun,
            error: None,
        };
        let sys = self.live()?.runtime.sys.clone();
        Ok(Audit { sys, sink: self.shared.audit.clone(), event })
    }

    /// What the searches for deadlocks came to so far, of the waits of this client in this process.
    ///
    /// # Errors
    /// As the store can't be opened.
    pub fn deadlocks(&self) -> Result<Deadlocks> {
        Ok(self.live()?.desk.deadlocks())
    }

    /// How many leases of this client are held by this process, and how many of its attempts ask or
    /// wait.
    #[cfg(feature = "manager")]
    pub(crate) fn counts(&self) -> (usize, usize) {
        let Some(live) = self.shared.live.get() else { return (0, 0) };
        let held = live.runtime.watchdog.held(|held| Arc::ptr_eq(held.store(), live.store()));
        (held.len(), live.desk.asking())
    }

    /// The clock of this client.
    #[cfg(feature = "manager")]
    pub(crate) fn sys(&self) -> Result<Sys> {
        Ok(self.live()?.runtime.sys.clone())
    }

    /// Ends this client and its clones: its holders are told (`shutdown`), its waiters refused, its
    /// leases given back. Waits for that at most `grace`; answers whether it was enough.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        self.shared.closed.store(true, Ordering::Release);
        let Some(live) = self.shared.live.get() else { return true };
        live.runtime.end(grace, Some(live.store())).await
    }

    pub(crate) fn attempt(&self) -> Result<Attempt> {
        let live = self.live()?;
        Ok(Attempt { runtime: Arc::clone(&live.runtime), desk: Arc::clone(&live.desk) })
    }

    /// The store's cells.
    pub(crate) fn shelf(&self) -> Result<Shelf> {
        let live = self.live()?;
        Ok(Shelf { runtime: Arc::clone(&live.runtime), desk: Arc::clone(&live.desk) })
    }

    /// Who it is, now.
    pub(crate) fn profile(&self) -> Result<Profile> {
        let live = self.live()?;
        Ok(live.who.profile(live.runtime.sys.moment(), &self.shared.defaults))
    }

    /// Who its attempts are of.
    pub(crate) fn who(&self) -> Result<Arc<Who>> {
        Ok(Arc::clone(&self.live()?.who))
    }

    async fn look(&self, query: &Query) -> Result<Vec<LockView>> {
        let live = self.live()?;
        live.answer("inspection", live.store().inspect(query)).await
    }

    fn live(&self) -> Result<Arc<Live>> {
        if self.shared.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::ShutDown, "the client was shut down"));
        }
        self.shared.live.get_or_try_init(|| {
            let runtime = match &self.shared.runtime {
                Some(own) => Arc::clone(own),
                None => shared_runtime()?,
            };
            runtime.reaper.start();
            let store = match &self.shared.source {
                Source::Url(url) => store::open(url, &self.shared.store_sys(&runtime.sys))?,
                Source::Given(store) if store.forked() => {
                    return Err(Error::new(
                        ErrorKind::Forked,
                        "the client's store was given to it before the fork",
                    ));
                }
                Source::Given(store) => Arc::clone(store),
            };
            let desk = Arc::new(Desk::new(
                runtime.sys.clone(),
                Arc::clone(&store),
                self.shared.deadlock_depth,
            ));
            let pushed: Arc<dyn store::Pushed> = Arc::clone(&desk) as _;
            store.subscribe(Arc::downgrade(&pushed));
            runtime.adopt(&desk);
            let language = self.shared.language;
            let who = Arc::new(Who { host: host_name(), pid: process_id(), language });
            Ok(Live { runtime, desk, who })
        })
    }
}

impl Shared {
    #[cfg(feature = "native")]
    fn store_sys(&self, sys: &Sys) -> Sys {
        match &self.io {
            Some(io) => sys.hosted(io.clone()),
            None => sys.clone(),
        }
    }

    #[cfg(not(feature = "native"))]
    fn store_sys(&self, sys: &Sys) -> Sys {
        sys.clone()
    }
}

impl Live {
    fn store(&self) -> &Arc<dyn Store> {
        self.desk.store()
    }

    async fn answer<T>(&self, what: &str, request: impl Future<Output = Result<T>>) -> Result<T> {
        let sys = &self.runtime.sys;
        within(sys, sys.now() + REQUEST_TIMEOUT, request).await.unwrap_or_else(|| {
            Err(Error::new(
                ErrorKind::StoreUnavailable,
                format!("the store did not answer the {what} within {REQUEST_TIMEOUT:?}"),
            ))
        })
    }
}

#[cfg(feature = "native")]
fn shared_runtime() -> Result<Arc<Runtime>> {
    crate::runtime::shared()
}

#[cfg(not(feature = "native"))]
fn shared_runtime() -> Result<Arc<Runtime>> {
    Err(Error::invalid("a build without an operating system needs ClientOptions::runtime"))
}

#[cfg(feature = "native")]
fn host_name() -> String {
    crate::sys::host_name()
}

#[cfg(not(feature = "native"))]
fn host_name() -> String {
    String::new()
}

#[cfg(feature = "native")]
fn process_id() -> u32 {
    std::process::id()
}

#[cfg(not(feature = "native"))]
fn process_id() -> u32 {
    0
}

#[cfg(feature = "sqlite")]
static SCOPE_SAID: std::sync::Once = std::sync::Once::new();

/// The URL of the default store.
///
/// # Errors
/// Where the user has no home folder, or `LEASEHOLD_URL` is not UTF-8.
#[cfg(feature = "sqlite")]
pub fn default_url() -> Result<String> {
    match std::env::var("LEASEHOLD_URL") {
        Ok(url) if !url.is_empty() => return Ok(url),
        Err(cause @ std::env::VarError::NotUnicode(_)) => {
            return Err(Error::invalid("LEASEHOLD_URL is not UTF-8").caused_by(cause));
        }
        _ => {}
    }
    let home = crate::sys::user::home().map_err(|cause| {
        Error::new(ErrorKind::StoreFailed, "the default store needs the user's home folder")
            .caused_by(cause)
    })?;
    let path = home.join(".local/state/leasehold/locks.db");
    SCOPE_SAID.call_once(|| {
        tracing::info!(path = %path.display(), "default store: locks of this user on this host");
    });
    StoreUrl::of_path(&path).map(|url| url.to_string())
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shared.source {
            Source::Url(url) => write!(f, "Client({url})"),
            Source::Given(store) if store.forked() => f.write_str("Client(a parent's)"),
            Source::Given(store) => write!(f, "Client({})", store.capabilities().store),
        }
    }
}
