//! `peer LIBRARY URL`: holds one lock at a time with a published library, as told on its input. The
//! protocol is in ../../README.md.

use std::io::BufRead;
use std::time::Duration;

use rslock::{Lock, LockError, LockManager};

type Failure = Box<dyn std::error::Error>;

/// Its default pause after a try that failed (a random part of it).
const RETRY: Duration = Duration::from_millis(200);

struct Peer {
    manager: LockManager,
    lock: Option<Lock>,
}

impl Peer {
    async fn obey(&mut self, words: &[&str]) -> Result<&'static str, Failure> {
        match words {
            ["acquire", name, ttl, wait] => self.acquire(name, millis(ttl)?, millis(wait)?).await,
            ["acquire", ..] => Err("rslock has no renewal of its own".into()),
            ["release"] => {
                self.lock.take().ok_or("nothing was acquired")?.release().await;
                // It says nothing about whether the lock was still its own.
                Ok("told")
            }
            ["extend", ttl] => self.extend(millis(ttl)?).await,
            _ => Err(format!("unknown: {words:?}").into()),
        }
    }

    async fn acquire(
        &mut self,
        name: &str,
        ttl: Duration,
        wait: Duration,
    ) -> Result<&'static str, Failure> {
        // It counts tries. A time limit around many of them could cut off the very one that is
        // granted, so it gets as many as fit, each with its mean pause.
        let tries = 1 + wait.as_millis() / (RETRY / 2).as_millis();
        self.manager.set_retry(u32::try_from(tries)?, RETRY);
        match self.manager.lock(name, ttl).await {
            Ok(lock) => {
                self.lock = Some(lock);
                Ok("held")
            }
            Err(LockError::Unavailable) => Ok("busy"),
            Err(other) => Err(other.into()),
        }
    }

    async fn extend(&mut self, ttl: Duration) -> Result<&'static str, Failure> {
        self.manager.set_retry(1, RETRY);
        let lock = self.lock.as_ref().ok_or("nothing was acquired")?;
        match self.manager.extend(lock, ttl).await {
            Ok(extended) => {
                self.lock = Some(extended);
                Ok("extended")
            }
            Err(LockError::Unavailable) => Ok("not-held"),
            Err(other) => Err(other.into()),
        }
    }
}

fn millis(text: &str) -> Result<Duration, Failure> {
    Ok(Duration::from_millis(text.parse()?))
}

/// The version that was built, from its own lock file.
fn version() -> &'static str {
    let (_, rest) = include_str!("../Cargo.lock")
        .split_once("name = \"rslock\"\nversion = \"")
        .unwrap_or_default();
    rest.split('"').next().unwrap_or_default()
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, url] = &arguments[..] else { return Err("usage: peer rslock URL".into()) };
    if library != "rslock" {
        return Err(format!("{library} is not here").into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = redis::Client::open(url.as_str())?;
    // rslock connects when it first needs to, and takes a server that isn't there for a lock that
    // isn't free: so the server must be there before.
    runtime.block_on(async {
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd("PING").query_async::<()>(&mut connection).await
    })?;
    let mut peer = Peer { manager: LockManager::from_clients(vec![client]), lock: None };
    println!("ready {}", version());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match runtime.block_on(peer.obey(&words)) {
            Ok(answer) => println!("{answer}"),
            Err(error) => println!("error {}", error.to_string().replace('\n', " ")),
        }
    }
    Ok(())
}
