//! rslock, the lock that Rust programs on Redis use: one server, its own retry delay.

use std::time::Duration;

use rslock::{LockGuard, LockManager};

use super::rival::{Contender, Rival, TTL_MS};
use crate::Result;

/// One manager, which keeps one connection.
pub(crate) struct Rslock {
    manager: LockManager,
}

impl Rslock {
    /// A manager of one server.
    pub(crate) fn new(url: &str) -> Self {
        Self { manager: LockManager::new(vec![url.to_owned()]) }
    }
}

/// One task.
pub(crate) struct User {
    manager: LockManager,
    name: String,
    held: Option<LockGuard>,
}

impl Rival for Rslock {
    type One = User;
    async fn contender(&self, name: &str, _index: u32) -> Result<User> {
        Ok(User { manager: self.manager.clone(), name: name.to_owned(), held: None })
    }
}

impl Contender for User {
    async fn take(&mut self) -> Result<()> {
        let ttl = Duration::from_millis(TTL_MS);
        self.held = Some(self.manager.acquire(self.name.as_str(), ttl).await?);
        Ok(())
    }

    async fn give(&mut self) -> Result<()> {
        self.held.take().ok_or("not held")?.release().await;
        Ok(())
    }
}
