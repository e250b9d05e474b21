//! The store's requests as calls of its scripts.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use super::dialect::Dialect;
use super::keys::Places;
use super::link::{Dial, Purpose};
use super::pushes::{Heard, Pushes};
use super::resp::{self, Value};
use super::script::{ASKS, Call, Script, Scripts, waiters_of_both};
use super::session::{Session, refused};
use super::words::{
    answer, broken, each, hex, hex_bytes, millis, odd, read, released, renewal, resized,
    same_terms, view, write_ask, write_own, write_terms,
};
use crate::runtime::all;
use crate::store::{
    Answer, Ask, Cancel, Capabilities, Cells, Evict, Evicted, FenceSource, Hold, How, Kind, Kinds,
    LockView, Pushed, Query, Released, Renewal, Resize, Resized, SHOWN, Store, Survives, TtlScope,
    WaitsFor,
};
use crate::sys::{BoxFuture, Sys};
use crate::{Name, Result};

/// Locks in one script call: a server has one thread, and others wait for it.
pub(super) const BATCH: usize = 100;
/// How often the first in line looks at a lock that another library holds: it won't tell us of its
/// release, and its own waiters look this often or oftener.
const GLANCE: Duration = Duration::from_millis(100);
/// Keys that SCAN looks at in one step.
const SCANNED: &[u8] = b"1000";

/// How a server is spoken to.
#[derive(Clone)]
pub struct Settings {
    /// The ACL user; none for `default`.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// The database's number.
    pub database: u32,
    /// What comes before each lock's name in its key, after the dialect's own prefix. Default empty.
    pub prefix: String,
    /// Whose layout the locks have. Default [`Dialect::Plain`].
    pub dialect: Dialect,
    /// Whose locks of the same names are held together with them, for a migration. Default none.
    pub dual: Option<Dialect>,
    /// Whether scripts may run in the server. Default true; without them there is
    /// [`NoLuaStore`](super::NoLuaStore).
    pub lua: bool,
    /// The server in messages; holds no secret.
    pub shown: String,
    /// The expression that gives the scripts the time, for tests only. Default: the server's clock.
    #[doc(hidden)]
    pub clock: Option<&'static str>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            username: None,
            password: None,
            database: 0,
            prefix: String::new(),
            dialect: Dialect::Plain,
            dual: None,
            lua: true,
            shown: "the Redis server".to_owned(),
            clock: None,
        }
    }
}

/// One client's access to the locks of one server. Nothing is opened before the first request.
pub struct RedisStore {
    pub(super) sys: Sys,
    pub(super) places: Arc<Places>,
    pub(super) scripts: Arc<Scripts>,
    /// Where waiters are told.
    channel: String,
    /// Where watchers of cells are told: where waiters of one lock are.
    pub(super) whole: String,
    ear: Arc<Pushes>,
    pub(super) requests: Session,
    renewals: Session,
    capabilities: Capabilities,
}

impl RedisStore {
    /// Access through `dial`.
    ///
    /// # Panics
    /// Where the settings' two locks would be one key; a URL that says so is refused.
    #[must_use]
    pub fn new(dial: Arc<dyn Dial>, sys: &Sys, settings: Settings) -> Self {
        let (dialect, dual) = (settings.dialect, settings.dual);
        if let Some(Err(refused)) = dual.map(|it| dialect.check_second(&settings.prefix, it)) {
            panic!("{refused}");
        }
        let scripts = match settings.clock {
            Some(clock) => Arc::new(Scripts::with_clock(dialect, dual, clock)),
            None => Scripts::shipped(dialect, dual),
        };
        let places = Arc::new(Places::of(&settings.prefix, dialect, dual));
        let me = hex(&sys.token());
        let whole = format!("leasehold:p:{me}");
        let half = dual.map(|second| waiters_of_both(second) + &me);
        let channel = half.clone().unwrap_or_else(|| whole.clone());
        let channels = std::iter::once(whole.clone()).chain(half.clone()).collect();
        let settings = Arc::new(settings);
        let to = OnceLock::new();
        let half = half.map(|half| (half, sys.clone()));
        let ear = Arc::new(Pushes { to, half, places: Arc::clone(&places) });
        let session = |purpose, channels, heard| {
            let (dial, settings) = (Arc::clone(&dial), Arc::clone(&settings));
            Session::new(dial, purpose, sys.clone(), settings, channels, Arc::new(Heard(heard)))
        };
        let requests = session(Purpose::Requests, channels, Some(Arc::clone(&ear)));
        let renewals = session(Purpose::Renewal, Vec::new(), None);
        // Other libraries' layouts know one holder: what they would make of several is not known, and
        // a hash has no room for the mark that keeps them out.
        let several = dialect == Dialect::Plain && dual.is_none();
        let capabilities = Capabilities {
            store: "redis",
            kinds: Kinds { exclusive: true, shared: several, permits: several },
            ttl: TtlScope::Lock,
            fence: FenceSource::Clock,
            push: true,
            queue: true,
            tombstones: true,
            atomic_multi: true,
            local_clock: false,
            survives: Survives { holder_crash: true, store_restart: false, clock_step: false },
        };
        let sys = sys.clone();
        Self { sys, places, scripts, channel, whole, ear, requests, renewals, capabilities }
    }

    /// Calls `script`, which the server may not know yet. With `again`, once more where the
    /// connection was lost: only for a step that a late first copy can't undo.
    pub(super) async fn call(
        &self,
        session: &Session,
        script: &Arc<Script>,
        call: &Call,
        again: bool,
    ) -> Result<Value> {
        let mut again = again;
        loop {
            let conn = session.conn().await?;
            let mut answer = conn.call(script, call, self.places.each()).value().await;
            if let Ok(Value::Error(text)) = &answer
                && text.starts_with("NOSCRIPT")
            {
                answer = conn.request(&script.whole(call)).value().await;
            }
            match answer {
                Ok(Value::Error(text)) => return Err(broken(&text)),
                Ok(value) => return Ok(value),
                Err(_) if std::mem::take(&mut again) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// A call about the locks of `names`, `count` of them.
    pub(super) fn about<'n>(&self, names: impl Iterator<Item = &'n Name>, count: usize) -> Call {
        Call::new(count * self.places.each(), |keys| {
            for name in names {
                self.places.write(keys, name);
            }
        })
    }

    async fn acquire_some(&self, asks: &[Ask], how: How) -> Result<Vec<Answer>> {
        let exclusive = asks.iter().all(|ask| ask.kind == Kind::Exclusive);
        let call = {
            let mut call = self.about(asks.iter().map(|ask| &ask.name), asks.len());
            match (how, asks) {
                (How::EachAlone, [first, rest @ ..])
                    if exclusive && rest.iter().all(|ask| same_terms(ask, first)) =>
                {
                    write_terms(&mut call, first, &self.channel);
                    asks.iter().for_each(|ask| write_own(&mut call, ask));
                }
                _ => asks.iter().for_each(|ask| write_ask(&mut call, ask, &self.channel)),
            }
            match how {
                How::AllOrNothing => call.of_all(b"all"),
                How::Held => call.of_all(b"held"),
                How::EachAlone => &mut call,
            };
            call
        };
        let script = if exclusive { &self.scripts.acquire } else { &self.scripts.acquire_any };
        let value = self.call(&self.requests, script, &call, false).await?;
        let glance = || self.sys.jitter(GLANCE);
        let answers = each(&value, asks, |ask, value| answer(ask, value, glance))?;
        if answers.iter().any(|answer| matches!(answer, Answer::Queued { .. })) {
            self.note_wants(asks, &answers).await?;
            self.requests.expect_push();
        }
        Ok(answers)
    }

    async fn renew_some(&self, holds: &[Hold]) -> Result<Vec<Renewal>> {
        let call = {
            let mut call = self.about(holds.iter().map(|hold| &hold.name), holds.len());
            for hold in holds {
                call.text(&hex_bytes(&hold.token)).number(millis(hold.ttl + hold.grace));
                match hold.kind {
                    Kind::Exclusive => call.number(millis(hold.grace)),
                    _ => call.text(format!("+{}", millis(hold.grace)).as_bytes()),
                };
            }
            call
        };
        let value = self.call(&self.renewals, &self.scripts.renew, &call, true).await?;
        each(&value, holds, renewal)
    }

    async fn release_some(&self, holds: &[Hold], cancel: Cancel) -> Result<Vec<Released>> {
        if cancel == Cancel::No
            && let Some(released) = self.release_alike(holds).await?
        {
            return Ok(released);
        }
        let call = {
            let mut call = self.about(holds.iter().map(|hold| &hold.name), holds.len());
            for hold in holds {
                match cancel {
                    Cancel::No => call.text(b""),
                    Cancel::Tombstone(span) => call.number(millis(span)),
                };
                call.text(&hex_bytes(&hold.token));
            }
            call
        };
        let value = self.call(&self.requests, &self.scripts.release, &call, true).await?;
        each(&value, holds, released)
    }

    async fn view(&self, names: &[Name]) -> Result<Vec<LockView>> {
        let mut views = Vec::with_capacity(names.len());
        for names in names.chunks(BATCH) {
            let mut call = self.about(names.iter(), names.len());
            call.number(SHOWN as u64);
            let value = self.call(&self.requests, &self.scripts.inspect, &call, true).await?;
            views.extend(each(&value, names, view)?);
        }
        Ok(views)
    }

    /// Names of locks that have state in the server, in order. Looks at every key of the database.
    async fn names(&self, prefix: &str) -> Result<Vec<Name>> {
        let pattern = self.places.pattern(prefix);
        let conn = self.requests.conn().await?;
        let (mut cursor, mut names) = (b"0".to_vec(), Vec::new());
        loop {
            let scan = [b"SCAN", &cursor[..], b"MATCH", &pattern, b"COUNT", SCANNED];
            let page = conn.request(&resp::command(&scan)).value().await?;
            if let Value::Error(text) = &page {
                return Err(refused(text));
            }
            let Some([next, found]) = page.list() else { return Err(odd("SCAN", &page)) };
            for key in found.list().unwrap_or_default() {
                let name = key.text().and_then(|key| self.places.name_of_state(key));
                names.extend(name.and_then(|name| Name::new(name).ok()));
            }
            cursor = next.text().ok_or_else(|| odd("SCAN", &page))?.to_vec();
            if cursor == b"0" {
                names.sort_unstable();
                names.dedup();
                return Ok(names);
            }
        }
    }
}

impl Store for RedisStore {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn acquire<'a>(&'a self, asks: &'a [Ask], how: How) -> BoxFuture<'a, Result<Vec<Answer>>> {
        Box::pin(async move {
            self.capabilities.check(asks)?;
            if how == How::AllOrNothing {
                if let Some(ask) = asks.iter().find(|ask| ask.wait.is_some()) {
                    return Err(crate::lock::all_or_nothing_waits(&ask.name));
                }
                if let Some(answers) = self.acquire_alike(asks).await? {
                    return Ok(answers);
                }
                return if asks.is_empty() {
                    Ok(vec![])
                } else {
                    self.acquire_some(asks, how).await
                };
            }
            let most = if asks.iter().any(|ask| ask.wait.is_some()) { ASKS } else { BATCH };
            if (1..=most).contains(&asks.len()) {
                return self.acquire_some(asks, how).await;
            }
            all(asks.chunks(most).map(|asks| self.acquire_some(asks, how))).await
        })
    }

    fn renew<'a>(&'a self, holds: &'a [Hold]) -> BoxFuture<'a, Result<Vec<Renewal>>> {
        Box::pin(all(holds.chunks(BATCH).map(|holds| self.renew_some(holds))))
    }

    fn release<'a>(
        &'a self,
        holds: &'a [Hold],
        cancel: Cancel,
    ) -> BoxFuture<'a, Result<Vec<Released>>> {
        if (1..=BATCH).contains(&holds.len()) {
            return Box::pin(self.release_some(holds, cancel));
        }
        Box::pin(all(holds.chunks(BATCH).map(move |holds| self.release_some(holds, cancel))))
    }

    fn inspect<'a>(&'a self, what: &'a Query) -> BoxFuture<'a, Result<Vec<LockView>>> {
        Box::pin(async move {
            let (prefix, after, limit) = match what {
                Query::Name(name) => return self.view(std::slice::from_ref(name)).await,
                Query::Prefix { prefix, after, limit } => (prefix, after, *limit as usize),
            };
            let names = self.names(prefix).await?;
            let begin = after.as_ref().map_or(0, |after| names.partition_point(|it| it <= after));
            let mut views = Vec::new();
            for names in names[begin..].chunks(BATCH) {
                if views.len() >= limit {
                    break;
                }
                let busy = |view: &LockView| view.holder.is_some() || view.waiting > 0;
                views.extend(self.view(names).await?.into_iter().filter(busy));
            }
            views.truncate(limit);
            Ok(views)
        })
    }

    fn evict<'a>(&'a self, name: &'a Name, why: &'a Evict) -> BoxFuture<'a, Result<Evicted>> {
        Box::pin(async move {
            let mut call = self.about(std::iter::once(name), 1);
            match why.fence {
                Some(fence) => call.number(fence),
                None => call.text(b""),
            };
            let value = self.call(&self.requests, &self.scripts.evict, &call, false).await?;
            match value.list() {
                Some([Value::Int(0)]) => Ok(Evicted::NotHeld),
                Some([Value::Int(1), fence, profile]) => Ok(Evicted::Evicted {
                    fence: fence.int().and_then(|it| u64::try_from(it).ok()).unwrap_or_default(),
                    profile: read(profile),
                }),
                _ => Err(odd("the eviction", &value)),
            }
        })
    }

    fn resize<'a>(&'a self, name: &'a Name, change: &'a Resize) -> BoxFuture<'a, Result<Resized>> {
        Box::pin(async move {
            self.capabilities.check_resize(name, change)?;
            let mut call = self.about(std::iter::once(name), 1);
            call.number(change.from).number(change.to).number(change.version);
            let value = self.call(&self.requests, &self.scripts.resize, &call, false).await?;
            resized(&value).ok_or_else(|| odd("the change", &value))
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
        let _ = self.ear.to.set(to);
    }

    fn ping(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let conn = self.requests.conn().await?;
            match conn.request(&resp::command(&[b"PING"])).value().await? {
                Value::Error(text) => Err(refused(&text)),
                _ => Ok(()),
            }
        })
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.requests.close();
        self.renewals.close();
    }
}
