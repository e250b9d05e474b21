//! leasehold, as its documentation shows it: a lease per take, its release awaited.

use std::time::Duration;

use leasehold::{Client, ClientOptions, Lease, Order, Release};
use tokio::task::JoinSet;

use super::rival::{Contender, Holder, Rival, TTL_MS, held_name};
use crate::Result;

/// Locks that are taken or given back at once.
const AT_ONCE: u32 = 256;

/// One client, and whom a lock is handed to next.
#[derive(Clone)]
pub(crate) struct Ours {
    client: Client,
    order: Order,
}

impl Ours {
    /// A client of this server.
    pub(crate) fn open(url: &str) -> Result<Self> {
        // As a program with a runtime of its own would: an answer then costs no thread hop.
        let io = tokio::runtime::Handle::try_current().ok();
        let options = ClientOptions { io, ..ClientOptions::default() };
        Ok(Self { client: Client::with(url, options)?, order: Order::Fifo })
    }

    /// The same client, its locks in the order `throughput`.
    pub(crate) fn throughput(&self) -> Self {
        Self { client: self.client.clone(), order: Order::Throughput }
    }
}

/// One task.
pub(crate) struct User {
    ours: Ours,
    name: String,
    held: Option<Lease>,
}

impl Rival for Ours {
    type One = User;
    async fn contender(&self, name: &str, _index: u32) -> Result<User> {
        Ok(User { ours: self.clone(), name: name.to_owned(), held: None })
    }
}

impl Contender for User {
    async fn take(&mut self) -> Result<()> {
        let Ours { client, order } = &self.ours;
        let lock = client.lock(&self.name).ttl(Duration::from_millis(TTL_MS)).order(*order);
        self.held = Some(lock.await?);
        Ok(())
    }

    async fn give(&mut self) -> Result<()> {
        match self.held.take().ok_or("not held")?.release().await {
            Release::Released => Ok(()),
            other => Err(format!("a release came to {other:?}").into()),
        }
    }
}

impl Holder for Ours {
    type Held = Vec<Lease>;

    async fn hold(&self, locks: u32, ttl: Duration) -> Result<Vec<Lease>> {
        let mut leases = Vec::new();
        let mut asked = JoinSet::new();
        for index in 0..locks {
            asked.spawn(self.client.lock(held_name(index)).ttl(ttl).acquire());
            if asked.len() == AT_ONCE as usize {
                leases.extend(asked.join_next().await.transpose()?.transpose()?);
            }
        }
        while let Some(lease) = asked.join_next().await {
            leases.push(lease??);
        }
        Ok(leases)
    }

    async fn keep(&self, held: Vec<Lease>, span: Duration) -> Result<Vec<Lease>> {
        tokio::time::sleep(span).await;
        Ok(held)
    }

    async fn let_go(held: Vec<Lease>) -> Result<u64> {
        let kept = held.iter().filter(|lease| lease.is_held()).count();
        let mut released = JoinSet::new();
        for lease in held {
            released.spawn(async move { lease.release().await });
            if released.len() == AT_ONCE as usize {
                released.join_next().await.transpose()?;
            }
        }
        while released.join_next().await.transpose()?.is_some() {}
        Ok(u64::try_from(kept)?)
    }
}
