//! A connection that is made when it is needed and made again when it was lost.
//!
//! The connecting is a task of its own, so that no caller's cancellation stops it for the others.
//! A server that can't be reached is tried again with growing pauses; meanwhile every request fails
//! at once with the last reason, for its caller knows best what to do without a store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::conn::{Conn, Ear};
use super::link::{Dial, Purpose};
use super::resp::{self, Value};
use super::store::Settings;
use crate::runtime::within;
use crate::sys::{BootTime, MaybeSend, MaybeSync, Sys};
use crate::{Error, ErrorKind, Result};

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// The least that an attempt to connect for renewals gets, where the last one was quick. A network
/// that swallows the first packet must not cost a short lease the time that it has left.
const QUICK_TIMEOUT: Duration = Duration::from_millis(500);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// What a session tells of.
pub(super) trait Listener: MaybeSend + MaybeSync {
    /// What the server pushed.
    fn ear(&self) -> Option<Arc<dyn Ear>>;
    /// A connection was lost: pushes may have been, too.
    fn lost(&self);
}

/// One of a store's connections.
#[derive(Clone)]
pub(super) struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    dial: Arc<dyn Dial>,
    purpose: Purpose,
    sys: Sys,
    settings: Arc<Settings>,
    /// The channels to listen on.
    channels: Vec<String>,
    listener: Arc<dyn Listener>,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    at: At,
    pause: Duration,
    /// How long the next attempt to connect may take.
    patience: Duration,
}

enum At {
    Idle { not_before: BootTime, why: Option<String>, kind: ErrorKind },
    Connecting,
    Live(Arc<Conn>),
    Closed,
}

impl Session {
    pub(super) fn new(
        dial: Arc<dyn Dial>,
        purpose: Purpose,
        sys: Sys,
        settings: Arc<Settings>,
        channels: Vec<String>,
        listener: Arc<dyn Listener>,
    ) -> Self {
        let at = At::Idle {
            not_before: BootTime::default(),
            why: None,
            kind: ErrorKind::StoreUnavailable,
        };
        let state = Mutex::new(State { at, pause: FIRST_PAUSE, patience: CONNECT_TIMEOUT });
        let changed = Notify::new();
        let inner = Inner { dial, purpose, sys, settings, channels, listener, state, changed };
        Self { inner: Arc::new(inner) }
    }

    /// The connection, made now if there is none.
    ///
    /// # Errors
    /// [`StoreUnavailable`](ErrorKind::StoreUnavailable) where the server can't be reached,
    /// [`StoreFailed`](ErrorKind::StoreFailed) where it refuses us.
    pub(super) async fn conn(&self) -> Result<Arc<Conn>> {
        let mut tried = false;
        loop {
            let changed = self.inner.changed.notified();
            {
                let mut state = self.inner.state();
                match &state.at {
                    At::Live(conn) if conn.alive() => return Ok(Arc::clone(conn)),
                    At::Closed => {
                        return Err(Error::new(ErrorKind::ShutDown, "the store was closed"));
                    }
                    At::Idle { not_before, why: Some(why), kind }
                        if tried || *not_before > self.inner.sys.now() =>
                    {
                        return Err(Error::new(*kind, why.clone()));
                    }
                    At::Idle { .. } | At::Live(_) => {
                        state.at = At::Connecting;
                        drop(state);
                        self.inner.start();
                    }
                    At::Connecting => {}
                }
            }
            tried = true;
            changed.await;
        }
    }

    /// The connection, if there is one now.
    pub(super) fn live(&self) -> Option<Arc<Conn>> {
        match &self.inner.state().at {
            At::Live(conn) => Some(Arc::clone(conn)),
            _ => None,
        }
    }

    /// A waiter was told that it is queued: its grant will come without a request.
    pub(super) fn expect_push(&self) {
        if let Some(conn) = self.live() {
            conn.expect_push();
        }
    }

    /// Closes the connection for good.
    pub(super) fn close(&self) {
        let old = std::mem::replace(&mut self.inner.state().at, At::Closed);
        if let At::Live(conn) = old {
            conn.fail("the store was closed");
        }
        self.inner.changed.notify_waiters();
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, task: crate::sys::BoxFuture<'static, ()>) {
        match self.purpose {
            Purpose::Requests => self.sys.spawn(task),
            Purpose::Renewal => self.sys.spawn_lease(task),
        }
    }

    fn start(self: &Arc<Self>) {
        let inner = Arc::clone(self);
        self.spawn(Box::pin(async move {
            let mut gone = Gone { inner: Arc::clone(&inner), conn: None, armed: true };
            let began = inner.sys.now();
            let limit = began + inner.state().patience;
            let connected = match within(&inner.sys, limit, inner.connect()).await {
                Some(result) => result,
                None => Err(Error::new(
                    ErrorKind::StoreUnavailable,
                    format!("{} did not answer in time", inner.settings.shown),
                )),
            };
            gone.armed = false;
            inner.settle(connected, inner.sys.now().since(began));
        }));
    }

    fn settle(&self, connected: Result<Arc<Conn>>, took: Duration) {
        let mut unwanted = None;
        {
            let mut state = self.state();
            let closed = matches!(state.at, At::Closed);
            match connected {
                Ok(conn) if closed => unwanted = Some(conn),
                Ok(conn) => {
                    state.at = At::Live(conn);
                    state.pause = FIRST_PAUSE;
                    if self.purpose == Purpose::Renewal {
                        state.patience = (took * 10).clamp(QUICK_TIMEOUT, CONNECT_TIMEOUT);
                    }
                }
                Err(_) if closed => {}
                Err(error) => {
                    let causes: String =
                        error.causes().iter().map(|cause| format!(": {cause}")).collect();
                    let why = format!("{}{causes}", error.message());
                    tracing::debug!(why, "no connection to Redis");
                    let not_before = self.sys.now() + self.sys.jitter(state.pause);
                    state.at = At::Idle { not_before, why: Some(why), kind: error.kind() };
                    state.pause = (state.pause * 2).min(LAST_PAUSE);
                    state.patience = (state.patience * 2).min(CONNECT_TIMEOUT);
                }
            }
        }
        if let Some(conn) = unwanted {
            conn.fail("the store was closed");
        }
        self.changed.notify_waiters();
    }

    async fn connect(self: &Arc<Self>) -> Result<Arc<Conn>> {
        let link = self.dial.dial(self.purpose).await?;
        let ear = if self.channels.is_empty() { None } else { self.listener.ear() };
        let conn = Arc::new(Conn::new(link, self.purpose, self.sys.clone(), ear));
        let (driven, inner) = (Arc::clone(&conn), Arc::clone(self));
        self.spawn(Box::pin(async move {
            let conn = Some(Arc::clone(&driven));
            let mut gone = Gone { inner: Arc::clone(&inner), conn, armed: true };
            let why = driven.drive().await;
            gone.armed = false;
            tracing::debug!(why, "connection to Redis lost");
            inner.listener.lost();
        }));
        let greeting = Greeting(Some(Arc::clone(&conn)));
        self.greet(&conn).await?;
        greeting.done();
        Ok(conn)
    }

    /// Says who we are, in one round trip.
    async fn greet(&self, conn: &Arc<Conn>) -> Result<()> {
        let settings = &self.settings;
        let mut hello: Vec<&[u8]> = vec![b"HELLO", b"3"];
        let user = settings.username.as_deref().unwrap_or("default");
        if let Some(password) = &settings.password {
            hello.extend([b"AUTH".as_slice(), user.as_bytes(), password.as_bytes()]);
        }
        hello.extend([b"SETNAME".as_slice(), b"leasehold"]);
        let database = settings.database.to_string();
        let mut steps = vec![resp::command(&hello)];
        if settings.database > 0 {
            steps.push(resp::command(&[b"SELECT", database.as_bytes()]));
        }
        let mut bytes = Vec::new();
        if !self.channels.is_empty() {
            // Answered by pushes; what follows shows that it was done.
            let mut subscribe: Vec<&[u8]> = vec![b"SUBSCRIBE"];
            subscribe.extend(self.channels.iter().map(|channel| channel.as_bytes()));
            bytes = resp::command(&subscribe);
        }
        bytes.extend(resp::command(&[b"PING"]));
        steps.push(bytes);
        let replies: Vec<_> = steps.iter().map(|step| conn.request(step)).collect();
        for reply in replies {
            if let Value::Error(text) = reply.value().await? {
                let text = match &settings.password {
                    Some(password) if !password.is_empty() => text.replace(&**password, "***"),
                    _ => text,
                };
                return Err(refused(&text));
            }
        }
        Ok(())
    }
}

/// A task of the session's that may be dropped: it runs on the caller's runtime where the caller
/// asked for that, and nobody may wait for what such a task would have done.
struct Gone {
    inner: Arc<Inner>,
    conn: Option<Arc<Conn>>,
    armed: bool,
}

impl Drop for Gone {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let why = "the runtime that drives the connection was shut down";
        match &self.conn {
            Some(conn) => {
                conn.fail(why);
                self.inner.listener.lost();
            }
            None => {
                let error = Error::new(ErrorKind::StoreUnavailable, why);
                self.inner.settle(Err(error), Duration::ZERO);
            }
        }
    }
}

const RIGHTS: &str = ": docs/redis.md lists the rights that the user needs";

/// A connection that nobody uses before its greeting was answered: it is closed where that is
/// refused, or is given up because it takes too long. Its driver would keep it open for ever.
struct Greeting(Option<Arc<Conn>>);

impl Greeting {
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Greeting {
    fn drop(&mut self) {
        if let Some(conn) = self.0.take() {
            conn.fail("the greeting was not answered, or refused");
        }
    }
}

/// What an error reply of the server means to the caller.
pub(super) fn refused(text: &str) -> Error {
    let code = text.split(' ').next().unwrap_or_default();
    let kind = match code {
        "LOADING" | "BUSY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "READONLY"
        | "NOREPLICAS" | "UNKILLABLE" => ErrorKind::StoreUnavailable,
        "MOVED" | "ASK" | "CROSSSLOT" => ErrorKind::Unsupported,
        _ => ErrorKind::StoreFailed,
    };
    let hint = match code {
        "NOAUTH" | "WRONGPASS" => ": user and password stand in the URL",
        "NOPERM" => RIGHTS,
        // A script's own command: in the words of Redis up to 7.0, and of those after it.
        _ if text.contains("user executing the script can't") || text.contains("ACL failure") => {
            RIGHTS
        }
        "MOVED" | "ASK" | "CROSSSLOT" => ": this version has no Redis Cluster",
        "OOM" => ": the server's memory is full",
        _ if text.contains("unknown command") && text.contains("HELLO") => {
            ": Redis 6.2 or newer is needed"
        }
        _ => "",
    };
    // Some servers repeat what they were sent, and we sent the password or a token.
    let text = text.split(", with args").next().unwrap_or_default();
    let shown: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
    Error::new(kind, format!("Redis answered {shown:?}{hint}"))
}
