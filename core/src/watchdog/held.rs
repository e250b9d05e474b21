//! One tenure as its holder sees it, shared by the lease and the watchdog.
//!
//! The belief is computed from the deadline on each look and never from a flag alone: after a pause
//! of the whole process the very first look must say that the lease is gone, though no thread of
//! ours has run yet. Once gone, always gone, even if a late renewal succeeds.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::LostReason;
use crate::options::TOMBSTONE;
use crate::store::{Cancel, Hold, Kind, Store};
use crate::sys::{BootTime, MaybeSend, Sys};

const HELD: u8 = 0;
const RELEASED: u8 = 1;
/// Plus the reason's number.
const LOST: u8 = 2;

/// Beside the number of leases: no more may enter.
const SEALED: u32 = 1 << 31;

#[cfg(not(feature = "wasm"))]
type Listener = Box<dyn FnOnce(LostReason) + Send>;
#[cfg(feature = "wasm")]
type Listener = Box<dyn FnOnce(LostReason)>;

/// What the holder was granted, and how it is to be kept.
pub(crate) struct Terms {
    pub(crate) fence: u64,
    pub(crate) ttl: Duration,
    pub(crate) deadline: BootTime,
    pub(crate) renew: bool,
    pub(crate) max_hold: Option<Duration>,
    /// An ask of its attempt was never answered, and could still take the lock again.
    pub(crate) strays: bool,
}

/// A tenure that this process holds or held.
pub(crate) struct Held {
    id: u64,
    sys: Sys,
    store: Arc<dyn Store>,
    hold: Hold,
    /// As the store knows it.
    fence: AtomicU64,
    renew: bool,
    /// In nanoseconds; 0 for none.
    max_hold: AtomicU64,
    strays: AtomicBool,
    /// Whether a lock that one or many may hold is held alone.
    alone: AtomicBool,
    /// Leases of this tenure: more than one by re-entry.
    leases: AtomicU32,
    ttl: AtomicU64,
    /// The longest that it was asked to be kept for: a store never shortens a tenure.
    longest: AtomicU64,
    deadline: AtomicU64,
    limit: AtomicU64,
    state: AtomicU8,
    unreachable: AtomicBool,
    lost: Notify,
    listeners: Mutex<Vec<Listener>>,
}

impl Held {
    pub(crate) fn new(id: u64, sys: Sys, store: Arc<dyn Store>, hold: Hold, terms: Terms) -> Self {
        let alone = hold.kind == Kind::Exclusive;
        let limit = terms.max_hold.map_or(BootTime::NEVER, |span| sys.now() + span);
        let max_hold = AtomicU64::new(terms.max_hold.map_or(0, nanos));
        Self {
            id,
            sys,
            store,
            hold,
            fence: AtomicU64::new(terms.fence),
            renew: terms.renew,
            max_hold,
            strays: AtomicBool::new(terms.strays),
            alone: AtomicBool::new(alone),
            leases: AtomicU32::new(1),
            ttl: AtomicU64::new(nanos(terms.ttl)),
            longest: AtomicU64::new(nanos(terms.ttl)),
            deadline: AtomicU64::new(terms.deadline.as_nanos()),
            limit: AtomicU64::new(limit.as_nanos()),
            state: AtomicU8::new(HELD),
            unreachable: AtomicBool::new(false),
            lost: Notify::new(),
            listeners: Mutex::default(),
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    pub(crate) fn hold(&self) -> &Hold {
        &self.hold
    }

    pub(crate) fn fence(&self) -> u64 {
        self.fence.load(Ordering::Acquire)
    }

    pub(crate) fn set_fence(&self, fence: u64) {
        self.fence.store(fence, Ordering::Release);
    }

    /// What its release must leave behind.
    pub(crate) fn cancel(&self) -> Cancel {
        if self.has_strays() { Cancel::Tombstone(TOMBSTONE) } else { Cancel::No }
    }

    /// Whether a request of this tenure was never answered, and could still change it.
    pub(crate) fn has_strays(&self) -> bool {
        self.strays.load(Ordering::Acquire)
    }

    pub(crate) fn set_strays(&self) {
        self.strays.store(true, Ordering::Release);
    }

    /// How the lock is held: a writer may have become a reader, or a reader a writer.
    pub(crate) fn kind(&self) -> Kind {
        match (self.hold.kind, self.alone.load(Ordering::Acquire)) {
            (Kind::Permits { count, capacity }, _) => Kind::Permits { count, capacity },
            (_, true) => Kind::Exclusive,
            (_, false) => Kind::Shared,
        }
    }

    pub(crate) fn set_kind(&self, kind: Kind) {
        self.alone.store(kind == Kind::Exclusive, Ordering::Release);
    }

    /// One more lease of this tenure; false where it is over or may have no more.
    pub(crate) fn enter(&self) -> bool {
        let one_more = |leases: u32| {
            (leases > 0 && leases & SEALED == 0 && leases + 1 < SEALED).then_some(leases + 1)
        };
        self.is_held()
            && self.leases.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).is_ok()
    }

    /// One lease less; whether it was the last. Wakes those who look at it until it is
    /// [over](Self::over).
    pub(crate) fn leave(&self) -> bool {
        let last = self.leases.fetch_sub(1, Ordering::AcqRel) & !SEALED == 1;
        self.lost.notify_waiters();
        last
    }

    /// Has no more leases enter; false where there are several.
    pub(crate) fn seal(&self) -> bool {
        let seal = |leases: u32| (leases & !SEALED == 1).then_some(1 | SEALED);
        self.leases.fetch_update(Ordering::AcqRel, Ordering::Acquire, seal).is_ok()
    }

    pub(crate) fn renews(&self) -> bool {
        self.renew
    }

    pub(crate) fn ttl(&self) -> Duration {
        Duration::from_nanos(self.ttl.load(Ordering::Acquire))
    }

    /// For how long the store may keep it from its last renewal on, however that was answered.
    pub(crate) fn kept_for(&self) -> Duration {
        let longest = Duration::from_nanos(self.longest.load(Ordering::Acquire));
        longest + crate::options::grace(longest)
    }

    pub(crate) fn set_ttl(&self, ttl: Duration) {
        self.longest.fetch_max(nanos(ttl), Ordering::AcqRel);
        self.ttl.store(nanos(ttl), Ordering::Release);
    }

    /// The renewal request for this tenure.
    pub(crate) fn request(&self) -> Hold {
        let ttl = self.ttl();
        Hold { kind: self.kind(), ttl, grace: crate::options::grace(ttl), ..self.hold.clone() }
    }

    /// When the belief ends: the lease's deadline, or the longest tenure if that is sooner.
    pub(crate) fn deadline(&self) -> BootTime {
        BootTime::from_nanos(self.deadline.load(Ordering::Acquire)).min(self.limit())
    }

    fn limit(&self) -> BootTime {
        BootTime::from_nanos(self.limit.load(Ordering::Acquire))
    }

    /// A sign of life: `max_hold` counts anew.
    pub(crate) fn touch(&self) {
        let span = self.max_hold.load(Ordering::Acquire);
        if span > 0 {
            let limit = self.sys.now() + Duration::from_nanos(span);
            self.limit.store(limit.as_nanos(), Ordering::Release);
        }
    }

    /// Goes on under another lease, once its last one was left; `max_hold` is that one's own. False where
    /// the tenure is over at `now`, or was sealed.
    pub(crate) fn hand_on(&self, max_hold: Option<Duration>, now: BootTime) -> bool {
        if self.state.load(Ordering::Acquire) != HELD || now >= self.deadline() {
            return false;
        }
        self.max_hold.store(max_hold.map_or(0, nanos), Ordering::Release);
        let limit = max_hold.map_or(BootTime::NEVER, |span| now + span);
        self.limit.store(limit.as_nanos(), Ordering::Release);
        self.leases.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether the tenure is believed. The first look past the deadline ends it for good: a
    /// renewal that succeeds a moment later must not make a `false` true again.
    pub(crate) fn is_held(&self) -> bool {
        if self.state.load(Ordering::Acquire) != HELD {
            return false;
        }
        if self.sys.now() < self.deadline() {
            return true;
        }
        self.lose(self.overdue());
        false
    }

    /// Why the tenure is over, if it is and was not released.
    pub(crate) fn lost_reason(&self) -> Option<LostReason> {
        self.is_held();
        match self.state.load(Ordering::Acquire) {
            HELD | RELEASED => None,
            code => LostReason::from_number(code - LOST),
        }
    }

    /// The reason for a deadline that passed.
    pub(crate) fn overdue(&self) -> LostReason {
        if self.sys.now() >= self.limit() {
            LostReason::MaxHold
        } else if self.unreachable.load(Ordering::Acquire) {
            LostReason::StoreUnreachable
        } else {
            LostReason::Expired
        }
    }

    /// A renewal sent at `sent` succeeded. False if it came too late to count.
    pub(crate) fn renewed(&self, until: BootTime) -> bool {
        self.unreachable.store(false, Ordering::Release);
        if !self.is_held() {
            return false;
        }
        self.deadline.fetch_max(until.as_nanos(), Ordering::AcqRel);
        // Someone may have looked between the two lines above, and seen the end.
        self.state.load(Ordering::Acquire) == HELD
    }

    /// A renewal failed without an answer about the tenure.
    pub(crate) fn renewal_failed(&self) {
        self.unreachable.store(true, Ordering::Release);
    }

    /// Ends the tenure as given back by its holder. False if it was over already.
    pub(crate) fn end(&self) -> bool {
        self.is_held()
            && self
                .state
                .compare_exchange(HELD, RELEASED, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }

    /// Ends the tenure as lost, and tells. False if it was over already.
    pub(crate) fn lose(&self, reason: LostReason) -> bool {
        let code = LOST + reason.number();
        let swapped = self.state.compare_exchange(HELD, code, Ordering::AcqRel, Ordering::Acquire);
        if swapped.is_err() {
            return false;
        }
        self.lost.notify_waiters();
        let listeners = std::mem::take(&mut *self.listeners());
        for listener in listeners {
            listener(reason);
        }
        true
    }

    /// Completes with the reason when the tenure is lost; never, if it is released.
    pub(crate) async fn lost(&self) -> LostReason {
        loop {
            let notified = self.lost.notified();
            if let Some(reason) = self.lost_reason() {
                return reason;
            }
            notified.await;
        }
    }

    /// Completes when the tenure is not held any more, or when the lease that was `released` isn't.
    pub(crate) async fn over(&self, released: &AtomicBool) {
        loop {
            let notified = self.lost.notified();
            if released.load(Ordering::Acquire) || !self.is_held() {
                return;
            }
            notified.await;
        }
    }

    /// Calls `listener` once when the tenure is lost: at once if it is already.
    pub(crate) fn on_lost(&self, listener: impl FnOnce(LostReason) + MaybeSend + 'static) {
        let mut listeners = self.listeners();
        match self.state.load(Ordering::Acquire) {
            HELD => listeners.push(Box::new(listener)),
            RELEASED => {}
            code => {
                drop(listeners);
                if let Some(reason) = LostReason::from_number(code - LOST) {
                    listener(reason);
                }
            }
        }
    }

    fn listeners(&self) -> std::sync::MutexGuard<'_, Vec<Listener>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
