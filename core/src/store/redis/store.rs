//! The store's requests as script calls, and the scripts' answers as the store's.

use std::sync::{Arc, OnceLock, Weak};
use std::task::Poll;
use std::time::Duration;

use super::dialect::Dialect;
use super::keys::Places;
use super::link::{Dial, Purpose};
use super::pushes::{Heard, Pushes};
use super::resp::{self, Value};
use super::script::{ASKS, Call, Script, Scripts, waiters_of_both};
use super::session::{Session, refused};
use crate::store::{
    Answer, Ask, Cancel, Capabilities, Evict, Evicted, FenceSource, Hold, HolderView, Holding, How,
    Kind, Kinds, LockView, Pushed, Query, Released, Renewal, SHOWN, Store, Survives, TtlScope,
    WaiterView,
};
use crate::sys::{BoxFuture, Sys, Token};
use crate::{Error, ErrorKind, LostReason, Name, Profile, Result};

/// Locks in one script call: a server has one thread, and others wait for it.
const BATCH: usize = 100;
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
            shown: "the Redis server".to_owned(),
            clock: None,
        }
    }
}

/// One client's access to the locks of one server. Nothing is opened before the first request.
pub struct RedisStore {
    sys: Sys,
    places: Places,
    scripts: Arc<Scripts>,
    channel: String,
    ear: Arc<Pushes>,
    requests: Session,
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
        let places = Places::of(&settings.prefix, dialect, dual);
        let me = hex(&sys.token());
        let whole = format!("leasehold:p:{me}");
        let half = dual.map(|second| waiters_of_both(second) + &me);
        let channel = half.clone().unwrap_or_else(|| whole.clone());
        let channels = std::iter::once(whole).chain(half.clone()).collect();
        let settings = Arc::new(settings);
        let to = OnceLock::new();
        let ear = Arc::new(Pushes { to, half: half.map(|half| (half, sys.clone())) });
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
            atomic_multi: true,
            local_clock: false,
            survives: Survives { holder_crash: true, store_restart: false, clock_step: false },
        };
        let sys = sys.clone();
        Self { sys, places, scripts, channel, ear, requests, renewals, capabilities }
    }

    /// Calls `script`, which the server may not know yet. With `again`, once more where the
    /// connection was lost: only for a step that a late first copy can't undo.
    async fn call(
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
    fn about<'n>(&self, names: impl Iterator<Item = &'n Name>, count: usize) -> Call {
        Call::new(count * self.places.each(), |keys| {
            for name in names {
                self.places.write(keys, name);
            }
        })
    }

    async fn acquire_some(&self, asks: &[Ask], how: How) -> Result<Vec<Answer>> {
        let call = {
            let mut call = self.about(asks.iter().map(|ask| &ask.name), asks.len());
            for ask in asks {
                write_ask(&mut call, ask, &self.channel);
            }
            if how == How::AllOrNothing && asks.len() > 1 {
                call.text(b"all");
            }
            call
        };
        let alone = asks.iter().all(|ask| ask.kind == Kind::Exclusive);
        let script = if alone { &self.scripts.acquire } else { &self.scripts.acquire_any };
        let value = self.call(&self.requests, script, &call, false).await?;
        let glance = || self.sys.jitter(GLANCE);
        let answers = each(&value, asks, |ask, value| answer(ask, value, glance))?;
        if answers.iter().any(|answer| matches!(answer, Answer::Queued { .. })) {
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
                return if asks.is_empty() {
                    Ok(vec![])
                } else {
                    self.acquire_some(asks, how).await
                };
            }
            match asks.len() {
                1..=ASKS => self.acquire_some(asks, how).await,
                _ => all(asks.chunks(ASKS).map(|asks| self.acquire_some(asks, how))).await,
            }
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

/// `glance` says when to look again at the lock of another library.
fn answer(ask: &Ask, value: &Value, glance: impl Fn() -> Duration) -> Option<Answer> {
    let stored_for = ask.ttl + ask.grace;
    if let Some(fence) = value.text() {
        // Never a number, which is what another script answers: a grant must not be a reply gone
        // astray.
        let fence = std::str::from_utf8(fence).ok()?.parse().ok()?;
        return Some(Answer::Granted { fence, stored_for });
    }
    let (code, rest) = value.list()?.split_first()?;
    Some(match (code.int()?, rest) {
        (1, [fence]) => Answer::Granted { fence: u64::try_from(fence.int()?).ok()?, stored_for },
        (2, [first, left, profile]) => {
            let wait = ask.wait.as_ref()?;
            let (first, foreign) = (first.int()? > 0, first.int()? == 2);
            let left = span(left.int()?);
            let look = if foreign { glance().min(wait.heartbeat) } else { wait.heartbeat };
            let look_again_in = match left {
                Some(left) if first => look.min(left),
                _ => look,
            };
            let holder = Some(Holding { expires_in: left, profile: known(profile) });
            Answer::Queued { first, look_again_in, holder }
        }
        // -2: not taken, but left alone with the others of its call.
        (3, [Value::Int(-2), _]) => Answer::Busy { holder: None },
        (3, [left, profile]) => Answer::Busy {
            holder: Some(Holding { expires_in: span(left.int()?), profile: known(profile) }),
        },
        (4, [limit]) => Answer::QueueFull { limit: u32::try_from(limit.int()?).ok()? },
        (5, []) => Answer::Cancelled,
        (6, [tag]) => Answer::Misfit { used: kind_of(tag.text()?)? },
        (7, [others]) => {
            let others = u64::try_from(others.int()?).ok()?;
            Answer::Deadlock { cycle: crate::lock::reader_among(&ask.name, others) }
        }
        _ => return None,
    })
}

fn renewal(hold: &Hold, value: &Value) -> Option<Renewal> {
    Some(match value.int()? {
        1 => Renewal::Renewed { stored_for: hold.ttl + hold.grace },
        2 => Renewal::Gone(LostReason::Revoked),
        3 => Renewal::Gone(LostReason::Superseded),
        4 => Renewal::Gone(LostReason::Expired),
        _ => return None,
    })
}

fn released(_: &Hold, value: &Value) -> Option<Released> {
    Some(match value.int()? {
        1 => Released::Released,
        2 => Released::LeftQueue,
        3 => Released::NotHeld,
        _ => return None,
    })
}

fn view(name: &Name, value: &Value) -> Option<LockView> {
    let [kind, first, second, grace, claimed, profile, waiting, queue @ ..] = value.list()? else {
        return None;
    };
    let (holding, mut holders) = match kind.int()? {
        0 => (0, Vec::new()),
        1 => (1, vec![holder([first, second, grace, claimed, profile])?]),
        2 => {
            let (kind, fence, profile) = (Kind::Exclusive, 0, foreigner());
            let stored = span(second.int()?).unwrap_or(Duration::MAX);
            let told = stored;
            (1, vec![HolderView { kind, fence, told, stored, claimed: false, profile }])
        }
        3 => {
            let several = second.list()?.iter().map(|one| {
                let [fence, left, grace, claimed, profile] = one.list()? else { return None };
                holder([fence, left, grace, claimed, profile])
            });
            (u64::try_from(first.int()?).ok()?, several.collect::<Option<_>>()?)
        }
        _ => return None,
    };
    let queue = queue.chunks_exact(2).map(|pair| {
        let alive_for = Duration::from_millis(u64::try_from(pair[0].int()?).ok()?);
        let (kind, profile) = tagged(&pair[1]);
        Some(WaiterView { kind, alive_for, profile })
    });
    Some(LockView {
        name: name.clone(),
        others: holders.split_off(holders.len().min(1)),
        holder: holders.pop(),
        holding,
        queue: queue.collect::<Option<_>>()?,
        waiting: u64::try_from(waiting.int()?).ok()?,
    })
}

/// "fence, left, grace, claimed, profile".
fn holder([fence, left, grace, claimed, profile]: [&Value; 5]) -> Option<HolderView> {
    let stored = span(left.int()?).unwrap_or(Duration::MAX);
    let grace = Duration::from_millis(u64::try_from(grace.int()?).ok()?);
    let (fence, claimed) = (u64::try_from(fence.int()?).ok()?, claimed.int()? == 1);
    let (kind, profile) = tagged(profile);
    Some(HolderView { kind, fence, told: stored.saturating_sub(grace), stored, claimed, profile })
}

/// One answer for each question.
fn each<Q, T>(
    value: &Value,
    questions: &[Q],
    read: impl Fn(&Q, &Value) -> Option<T>,
) -> Result<Vec<T>> {
    // One question's simplest answer comes alone.
    let alone = std::slice::from_ref(value);
    let answers = Some(value.list().unwrap_or(alone)).filter(|list| list.len() == questions.len());
    if let Some(Value::Error(text)) =
        answers.and_then(|list| list.iter().find(|it| matches!(it, Value::Error(_))))
    {
        return Err(broken(text));
    }
    let answers = answers.and_then(|list| {
        questions.iter().zip(list).map(|(question, value)| read(question, value)).collect()
    });
    answers.ok_or_else(|| odd("the script", value))
}

/// Runs `parts` together and joins their answers; they share the connection and the round trip.
fn all<F, T>(parts: impl Iterator<Item = F>) -> impl Future<Output = Result<Vec<T>>>
where
    F: Future<Output = Result<Vec<T>>>,
{
    let mut running: Vec<_> = parts.map(|part| (Box::pin(part), None)).collect();
    std::future::poll_fn(move |context| {
        let mut pending = false;
        for (part, done) in &mut running {
            if done.is_none() {
                match part.as_mut().poll(context) {
                    Poll::Ready(result) => *done = Some(result),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            return Poll::Pending;
        }
        let mut joined = Vec::new();
        for (_, done) in running.drain(..) {
            match done {
                Some(Ok(some)) => joined.extend(some),
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => {}
            }
        }
        Poll::Ready(Ok(joined))
    })
}

/// An ask's arguments, as lua/acquire.lua lists them.
fn write_ask(call: &mut Call, ask: &Ask, channel: &str) {
    /// How long the state outlives its tenure: `KEEP` in lua/lock.lua.
    const KEEP: u64 = 3_600_000;
    let (span, grace) = (millis(ask.ttl + ask.grace).max(2), millis(ask.grace));
    // A profile is strings and numbers: it can't fail to be JSON.
    let profile = serde_json::to_string(&*ask.profile).unwrap_or_default();
    let token = hex_bytes(&ask.token);
    let tag = match ask.kind {
        Kind::Exclusive => String::new(),
        Kind::Shared => "s ".to_owned(),
        Kind::Permits { count, capacity } => format!("{count}/{capacity} "),
    };
    let (lasts, told) = (format!("{:013}", span - 1), format!(" {grace} 0 {tag}"));
    call.text(&token).number(span - 1).number(span.saturating_add(KEEP)).joined(&[
        lasts.as_bytes(),
        &token,
        told.as_bytes(),
        profile.as_bytes(),
    ]);
    let Some(wait) = &ask.wait else {
        call.text(b"");
        return;
    };
    let (alive, claim, limit) = (millis(wait.alive_for), millis(wait.claim), wait.max_queue);
    let rank = i64::from(i32::MAX) - i64::from(wait.priority);
    let mut rank = format!("{rank:010}").into_bytes();
    if ask.kind == Kind::Shared {
        // Readers stand behind all others.
        rank[0] += b'A' - b'0';
    }
    let numbers = format!("{alive} {claim} {limit} ");
    call.joined(&[numbers.as_bytes(), &rank, b" ", channel.as_bytes()]);
}

/// An answer that no script of ours gives.
fn odd(what: &str, value: &Value) -> Error {
    let shown: String = format!("{value:?}").chars().take(200).collect();
    Error::new(ErrorKind::StoreFailed, format!("the answer to {what} is not understood: {shown}"))
}

/// What a script failed with.
fn broken(text: &str) -> Error {
    if text.contains("LEASEHOLD_FENCE") {
        return Error::new(
            ErrorKind::StoreFailed,
            "the next fence would be above 2^53-1: check the server's clock",
        );
    }
    refused(text)
}

fn read(value: &Value) -> Arc<Profile> {
    tagged(value).1
}

/// A profile, and the kind that its tag names: none is an exclusive lock.
fn tagged(value: &Value) -> (Kind, Arc<Profile>) {
    let text = value.text().unwrap_or_default();
    let end = text.iter().position(|byte| *byte == b' ').unwrap_or_default();
    // The profile itself begins with a brace.
    let (kind, profile) = match kind_of(&text[..end]) {
        Some(kind) => (kind, &text[end + 1..]),
        None => (Kind::Exclusive, text),
    };
    (kind, Arc::new(serde_json::from_slice(profile).unwrap_or_default()))
}

fn kind_of(tag: &[u8]) -> Option<Kind> {
    match tag {
        b"x" => Some(Kind::Exclusive),
        b"s" => Some(Kind::Shared),
        _ => {
            let (count, capacity) = std::str::from_utf8(tag).ok()?.split_once('/')?;
            Some(Kind::Permits { count: count.parse().ok()?, capacity: capacity.parse().ok()? })
        }
    }
}

fn known(value: &Value) -> Option<Arc<Profile>> {
    value.text().is_some_and(|text| !text.is_empty()).then(|| read(value))
}

fn foreigner() -> Arc<Profile> {
    Arc::new(Profile { note: "held by another library".to_owned(), ..Profile::default() })
}

/// Whole milliseconds, rounded up: a lease is never shorter than it was asked for.
fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Negative: without an end.
fn span(left: i64) -> Option<Duration> {
    u64::try_from(left).ok().map(Duration::from_millis)
}

fn hex_bytes(token: &Token) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = [0; 32];
    for (pair, byte) in out.chunks_exact_mut(2).zip(token.as_bytes()) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    out
}

fn hex(token: &Token) -> String {
    String::from_utf8_lossy(&hex_bytes(token)).into_owned()
}
