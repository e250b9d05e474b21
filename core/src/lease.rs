//! What a caller gets: one tenure of one lock, and the truth about it.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::options::check_ttl;
use crate::runtime::{Burial, Runtime, UnderWay, all, unless, within};
use crate::store::{Cancel, Hold, Kind, Store};
use crate::sys::fork::Inherited;
use crate::sys::{BootTime, MaybeSend};
use crate::wait::{Cohorts, InUse, Role, Shelf};
use crate::watchdog::Held;
use crate::{Error, Name, Owner, Result};

/// A release that takes longer goes on in the background.
const RELEASE_PATIENCE: Duration = Duration::from_secs(1);

/// Why a lease ended before its release.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum LostReason {
    /// It was not renewed in time: the process was paused or starved, or it was a fixed term.
    Expired,
    /// It was ended from outside.
    Revoked,
    /// Another holds the lock with a newer fence.
    Superseded,
    /// The store did not answer until the deadline.
    StoreUnreachable,
    /// The store's session that carried it ended.
    SessionExpired,
    /// It reached the longest tenure that its options allow.
    MaxHold,
    /// It belongs to the parent of this forked process.
    Forked,
    /// The client was shut down.
    Shutdown,
}

impl LostReason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::Expired,
        Self::Revoked,
        Self::Superseded,
        Self::StoreUnreachable,
        Self::SessionExpired,
        Self::MaxHold,
        Self::Forked,
        Self::Shutdown,
    ];

    /// The word for it, the same in every language.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Superseded => "superseded",
            Self::StoreUnreachable => "store_unreachable",
            Self::SessionExpired => "session_expired",
            Self::MaxHold => "max_hold",
            Self::Forked => "forked",
            Self::Shutdown => "shutdown",
        }
    }

    pub(crate) const fn number(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

impl fmt::Display for LostReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// What a release found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Release {
    /// The lock was given back.
    Released,
    /// The store has not answered yet; the release goes on in the background until the lease's end.
    Background,
    /// There was nothing to give back any more.
    Lost(LostReason),
    /// It was given back before.
    Repeated,
}

impl Release {
    /// What the releases of several locks come to: the worst of them, if that is what a caller would
    /// have to know. A loss first, then what is not answered yet; `Repeated` where all were.
    #[must_use]
    pub fn of_all(found: &[Self]) -> Self {
        let lost = found.iter().find(|it| matches!(it, Self::Lost(_)));
        let background = || found.iter().find(|it| **it == Self::Background);
        let released = || found.iter().find(|it| **it == Self::Released);
        let rest = if found.is_empty() { Self::Released } else { Self::Repeated };
        *lost.or_else(background).or_else(released).unwrap_or(&rest)
    }
}

/// One tenure of a lock. Dropping it gives the lock back in the background.
///
/// The lease is a belief with a deadline: [`is_held`](Self::is_held) compares it with the boot
/// clock on each call, so it is right at once even after the whole process was paused. What is done
/// under the lock should carry the [`fence`](Self::fence) to where it takes effect.
pub struct Lease {
    inner: Inherited<Inner>,
    // Outside: a forked child may read these.
    name: Name,
    fence: AtomicU64,
    owner: Option<Owner>,
}

struct Inner {
    held: Arc<Held>,
    shelf: Shelf,
    /// This lease was given back; others of the same tenure may go on.
    released: Arc<AtomicBool>,
    /// The last request to give it back that was delivered.
    heard: Arc<AtomicU64>,
    in_use: OnceLock<Arc<InUse>>,
    /// Who may have the tenure after it.
    cohorts: Option<Arc<Cohorts>>,
}

impl Lease {
    pub(crate) fn new(held: Arc<Held>, shelf: Shelf, owner: Option<Owner>) -> Self {
        let fence = held.fence();
        Self::of(held, shelf, None, fence, owner)
    }

    /// One of several that hold a tenure in turn, with a fence of its own.
    pub(crate) fn in_turn(
        held: Arc<Held>,
        shelf: Shelf,
        cohorts: Arc<Cohorts>,
        fence: u64,
    ) -> Self {
        Self::of(held, shelf, Some(cohorts), fence, None)
    }

    fn of(
        held: Arc<Held>,
        shelf: Shelf,
        cohorts: Option<Arc<Cohorts>>,
        fence: u64,
        owner: Option<Owner>,
    ) -> Self {
        let (name, fence) = (held.hold().name.clone(), AtomicU64::new(fence));
        let inner = Inherited::new(Inner {
            held,
            shelf,
            released: Arc::default(),
            heard: Arc::default(),
            in_use: OnceLock::new(),
            cohorts,
        });
        Self { inner, name, fence, owner }
    }

    /// Has it counted as held until it is over, and in use until it is dropped.
    pub(crate) fn counted(self, in_use: Option<InUse>) -> Self {
        if let Some(in_use) = in_use {
            in_use.becomes(Role::Holds);
            let in_use = Arc::new(in_use);
            let lost = Arc::clone(&in_use);
            self.inner.held.on_lost(move |_| lost.becomes(Role::Idle));
            let _ = self.inner.in_use.set(in_use);
        }
        self
    }

    /// What is needed to hear of requests to give it back, without keeping it.
    pub(crate) fn ear(&self) -> Option<Ear> {
        let Inner { held, shelf, released, heard, .. } = &*self.inner;
        (!self.inner.forked()).then(|| Ear {
            held: Arc::clone(held),
            shelf: shelf.clone(),
            released: Arc::clone(released),
            heard: Arc::clone(heard),
        })
    }

    /// The lock's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The fencing token: larger than that of every tenure of this lock before, at most 2^53 − 1.
    /// It stays this tenure's own for ever; there is no way to fetch another's.
    ///
    /// Of a lease that only reads this is its [`epoch`](Self::epoch), of permits a number that no
    /// other tenure has: neither is to be written with. 0 where the store has no fences (Redis with
    /// `lua=no`): nothing can be guarded with it.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.fence.load(Ordering::Acquire)
    }

    /// What a lease that only reads knows of the writers: it came after each of them whose fence is
    /// not larger than this, and before all others. The same for all who read together.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        (self.kind() == Kind::Shared).then(|| self.fence())
    }

    /// How the lock is held.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.inner.held.kind()
    }

    /// The identity it was taken with.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        self.owner
    }

    /// Whether the lock is this tenure's, as far as can be known here and now. Once false, false
    /// for ever.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !self.inner.forked() && !self.is_released() && self.inner.held.is_held()
    }

    /// How long [`is_held`](Self::is_held) stays true without a renewal; zero when it is over.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        if !self.is_held() {
            return Duration::ZERO;
        }
        self.inner.held.deadline().since(self.runtime().sys.now())
    }

    /// Why the lease ended, if it ended before its release.
    #[must_use]
    pub fn lost_reason(&self) -> Option<LostReason> {
        if self.inner.forked() {
            return Some(LostReason::Forked);
        }
        // Given back before the tenure was over: what became of that is not this lease's.
        if self.is_released() { None } else { self.inner.held.lost_reason() }
    }

    /// Succeeds while at least `min_remaining` is left: what takes a second should not start with
    /// half of one.
    ///
    /// # Errors
    /// [`Lost`](crate::ErrorKind::Lost) where the lease is over or has less left, and
    /// [`Forked`](crate::ErrorKind::Forked) in a forked child.
    pub fn check(&self, min_remaining: Duration) -> Result<()> {
        if let Some(reason) = self.lost_reason() {
            return Err(Error::lost(&self.name, reason));
        }
        let left = self.remaining();
        if left > Duration::ZERO && left >= min_remaining {
            return Ok(());
        }
        Err(Error::new(
            crate::ErrorKind::Lost,
            format!("the lease of lock {} has {left:?} left, not {min_remaining:?}", self.name),
        ))
    }

    /// Completes with the reason when the lease is lost, no later than its deadline. Never
    /// completes for a lease that is released.
    pub async fn lost(&self) -> LostReason {
        if self.inner.forked() {
            return LostReason::Forked;
        }
        let reason = self.inner.held.lost().await;
        if self.is_released() {
            std::future::pending::<()>().await;
        }
        reason
    }

    /// Calls `listener` once when the lease is lost, on the lease thread: it must not block. Not
    /// called for a lease that is released.
    pub fn on_lost(&self, listener: impl FnOnce(LostReason) + MaybeSend + 'static) {
        if self.inner.forked() {
            listener(LostReason::Forked);
        } else {
            let released = Arc::clone(&self.inner.released);
            self.inner.held.on_lost(move |reason| {
                if !released.load(Ordering::Acquire) {
                    listener(reason);
                }
            });
        }
    }

    /// Changes the lease's length to `ttl` and renews it now. Also for a fixed term.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a ttl out of bounds;
    /// [`Lost`](crate::ErrorKind::Lost) where the lease is over; as the store fails, and the lease
    /// then keeps the time it had.
    pub async fn extend(&self, ttl: Duration) -> Result<()> {
        check_ttl(ttl)?;
        self.check(Duration::ZERO)?;
        let (held, runtime) = (self.held(), self.runtime());
        let before = held.ttl();
        held.set_ttl(ttl);
        let renewed = runtime.watchdog.renew_now(held).await;
        if renewed.is_err() {
            held.set_ttl(before);
        }
        renewed
    }

    /// A sign of life: the `max_hold` of the options counts anew from now.
    pub fn touch(&self) {
        if !self.inner.forked() && !self.is_released() {
            self.inner.held.touch();
            self.runtime().watchdog.rearm(&self.inner.held);
        }
    }

    /// Gives the lock back and says what became of it: with the last lease of its tenure, where the
    /// owner has several. Idempotent; touches no other's tenure. Waits
    /// for the store at most one second and not beyond the lease's end, then goes on in the
    /// background; so it does when this future is dropped.
    pub async fn release(&self) -> Release {
        if self.inner.forked() {
            return Release::Lost(LostReason::Forked);
        }
        let mut ending = match self.begin_release() {
            Ok(ending) => ending,
            Err(found) => return found,
        };
        let (held, runtime) = (self.held(), self.runtime());
        let holds = [held.hold().clone()];
        let limit = held.deadline();
        let mut done = pin!(give_back(runtime, held.store(), &holds, held.cancel(), limit));
        let found = poll_fn(|context| {
            let found = done.as_mut().poll(context);
            // The request is on its way: the next one's comes after it.
            ending.tell_next();
            found
        });
        let found = found.await;
        ending.armed = found != Release::Released;
        found
    }

    /// Ends the belief. What is already clear is the error.
    fn begin_release(&self) -> std::result::Result<Ending<'_>, Release> {
        if self.inner.forked() {
            return Err(Release::Lost(LostReason::Forked));
        }
        let Inner { held, shelf, released, cohorts, .. } = &*self.inner;
        let runtime = &*shelf.runtime;
        if let Some(reason) = self.lost_reason() {
            return Err(Release::Lost(reason));
        }
        if released.swap(true, Ordering::AcqRel) {
            return Err(Release::Repeated);
        }
        self.inner.idle();
        if !held.leave() {
            return Err(Release::Released);
        }
        if cohorts.as_ref().is_some_and(|cohorts| cohorts.pass(held, shelf)) {
            return Err(Release::Released);
        }
        // Before it leaves the watchdog's care: an exit gives back what is there, and waits for the rest.
        let under_way = runtime.reaper.wait_for_mine();
        if !held.end() {
            return Err(held.lost_reason().map_or(Release::Repeated, Release::Lost));
        }
        runtime.watchdog.forget(held);
        let cohorts = cohorts.as_ref();
        Ok(Ending { held, runtime, cohorts, armed: true, _under_way: under_way })
    }

    fn is_released(&self) -> bool {
        self.inner.released.load(Ordering::Acquire)
    }

    pub(crate) fn held(&self) -> &Arc<Held> {
        &self.inner.held
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.inner.shelf.runtime
    }

    pub(crate) fn set_fence(&self, fence: u64) {
        self.fence.store(fence, Ordering::Release);
        self.inner.held.set_fence(fence);
    }

    /// The store knows nothing of this tenure any more, whatever its holder believes.
    pub(crate) fn lose(&self) -> Error {
        let (held, runtime) = (self.held(), self.runtime());
        if runtime.watchdog.lose(held, LostReason::Expired) {
            send_to_reaper(held, runtime);
        }
        Error::lost(&self.name, held.lost_reason().unwrap_or(LostReason::Expired))
    }

    /// Runs `body`; answers its result, or the reason when the lease is lost first, in which case
    /// `body` is dropped.
    pub(crate) fn while_held<T>(
        &self,
        body: impl Future<Output = T>,
    ) -> impl Future<Output = std::result::Result<T, LostReason>> {
        unless(self.lost(), body)
    }
}

/// A tenure whose release is not answered yet: if nobody waits for that any more, the reaper does.
struct Ending<'a> {
    held: &'a Arc<Held>,
    runtime: &'a Runtime,
    /// Where others wait for the tenure's end.
    cohorts: Option<&'a Arc<Cohorts>>,
    armed: bool,
    // Dropped last: an exit must not come between.
    _under_way: UnderWay,
}

impl Ending<'_> {
    fn tell_next(&mut self) {
        if let Some(cohorts) = self.cohorts.take() {
            cohorts.next(&self.held.hold().name);
        }
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if self.armed {
            send_to_reaper(self.held, self.runtime);
        }
        self.tell_next();
    }
}

/// Releases `holds` at `store`, and waits for the answer, at most until `limit`.
async fn give_back(
    runtime: &Runtime,
    store: &Arc<dyn Store>,
    holds: &[Hold],
    cancel: Cancel,
    limit: BootTime,
) -> Release {
    let limit = limit.min(runtime.sys.now() + RELEASE_PATIENCE);
    match within(&runtime.sys, limit, store.release(holds, cancel)).await {
        Some(Ok(_)) => Release::Released,
        Some(Err(error)) => {
            let name = &holds[0].name;
            tracing::warn!(%name, locks = holds.len(), %error, "release failed; trying again");
            Release::Background
        }
        None => Release::Background,
    }
}

/// Gives back `leases` of one client, in one request, and says what became of each.
pub(crate) async fn release_together(leases: &[Lease]) -> Vec<Release> {
    let Some(first) = leases.iter().find(|lease| !lease.inner.forked()) else {
        return vec![Release::Lost(LostReason::Forked); leases.len()];
    };
    let limit = leases.iter().map(|lease| lease.inner.held.deadline()).max().unwrap_or_default();
    let mut endings = Vec::with_capacity(leases.len());
    let mut found = Vec::with_capacity(leases.len());
    for lease in leases {
        found.push(match lease.begin_release() {
            Ok(ending) => {
                endings.push(ending);
                None
            }
            Err(found) => Some(found),
        });
    }
    let mut groups = Vec::new();
    while let Some(last) = endings.last() {
        let cancel = last.held.cancel();
        let alike = |ending: &mut Ending<'_>| ending.held.cancel() == cancel;
        let group: Vec<Ending<'_>> = endings.extract_if(.., alike).collect();
        groups.push((group, cancel));
    }
    let runtime = first.runtime();
    // At the same time: a store that is silent is waited for once.
    let given = all(groups.into_iter().map(|(mut group, cancel)| async move {
        let holds: Vec<Hold> = group.iter().map(|ending| ending.held.hold().clone()).collect();
        let store = group[0].held.store();
        let found = give_back(runtime, store, &holds, cancel, limit).await;
        if found == Release::Released {
            group.iter_mut().for_each(|ending| ending.armed = false);
        }
        Ok(vec![found])
    }));
    let given = given.await.unwrap_or_default();
    let rest = given.into_iter().find(|found| *found != Release::Released);
    let rest = rest.unwrap_or(Release::Released);
    found.into_iter().map(|found| found.unwrap_or(rest)).collect()
}

/// A part of a lease that outlives it: what hears of requests to give it back.
pub(crate) struct Ear {
    pub(crate) held: Arc<Held>,
    pub(crate) shelf: Shelf,
    pub(crate) released: Arc<AtomicBool>,
    pub(crate) heard: Arc<AtomicU64>,
}

impl Inner {
    /// It is not held any more.
    fn idle(&self) {
        if let Some(in_use) = self.in_use.get() {
            in_use.becomes(Role::Idle);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let last = !self.released.swap(true, Ordering::AcqRel) && self.held.leave();
        if !last || self.cohorts.as_ref().is_some_and(|it| it.pass(&self.held, &self.shelf)) {
            return;
        }
        let runtime = &self.shelf.runtime;
        // An exit that finds the belief ended must wait for what follows.
        let _under_way = runtime.reaper.wait_for_mine();
        if self.held.end() {
            runtime.watchdog.forget(&self.held);
            send_to_reaper(&self.held, runtime);
            if let Some(cohorts) = &self.cohorts {
                cohorts.next(&self.held.hold().name);
            }
        }
    }
}

fn send_to_reaper(held: &Arc<Held>, runtime: &Runtime) {
    runtime.reaper.bury(Burial {
        store: Arc::clone(held.store()),
        hold: held.hold().clone(),
        cancel: held.cancel(),
        // A renewal may have been sent just now, and not be answered yet.
        until: runtime.sys.now() + held.kept_for(),
        desk: None,
    });
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("name", &self.name)
            .field("fence", &self.fence())
            .field("held", &self.is_held())
            .finish_non_exhaustive()
    }
}
