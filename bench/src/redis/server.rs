//! The server that all contestants share, and its own count of what they made it do.

use leasehold_testkit::server::{Flavour, RedisServer, RedisSetup};

use super::rival::held_name;
use super::stats::Stats;
use crate::Result;

/// A redis-server on a free port, without persistence. Killed when dropped.
pub(crate) struct Server {
    admin: redis::Connection,
    server: RedisServer,
}

impl Server {
    /// Starts one.
    ///
    /// # Errors
    /// Where there is none to start: a reason of one line.
    pub(crate) fn start() -> Result<Self> {
        let server = RedisServer::start(&RedisSetup::new(Flavour::Redis))?;
        let admin = redis::Client::open(server.url())?.get_connection()?;
        Ok(Self { admin, server })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// What it is.
    pub(crate) fn version(&mut self) -> Result<String> {
        let info: String = redis::cmd("INFO").arg("server").query(&mut self.admin)?;
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
        Ok(version.unwrap_or("of an unknown version").to_owned())
    }

    /// Its counters, all since its start or since they were set to zero.
    pub(crate) fn stats(&mut self) -> Result<Stats> {
        let parts = ["commandstats", "latencystats", "cpu"];
        let info: String = redis::cmd("INFO").arg(&parts).query(&mut self.admin)?;
        Stats::parse(&info)
    }

    /// How many of the held locks are gone, and the least time that any other has left, in
    /// milliseconds.
    pub(crate) fn held(&mut self, locks: u32) -> Result<(usize, i64)> {
        let mut pipe = redis::pipe();
        for index in 0..locks {
            pipe.cmd("PTTL").arg(held_name(index));
        }
        let left: Vec<i64> = pipe.query(&mut self.admin)?;
        let kept = left.iter().filter(|left| **left >= 0);
        Ok((left.len() - kept.clone().count(), kept.copied().min().unwrap_or(0)))
    }

    /// Runs a command of the bench itself.
    pub(crate) fn run(&mut self, words: &[&str]) -> Result<()> {
        let (name, arguments) = words.split_first().ok_or("no command")?;
        Ok(redis::cmd(name).arg(arguments).exec(&mut self.admin)?)
    }
}
