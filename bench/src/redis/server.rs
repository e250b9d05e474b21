//! The server that all contestants share, and its own count of what they made it do.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::rival::held_name;
use super::stats::Stats;
use crate::{Result, clock};

/// How long a server may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(10);

/// A redis-server on a free port, without persistence. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    url: String,
    admin: redis::Connection,
}

impl Server {
    /// Starts one with `folder` to itself.
    ///
    /// # Errors
    /// Where there is none to start: a reason of one line.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let program = std::env::var("LEASEHOLD_REDIS_SERVER").unwrap_or("redis-server".into());
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut child = Command::new(&program)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
            .args(["--maxclients", "4064", "--daemonize", "no"])
            .arg("--dir")
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|cause| format!("{program}: {cause}"))?;
        let url = format!("redis://127.0.0.1:{port}");
        let last = clock::now() + clock::span(PATIENCE);
        loop {
            match redis::Client::open(url.as_str())?.get_connection() {
                Ok(admin) => return Ok(Self { child, url, admin }),
                Err(_) if clock::now() < last && child.try_wait()?.is_none() => {
                    // A server's readiness is no event that a plain program can wait for.
                    clock::pause(Duration::from_millis(10));
                }
                Err(cause) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(format!("{program} does not answer: {cause}").into());
                }
            }
        }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What it is.
    pub(crate) fn version(&mut self) -> Result<String> {
        let info: String = redis::cmd("INFO").arg("server").query(&mut self.admin)?;
        let line = |key: &str| info.lines().find_map(|line| line.strip_prefix(key));
        Ok(line("redis_version:").unwrap_or("unknown").to_owned())
    }

    /// Its counters, all since its start.
    pub(crate) fn stats(&mut self) -> Result<Stats> {
        let info: String = redis::cmd("INFO")
            .arg(&["commandstats", "latencystats", "cpu"])
            .query(&mut self.admin)?;
        Stats::parse(&info)
    }

    /// The least time that any of the held locks has left, in milliseconds.
    ///
    /// # Errors
    /// Where one is gone.
    pub(crate) fn least_ttl(&mut self, locks: u32) -> Result<i64> {
        let mut pipe = redis::pipe();
        for index in 0..locks {
            pipe.cmd("PTTL").arg(held_name(index));
        }
        let left: Vec<i64> = pipe.query(&mut self.admin)?;
        match left.into_iter().min() {
            Some(least) if least > 0 => Ok(least),
            _ => Err("the server has lost a lock".into()),
        }
    }

    /// Runs a command of the bench itself.
    pub(crate) fn run(&mut self, words: &[&str]) -> Result<()> {
        let (name, arguments) = words.split_first().ok_or("no command")?;
        Ok(redis::cmd(name).arg(arguments).exec(&mut self.admin)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only for one that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
