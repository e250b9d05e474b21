//! The limit of keeping many locks: one script for 500 keys, each third of their time. It knows no
//! schedule: all were taken together and are renewed together.

use std::time::Duration;

use redis::aio::MultiplexedConnection;

use super::plain::{connect, load};
use super::rival::{Holder, held_name};
use crate::Result;

const BATCH: usize = 500;
const TOKEN: &str = "00000000000000000000000000000000";
const RENEW: &str = "
local kept = 0
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then
    kept = kept + redis.call('PEXPIRE', key, ARGV[2])
  end
end
return kept";

/// One connection.
pub(crate) struct Renewal {
    connection: MultiplexedConnection,
    renew: String,
}

/// All that is held.
pub(crate) struct Keys {
    connection: MultiplexedConnection,
    names: Vec<String>,
    ttl: Duration,
}

impl Renewal {
    /// Connects, and loads the script.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let mut connection = connect(url).await?;
        let renew = load(&mut connection, RENEW).await?;
        Ok(Self { connection, renew })
    }

    async fn renew(&self, held: &Keys) -> Result<usize> {
        let mut pipe = redis::pipe();
        for names in held.names.chunks(BATCH) {
            pipe.cmd("EVALSHA").arg(&self.renew).arg(names.len()).arg(names);
            pipe.arg(TOKEN).arg(held.ttl.as_millis().to_string());
        }
        let kept: Vec<usize> = pipe.query_async(&mut self.connection.clone()).await?;
        Ok(kept.into_iter().sum())
    }
}

impl Holder for Renewal {
    type Held = Keys;

    async fn hold(&self, locks: u32, ttl: Duration) -> Result<Keys> {
        let names: Vec<String> = (0..locks).map(held_name).collect();
        let mut connection = self.connection.clone();
        for names in names.chunks(BATCH) {
            let mut pipe = redis::pipe();
            for name in names {
                let ttl = ttl.as_millis().to_string();
                pipe.cmd("SET").arg(name).arg(TOKEN).arg("NX").arg("PX").arg(ttl);
            }
            let granted: Vec<Option<String>> = pipe.query_async(&mut connection).await?;
            if granted.iter().any(Option::is_none) {
                return Err("a lock was held".into());
            }
        }
        Ok(Keys { connection, names, ttl })
    }

    async fn keep(&self, held: Keys, span: Duration) -> Result<Keys> {
        let mut left = span;
        while left > held.ttl / 3 {
            tokio::time::sleep(held.ttl / 3).await;
            left -= held.ttl / 3;
            if self.renew(&held).await? < held.names.len() {
                return Err("a lock was lost".into());
            }
        }
        tokio::time::sleep(left).await;
        Ok(held)
    }

    async fn let_go(mut held: Keys) -> Result<u64> {
        let mut gone = 0;
        for names in held.names.chunks(BATCH) {
            let some: u64 = redis::cmd("DEL").arg(names).query_async(&mut held.connection).await?;
            gone += some;
        }
        Ok(gone)
    }
}
