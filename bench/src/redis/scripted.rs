//! Limit B: the least that a lock with its rules in scripts must send, one EVALSHA each way.

use redis::aio::MultiplexedConnection;

use super::plain::{Both, call, connect, load, token};
use super::rival::{Rival, TTL_MS};
use crate::Result;

const ACQUIRE: &str = "return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])";
const RELEASE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// All tasks on one connection.
pub(crate) struct Scripted {
    connection: MultiplexedConnection,
    acquire: String,
    release: String,
}

impl Scripted {
    /// Connects, and loads the scripts.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let mut connection = connect(url).await?;
        let acquire = load(&mut connection, ACQUIRE).await?;
        let release = load(&mut connection, RELEASE).await?;
        Ok(Self { connection, acquire, release })
    }
}

impl Rival for Scripted {
    type One = Both;
    async fn contender(&self, name: &str, index: u32) -> Result<Both> {
        let token = token(index);
        let mut take = call(&self.acquire, name);
        take.arg(&token).arg(TTL_MS);
        let mut give = call(&self.release, name);
        give.arg(&token);
        Ok(Both::new(self.connection.clone(), take, give))
    }
}
