//! Locks by name. What a name is, and where it lives, is said once, so that no two parts of a program
//! can disagree on it.
//!
//! The trap is a client that gets out: with it a lock could be taken as another kind, in another store,
//! or ended without leave. So the manager keeps its clients to itself.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::config::Route;
use super::health::health_of;
use super::{Config, Health, LockKind};
use crate::kinds::{AskBack, Returned};
use crate::observe::{AuditAction, Matter};
use crate::runtime::all;
use crate::store::{Evict, Evicted, HolderView, LockView};
use crate::sys::fork::PerProcess;
use crate::wait::{Registry, Usage};
use crate::{
    Client, ClientOptions, Error, ErrorKind, Lock, LockOptions, Name, Profile, Result, RwLock,
    Semaphore,
};

/// Locks by name, of the stores and kinds that one [`Config`] says. Cheap to clone, safe to share; a
/// store is opened with the first lock in it.
///
/// ```
/// # fn main() -> leasehold::Result<()> { leasehold::block_on(async {
/// use leasehold::manager::{Config, Manager};
/// let manager = Manager::new(Config::from_toml(r#"
///     stores.main.url = "memory://"
///     [name."workers"]
///     kind = "semaphore"
///     capacity = 2
/// "#)?)?;
/// let lease = manager.lock("invoice:42")?.await?;
/// assert!(manager.is_locked("invoice:42").await?);
/// let permit = manager.semaphore("workers")?.permits(1).await?;
/// // The configuration says what it is.
/// assert!(manager.lock("workers").is_err());
/// # drop(permit); lease.release().await;
/// # Ok(()) }) }
/// ```
#[derive(Clone)]
pub struct Manager {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    base: LockOptions,
    clients: BTreeMap<String, Client>,
    registry: PerProcess<Arc<Registry>>,
}

/// What came of taking a lock away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Revoked {
    /// No one held the lock, or not with that fence.
    NotHeld,
    /// The tenure was over before it had to be ended.
    GivenBack {
        /// Its fence; of several, that of the first.
        fence: u64,
        /// Who held it.
        profile: Arc<Profile>,
    },
    /// The holder held on, and its tenure was ended.
    Evicted {
        /// Its fence; of several, that of the first.
        fence: u64,
        /// Who held it.
        profile: Arc<Profile>,
    },
}

/// A lock in one of the manager's stores.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placed {
    /// The store's name in the configuration.
    pub store: String,
    /// The lock.
    pub view: LockView,
}

impl Manager {
    /// A manager of what `config` says.
    ///
    /// # Errors
    /// As [`Config::check`].
    pub fn new(config: Config) -> Result<Self> {
        Self::with(config, ClientOptions::default())
    }

    /// A manager whose clients are made with `options`. Their defaults count where the configuration
    /// says nothing; their [audit sink](ClientOptions::audit) is also told of what was refused.
    ///
    /// # Errors
    /// As [`Config::check`].
    pub fn with(config: Config, options: ClientOptions) -> Result<Self> {
        config.check(&options.defaults)?;
        let base = options.defaults.clone();
        let clients = config
            .stores
            .iter()
            .map(|(name, store)| Ok((name.clone(), Client::with(&store.url, options.clone())?)));
        let clients = clients.collect::<Result<_>>()?;
        let registry = PerProcess::new();
        Ok(Self { shared: Arc::new(Shared { config, base, clients, registry }) })
    }

    /// A manager of what a TOML text says.
    ///
    /// # Errors
    /// As [`Config::from_toml`] and [`Config::check`].
    pub fn from_toml(text: &str) -> Result<Self> {
        Self::new(Config::from_toml(text)?)
    }

    /// A manager of what a TOML file says.
    ///
    /// # Errors
    /// As [`Config::from_file`] and [`Config::check`].
    #[cfg(feature = "native")]
    pub fn from_file(path: impl AsRef<std::path::Path>) -> Result<Self> {
        Self::new(Config::from_file(path)?)
    }

    /// What it was made from.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Describes a lock that one may hold, with the settings of its name.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a name out of bounds, one that the configuration
    /// sends nowhere, and one that it says to be of another kind.
    pub fn lock(&self, name: &str) -> Result<Lock> {
        Ok(self.describe(name, LockKind::Exclusive)?.0)
    }

    /// Describes a read-write lock, with the settings of its name.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    pub fn rwlock(&self, name: &str) -> Result<RwLock> {
        Ok(RwLock::new(self.describe(name, LockKind::RwLock)?.0))
    }

    /// Describes a semaphore of the capacity that the configuration says, with the settings of its name.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    pub fn semaphore(&self, name: &str) -> Result<Semaphore> {
        let (lock, capacity) = self.describe(name, LockKind::Semaphore)?;
        Ok(Semaphore::new(lock, capacity))
    }

    /// Whether anyone holds the lock, in any way.
    ///
    /// # Errors
    /// As [`inspect`](Self::inspect).
    pub async fn is_locked(&self, name: &str) -> Result<bool> {
        Ok(self.inspect(name).await?.holding > 0)
    }

    /// Who holds the lock: host, process, language, since when, with which note. Of several one.
    ///
    /// # Errors
    /// As [`inspect`](Self::inspect).
    pub async fn holder(&self, name: &str) -> Result<Option<HolderView>> {
        Ok(self.inspect(name).await?.holder)
    }

    /// The lock, as people see it.
    ///
    /// # Errors
    /// For a name out of bounds or one that the configuration sends nowhere, and as its store fails.
    pub async fn inspect(&self, name: &str) -> Result<LockView> {
        self.client_of(&Name::new(name)?)?.inspect(name).await
    }

    /// Locks that are held or waited for and start with `prefix`, in order of name: at most `limit`,
    /// only those after `after`. Looked for in each store that the configuration may send such a name
    /// to; what a store has besides under a name that belongs elsewhere is left out.
    ///
    /// # Errors
    /// As one of the stores fails.
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<&Name>,
        limit: u32,
    ) -> Result<Vec<Placed>> {
        let stores = self.shared.config.stores_of(prefix);
        let looks = stores.iter().map(|store| self.list_in(store, prefix, after, limit));
        let mut found = all(looks).await?;
        found.sort_by(|one, other| one.view.name.cmp(&other.view.name));
        found.truncate(limit as usize);
        Ok(found)
    }

    async fn list_in(
        &self,
        store: &str,
        prefix: &str,
        after: Option<&Name>,
        limit: u32,
    ) -> Result<Vec<Placed>> {
        let Shared { config, base, .. } = &*self.shared;
        let client = self.client(store)?;
        let (mut found, mut last) = (Vec::new(), after.cloned());
        while found.len() < limit as usize {
            let page = client.list(prefix, last.as_ref(), limit).await?;
            let Some(end) = page.last() else { break };
            last = Some(end.name.clone());
            let whole = page.len() < limit as usize;
            found.extend(page.into_iter().filter_map(|view| {
                let here = config.route(&view.name, base).is_ok_and(|route| route.store == store);
                here.then(|| Placed { store: store.to_owned(), view })
            }));
            if whole {
                break;
            }
        }
        Ok(found)
    }

    /// Asks whoever holds the lock to give it back, as [`Client::ask_back`] does.
    ///
    /// # Errors
    /// As [`inspect`](Self::inspect) and [`Client::ask_back`].
    pub async fn ask_back(&self, name: &str, ask: &AskBack) -> Result<Returned> {
        self.client_of(&Name::new(name)?)?.ask_back(name, ask).await
    }

    /// Ends a tenure from outside, as [`Client::evict`] does, where the configuration permits it.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) where it doesn't; else as [`inspect`](Self::inspect) and
    /// [`Client::evict`].
    pub async fn evict(&self, name: &str, why: &Evict) -> Result<Evicted> {
        let name = Name::new(name)?;
        let client = self.client_of(&name)?;
        self.may_evict(client, &name, why)?;
        client.evict(name.as_str(), why).await
    }

    /// Takes a lock away: asks for it back first, and ends those tenures that are not given back within
    /// the grace, one for each fence. Nobody is asked where the configuration doesn't permit the rest.
    ///
    /// # Errors
    /// As [`ask_back`](Self::ask_back) and [`evict`](Self::evict);
    /// [`Unsupported`](ErrorKind::Unsupported) for a tenure of another library, which has no fence: only
    /// [`evict`](Self::evict) without one ends it.
    pub async fn revoke(&self, name: &str, ask: &AskBack) -> Result<Revoked> {
        let name = Name::new(name)?;
        let client = self.client_of(&name)?;
        let why = Evict { why: ask.why.clone(), fence: ask.fence };
        self.may_evict(client, &name, &why)?;
        let (fence, profile, others) = match client.ask_back(name.as_str(), ask).await? {
            Returned::NotHeld => return Ok(Revoked::NotHeld),
            Returned::GivenBack { fence, profile } => {
                return Ok(Revoked::GivenBack { fence, profile });
            }
            Returned::StillHeld { fence, profile, others } => (fence, profile, others),
        };
        let mut ended = None;
        for asked in [fence].into_iter().chain(others) {
            // By its fence: not whoever came after the one that was asked.
            let why = Evict { fence: Some(asked), ..why.clone() };
            if let Evicted::Evicted { fence, profile } = client.evict(name.as_str(), &why).await? {
                ended = ended.or(Some(Revoked::Evicted { fence, profile }));
            }
        }
        match ended {
            Some(ended) => Ok(ended),
            None if self.holder(name.as_str()).await?.is_some_and(|it| it.fence == fence) => {
                let what = format!("lock {name} is held without a fence, by another library");
                Err(Error::new(ErrorKind::Unsupported, what))
            }
            None => Ok(Revoked::GivenBack { fence, profile }),
        }
    }

    fn may_evict(&self, client: &Client, name: &Name, why: &Evict) -> Result<()> {
        if self.shared.config.permissions.evict {
            return Ok(());
        }
        let Evict { why, fence } = why;
        let action = AuditAction::Evict;
        let audit = client.audit(Matter { action, name, fence: *fence, why })?;
        Err(audit.refuse(Error::new(
            ErrorKind::Unsupported,
            format!("lock {name} can't be evicted: the configuration does not permit it"),
        )))
    }

    /// How each store is, asked all at once: within the 5 s that a request may take, whatever they do.
    pub async fn health(&self) -> Vec<Health> {
        let looks = self.shared.clients.iter();
        let looks =
            looks.map(|(name, client)| async move { Ok(vec![health_of(name, client).await]) });
        // None of them fails: what does is in what it says.
        all(looks).await.unwrap_or_default()
    }

    /// How this process uses `name` through this manager; none where it doesn't at this moment.
    #[must_use]
    pub fn usage(&self, name: &str) -> Option<Usage> {
        self.registry().usage(&Name::new(name).ok()?)
    }

    /// How this process uses each name that it uses, in order of name.
    #[must_use]
    pub fn usages(&self) -> Vec<Usage> {
        self.registry().usages()
    }

    /// Ends the clients of all stores, as [`Client::shutdown`] does, at once and within `grace`.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        let clients = self.shared.clients.values();
        let ends = clients.map(|client| async move { Ok(vec![client.shutdown(grace).await]) });
        all(ends).await.unwrap_or_default().into_iter().all(|done| done)
    }

    fn describe(&self, name: &str, kind: LockKind) -> Result<(Lock, u32)> {
        let name = Name::new(name)?;
        let Route { store, kind: said, capacity, options } =
            self.shared.config.route(&name, &self.shared.base)?;
        if kind != said {
            let (asked, said) = (kind.word(), said.word());
            return Err(Error::invalid(format!(
                "lock {name} is of kind {said} by the configuration, and was asked for as {asked}"
            )));
        }
        let lock = self.client(store)?.lock(&name).options(options);
        Ok((lock.counted(self.registry().describe(&name)), capacity))
    }

    fn client_of(&self, name: &Name) -> Result<&Client> {
        self.client(self.shared.config.route(name, &self.shared.base)?.store)
    }

    fn client(&self, store: &str) -> Result<&Client> {
        self.shared
            .clients
            .get(store)
            .ok_or_else(|| Error::new(ErrorKind::Internal, format!("store {store:?} was not made")))
    }

    fn registry(&self) -> Arc<Registry> {
        let made = self.shared.registry.get_or_try_init(|| Ok::<_, Infallible>(Arc::default()));
        let Ok(registry) = made;
        Arc::clone(&registry)
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager").field("config", &self.shared.config).finish_non_exhaustive()
    }
}
