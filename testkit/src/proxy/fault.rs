//! What can go wrong, where, and for which connections.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One of the two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From client to server.
    ToServer,
    /// From server to client.
    ToClient,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::ToServer, Self::ToClient];

    pub(super) fn index(self) -> usize {
        match self {
            Self::ToServer => 0,
            Self::ToClient => 1,
        }
    }

    pub(super) fn back(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}

/// What becomes of bytes that arrive, until told otherwise. The end of a connection is treated as
/// the bytes are: where they don't pass, the other side doesn't hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They go on at once.
    Pass,
    /// They vanish; the connection stays open, until the fault is another: then it is reset, for no
    /// network delivers a stream without its middle. One that must not be told stays in it.
    BlackHole,
    /// They are kept. Once the fault is another, they go on, in order, also where the client is
    /// gone by then: see [`super::Proxy::replay`] for a server that is.
    Hold,
    /// So many more go on, of each connection; then the sender sees a reset, and the receiver the
    /// end. With 0, that is when the next byte comes.
    CutAfter(u64),
    /// They go on so much later, in order.
    Delay(Duration),
}

/// What happens when a pattern is seen. It may lie across two reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing: it is counted, for [`super::Proxy::wait_for`].
    Note,
    /// What was read with it vanishes; both sides see a reset.
    Cut,
    /// What was read with it, and all after it that way on that connection, is held.
    Hold,
    /// What was read with it, and all after it that way on that connection, vanishes.
    BlackHole,
    /// A request passes, and the server carries out all that came before its answer; the answer
    /// vanishes, and then the client sees a reset. Only [`Direction::ToServer`].
    DropReply,
}

type Choice = dyn Fn(&[u8]) -> bool + Send + Sync;

/// Which connections, of those that are and those that come.
#[derive(Clone)]
pub enum Which {
    /// Every one.
    All,
    /// The n-th to be accepted, from 1.
    Number(u64),
    /// Those whose client's first bytes are such.
    FirstBytes(Arc<Choice>),
}

/// So many bytes of a connection are remembered to choose it by.
pub(super) const HEAD: usize = 16 * 1024;

impl Which {
    /// Those whose client sent `pattern` within its first 16 KiB.
    #[must_use]
    pub fn carrying(pattern: impl AsRef<[u8]>) -> Self {
        let pattern = pattern.as_ref().to_owned();
        Self::FirstBytes(Arc::new(move |head| find(head, &pattern).is_some()))
    }

    pub(super) fn has(&self, number: u64, head: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Number(wanted) => *wanted == number,
            Self::FirstBytes(choose) => choose(head),
        }
    }
}

impl fmt::Debug for Which {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => to.write_str("All"),
            Self::Number(number) => write!(to, "Number({number})"),
            Self::FirstBytes(_) => to.write_str("FirstBytes"),
        }
    }
}

/// Where `pattern` begins in `bytes`.
pub(super) fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}
