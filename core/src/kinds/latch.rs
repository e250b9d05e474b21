//! The latch as Rust users see it: a count that goes down to zero once, and those who wait for that.
//!
//! The trap is a count whose answer is lost: counted again it would open the latch too early, left out
//! it might never open. So the latch remembers of each [`Latch`] that counted which of its calls was
//! the last, and a call whose answer is lost looks there. Not the calls themselves: there may be many,
//! and how long each must be remembered nobody knows. What is remembered goes when it opens.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{record, until};
use crate::store::Cell;
use crate::sys::fork::PerProcess;
use crate::wait::{Next, Shelf};
use crate::{Client, Error, ErrorKind, Name, Result};

pub(super) const WORD: &str = "latch";
/// How long an open latch is kept, unless its users say otherwise.
const KEEP: Duration = Duration::from_secs(3600);
/// The least: a call whose answer was lost looks again for 20 s, and must not find a new latch.
const LEAST_KEEP: Duration = Duration::from_secs(60);

/// A latch: waited for until so many have counted down. It opens once and stays open; some time
/// later its name is free for a new one.
///
/// ```
/// # fn main() -> leasehold::Result<()> { leasehold::block_on(async {
/// let client = leasehold::Client::connect("memory://")?;
/// let ready = client.latch("ready", 2);
/// assert_eq!(ready.count_down(1).await?, 1);
/// assert_eq!(client.latch("ready", 2).count_down(1).await?, 0);
/// ready.wait(None).await?;
/// # Ok(()) }) }
/// ```
#[derive(Clone)]
pub struct Latch {
    client: Client,
    name: Result<Name, String>,
    count: u64,
    keep: Duration,
    /// A forked child counts in its own name.
    member: Arc<PerProcess<Member>>,
}

/// In whose name a [`Latch`] counts.
struct Member {
    id: String,
    /// Its last call. Held during each: of two at once the later would hide the earlier.
    calls: tokio::sync::Mutex<u64>,
}

/// What is in the cell.
#[derive(Serialize, Deserialize)]
struct Counted {
    count: u64,
    left: u64,
    /// The last call of each member that counted; of an open latch nobody's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    calls: BTreeMap<String, u64>,
}

impl Latch {
    pub(crate) fn new(client: Client, name: Result<Name>, count: u64) -> Self {
        let name = name.map_err(|error| error.message().to_owned());
        Self { client, name, count, keep: KEEP, member: Arc::new(PerProcess::new()) }
    }

    /// How long it is kept once it is open, at least a minute. Default one hour. A latch that never
    /// opens is kept.
    #[must_use]
    pub fn keep(mut self, keep: Duration) -> Self {
        self.keep = keep;
        self
    }

    /// Counts down by `count`, not below zero, and answers what is left. Each call counts once, also
    /// where the answer to its request is lost; one whose future is dropped, or that fails because the
    /// store did, may have counted or not.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for zero, a wrong name or option, a latch that has
    /// another count, a name that another kind uses, and where more than some 2,000 of these objects
    /// have counted; [`Unsupported`](ErrorKind::Unsupported) for a store without cells; as the store
    /// fails for longer than 15 s.
    pub async fn count_down(&self, count: u64) -> Result<u64> {
        let (name, shelf) = self.open()?;
        if count == 0 {
            return Err(Error::invalid(format!("latch {name} can't be counted down by 0")));
        }
        let member = self.member(&shelf)?;
        let mut calls = member.calls.lock().await;
        *calls += 1;
        let call = *calls;
        let mut seen = false;
        shelf
            .update(&name, |cell| {
                let found = self.read(&name, cell)?;
                if found.is_none() && seen {
                    // It has opened and vanished meanwhile.
                    return Ok(Next::Done(0));
                }
                seen |= found.is_some();
                let mut now = found.unwrap_or_else(|| self.fresh());
                let counted = now.calls.get(&member.id).is_some_and(|last| *last >= call);
                if counted || now.left == 0 {
                    return Ok(Next::Done(now.left));
                }
                now.left = now.left.saturating_sub(count);
                let left = now.left;
                if left == 0 {
                    now.calls.clear();
                    return Ok(Next::Write(record::write(WORD, &now, b"")?, Some(self.keep), left));
                }
                now.calls.insert(member.id.clone(), call);
                let value = record::write(WORD, &now, b"")?;
                if value.len() > Cell::MAX_VALUE {
                    let many = now.calls.len();
                    let what = format!("latch {name} can't tell the calls of {many} members apart");
                    return Err(Error::invalid(what));
                }
                Ok(Next::Write(value, None, left))
            })
            .await
    }

    /// What is left: zero once it is open.
    ///
    /// # Errors
    /// As [`count_down`](Self::count_down).
    pub async fn count(&self) -> Result<u64> {
        let (name, shelf) = self.open()?;
        let cell = shelf.get(&name).await?;
        Ok(self.read(&name, cell.as_ref())?.map_or(self.count, |found| found.left))
    }

    /// Waits until it is open, at most `limit`; none: for ever.
    ///
    /// # Errors
    /// [`Timeout`](ErrorKind::Timeout) where the wait ran out, else as
    /// [`count_down`](Self::count_down).
    pub async fn wait(&self, limit: Option<Duration>) -> Result<()> {
        let (name, shelf) = self.open()?;
        let until = until(&shelf.runtime.sys, limit)?;
        let (mut cell, mut seen) = (shelf.get(&name).await?, false);
        loop {
            match self.read(&name, cell.as_ref())? {
                Some(found) if found.left == 0 => return Ok(()),
                // It has opened and vanished meanwhile.
                None if seen => return Ok(()),
                found => seen |= found.is_some(),
            }
            let version = cell.as_ref().map_or(0, |cell| cell.version);
            cell = shelf.changed(&name, version, until).await?.ok_or_else(|| {
                let what = format!("latch {name} did not open within the wait");
                Error::new(ErrorKind::Timeout, what)
            })?;
        }
    }

    fn open(&self) -> Result<(Name, Shelf)> {
        let name = self.name.clone().map_err(Error::invalid)?;
        if self.count == 0 {
            return Err(Error::invalid(format!("latch {name} has a count of 0")));
        }
        if self.keep < LEAST_KEEP {
            let (keep, least) = (self.keep, LEAST_KEEP);
            return Err(Error::invalid(format!(
                "latch {name} is kept {keep:?}: at least {least:?}"
            )));
        }
        Ok((name, self.client.shelf()?))
    }

    fn member(&self, shelf: &Shelf) -> Result<Arc<Member>> {
        self.member.get_or_try_init(|| {
            // Eight bytes: a stranger's is hit by none of millions.
            let token = shelf.runtime.sys.token();
            let id = token.as_bytes()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
            Ok(Member { id, calls: tokio::sync::Mutex::new(0) })
        })
    }

    fn fresh(&self) -> Counted {
        Counted { count: self.count, left: self.count, calls: BTreeMap::new() }
    }

    fn read(&self, name: &Name, cell: Option<&Cell>) -> Result<Option<Counted>> {
        let Some((found, _)) = record::read::<Counted>(WORD, name, cell)? else { return Ok(None) };
        if found.count == self.count {
            return Ok(Some(found));
        }
        let (theirs, ours) = (found.count, self.count);
        Err(Error::invalid(format!(
            "latch {name} has a count of {theirs} and was asked for with {ours}"
        )))
    }
}

impl fmt::Debug for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, count, keep, .. } = self;
        f.debug_struct("Latch")
            .field("name", name)
            .field("count", count)
            .field("keep", keep)
            .finish()
    }
}
