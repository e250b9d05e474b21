//! The double barrier as Rust users see it: none goes in before all have come, none out before all
//! have left.
//!
//! Each member holds one permit of as many as there are parties, so one that dies is gone at its ttl
//! like any holder. The cell of the name says who came in which round, by the numbers of their permits,
//! which no other tenure ever has. The trap is the next round: a permit that was given back is taken
//! by one who must not pass for a member of the round before. So who comes while a round is full waits
//! until all of that are gone, and only then begins the next.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Semaphore, record, until};
use crate::options::Patience;
use crate::runtime::within;
use crate::store::SHOWN;
use crate::sys::BootTime;
use crate::wait::{Next, Shelf};
use crate::{Client, Error, ErrorKind, Lease, LockOptions, Name, Release, Result};

pub(super) const WORD: &str = "barrier";
/// How long a member that does not wait for the others waits until they are told.
const PATIENCE: Duration = Duration::from_secs(1);

/// A double barrier for so many parties, to be used again and again.
///
/// ```
/// # fn main() -> leasehold::Result<()> { leasehold::block_on(async {
/// let client = leasehold::Client::connect("memory://")?;
/// let step = client.barrier("step", 1);
/// let inside = step.enter(None).await?;
/// // All are in.
/// inside.leave(None).await?;
/// // All have left.
/// # Ok(()) }) }
/// ```
#[derive(Clone, Debug)]
pub struct Barrier {
    client: Client,
    name: Result<Name, String>,
    parties: u32,
    options: LockOptions,
}

/// A member between the two barriers. Dropping it leaves in the background.
pub struct Inside {
    lease: Lease,
    shelf: Shelf,
    /// The round that was full; none while it enters.
    round: Option<u64>,
    left: AtomicBool,
}

/// What is in the cell: a round that gathers, or is full.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Round {
    /// The number of the member that began it, which no other round has.
    round: u64,
    parties: u32,
    full: bool,
    /// Who came and has not left, dead or alive.
    members: Vec<u64>,
}

/// Who lives of a round.
struct Living {
    members: Vec<u64>,
    /// When the first of them is dead unless it renews.
    look_at: BootTime,
}

impl Barrier {
    /// The most parties: so many holders of one lock a store lists.
    pub const MOST: u32 = SHOWN as u32;

    pub(crate) fn new(client: Client, name: Result<Name>, parties: u32) -> Self {
        let name = name.map_err(|error| error.message().to_owned());
        let options = client.defaults().clone();
        Self { client, name, parties, options }
    }

    /// How long a member counts as there without a sign of life. Default 30 s.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.options.ttl = ttl;
        self
    }

    /// Free text for people who look at the members, at most 256 bytes.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.options.note = note.into();
        self
    }

    /// Comes, and waits until all have, at most `limit`; none: for ever. Dropping the future goes away
    /// again; where this fails it has gone away, unless the store can't be reached.
    ///
    /// # Errors
    /// [`Timeout`](ErrorKind::Timeout) where the wait ran out; [`InvalidInput`](ErrorKind::InvalidInput)
    /// for a wrong name or option, no parties or more than [`MOST`](Self::MOST), another number of
    /// parties than the others', and a name that another kind uses; [`Unsupported`](ErrorKind::Unsupported)
    /// for a store without permits or cells; [`Lost`](ErrorKind::Lost) where the lease ended meanwhile;
    /// as the store fails.
    pub async fn enter(&self, limit: Option<Duration>) -> Result<Inside> {
        let name = self.name.clone().map_err(Error::invalid)?;
        let (parties, most) = (self.parties, Self::MOST);
        if !(1..=most).contains(&parties) {
            return Err(Error::invalid(format!(
                "barrier {name} has {parties} parties: 1 to {most}"
            )));
        }
        let shelf = self.client.shelf()?;
        let until = until(&shelf.runtime.sys, limit)?;
        // Another kind's name is to be refused before the wait.
        record::read::<Round>(WORD, &name, shelf.get(&name).await?.as_ref())?;
        let wait = limit.map_or(Patience::Forever, Patience::AtMost);
        let permit = Semaphore::new(self.client.lock(name.as_str()), parties).permits(1);
        let lease = permit.options(LockOptions { wait, ..self.options.clone() }).acquire().await?;
        let mut inside = Inside { lease, shelf, round: None, left: AtomicBool::new(false) };
        match inside.lease.while_held(inside.come(parties, until)).await {
            Ok(Ok(round)) => {
                inside.round = Some(round);
                Ok(inside)
            }
            Ok(Err(error)) => {
                // Whoever comes once this is told must not be let in with it. Where the store fails, in the
                // background: it would only be waited for once more.
                if error.kind() != ErrorKind::StoreUnavailable {
                    inside.release().await;
                }
                Err(error)
            }
            Err(reason) => Err(Error::lost(&name, reason)),
        }
    }
}

impl Inside {
    /// The lease that it is there by.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Leaves, and waits until all have, at most `limit`; none: for ever. Whoever died counts as having
    /// left once its lease is over. Also where this fails this member has left, unless the `limit` is
    /// out of bounds; it may be called again, to wait once more.
    ///
    /// # Errors
    /// [`Timeout`](ErrorKind::Timeout) where the others are still in, [`Lost`](ErrorKind::Lost) where
    /// the lease ended before, so that the others went on without this member; as the store fails.
    pub async fn leave(&self, limit: Option<Duration>) -> Result<()> {
        let sys = &self.shelf.runtime.sys;
        let until = until(sys, limit)?;
        let name = self.lease.name();
        if let Release::Lost(reason) = self.go_out(BootTime::NEVER).await {
            return Err(Error::lost(name, reason));
        }
        loop {
            let cell = self.shelf.get(name).await?;
            let Some((round, _)) = record::read::<Round>(WORD, name, cell.as_ref())? else {
                return Ok(());
            };
            if Some(round.round) != self.round {
                return Ok(());
            }
            let living = self.living(name, &round).await?;
            if living.members.is_empty() {
                return Ok(());
            }
            let version = cell.map_or(0, |cell| cell.version);
            self.shelf.changed(name, version, until.min(living.look_at)).await?;
            if sys.now() >= until {
                let what = format!("others did not leave barrier {name} within the wait");
                return Err(Error::new(ErrorKind::Timeout, what));
            }
        }
    }

    /// Leaves, and does not wait for the others. Idempotent. Waits for the store as
    /// [`Lease::release`] does; where it is not told to the others meanwhile, they see it at the end
    /// of the permit.
    pub async fn release(&self) -> Release {
        let sys = &self.shelf.runtime.sys;
        self.go_out(sys.now() + PATIENCE).await
    }

    async fn go_out(&self, limit: BootTime) -> Release {
        if !self.left.load(Ordering::Acquire) && self.lease.is_held() {
            let (sys, name) = (&self.shelf.runtime.sys, self.lease.name());
            match within(sys, limit, go(&self.shelf, name, self.lease.fence())).await {
                Some(Ok(())) => self.left.store(true, Ordering::Release),
                Some(Err(error)) => see_it_go(name, &error),
                None => tracing::debug!(%name, "the others will see that the permit is gone"),
            }
        }
        self.lease.release().await
    }

    /// Waits until a round with this member is full; its number.
    async fn come(&self, parties: u32, until: BootTime) -> Result<u64> {
        let (sys, name, me) = (&self.shelf.runtime.sys, self.lease.name(), self.lease.fence());
        let mut failing = None;
        loop {
            // The cell first: who is in it was granted before, and is seen in the view if it lives.
            let cell = self.shelf.get(name).await?;
            let found = record::read::<Round>(WORD, name, cell.as_ref())?.map(|(round, _)| round);
            if let Some(round) = &found
                && round.full
                && round.members.contains(&me)
            {
                return Ok(round.round);
            }
            let living = match &found {
                Some(round) => self.living(name, round).await?,
                None => Living { members: Vec::new(), look_at: BootTime::NEVER },
            };
            if let Some(Round { parties: theirs, .. }) = &found
                && *theirs != parties
                && !living.members.is_empty()
            {
                return Err(Error::invalid(format!(
                    "barrier {name} is for {theirs} parties and was asked for with {parties}"
                )));
            }
            let version = cell.map_or(0, |cell| cell.version);
            let mut look_at = until;
            let next = match &found {
                Some(round) if round.full && !living.members.is_empty() => {
                    // Those of the round before are to leave, or to die.
                    look_at = until.min(living.look_at);
                    round.clone()
                }
                Some(round) if !round.full && !living.members.is_empty() => {
                    let mut members = living.members;
                    if !members.contains(&me) {
                        members.push(me);
                    }
                    let full = members.len() == parties as usize;
                    Round { full, members, ..round.clone() }
                }
                _ => Round { round: me, parties, full: parties == 1, members: vec![me] },
            };
            if found.as_ref() != Some(&next) {
                let value = record::write(WORD, &next, b"")?;
                self.shelf.try_set(&mut failing, name, version, &value).await?;
                // Whether it was written or not: what there is now shows it.
                continue;
            }
            self.shelf.changed(name, version, look_at).await?;
            if sys.now() >= until {
                let what = format!("barrier {name} was not full within the wait");
                return Err(Error::new(ErrorKind::Timeout, what));
            }
        }
    }

    /// Who of the round holds its permit still.
    async fn living(&self, name: &Name, round: &Round) -> Result<Living> {
        let view = self.shelf.view(name).await?;
        let now = self.shelf.runtime.sys.now();
        let (mut members, mut look_at) = (Vec::new(), BootTime::NEVER);
        for holder in view.holder.iter().chain(&view.others) {
            if round.members.contains(&holder.fence) {
                members.push(holder.fence);
                look_at = look_at.min(now + holder.stored + Duration::from_millis(1));
            }
        }
        Ok(Living { members, look_at })
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        // One that is lost, or a parent's, is seen to be gone by its permit.
        if !self.left.load(Ordering::Acquire) && self.lease.is_held() {
            let (name, me) = (self.lease.name().clone(), self.lease.fence());
            let shelf = self.shelf.clone();
            let sys = shelf.runtime.sys.clone();
            sys.spawn(Box::pin(async move {
                if let Err(error) = go(&shelf, &name, me).await {
                    see_it_go(&name, &error);
                }
            }));
        }
    }
}

fn see_it_go(name: &Name, error: &Error) {
    tracing::debug!(%name, %error, "the others will see that the permit is gone");
}

/// Takes member `me` out of the round. The last one takes the round with it.
async fn go(shelf: &Shelf, name: &Name, me: u64) -> Result<()> {
    shelf
        .update(name, |cell| {
            let Some((mut round, _)) = record::read::<Round>(WORD, name, cell)? else {
                return Ok(Next::Done(()));
            };
            let Some(place) = round.members.iter().position(|member| *member == me) else {
                return Ok(Next::Done(()));
            };
            round.members.remove(place);
            let keep = round.members.is_empty().then_some(Duration::ZERO);
            Ok(Next::Write(record::write(WORD, &round, b"")?, keep, ()))
        })
        .await
}

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inside")
            .field("lease", &self.lease)
            .field("round", &self.round)
            .finish_non_exhaustive()
    }
}
