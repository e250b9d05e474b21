//! Locks without scripts, for servers that run none: one string for each, set if it is not there,
//! prolonged and deleted if it still has the token. `?lua=no` in the URL.
//!
//! What a single command can't do this mode has not, and says so in its capabilities: no queue (a waiter
//! looks again, and who looks first has the lock), no fence, no readers, permits or cells, not several
//! locks in one step, no tombstones. It needs a server that compares before it writes: SET … IFEQ and
//! DELEX … IFEQ (Redis 8.4, redis.io/commands/delex), or SET … IFEQ and DELIFEQ (Valkey 9,
//! valkey.io/commands/delifeq). The trap is to find out with a lock in hand that can't be given back: so
//! before the first SET the commands are tried with a token that no key has.
//!
//! Others that lock the key with SET NX, leasehold's own scripts among them, are excluded and exclude.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::link::{Dial, Purpose};
use super::resp::{self, Value};
use super::session::{Listener, Session, refused};
use super::store::Settings;
use super::words::{hex_bytes, millis, odd, span};
use crate::store::{
    Answer, Ask, Cancel, Capabilities, Evict, Evicted, FenceSource, Hold, HolderView, Holding, How,
    Kind, Kinds, LockView, Pushed, Query, Released, Renewal, Store, Survives, TtlScope,
};
use crate::sys::{BoxFuture, Sys, Token};
use crate::{Error, ErrorKind, LostReason, Name, Profile, Result};

/// How soon a waiter looks again the first time; twice as late each time after.
const FIRST_LOOK: Duration = Duration::from_millis(25);
/// The latest that it does.
const LAST_LOOK: Duration = Duration::from_millis(400);

/// One client's access to the locks of one server without scripts. Nothing is opened before the first
/// request.
pub struct NoLuaStore {
    sys: Sys,
    prefix: String,
    shown: String,
    requests: Session,
    renewals: Session,
    capabilities: Capabilities,
    /// How this server deletes a key that has a value; none until it was asked.
    delete: Mutex<Option<Delete>>,
    /// How often each waiter has looked.
    looks: Mutex<HashMap<Token, u32>>,
}

/// How a key is deleted that has a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Delete {
    /// DELEX key IFEQ value.
    Delex,
    /// DELIFEQ key value.
    Delifeq,
}

/// Nothing is pushed in this mode.
struct Deaf;

impl Listener for Deaf {
    fn ear(&self) -> Option<Arc<dyn super::conn::Ear>> {
        None
    }
    fn lost(&self) {}
}

impl Delete {
    const ALL: [Self; 2] = [Self::Delifeq, Self::Delex];

    fn command(self, key: &[u8], value: &[u8]) -> Vec<u8> {
        match self {
            Self::Delex => resp::command(&[b"DELEX", key, b"IFEQ", value]),
            Self::Delifeq => resp::command(&[b"DELIFEQ", key, value]),
        }
    }
}

/// What prolongs `key`, if its value is `value`; answers the value that it had.
fn prolong(key: &[u8], value: &[u8], ms: u64) -> Vec<u8> {
    let ms = ms.to_string();
    resp::command(&[b"SET", key, value, b"IFEQ", value, b"GET", b"PX", ms.as_bytes()])
}

/// The PX of a tenure of `span`: a key is gone once the clock is past its time, a tenure once the clock has
/// reached it, as with the scripts.
fn kept(span: Duration) -> u64 {
    millis(span).saturating_sub(1).max(1)
}

impl NoLuaStore {
    /// Access through `dial`.
    #[must_use]
    pub fn new(dial: Arc<dyn Dial>, sys: &Sys, settings: Settings) -> Self {
        let (prefix, shown) = (settings.prefix.clone(), settings.shown.clone());
        let settings = Arc::new(settings);
        let session = |purpose| {
            let (dial, settings) = (Arc::clone(&dial), Arc::clone(&settings));
            Session::new(dial, purpose, sys.clone(), settings, Vec::new(), Arc::new(Deaf))
        };
        let capabilities = Capabilities {
            store: "redis-without-lua",
            kinds: Kinds { exclusive: true, shared: false, permits: false },
            ttl: TtlScope::Lock,
            fence: FenceSource::None,
            push: false,
            queue: false,
            tombstones: false,
            atomic_multi: false,
            local_clock: false,
            survives: Survives { holder_crash: true, store_restart: false, clock_step: false },
        };
        Self {
            sys: sys.clone(),
            prefix,
            shown,
            requests: session(Purpose::Requests),
            renewals: session(Purpose::Renewal),
            capabilities,
            delete: Mutex::default(),
            looks: Mutex::default(),
        }
    }

    fn key(&self, name: &Name) -> Vec<u8> {
        [self.prefix.as_bytes(), name.as_str().as_bytes()].concat()
    }

    /// Sends `commands` together and awaits their answers, errors among them.
    async fn send(&self, session: &Session, commands: Vec<Vec<u8>>) -> Result<Vec<Value>> {
        let conn = session.conn().await?;
        let replies: Vec<_> = commands.iter().map(|command| conn.request(command)).collect();
        let mut values = Vec::with_capacity(replies.len());
        for reply in replies {
            values.push(reply.value().await?);
        }
        Ok(values)
    }

    /// The same, once more where the connection was lost: only for what a late first copy can't undo.
    async fn send_again(&self, session: &Session, commands: Vec<Vec<u8>>) -> Result<Vec<Value>> {
        match self.send(session, commands.clone()).await {
            Err(error) if error.kind() == ErrorKind::StoreUnavailable => {
                self.send(session, commands).await
            }
            answered => answered,
        }
    }

    /// How this server deletes, which it is asked once. Nothing is changed by that: no key has the token
    /// that is asked for.
    async fn delete(&self, name: &Name) -> Result<Delete> {
        let known = *self.delete.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known {
            return Ok(known);
        }
        let (key, nobody) = (self.key(name), hex_bytes(&self.sys.token()));
        let mut commands = vec![prolong(&key, &nobody, 1000)];
        commands.extend(Delete::ALL.map(|delete| delete.command(&key, &nobody)));
        let answers = self.send_again(&self.requests, commands).await?;
        let (compares, deletes) = answers.split_first().ok_or_else(|| odd("SET", &Value::Nil))?;
        let mut lacking = Vec::new();
        if lacks(compares)? {
            lacking.push("SET with IFEQ");
        }
        let mut found = None;
        for (delete, answer) in Delete::ALL.into_iter().zip(deletes) {
            if !lacks(answer)? {
                found = found.or(Some(delete));
            }
        }
        if found.is_none() {
            lacking.push("DELEX and DELIFEQ");
        }
        match found.filter(|_| lacking.is_empty()) {
            Some(found) => {
                *self.delete.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
                Ok(found)
            }
            None => Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{} has no {}: lua=no needs Redis 8.4 or Valkey 9",
                    self.shown,
                    lacking.join(", and no ")
                ),
            )),
        }
    }

    async fn acquire_all(&self, asks: &[Ask]) -> Result<Vec<Answer>> {
        let Some(first) = asks.first() else { return Ok(Vec::new()) };
        self.delete(&first.name).await?;
        let set = |ask: &Ask| {
            let (key, token) = (self.key(&ask.name), hex_bytes(&ask.token));
            let ms = kept(ask.ttl + ask.grace).to_string();
            resp::command(&[b"SET", &key, &token, b"NX", b"GET", b"PX", ms.as_bytes()])
        };
        let found = self.send(&self.requests, asks.iter().map(set).collect()).await?;
        let mut answers = Vec::with_capacity(asks.len());
        // Who holds the others, asked together.
        let mut taken = Vec::new();
        for (index, (ask, found)) in asks.iter().zip(&found).enumerate() {
            answers.push(match found {
                Value::Nil => {
                    self.looks().remove(&ask.token);
                    granted(ask)
                }
                Value::Text(value) if value[..] == hex_bytes(&ask.token) => {
                    // Asked before, and the answer was lost: prolonged below.
                    taken.push(index);
                    granted(ask)
                }
                Value::Text(_) => {
                    taken.push(index);
                    Answer::Busy { holder: None }
                }
                Value::Error(text) if no_text(text) => {
                    taken.push(index);
                    Answer::Busy { holder: None }
                }
                Value::Error(text) => return Err(refused(text)),
                other => return Err(odd("SET", other)),
            });
        }
        if taken.is_empty() {
            return Ok(answers);
        }
        let ask = |index: &usize| {
            let ask = &asks[*index];
            let key = self.key(&ask.name);
            match answers[*index] {
                Answer::Granted { .. } => {
                    prolong(&key, &hex_bytes(&ask.token), kept(ask.ttl + ask.grace))
                }
                _ => resp::command(&[b"PTTL", &key]),
            }
        };
        let found = self.send(&self.requests, taken.iter().map(ask).collect()).await?;
        for (index, found) in taken.into_iter().zip(&found) {
            let ask = &asks[index];
            answers[index] = match (&answers[index], found) {
                (_, Value::Error(text)) => return Err(refused(text)),
                (Answer::Granted { .. }, Value::Text(value))
                    if value[..] == hex_bytes(&ask.token) =>
                {
                    self.looks().remove(&ask.token);
                    granted(ask)
                }
                // It ended in between.
                (Answer::Granted { .. }, _) => self.taken(ask, None),
                (_, Value::Int(left)) => self.taken(ask, Some(*left)),
                (_, other) => return Err(odd("PTTL", other)),
            };
        }
        Ok(answers)
    }

    /// The answer to an ask for a lock that is held for `left` more ms; -1: without an end, -2: no
    /// longer.
    fn taken(&self, ask: &Ask, left: Option<i64>) -> Answer {
        let left = left.filter(|left| *left != -2).unwrap_or(0);
        let expires_in = span(left);
        let holder = Some(Holding { expires_in, profile: None });
        let Some(wait) = ask.wait else { return Answer::Busy { holder } };
        let look = {
            let mut looks = self.looks();
            let look = looks.entry(ask.token).or_default();
            *look = look.saturating_add(1);
            *look - 1
        };
        let later = FIRST_LOOK.saturating_mul(1 << look.min(8)).min(LAST_LOOK);
        // At the lease's end, if that comes first: a key is gone once the clock is past its time.
        let end = expires_in.map_or(later, |left| left + Duration::from_millis(1));
        let look_again_in = self.sys.jitter(later).min(end).min(wait.heartbeat);
        Answer::Queued { first: false, look_again_in, holder }
    }

    async fn renew_some(&self, holds: &[Hold]) -> Result<Vec<Renewal>> {
        let left = |hold: &Hold| resp::command(&[b"PTTL", &self.key(&hold.name)]);
        let left = self.send_again(&self.renewals, holds.iter().map(left).collect()).await?;
        // Never shortened: of a tenure that is ours this is at most what is left of it then.
        let keep = |(hold, left): (&Hold, &Value)| {
            let left = left.int().and_then(|left| u64::try_from(left).ok()).unwrap_or_default();
            let ms = kept(hold.ttl + hold.grace).max(left);
            prolong(&self.key(&hold.name), &hex_bytes(&hold.token), ms)
        };
        let commands = holds.iter().zip(&left).map(keep).collect();
        let had = self.send_again(&self.renewals, commands).await?;
        let renewed = holds.iter().zip(&had).map(|(hold, had)| match had {
            Value::Text(value) if value[..] == hex_bytes(&hold.token) => {
                Ok(Renewal::Renewed { stored_for: hold.ttl + hold.grace })
            }
            Value::Nil => Ok(Renewal::Gone(LostReason::Expired)),
            Value::Text(_) => Ok(Renewal::Gone(LostReason::Superseded)),
            Value::Error(text) if no_text(text) => Ok(Renewal::Gone(LostReason::Superseded)),
            Value::Error(text) => Err(refused(text)),
            other => Err(odd("SET", other)),
        });
        renewed.collect()
    }

    async fn release_some(&self, holds: &[Hold]) -> Result<Vec<Released>> {
        let Some(first) = holds.first() else { return Ok(Vec::new()) };
        let waited: Vec<bool> = {
            let mut looks = self.looks();
            holds.iter().map(|hold| looks.remove(&hold.token).is_some()).collect()
        };
        let delete = self.delete(&first.name).await?;
        let of = |hold: &Hold| delete.command(&self.key(&hold.name), &hex_bytes(&hold.token));
        let done = self.send_again(&self.requests, holds.iter().map(of).collect()).await?;
        let released = done.iter().zip(waited).map(|(done, waited)| match done {
            Value::Int(1) => Ok(Released::Released),
            Value::Int(0) if waited => Ok(Released::LeftQueue),
            Value::Int(0) => Ok(Released::NotHeld),
            Value::Error(text) if no_text(text) => Ok(Released::NotHeld),
            Value::Error(text) => {
                // Another server may answer at the same address now.
                *self.delete.lock().unwrap_or_else(PoisonError::into_inner) = None;
                Err(refused(text))
            }
            other => Err(odd("the release", other)),
        });
        released.collect()
    }

    async fn view(&self, name: &Name) -> Result<LockView> {
        let key = self.key(name);
        let command = resp::command(&[b"PTTL", &key]);
        let left = self.send_again(&self.requests, vec![command]).await?;
        let holder = match left.first() {
            Some(Value::Int(-2)) => None,
            Some(Value::Int(left)) => Some(HolderView {
                kind: Kind::Exclusive,
                fence: 0,
                told: span(*left).unwrap_or(Duration::MAX),
                stored: span(*left).unwrap_or(Duration::MAX),
                claimed: false,
                owner: None,
                profile: nobody_known(),
            }),
            Some(Value::Error(text)) => return Err(refused(text)),
            other => return Err(odd("PTTL", other.unwrap_or(&Value::Nil))),
        };
        let holding = u64::from(holder.is_some());
        let (name, others, queue) = (name.clone(), Vec::new(), Vec::new());
        Ok(LockView { name, holder, others, holding, queue, waiting: 0 })
    }

    fn looks(&self) -> MutexGuard<'_, HashMap<Token, u32>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cannot(&self, what: &str) -> Error {
        let store = self.capabilities.store;
        Error::new(ErrorKind::Unsupported, format!("the {store} store {what}"))
    }
}

/// Whether the server knows the command that it answered so.
fn lacks(answer: &Value) -> Result<bool> {
    match answer {
        Value::Error(text) if no_text(text) => Ok(false),
        Value::Error(text)
            if text.starts_with("ERR unknown command") || text.starts_with("ERR syntax") =>
        {
            Ok(true)
        }
        Value::Error(text) => Err(refused(text)),
        _ => Ok(false),
    }
}

/// Whether the key is no string: a lock in another library's layout, or no lock at all.
fn no_text(error: &str) -> bool {
    // The second is how Redis has DELEX say it.
    error.starts_with("WRONGTYPE") || error.starts_with("ERR Key should be of string type")
}

fn granted(ask: &Ask) -> Answer {
    Answer::Granted { fence: 0, stored_for: ask.ttl + ask.grace }
}

fn nobody_known() -> Arc<Profile> {
    Arc::new(Profile {
        note: "without scripts nothing is kept of a holder".to_owned(),
        ..Profile::default()
    })
}

impl Store for NoLuaStore {
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
                if asks.len() > 1 {
                    return Err(self.cannot("takes no several locks in one step"));
                }
            }
            if how == How::Held {
                return Err(self.cannot("changes no tenure"));
            }
            self.acquire_all(asks).await
        })
    }

    fn renew<'a>(&'a self, holds: &'a [Hold]) -> BoxFuture<'a, Result<Vec<Renewal>>> {
        Box::pin(self.renew_some(holds))
    }

    fn release<'a>(&'a self, holds: &'a [Hold], _: Cancel) -> BoxFuture<'a, Result<Vec<Released>>> {
        Box::pin(self.release_some(holds))
    }

    fn inspect<'a>(&'a self, what: &'a Query) -> BoxFuture<'a, Result<Vec<LockView>>> {
        Box::pin(async move {
            match what {
                Query::Name(name) => Ok(vec![self.view(name).await?]),
                Query::Prefix { .. } => {
                    Err(self.cannot("can't list locks: to the server they are keys like others"))
                }
            }
        })
    }

    fn evict<'a>(&'a self, name: &'a Name, why: &'a Evict) -> BoxFuture<'a, Result<Evicted>> {
        Box::pin(async move {
            if why.fence.is_some() {
                return Err(self.cannot("has no fences to evict by"));
            }
            let command = resp::command(&[b"DEL", &self.key(name)]);
            match self.send(&self.requests, vec![command]).await?.first() {
                Some(Value::Int(0)) => Ok(Evicted::NotHeld),
                Some(Value::Int(_)) => Ok(Evicted::Evicted { fence: 0, profile: nobody_known() }),
                Some(Value::Error(text)) => Err(refused(text)),
                other => Err(odd("DEL", other.unwrap_or(&Value::Nil))),
            }
        })
    }

    fn subscribe(&self, _: Weak<dyn Pushed>) {}

    fn ping(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            match self.send(&self.requests, vec![resp::command(&[b"PING"])]).await?.first() {
                Some(Value::Error(text)) => Err(refused(text)),
                _ => Ok(()),
            }
        })
    }
}

impl Drop for NoLuaStore {
    fn drop(&mut self) {
        self.requests.close();
        self.renewals.close();
    }
}
