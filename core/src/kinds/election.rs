//! Leader election as Rust users see it: a lock whose holder says something to all.
//!
//! The lock decides who leads, the cell of its name holds what the leader says, under the leader's
//! fence. Neither alone is believed: a leader is shown where the fence in the cell is that of the
//! lock's holder, so a value that comes late, from a leader that is none any more, is shown to nobody.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::record;
use crate::runtime::within;
use crate::store::{Cell, Kind};
use crate::sys::{BootTime, BoxFuture};
use crate::wait::{Next, Shelf};
use crate::{
    Client, Error, ErrorKind, Lease, Lock, LockOptions, LostReason, Name, Profile, Release, Result,
};

pub(super) const WORD: &str = "election";
/// How long it is remembered that a leader resigned: longer than a request can be on its way.
const RESIGNED: Duration = Duration::from_secs(60);
/// How long a resignation waits until it is told to those who observe.
const PATIENCE: Duration = Duration::from_secs(1);

/// An election: one leader at a time, for as long as its lease lasts, and all may know who it is.
///
/// ```
/// # fn main() -> leasehold::Result<()> { leasehold::block_on(async {
/// let client = leasehold::Client::connect("memory://")?;
/// let election = client.election("primary");
/// let leadership = election.campaign().value("10.0.0.7:5432").await?;
/// let mut observer = election.observe();
/// let leader = observer.next().await?.expect("there is one");
/// assert_eq!((leader.value.as_slice(), leader.fence), (&b"10.0.0.7:5432"[..], leadership.fence()));
/// leadership.resign().await;
/// assert!(observer.next().await?.is_none());
/// # Ok(()) }) }
/// ```
#[derive(Clone, Debug)]
pub struct Election {
    client: Client,
    lock: Lock,
    name: Result<Name, String>,
}

/// A candidacy to be: await it, or [`acquire`](Self::acquire) it.
#[derive(Clone, Debug)]
#[must_use = "a campaign does nothing until it is awaited"]
pub struct Campaign {
    election: Election,
    lock: Lock,
    value: Vec<u8>,
}

/// The lead, for as long as its lease lasts. Dropping it resigns in the background.
pub struct Leadership {
    lease: Lease,
    shelf: Shelf,
}

/// Who leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leader {
    /// The fence of its lease: larger than that of every leader before.
    pub fence: u64,
    /// What it said last.
    pub value: Vec<u8>,
    /// Who it is, and since when it has campaigned.
    pub profile: Arc<Profile>,
}

/// Tells who leads, whenever that changes. A clone goes on from the same place.
#[derive(Clone)]
pub struct Observer {
    client: Client,
    name: Result<Name, String>,
    /// The largest fence seen so far.
    newest: u64,
    shown: Option<Option<Leader>>,
    /// The cell that was looked at last, and until when what was seen then is to be believed.
    seen: Option<(u64, BootTime)>,
}

/// What is in the cell, before the value.
#[derive(Serialize, Deserialize)]
struct Led {
    fence: u64,
    /// That leader resigned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    over: bool,
}

impl Election {
    /// The longest value of a leader, in bytes.
    pub const MAX_VALUE: usize = 60 << 10;

    pub(crate) fn new(client: Client, lock: Lock, name: Result<Name>) -> Self {
        let name = name.map_err(|error| error.message().to_owned());
        Self { client, lock, name }
    }

    /// To lead: waits until nobody else does.
    pub fn campaign(&self) -> Campaign {
        Campaign { election: self.clone(), lock: self.lock.clone(), value: Vec::new() }
    }

    /// Who leads now, if anyone does.
    ///
    /// # Errors
    /// As the [`Observer`]'s.
    pub async fn leader(&self) -> Result<Option<Leader>> {
        self.observe().next().await
    }

    /// Watches who leads.
    #[must_use]
    pub fn observe(&self) -> Observer {
        let (client, name) = (self.client.clone(), self.name.clone());
        Observer { client, name, newest: 0, shown: None, seen: None }
    }
}

impl Campaign {
    /// What all are told while this candidate leads, at most 60 KiB. Default empty.
    pub fn value(mut self, value: impl Into<Vec<u8>>) -> Self {
        self.value = value.into();
        self
    }

    /// How long the lease lasts without a renewal. Default 30 s.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.lock = self.lock.ttl(ttl);
        self
    }

    /// How long to wait for the lead. Default: for ever.
    pub fn wait(mut self, limit: Duration) -> Self {
        self.lock = self.lock.wait(limit);
        self
    }

    /// Free text for people who look at the lock, at most 256 bytes.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.lock = self.lock.note(note);
        self
    }

    /// All options of the lease at once.
    pub fn options(mut self, options: LockOptions) -> Self {
        self.lock = self.lock.options(options);
        self
    }

    /// Waits for the lead, takes it and proclaims the value. Dropping the future gives back whatever
    /// it obtained.
    ///
    /// # Errors
    /// As [`Lock::acquire`]; [`InvalidInput`](ErrorKind::InvalidInput) for a value that is too long
    /// and a name that another kind uses, [`Unsupported`](ErrorKind::Unsupported) for a store without
    /// cells, [`Lost`](ErrorKind::Lost) where the lease ended before the value was proclaimed.
    pub async fn acquire(self) -> Result<Leadership> {
        let name = self.election.name.clone();
        match self.take(false).await? {
            Some(leadership) => Ok(leadership),
            None => Err(Error::new(
                ErrorKind::Timeout,
                format!("{} is led by another", name.map_err(Error::invalid)?),
            )),
        }
    }

    /// Takes the lead if nobody has it; none where another does.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire), but for the wait.
    pub async fn try_acquire(self) -> Result<Option<Leadership>> {
        self.take(true).await
    }

    async fn take(self, at_once: bool) -> Result<Option<Leadership>> {
        let name = self.election.name.map_err(Error::invalid)?;
        check(&name, &self.value)?;
        self.lock.known_to_the_store(&name)?;
        let shelf = self.election.client.shelf()?;
        // Another kind's name is to be refused before the wait.
        record::read::<Led>(WORD, &name, shelf.get(&name).await?.as_ref())?;
        let lease = if at_once {
            match self.lock.try_acquire().await? {
                Some(lease) => lease,
                None => return Ok(None),
            }
        } else {
            self.lock.acquire().await?
        };
        let leadership = Leadership { lease, shelf };
        leadership.proclaim(self.value).await?;
        Ok(Some(leadership))
    }
}

impl IntoFuture for Campaign {
    type Output = Result<Leadership>;
    type IntoFuture = BoxFuture<'static, Result<Leadership>>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.acquire())
    }
}

impl Leadership {
    /// The lease that the lead is. Who acts as the leader should carry its fence.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The lease's fence.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.lease.fence()
    }

    /// Whether it still leads, as far as can be known here and now. Once false, false for ever.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.lease.is_held()
    }

    /// Has all be told `value` from now on.
    ///
    /// # Errors
    /// [`Lost`](ErrorKind::Lost) where it leads no more, [`InvalidInput`](ErrorKind::InvalidInput) for
    /// more than 60 KiB, and as the store fails; it leads on then, and which of its values is told is
    /// not known.
    pub async fn proclaim(&self, value: impl Into<Vec<u8>>) -> Result<()> {
        let (name, fence, value) = (self.lease.name(), self.lease.fence(), value.into());
        check(name, &value)?;
        self.lease.check(Duration::ZERO)?;
        let said = self.shelf.update(name, |found| {
            match record::read::<Led>(WORD, name, found)? {
                Some((led, _)) if led.fence > fence || (led.fence == fence && led.over) => {
                    Err(Error::lost(name, LostReason::Superseded))
                }
                // Perhaps our own write, whose answer was lost.
                Some((led, old)) if led.fence == fence && old == value => Ok(Next::Done(())),
                _ => {
                    let led = Led { fence, over: false };
                    Ok(Next::Write(record::write(WORD, &led, &value)?, None, ()))
                }
            }
        });
        match self.lease.while_held(said).await {
            Ok(done) => done,
            Err(reason) => Err(Error::lost(name, reason)),
        }
    }

    /// Ends the lead. Idempotent. Those who observe are told; that may go on in the background, as the
    /// release may.
    pub async fn resign(&self) -> Release {
        let released = self.lease.release().await;
        if matches!(released, Release::Released | Release::Background) {
            let sys = self.shelf.runtime.sys.clone();
            let told = tell_the_end(&self.shelf, self.lease.name(), self.lease.fence());
            within(&sys, sys.now() + PATIENCE, told).await;
        }
        released
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        // Whoever resigned, lost it or is a forked child has nothing to tell.
        if self.lease.is_held() {
            let (name, fence) = (self.lease.name().clone(), self.lease.fence());
            let shelf = self.shelf.clone();
            let sys = shelf.runtime.sys.clone();
            sys.spawn(Box::pin(async move { tell_the_end(&shelf, &name, fence).await }));
        }
    }
}

/// Takes the leader's value away. That it led is remembered for a while, lest a write of its own that
/// is still on its way be the last word.
async fn tell_the_end(shelf: &Shelf, name: &Name, fence: u64) {
    let told = shelf.update(name, |found| match record::read::<Led>(WORD, name, found)? {
        Some((led, _)) if led.fence == fence && !led.over => {
            let led = Led { fence, over: true };
            Ok(Next::Write(record::write(WORD, &led, b"")?, Some(RESIGNED), ()))
        }
        _ => Ok(Next::Done(())),
    });
    if let Err(error) = told.await {
        tracing::debug!(%name, %error, "those who observe will look at the lease's end");
    }
}

impl Observer {
    /// At the first call who leads now, at each later one as soon as that or what the leader says has
    /// changed: the leader, or none while nobody leads. Of several changes in a row only the last may
    /// be seen; the fences of those shown only grow.
    ///
    /// A leader that resigned or was followed by another is told of at once; one that died or was
    /// evicted, when its lease was to end, or when the next leads. Dropping the future loses nothing:
    /// the next call goes on where it was.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a name that is none or another kind's,
    /// [`Unsupported`](ErrorKind::Unsupported) for a store without cells, and as the store fails for
    /// longer than 15 s; it may be called again then.
    pub async fn next(&mut self) -> Result<Option<Leader>> {
        let name = self.name.clone().map_err(Error::invalid)?;
        let shelf = self.client.shelf()?;
        loop {
            if let Some((version, until)) = self.seen {
                shelf.changed(&name, version, until).await?;
            }
            let found = self.look(&shelf, &name).await?;
            if self.shown.as_ref() != Some(&found) {
                self.shown = Some(found.clone());
                return Ok(found);
            }
        }
    }

    async fn look(&mut self, shelf: &Shelf, name: &Name) -> Result<Option<Leader>> {
        // The cell first: a holder that is seen later may be newer than it, and is then not shown.
        let cell = shelf.get(name).await?;
        let led = record::read::<Led>(WORD, name, cell.as_ref())?;
        let sent = shelf.runtime.sys.now();
        let view = shelf.view(name).await?;
        let holder = view.holder.filter(|holder| holder.kind == Kind::Exclusive);
        let fences = [led.as_ref().map(|(led, _)| led.fence), holder.as_ref().map(|it| it.fence)];
        self.newest = fences.into_iter().flatten().fold(self.newest, u64::max);
        let until = holder.as_ref().map_or(BootTime::NEVER, |holder| {
            // Just after its end, not at it; never sooner than the request took.
            shelf.runtime.sys.now().max(sent) + holder.stored + Duration::from_millis(1)
        });
        self.seen = Some((cell.map_or(0, |cell| cell.version), until));
        Ok(match (led, holder) {
            (Some((Led { fence, over: false }, value)), Some(holder))
                if fence == holder.fence && fence == self.newest =>
            {
                Some(Leader { fence, value, profile: holder.profile })
            }
            _ => None,
        })
    }
}

fn check(name: &Name, value: &[u8]) -> Result<()> {
    let (long, most) = (value.len(), Election::MAX_VALUE);
    debug_assert!(most < Cell::MAX_VALUE);
    if long <= most {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the value for {name} has {long} bytes: at most {most} are allowed"
    )))
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Leadership").field(&self.lease).finish()
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").field("name", &self.name).finish_non_exhaustive()
    }
}
