//! What the proxy saw: so that a test waits for what happened, and for no span of time.

use std::collections::BTreeMap;
use std::ops::AddAssign;

/// The bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Read from the sender.
    pub arrived: u64,
    /// Written to the receiver.
    pub delivered: u64,
    /// Vanished: by a fault, or as the receiver was gone.
    pub swallowed: u64,
    /// Held at this moment.
    pub held: u64,
}

impl AddAssign for Flow {
    fn add_assign(&mut self, other: Self) {
        self.arrived += other.arrived;
        self.delivered += other.delivered;
        self.swallowed += other.swallowed;
        self.held += other.held;
    }
}

/// One connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkStats {
    /// Whether the client has not closed it.
    pub client: bool,
    /// Whether the server has not closed it.
    pub server: bool,
    /// Its bytes to the server.
    pub to_server: Flow,
    /// Its bytes to the client.
    pub to_client: Flow,
}

/// All that was seen so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections accepted from clients.
    pub accepted: u64,
    /// Of these, how many found no server.
    pub unreachable: u64,
    /// Connections that a fault ended.
    pub cut: u64,
    /// Bytes to the server, of all connections ever.
    pub to_server: Flow,
    /// Bytes to the client, of all connections ever.
    pub to_client: Flow,
    /// The connections that are, by number, also those of which one end is left.
    pub links: BTreeMap<u64, LinkStats>,
    pub(super) sprung: BTreeMap<u64, u64>,
}

impl Stats {
    /// How often the trap did its work: see [`super::Proxy::trap`].
    #[must_use]
    pub fn sprung(&self, trap: u64) -> u64 {
        self.sprung.get(&trap).copied().unwrap_or_default()
    }

    /// Connections that their clients have not closed.
    #[must_use]
    pub fn open(&self) -> usize {
        self.links.values().filter(|link| link.client).count()
    }
}
