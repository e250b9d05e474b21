//! The search for deadlocks: owners that wait for each other, in any number of processes and languages.
//!
//! Each wait of an owner looks for itself: soon after it began, for most waits are short, and then with
//! each heartbeat. It follows the chain from its own lock to who holds it, to what that owner waits for,
//! and so on, until it comes back to itself. The trap is the phantom: the links are read one after
//! another, and those read first may be gone by the end. So a cycle is read twice. A wait is one stay in
//! a queue and a tenure is contiguous; links of the same attempts and fences that are found both times
//! all stood together at the moment between (after Chandy and Lamport's stable properties).
//!
//! What the store can't tell is whether the owner that looks still holds what closes the cycle: a tenure
//! that was lost, or is being given back, stands there for a while yet and ends by itself. So a wait does
//! not end for a tenure that this client knows to be over.
//!
//! All who find a cycle name the same victim, for it is chosen by what lies in the store with each wait:
//! the one with the lowest priority, of these the youngest. A choice that each program made for itself
//! would end two waits, or none. Only that wait ends; no lock is taken from anyone. The caller then MUST
//! release what it holds.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::desk::Desk;
use crate::options::{HEARTBEAT, REQUEST_TIMEOUT};
use crate::runtime::{all, within};
use crate::store::{HolderView, Kind, Query, SHOWN, WaitsFor, Wanting};
use crate::sys::Token;
use crate::{Owner, Profile, Result};

/// Before the first look: a wait that ends sooner costs nothing.
const FIRST_LOOK: Duration = Duration::from_millis(25);

/// What the searches for deadlocks of one client's waits came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Deadlocks {
    /// Looks taken.
    pub looks: u64,
    /// Cycles found, also those whose victim was another's wait.
    pub found: u64,
    /// Waits that were ended: they were the victims.
    pub victims: u64,
    /// Owners in the longest cycle found.
    pub longest: u64,
    /// How severe the worst deadlock of a victim of this client was: the waits for any of its locks, in
    /// the cycle and behind it. All of them stood still.
    pub severest: u64,
    /// Owners in the longest chain of waits followed, cycle or not.
    pub deepest: u64,
    /// Looks that followed a chain of [`deadlock_depth`](crate::ClientOptions::deadlock_depth) owners
    /// to no end.
    pub cut: u64,
}

/// The same while it is counted.
#[derive(Default)]
pub(super) struct Searches {
    depth: u32,
    looks: AtomicU64,
    found: AtomicU64,
    victims: AtomicU64,
    longest: AtomicU64,
    severest: AtomicU64,
    deepest: AtomicU64,
    cut: AtomicU64,
}

impl Searches {
    pub(super) fn new(depth: u32) -> Self {
        Self { depth, ..Self::default() }
    }

    pub(super) fn sum(&self) -> Deadlocks {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Deadlocks {
            looks: of(&self.looks),
            found: of(&self.found),
            victims: of(&self.victims),
            longest: of(&self.longest),
            severest: of(&self.severest),
            deepest: of(&self.deepest),
            cut: of(&self.cut),
        }
    }
}

/// Completes with the cycle that this wait closes, if it is to end for it; else never.
pub(super) async fn closed(desk: &Desk, owner: Owner, attempt: Token) -> Vec<String> {
    let Some(graph) = desk.store().waits_for() else { return std::future::pending().await };
    let sys = desk.sys();
    let mut pause = FIRST_LOOK;
    loop {
        sys.sleep_until(sys.now() + pause).await;
        pause = sys.jitter(HEARTBEAT);
        let look = look(graph, owner, attempt, desk);
        match within(sys, sys.now() + REQUEST_TIMEOUT, look).await {
            Some(Ok(Some(cycle))) => {
                severity(desk, &cycle).await;
                let now = sys.moment().wall_us;
                return cycle.iter().map(|link| link.told(now)).collect();
            }
            Some(Err(error)) => tracing::debug!(%error, "the search for a deadlock failed"),
            Some(Ok(None)) | None => {}
        }
    }
}

/// One wait in a chain: who waits, and one that keeps it waiting.
#[derive(Clone)]
struct Link {
    owner: Owner,
    want: Wanting,
    holder: HolderView,
    holds: Owner,
}

impl Link {
    /// The links from what `owner` wants to each owner that it can't go on without.
    fn of(owner: Owner, want: &Wanting) -> Vec<Self> {
        let held = |holder: &HolderView| {
            let (want, holder) = (want.clone(), holder.clone());
            holder.owner.map(|holds| Self { owner, want, holder, holds })
        };
        if let Kind::Permits { .. } = want.kind {
            // Any of several holders may make room: only who holds all of it is waited for for sure.
            let [first, rest @ ..] = &want.holders[..] else { return Vec::new() };
            let sole = want.holders.len() < SHOWN && rest.iter().all(|it| it.owner == first.owner);
            return if sole { held(first).into_iter().collect() } else { Vec::new() };
        }
        want.holders.iter().filter_map(held).collect()
    }

    /// Whether `other` is the same wait for the same tenure.
    fn is(&self, other: &Self) -> bool {
        (self.want.attempt, self.holder.fence, self.holds)
            == (other.want.attempt, other.holder.fence, other.holds)
    }

    /// Who goes first as the victim is the smallest.
    fn worth(&self) -> (i32, Reverse<u64>, [u8; 16]) {
        let Wanting { priority, profile, attempt, .. } = &self.want;
        let priority = profile.deadlock_priority.unwrap_or(*priority);
        (priority, Reverse(profile.since_us), *attempt.as_bytes())
    }

    fn told(&self, now_us: u64) -> String {
        let seconds = now_us.saturating_sub(self.holder.profile.since_us) as f64 / 1e6;
        let (waiter, holder) = (who(&self.want.profile), who(&self.holder.profile));
        let name = &self.want.name;
        format!("{waiter} waits for lock {name}, held by {holder} that asked {seconds:.1} s ago")
    }
}

fn who(profile: &Profile) -> String {
    let Profile { host, pid, language, note, .. } = profile;
    let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
    format!("{language} process {pid} on {host}{note}")
}

/// The cycle through this wait, if there is one and this wait is its victim.
async fn look(
    graph: &dyn WaitsFor,
    owner: Owner,
    attempt: Token,
    desk: &Desk,
) -> Result<Option<Vec<Link>>> {
    let searches = &desk.searches;
    searches.looks.fetch_add(1, Ordering::Relaxed);
    let Some(cycle) = find(graph, owner, attempt, searches).await? else { return Ok(None) };
    // All at once, now that the first reading is over: each link stood before this and stands after.
    let again = all(cycle.iter().map(|link| again(graph, link))).await?;
    if again.len() < cycle.len() {
        return Ok(None);
    }
    let over = |link: &Link| desk.reentry.is_over(&link.want.name, owner, link.holder.fence);
    if cycle.last().is_some_and(over) {
        return Ok(None);
    }
    searches.found.fetch_add(1, Ordering::Relaxed);
    searches.longest.fetch_max(cycle.len() as u64, Ordering::Relaxed);
    let victim = cycle.iter().min_by_key(|link| link.worth());
    if victim.is_none_or(|link| link.want.attempt != attempt) {
        return Ok(None);
    }
    searches.victims.fetch_add(1, Ordering::Relaxed);
    Ok(Some(cycle))
}

/// The link, if it is still found.
async fn again(graph: &dyn WaitsFor, link: &Link) -> Result<Vec<Link>> {
    let wants = graph.wants(link.owner).await?;
    let mut links = wants.iter().flat_map(|want| Link::of(link.owner, want));
    Ok(links.find(|it| it.is(link)).into_iter().collect())
}

/// Counts and logs how many stand still because of `cycle`. The victim must not wait for that: what the
/// store doesn't say in time is taken for the cycle's own waits.
async fn severity(desk: &Desk, cycle: &[Link]) {
    let sys = desk.sys();
    let waits = within(sys, sys.now() + FIRST_LOOK, waits_for(desk, cycle)).await;
    let waits = waits.and_then(Result::ok).unwrap_or_default().max(cycle.len() as u64);
    desk.searches.severest.fetch_max(waits, Ordering::Relaxed);
    let name = &cycle[0].want.name;
    tracing::warn!(%name, owners = cycle.len(), waits, "a deadlock: this wait is ended");
}

/// How many wait for any of the locks that `cycle` waits for.
async fn waits_for(desk: &Desk, cycle: &[Link]) -> Result<u64> {
    let names: BTreeSet<_> = cycle.iter().map(|link| &link.want.name).collect();
    let names: Vec<Query> = names.into_iter().map(|name| Query::Name(name.clone())).collect();
    let views = all(names.iter().map(|name| desk.store().inspect(name))).await?;
    Ok(views.iter().map(|view| view.waiting).sum())
}

/// A chain of waits from this one back to its owner: the shortest.
async fn find(
    graph: &dyn WaitsFor,
    owner: Owner,
    attempt: Token,
    searches: &Searches,
) -> Result<Option<Vec<Link>>> {
    let mut wants = graph.wants(owner).await?;
    wants.retain(|want| want.attempt == attempt);
    let mut seen = HashSet::from([owner]);
    // Chains of the same length, all that are not closed yet.
    let mut chains: Vec<Vec<Link>> =
        wants.iter().flat_map(|want| Link::of(owner, want)).map(|link| vec![link]).collect();
    for _ in 0..searches.depth {
        let deep = chains.first().map_or(0, Vec::len) as u64;
        searches.deepest.fetch_max(deep, Ordering::Relaxed);
        if let Some(index) = chains.iter().position(|chain| end(chain) == Some(owner)) {
            return Ok(Some(chains.swap_remove(index)));
        }
        let mut longer = Vec::new();
        for chain in chains {
            let Some(next) = end(&chain).filter(|next| seen.insert(*next)) else { continue };
            for link in graph.wants(next).await?.iter().flat_map(|want| Link::of(next, want)) {
                longer.push([&chain[..], &[link]].concat());
            }
        }
        if longer.is_empty() {
            return Ok(None);
        }
        chains = longer;
    }
    // Said once: a long chain is looked along again with each heartbeat.
    if searches.cut.fetch_add(1, Ordering::Relaxed) == 0 {
        let depth = searches.depth;
        tracing::warn!(
            depth,
            "a chain of waits is too long to be searched for a deadlock to its end"
        );
    }
    Ok(None)
}

fn end(chain: &[Link]) -> Option<Owner> {
    chain.last().map(|link| link.holds)
}
