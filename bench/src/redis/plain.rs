//! Limit A: what one writes by hand over redis-rs. SET NX PX, and a script that deletes the key
//! where it still has the token. No queue, no fence, no renewal; a lock that is held is an error.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Script};

use super::rival::{Contender, Rival, TTL_MS};
use crate::Result;

/// Deletes the key where it still has the token.
pub(crate) const RELEASE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// All tasks on one connection.
pub(crate) struct Plain {
    connection: MultiplexedConnection,
    release: String,
}

impl Plain {
    /// Connects, and loads the script.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let mut connection = connect(url).await?;
        let release = load(&mut connection, RELEASE).await?;
        Ok(Self { connection, release })
    }
}

/// A multiplexed connection: what several tasks ask at once goes out together.
pub(crate) async fn connect(url: &str) -> Result<MultiplexedConnection> {
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let client = redis::Client::open(url)?;
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}

/// Loads `script` and says its hash: `EVALSHA` by hand costs less than [`Script`]'s own way.
pub(crate) async fn load(connection: &mut MultiplexedConnection, script: &str) -> Result<String> {
    let script = Script::new(script);
    script.prepare_invoke().load_async(connection).await?;
    Ok(script.get_hash().to_owned())
}

/// A token as long as a real one.
pub(crate) fn token(index: u32) -> String {
    format!("{index:032x}")
}

/// A call of a loaded script on one key.
pub(crate) fn call(hash: &str, key: &str) -> Cmd {
    let mut call = redis::cmd("EVALSHA");
    call.arg(hash).arg(1).arg(key);
    call
}

/// One task.
pub(crate) struct Both {
    connection: MultiplexedConnection,
    take: Cmd,
    give: Cmd,
}

impl Both {
    /// The two commands of a pair, made beforehand.
    pub(crate) fn new(connection: MultiplexedConnection, take: Cmd, give: Cmd) -> Self {
        Self { connection, take, give }
    }
}

impl Rival for Plain {
    type One = Both;
    async fn contender(&self, name: &str, index: u32) -> Result<Both> {
        let token = token(index);
        let mut take = redis::cmd("SET");
        take.arg(name).arg(&token).arg("NX").arg("PX").arg(TTL_MS);
        let mut give = call(&self.release, name);
        give.arg(&token);
        Ok(Both::new(self.connection.clone(), take, give))
    }
}

impl Contender for Both {
    async fn take(&mut self) -> Result<()> {
        let granted: Option<String> = self.take.query_async(&mut self.connection).await?;
        granted.map(drop).ok_or_else(|| "the lock was held".into())
    }

    async fn give(&mut self) -> Result<()> {
        let deleted: u32 = self.give.query_async(&mut self.connection).await?;
        if deleted == 1 { Ok(()) } else { Err("the lock was gone".into()) }
    }
}
