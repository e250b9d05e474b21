//! How many permits a semaphore has, where that was changed.
//!
//! Each ask says how many there are. To change that number while the semaphore is in use is a step of
//! its own: compared with what is there, so that of two changes one is refused, and numbered, so that
//! one that comes late or twice does nothing. It is never "set if nobody holds any": what overwrites a
//! number in that instant is Redisson's `trySetPermits` (redisson#4678).
//!
//! Programs that are running say the old number on, with each heartbeat of a waiter and each new ask.
//! The change says what they mean by it: whoever says a former number is taken to say the present one.
//! It is remembered until nobody has said a former number for half a day at least (it is noted anew once half of the
//! day is over, or each heartbeat would be a write) and a day at most; until then any other number is
//! refused, also while nobody holds permits.

use std::borrow::Cow;
use std::time::Duration;

use super::rows::{Event, HandOff, Rows};
use super::steps::live_holder;
use super::turn::{claim_fence, pass_on};
use crate::store::{Ask, Kind, Resize, Resized};
use crate::sys::BootTime;

/// How long a change is remembered after a former number was said last.
pub const FOLLOWED: Duration = Duration::from_secs(24 * 3600);
/// The former numbers that are remembered, the latest of them.
const FORMERS: usize = 8;

/// A semaphore's number of permits, after a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// So many there are.
    pub permits: u32,
    /// Whoever says one of these means that.
    pub formers: Vec<u32>,
    /// The number of the last change.
    pub version: u64,
    /// Until when it is remembered.
    pub until: BootTime,
}

impl Capacity {
    /// What the semaphore is, where it is not what `kind` asks for.
    fn refuses(&self, kind: Kind) -> Option<Kind> {
        let Kind::Permits { count, capacity } = kind else { return None };
        let fits = capacity == self.permits && count <= capacity;
        (!fits).then_some(Kind::Permits { count: 0, capacity: self.permits })
    }
}

/// `ask` with the number of permits that it means; and what the semaphore is, where that is not what
/// it asks for.
pub(super) fn follow<'a, R: Rows>(
    rows: &mut R,
    ask: &'a Ask,
    at: Event,
) -> Result<(Cow<'a, Ask>, Option<Kind>), R::Error> {
    let Kind::Permits { count, capacity } = ask.kind else {
        return Ok((Cow::Borrowed(ask), None));
    };
    let Some(mut known) = rows.capacity(at.now)? else { return Ok((Cow::Borrowed(ask), None)) };
    if !known.formers.contains(&capacity) {
        return Ok((Cow::Borrowed(ask), known.refuses(ask.kind)));
    }
    if known.until < at.now + FOLLOWED / 2 {
        known.until = at.now + FOLLOWED;
        rows.set_capacity(&known, at.now)?;
    }
    let kind = Kind::Permits { count, capacity: known.permits };
    Ok((Cow::Owned(Ask { kind, ..ask.clone() }), known.refuses(kind)))
}

/// Changes the number of permits for those who hold some, wait for some and will ask. Holders keep what
/// they have, also beyond a smaller number; who waits for more than there are then loses its place;
/// whoever fits beside the others then is granted, and added to `told`.
///
/// # Errors
/// As the rows fail, and where no larger version exists.
pub fn resize<R: Rows>(
    rows: &mut R,
    change: &Resize,
    at: Event,
    told: &mut Vec<HandOff>,
) -> Result<Resized, R::Error> {
    let (holder, ended) = live_holder(rows, at.now)?;
    let holder = pass_on(rows, holder, ended, None, at, told)?.holder.map(|tenure| tenure.kind);
    let known = rows.capacity(at.now)?;
    let version = known.as_ref().map_or(0, |known| known.version);
    let used = match (&known, holder) {
        (Some(known), None | Some(Kind::Permits { .. })) => {
            Some(Kind::Permits { count: 0, capacity: known.permits })
        }
        (_, holder) => holder,
    };
    let from = Kind::Permits { count: 0, capacity: change.from };
    if change.version != version || used.is_some_and(|used| !used.fits(from)) {
        return Ok(Resized::Unchanged { used, version });
    }
    let version = claim_fence(rows, 1, at)?;
    let mut formers = known.map(|known| known.formers).unwrap_or_default();
    formers.retain(|former| ![change.from, change.to].contains(former));
    formers.push(change.from);
    let spare = formers.len().saturating_sub(FORMERS);
    formers.drain(..spare);
    let until = at.now + FOLLOWED;
    rows.recount(change.from, change.to)?;
    rows.set_capacity(&Capacity { permits: change.to, formers, version, until }, at.now)?;
    let holder = rows.holder()?;
    pass_on(rows, holder, None, None, at, told)?;
    Ok(Resized::Changed { version })
}
