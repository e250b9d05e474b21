//! Limit C, first form: the lock is the one element of a list. Whoever pops it holds it; the push
//! that gives it back rides in one packet with the holder's next pop. BLPOP serves in order, so this
//! is FIFO; a holder that dies takes the lock with it.

use redis::Pipeline;
use redis::aio::MultiplexedConnection;

use super::plain::connect;
use super::rival::{Contender, Rival};
use crate::Result;

/// A list for each lock.
pub(crate) fn list_of(name: &str) -> String {
    format!("{name}:list")
}

/// Each contender has a connection of its own: BLPOP blocks it.
pub(crate) struct Blpop {
    url: String,
}

impl Blpop {
    /// A limit on this server.
    pub(crate) fn new(url: &str) -> Self {
        Self { url: url.to_owned() }
    }
}

/// One contender.
pub(crate) struct Popper {
    connection: MultiplexedConnection,
    pop: redis::Cmd,
    push: redis::Cmd,
    both: Pipeline,
    owes: bool,
}

impl Rival for Blpop {
    type One = Popper;
    async fn contender(&self, name: &str, _index: u32) -> Result<Popper> {
        let list = list_of(name);
        let mut pop = redis::cmd("BLPOP");
        pop.arg(&list).arg(0);
        let mut push = redis::cmd("LPUSH");
        push.arg(&list).arg("token");
        let mut both = redis::pipe();
        both.add_command(push.clone()).ignore().add_command(pop.clone());
        Ok(Popper { connection: connect(&self.url).await?, pop, push, both, owes: false })
    }
}

impl Contender for Popper {
    async fn take(&mut self) -> Result<()> {
        let popped: redis::Value = if std::mem::take(&mut self.owes) {
            self.both.query_async(&mut self.connection).await?
        } else {
            self.pop.query_async(&mut self.connection).await?
        };
        if popped == redis::Value::Nil { Err("BLPOP gave up".into()) } else { Ok(()) }
    }

    async fn give(&mut self) -> Result<()> {
        self.owes = true;
        Ok(())
    }

    async fn leave(&mut self) -> Result<()> {
        if std::mem::take(&mut self.owes) {
            let _: u64 = self.push.query_async(&mut self.connection).await?;
        }
        Ok(())
    }
}
