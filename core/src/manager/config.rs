//! Which names go where. Checked as a whole before anything is opened: what is wrong is named with its
//! place, and no error and no debug output shows what a URL may hold of secrets.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

use serde::Deserialize;

use super::{LockKind, Settings};
use crate::name::shown;
use crate::options::LockOptions;
use crate::url::redacted;
use crate::{Error, Name, Result, StoreUrl};

/// Where locks live and what they are, by name. An exact name goes before a prefix, and of several
/// prefixes the longest counts; what neither names has the defaults. Rules don't add up: each is
/// completed by the defaults only.
///
/// ```
/// use leasehold::manager::{Config, Settings};
/// let config = Config::from_toml(r#"
///     [stores.main]
///     url = "memory://orders"
///     [stores.local]
///     url = "memory://"
///
///     [defaults]
///     store = "main"
///     ttl = "30s"
///
///     [prefix."report:"]
///     store = "local"
///     wait = "5s"
///
///     [name."workers"]
///     kind = "semaphore"
///     capacity = 10
///
///     [permissions]
///     evict = true
/// "#)?;
/// let same = Config::new()
///     .store("main", "memory://orders")?
///     .store("local", "memory://")?
///     .defaults(Settings {
///         store: Some("main".into()),
///         ttl: Some(std::time::Duration::from_secs(30)),
///         ..Settings::default()
///     });
/// assert_eq!(config.stores, same.stores);
/// # Ok::<(), leasehold::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The stores, by the names that the settings use.
    pub stores: BTreeMap<String, StoreConfig>,
    /// What counts where nothing else is said. Without a store here, each rule must name one and what
    /// no rule names is refused; of one single store it needn't be said.
    pub defaults: Settings,
    /// Settings of single names.
    pub name: BTreeMap<String, Settings>,
    /// Settings of all names that begin so.
    pub prefix: BTreeMap<String, Settings>,
    /// What this program may do to the tenures of others.
    pub permissions: Permissions,
}

/// One store.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// As for [`Client::connect`](crate::Client::connect).
    pub url: String,
}

/// What is permitted. It guards against mistakes, not against a program that has the store's password.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Permissions {
    /// To end a tenure from outside. Default: no.
    pub evict: bool,
}

/// Where one name goes.
pub(super) struct Route<'c> {
    pub(super) store: &'c str,
    pub(super) kind: LockKind,
    pub(super) capacity: u32,
    pub(super) options: LockOptions,
}

impl Config {
    /// One that has nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a store.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) where there is one of that name.
    pub fn store(mut self, name: impl Into<String>, url: impl Into<String>) -> Result<Self> {
        insert("store", &mut self.stores, name.into(), StoreConfig { url: url.into() })?;
        Ok(self)
    }

    /// With these defaults, in the place of those before.
    #[must_use]
    pub fn defaults(mut self, settings: Settings) -> Self {
        self.defaults = settings;
        self
    }

    /// With settings of one name.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) where it has some.
    pub fn name(mut self, name: impl Into<String>, settings: Settings) -> Result<Self> {
        insert("name", &mut self.name, name.into(), settings)?;
        Ok(self)
    }

    /// With settings of all names that begin with `prefix`.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) where it has some.
    pub fn prefix(mut self, prefix: impl Into<String>, settings: Settings) -> Result<Self> {
        insert("prefix", &mut self.prefix, prefix.into(), settings)?;
        Ok(self)
    }

    /// With these permissions.
    #[must_use]
    pub fn permissions(mut self, permissions: Permissions) -> Self {
        self.permissions = permissions;
        self
    }

    /// Checks every part of it, over `base` where nothing else is said.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput), naming the place and what is wrong;
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for a store that this version lacks.
    pub fn check(&self, base: &LockOptions) -> Result<()> {
        if self.stores.is_empty() {
            return Err(Error::invalid("the configuration has no store: [stores.NAME] with a url"));
        }
        for (name, store) in &self.stores {
            StoreUrl::parse(&store.url).map_err(|error| {
                Error::new(error.kind(), format!("store {}: {}", shown(name), error.message()))
            })?;
        }
        self.check_settings("defaults", &Settings::default(), base, false)?;
        for (name, settings) in &self.name {
            let place = format!("name {}", shown(name));
            Name::new(name).map_err(|error| at(&place, &error))?;
            self.check_settings(&place, settings, base, true)?;
        }
        for (prefix, settings) in &self.prefix {
            let place = format!("prefix {}", shown(prefix));
            if prefix.is_empty() {
                let what = "it is empty: settings of all names are the defaults";
                return Err(at(&place, &Error::invalid(what)));
            }
            Name::new(prefix).map_err(|error| at(&place, &error))?;
            self.check_settings(&place, settings, base, true)?;
        }
        Ok(())
    }

    fn check_settings(
        &self,
        place: &str,
        own: &Settings,
        base: &LockOptions,
        needs_store: bool,
    ) -> Result<()> {
        let wrong = |what: String| Err(Error::invalid(format!("{place}: {what}")));
        let all = own.or(&self.defaults);
        let known = || {
            let names: Vec<String> = self.stores.keys().map(|name| shown(name)).collect();
            names.join(", ")
        };
        match &all.store {
            Some(store) if !self.stores.contains_key(store) => {
                let store = shown(&redacted(store));
                return wrong(format!("there is no store {store}: there is {}", known()));
            }
            None if needs_store && self.stores.len() > 1 => {
                return wrong(format!("it names no store, nor do the defaults: {}", known()));
            }
            _ => {}
        }
        let kind = all.kind.unwrap_or_default();
        match (kind, all.capacity) {
            (LockKind::Semaphore, None | Some(0)) => {
                return wrong("a semaphore needs a capacity, from 1".to_owned());
            }
            // Among the defaults it is that of all semaphores.
            (LockKind::Exclusive | LockKind::RwLock, Some(_)) if own.capacity.is_some() => {
                return wrong(format!("a capacity is a semaphore's: the kind is {}", kind.word()));
            }
            _ => {}
        }
        all.options(base).check().map_err(|error| at(place, &error))
    }

    /// Where `name` goes.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) where no rule names it and the defaults have no
    /// store.
    pub(super) fn route(&self, name: &Name, base: &LockOptions) -> Result<Route<'_>> {
        let own = self.rule(name.as_str());
        let Some(store) = self.store_of(own) else {
            return Err(Error::invalid(format!(
                "lock {name}: no rule of the configuration names it, and the defaults have no store"
            )));
        };
        let none = Settings::default();
        let all = own.unwrap_or(&none).or(&self.defaults);
        Ok(Route {
            store,
            kind: all.kind.unwrap_or_default(),
            capacity: all.capacity.unwrap_or_default(),
            options: all.options(base),
        })
    }

    /// The stores in which locks whose names begin with `prefix` may live, in order of name.
    pub(super) fn stores_of(&self, prefix: &str) -> Vec<&str> {
        let longer = |rules: &BTreeMap<String, Settings>| {
            let from = (Bound::Included(prefix), Bound::Unbounded);
            let rules: Vec<_> = rules
                .range::<str, _>(from)
                .take_while(|(name, _)| name.starts_with(prefix))
                .map(|(name, _)| name.clone())
                .collect();
            rules
        };
        let names = longer(&self.name).into_iter().filter_map(|name| self.name.get(&name));
        let prefixes = longer(&self.prefix).into_iter().filter_map(|name| self.prefix.get(&name));
        let mut stores: Vec<&str> = names
            .chain(prefixes)
            .map(Some)
            .chain([self.longest(prefix)])
            .filter_map(|settings| self.store_of(settings))
            .collect();
        stores.sort_unstable();
        stores.dedup();
        stores
    }

    fn rule(&self, name: &str) -> Option<&Settings> {
        self.name.get(name).or_else(|| self.longest(name))
    }

    /// The settings of the longest prefix of `name`.
    fn longest(&self, name: &str) -> Option<&Settings> {
        let mut bound = name;
        loop {
            let up_to = (Bound::Unbounded, Bound::Included(bound));
            let (prefix, settings) = self.prefix.range::<str, _>(up_to).next_back()?;
            if name.starts_with(prefix.as_str()) {
                return Some(settings);
            }
            // Whatever is a prefix of `name` and comes before this one is one of what they share.
            let shared = name.chars().zip(prefix.chars()).take_while(|(one, other)| one == other);
            bound = &name[..shared.map(|(one, _)| one.len_utf8()).sum()];
        }
    }

    fn store_of<'c>(&'c self, own: Option<&'c Settings>) -> Option<&'c str> {
        let said = own.and_then(|own| own.store.as_ref()).or(self.defaults.store.as_ref());
        let single = || match self.stores.len() {
            1 => self.stores.keys().next(),
            _ => None,
        };
        said.or_else(single).map(String::as_str)
    }
}

fn insert<T>(what: &str, into: &mut BTreeMap<String, T>, name: String, value: T) -> Result<()> {
    if into.contains_key(&name) {
        return Err(Error::invalid(format!("{what} {} is there twice", shown(&name))));
    }
    into.insert(name, value);
    Ok(())
}

/// `error` with its place.
fn at(place: &str, error: &Error) -> Error {
    Error::new(error.kind(), format!("{place}: {}", error.message()))
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConfig").field("url", &redacted(&self.url)).finish()
    }
}
