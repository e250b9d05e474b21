//! Asking for a lock back: the holder is asked first, and decides.
//!
//! The request is a cell whose name has the fence in it, so one that comes late is found by nobody: the
//! next tenure listens for a cell of its own. (Readers with one epoch are one in this, and so are those of
//! a process who hold one tenure in turn.) It lives as long as the patience of who asks, and is taken away
//! before that when it is no longer needed. Only who listens looks for it: once, and then at the pace of
//! the renewals; in between the store pushes the news.
//!
//! Two traps. Two that ask at once must not take each other's request away: each knows its own, and
//! one that met another's leaves the cell to its end. And a name of 1,024 bytes must fit with more
//! beside it: the cell has the name's digest, and the name itself is compared.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

use super::record;
use crate::lease::Ear;
use crate::observe::{AuditAction, AuditOutcome, Matter};
use crate::options::{HEARTBEAT, MAX_WAIT, MIN_TTL};
use crate::runtime::unless;
use crate::store::{Cell, LockView};
use crate::sys::{BootTime, MaybeSend};
use crate::wait::{Next, Shelf};
use crate::{Client, Error, ErrorKind, Lease, Name, Profile, Result};

pub(super) const WORD: &str = "ask-back";
/// A holder whose push was lost looks at least this often, however long its lease.
const SLOWEST: Duration = Duration::from_secs(60);
/// A request stands so much longer than its grace: whoever made it then finds it, and takes it away.
const LINGER: Duration = Duration::from_secs(1);
/// Who asks looks this soon whether the lock was given back, then half as often each time.
const FIRST_LOOK: Duration = Duration::from_millis(10);

/// How a lock is asked for back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AskBack {
    /// The reason, which the holder is told: at most 256 bytes.
    pub why: String,
    /// How long the holder has to give it back; 10 ms to 365 days.
    pub grace: Duration,
    /// Ask only who holds it with this fence. Without it all holders are asked.
    pub fence: Option<u64>,
}

/// A request to give the lock back, as its holder gets it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AskedBack {
    /// Who asks.
    pub by: Profile,
    /// The reason.
    pub why: String,
    /// What is left of the time that the holder has. Whoever asks may end the lease then.
    pub grace: Duration,
}

/// What a request to give a lock back came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Returned {
    /// No one held the lock, or not with that fence.
    NotHeld,
    /// The tenure was over in time: given back, or ended otherwise.
    GivenBack {
        /// Its fence; of several, that of the first.
        fence: u64,
        /// Who held it.
        profile: Arc<Profile>,
    },
    /// The grace is over, and the lock is still held.
    StillHeld {
        /// The fence of the tenure; of several, that of the first that is left.
        fence: u64,
        /// Who holds it.
        profile: Arc<Profile>,
        /// The fences of those that were asked besides and hold it too.
        others: Vec<u64>,
    },
}

/// What is in the cell.
#[derive(Serialize, Deserialize)]
struct Asked {
    /// The request, which its maker knows again.
    id: String,
    lock: String,
    by: Profile,
    why: String,
}

impl Client {
    /// Asks whoever holds a lock to give it back, and waits at most `ask.grace` until it is given back.
    /// The holder hears of it where it listens ([`Lease::asked_back`]), and may hold on; then
    /// [`evict`](Self::evict) is what is left. Of many holders the first 100 are asked, and readers who
    /// come while others of the same epoch are asked are asked too.
    ///
    /// Whoever wants the lock should wait for it meanwhile: the release hands it over. Where this future
    /// is dropped, the request stands until its grace is over.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a name or a value out of bounds;
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for a store without cells; as the store fails
    /// for longer than 15 s, and as the client's [`AuditSink`](crate::AuditSink) does.
    pub async fn ask_back(&self, name: &str, ask: &AskBack) -> Result<Returned> {
        let name = Name::new(name)?;
        ask.check()?;
        let matter =
            Matter { action: AuditAction::AskBack, name: &name, fence: ask.fence, why: &ask.why };
        let audit = self.audit(matter)?;
        audit.begin()?;
        let found = self.ask_and_wait(&name, ask).await;
        audit.end(found, |found| match found {
            Returned::NotHeld => (AuditOutcome::NotHeld, None, None),
            Returned::GivenBack { fence, profile } => {
                (AuditOutcome::GivenBack, Some(*fence), Some(Profile::clone(profile)))
            }
            Returned::StillHeld { fence, profile, .. } => {
                (AuditOutcome::StillHeld, Some(*fence), Some(Profile::clone(profile)))
            }
        })
    }

    async fn ask_and_wait(&self, name: &Name, ask: &AskBack) -> Result<Returned> {
        let shelf = self.shelf()?;
        let sys = shelf.runtime.sys.clone();
        let asked = holders(&shelf.view(name).await?, ask.fence);
        let Some((fence, profile)) = asked.first().cloned() else { return Ok(Returned::NotHeld) };
        let until = sys.now() + ask.grace;
        let by = self.profile()?;
        let id = sys.token().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let request = Asked { id, lock: name.as_str().to_owned(), by, why: ask.why.clone() };
        let mut ours = Vec::new();
        for (fence, _) in &asked {
            let cell = cell_of(name, *fence)?;
            if put(&shelf, &cell, &request, ask.grace).await? {
                ours.push(cell);
            }
        }
        let found = until_over(&shelf, name, &asked, until).await;
        for cell in &ours {
            if let Err(error) = take_away(&shelf, cell, &request).await {
                // It ends by itself.
                tracing::debug!(%name, %error, "a request to give the lock back is left to its end");
            }
        }
        let mut left = found?.into_iter();
        Ok(match left.next() {
            Some((fence, profile)) => {
                let others = left.map(|(fence, _)| fence).collect();
                Returned::StillHeld { fence, profile, others }
            }
            None => Returned::GivenBack { fence, profile },
        })
    }
}

impl Lease {
    /// Completes with the next request to give the lock back; with none when the lease is over. Whether
    /// to follow it is the holder's choice: nothing happens by itself.
    ///
    /// It hears of requests from before it was called too, as long as they stand. While this future
    /// exists it looks at a third of the ttl, as the renewals do, but once a second at the most and
    /// once a minute at the least; in between the store tells of a request at once.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for a store without cells; as the store fails, if
    /// trying again can't help.
    pub async fn asked_back(&self) -> Result<Option<AskedBack>> {
        match self.ear() {
            Some(ear) => ear.next().await,
            None => Ok(None),
        }
    }

    /// Calls `listener` with each request to give the lock back, in leasehold's I/O pool: it must not
    /// block. It costs what [`asked_back`](Self::asked_back) costs, as long as the lease is held.
    pub fn on_asked_back(&self, mut listener: impl FnMut(AskedBack) + MaybeSend + 'static) {
        let Some(ear) = self.ear() else { return };
        let sys = self.runtime().sys.clone();
        sys.spawn(Box::pin(async move {
            loop {
                match ear.next().await {
                    Ok(Some(request)) => listener(request),
                    Ok(None) => return,
                    Err(error) => {
                        let name = &ear.held.hold().name;
                        tracing::warn!(%name, %error, "requests to give the lock back go unheard");
                        return;
                    }
                }
            }
        }));
    }
}

impl Ear {
    async fn next(&self) -> Result<Option<AskedBack>> {
        let over = self.held.over(&self.released);
        match unless(over, self.request()).await {
            Ok(Ok(request)) => Ok(Some(request)),
            // The end of the client is the lease's, which is told of it a moment later.
            Ok(Err(error)) if error.kind() != ErrorKind::ShutDown => Err(error),
            Ok(Err(_)) | Err(()) => Ok(None),
        }
    }

    async fn request(&self) -> Result<AskedBack> {
        let (sys, name) = (&self.shelf.runtime.sys, &self.held.hold().name);
        let mut heard = self.heard.load(Ordering::Acquire);
        loop {
            let pace = (self.held.ttl() / 3).clamp(HEARTBEAT, SLOWEST);
            // A reader that writes now has another fence.
            let cell = cell_of(name, self.held.fence())?;
            // One look, and then nothing but the push until this is over.
            let until = sys.now() + sys.jitter(pace);
            let found = match self.shelf.changed_by_looks(&cell, heard, until, 2 * pace).await {
                Ok(Some(found)) => found,
                Ok(None) => continue,
                // Whether the lease is over is for the watchdog to say.
                Err(error) if error.kind().retryable() => {
                    sys.sleep_until(sys.now() + sys.jitter(HEARTBEAT)).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let Some(found) = found else {
                heard = 0;
                continue;
            };
            heard = found.version;
            let asked = record::read::<Asked>(WORD, &cell, Some(&found))?;
            if let Some((asked, _)) = asked.filter(|(asked, _)| asked.lock == name.as_str()) {
                self.heard.fetch_max(heard, Ordering::AcqRel);
                let grace = found.left.unwrap_or_default().saturating_sub(LINGER);
                return Ok(AskedBack { by: asked.by, why: asked.why, grace });
            }
        }
    }
}

impl AskBack {
    fn check(&self) -> Result<()> {
        let (grace, long) = (self.grace, self.why.len());
        if !(MIN_TTL..=MAX_WAIT).contains(&grace) {
            return Err(Error::invalid(format!(
                "grace is {grace:?}: 10 ms to 365 days are allowed"
            )));
        }
        if long > Profile::MAX_NOTE {
            let most = Profile::MAX_NOTE;
            return Err(Error::invalid(format!(
                "the reason has {long} bytes: at most {most} are allowed"
            )));
        }
        Ok(())
    }
}

/// The tenures of `view` with `fence`, or all: those with one fence count as one.
fn holders(view: &LockView, fence: Option<u64>) -> Vec<(u64, Arc<Profile>)> {
    let all = view.holder.iter().chain(&view.others);
    let mut found: Vec<_> = all
        .filter(|holder| fence.is_none_or(|fence| holder.fence == fence))
        .map(|holder| (holder.fence, Arc::clone(&holder.profile)))
        .collect();
    found.sort_by_key(|(fence, _)| *fence);
    found.dedup_by_key(|(fence, _)| *fence);
    found
}

/// Those of `asked` that still hold the lock at `until`; none as soon as none does.
async fn until_over(
    shelf: &Shelf,
    name: &Name,
    asked: &[(u64, Arc<Profile>)],
    until: BootTime,
) -> Result<Vec<(u64, Arc<Profile>)>> {
    let sys = &shelf.runtime.sys;
    let mut pause = FIRST_LOOK;
    loop {
        sys.sleep_until((sys.now() + pause).min(until)).await;
        let last = sys.now() >= until;
        let mut left = holders(&shelf.view(name).await?, None);
        left.retain(|(fence, _)| asked.iter().any(|(other, _)| other == fence));
        if left.is_empty() || last {
            return Ok(left);
        }
        pause = (pause * 2).min(HEARTBEAT);
    }
}

/// Writes the request; whether it is the only one.
async fn put(shelf: &Shelf, cell: &Name, request: &Asked, grace: Duration) -> Result<bool> {
    let value = record::write(WORD, request, b"")?;
    let mut alone = true;
    shelf
        .update(cell, |found| {
            let asked = record::read::<Asked>(WORD, cell, found)?;
            if asked.as_ref().is_some_and(|(asked, _)| asked.id == request.id) {
                return Ok(Next::Done(()));
            }
            alone = asked.is_none();
            let theirs = found.and_then(|cell: &Cell| cell.left).unwrap_or_default();
            Ok(Next::Write(value.clone(), Some(theirs.max(grace + LINGER)), ()))
        })
        .await?;
    Ok(alone)
}

/// Takes the request away, unless another has come over it.
async fn take_away(shelf: &Shelf, cell: &Name, request: &Asked) -> Result<()> {
    shelf
        .update(cell, |found| {
            let asked = record::read::<Asked>(WORD, cell, found)?;
            Ok(match asked {
                Some((asked, _)) if asked.id == request.id => {
                    Next::Write(Vec::new(), Some(Duration::ZERO), ())
                }
                _ => Next::Done(()),
            })
        })
        .await
}

/// The cell for requests to the tenure of `name` with `fence`.
fn cell_of(name: &Name, fence: u64) -> Result<Name> {
    let digest = Sha1::digest(name.as_str());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Name::new(format!("leasehold:{WORD}:{fence}:{digest}"))
}
