//! How a store is, as a health check of a service asks.

use std::time::Duration;

use crate::store::Capabilities;
use crate::{Client, Error, StoreUrl};

/// One store of a manager at one moment.
#[derive(Debug)]
#[non_exhaustive]
pub struct Health {
    /// Its name in the configuration.
    pub store: String,
    /// Its URL without secrets.
    pub url: String,
    /// How long it took to answer; none where it did not.
    pub round_trip: Option<Duration>,
    /// What it can do; none where it can't even be opened.
    pub capabilities: Option<Capabilities>,
    /// Why it did not answer.
    pub error: Option<Error>,
    /// Leases in it that this process holds through the manager.
    pub held: usize,
    /// Attempts of this process that ask or wait for locks in it.
    pub waiting: usize,
}

impl Health {
    /// Whether it answered.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        self.round_trip.is_some()
    }
}

pub(super) async fn health_of(store: &str, client: &Client) -> Health {
    let answered = async {
        let sys = client.sys()?;
        let asked = sys.now();
        client.ping().await?;
        Ok(sys.now().since(asked))
    };
    let (round_trip, error) = match answered.await {
        Ok(span) => (Some(span), None),
        Err(error) => (None, Some(error)),
    };
    let (held, waiting) = client.counts();
    Health {
        store: store.to_owned(),
        url: client.url().map(StoreUrl::to_string).unwrap_or_default(),
        round_trip,
        capabilities: client.capabilities().ok(),
        error,
        held,
        waiting,
    }
}
