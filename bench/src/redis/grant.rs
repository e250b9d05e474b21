//! Limit C, second form: the release grants the next waiter on the server and tells its process by
//! a push. One script each way, one connection a process, the release in one packet with the next
//! acquire. The least of what a server-side hand-off must do: no fence, no dead waiter, no renewal.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, PushInfo, PushKind};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::plain::load;
use super::rival::{Contender, Rival, TTL_MS};
use crate::Result;

/// Takes the key, or queues `channel contender`. The value is who holds it.
const ACQUIRE: &str = "
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
redis.call('RPUSH', KEYS[2], ARGV[1])
return 0";
/// Hands the key to the head of the queue, and says so on the channel before the colon.
const RELEASE: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local next = redis.call('LPOP', KEYS[2])
if not next then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], next, 'PX', ARGV[2])
redis.call('PUBLISH', string.match(next, '^[^:]+'), next)
return 1";

type Wakers = Arc<Mutex<HashMap<String, UnboundedSender<()>>>>;

/// All contenders of a process on one connection.
pub(crate) struct Grant {
    connection: MultiplexedConnection,
    acquire: String,
    release: String,
    channel: String,
    wakers: Wakers,
}

impl Grant {
    /// Connects, subscribes the process's channel, loads the scripts.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        // Rounds of one process must not hear of each other.
        static ROUND: AtomicU32 = AtomicU32::new(0);
        let round = ROUND.fetch_add(1, Ordering::Relaxed);
        let channel = format!("bench-grant-{}-{round}", std::process::id());
        let wakers = Wakers::default();
        let told = Arc::clone(&wakers);
        let config = redis::AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_push_sender(move |push: PushInfo| wake(&told, &push));
        let client = redis::Client::open(format!("{url}/?protocol=resp3"))?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        connection.subscribe(&channel).await?;
        let acquire = load(&mut connection, ACQUIRE).await?;
        let release = load(&mut connection, RELEASE).await?;
        Ok(Self { connection, acquire, release, channel, wakers })
    }
}

fn wake(wakers: &Wakers, push: &PushInfo) -> std::result::Result<(), &'static str> {
    if push.kind != PushKind::Message {
        return Ok(());
    }
    let Some(redis::Value::BulkString(who)) = push.data.get(1) else {
        return Err("a push without a text");
    };
    let wakers = wakers.lock().map_err(|_| "poisoned")?;
    let waker = std::str::from_utf8(who).ok().and_then(|who| wakers.get(who));
    waker.ok_or("a grant to a stranger")?.send(()).map_err(|_| "a grant to one who left")
}

/// One contender.
pub(crate) struct Waiter {
    connection: MultiplexedConnection,
    acquire: Cmd,
    release: Cmd,
    both: Pipeline,
    granted: UnboundedReceiver<()>,
    owes: bool,
}

impl Rival for Grant {
    type One = Waiter;
    async fn contender(&self, name: &str, index: u32) -> Result<Waiter> {
        let who = format!("{}:{index}", self.channel);
        let (waker, granted) = unbounded_channel();
        self.wakers.lock().map_err(|_| "poisoned")?.insert(who.clone(), waker);
        let call = |hash: &str| {
            let mut call = redis::cmd("EVALSHA");
            call.arg(hash).arg(2).arg(name).arg(format!("{name}:queue")).arg(&who).arg(TTL_MS);
            call
        };
        let (acquire, release) = (call(&self.acquire), call(&self.release));
        let mut both = redis::pipe();
        both.add_command(release.clone()).ignore().add_command(acquire.clone());
        let connection = self.connection.clone();
        Ok(Waiter { connection, acquire, release, both, granted, owes: false })
    }
}

impl Contender for Waiter {
    async fn take(&mut self) -> Result<()> {
        let at_once: u32 = if std::mem::take(&mut self.owes) {
            let (at_once,) = self.both.query_async(&mut self.connection).await?;
            at_once
        } else {
            self.acquire.query_async(&mut self.connection).await?
        };
        if at_once == 0 {
            self.granted.recv().await.ok_or("the connection is gone")?;
        }
        Ok(())
    }

    async fn give(&mut self) -> Result<()> {
        self.owes = true;
        Ok(())
    }

    async fn leave(&mut self) -> Result<()> {
        if std::mem::take(&mut self.owes) {
            let _: u32 = self.release.query_async(&mut self.connection).await?;
        }
        Ok(())
    }
}
