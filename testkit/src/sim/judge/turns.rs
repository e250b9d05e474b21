//! Whose turn it is (O5): nobody overtakes who waits, and readers and writers go by phases. Held
//! against the server's queue, where a waiter whose client hears nothing is passed over.

use super::bench::{Judge, State};
use super::keys::{self, Owners};
use super::ops::Op;
use super::tenures::Cause;
use super::waits::AFTER;
use crate::sim::mix::{Family, How};
use crate::sim::redis::Engine;

const SECOND: u64 = 1_000_000_000;
/// A waiter that is not heard of for longer than this is dead.
const ALIVE_FOR: u64 = 2_500_000_000;

impl Judge {
    /// Whether nothing was wrong lately, with nobody.
    pub(super) fn quiet(&self, state: &State, now: u64) -> bool {
        state.disturbed.iter().all(|disturbed| disturbed + AFTER < now)
    }

    /// O5: one that waits where its turn has come: for what is free; a reader where others read and
    /// no writer waits; the first in line for permits, where there is room for it.
    pub(super) fn due(&self, state: &State, id: usize, op: &Op) -> Option<(u64, &'static str)> {
        let log = &state.locks[op.ask.lock];
        // Where the server's clock was stepped back, the dead before it count as alive for so long.
        let back = state.stepped_back;
        let late = |since: u64| if back > 0 { since + back + ALIVE_FOR } else { since };
        if log.owners.is_empty() {
            return (!op.grouped()).then_some((log.free_since, "it is free"));
        }
        let all_read = || log.owners.values().all(|owned| owned.how == How::Reads);
        match (self.places[op.ask.lock].family, op.ask.how) {
            (Family::Reads, How::Reads) if all_read() && !op.grouped() => {
                Some((late(log.barred.max(log.free_since)), "others read and no writer waits"))
            }
            (Family::Permits(capacity), How::Permits(count)) if !op.grouped() => {
                let out: u32 = log.owners.values().map(|owned| owned.how.permits()).sum();
                let place = |op: &Op| state.queue.get(op.token()?);
                let own = place(op)?;
                let mut others = state.running().filter(|(other, it)| {
                    *other != id && it.waiting() && it.ask.lock == op.ask.lock
                });
                let first = others.all(|(_, it)| place(it).is_none_or(|place| own <= place));
                // One before it that wanted more than there was may have left only now.
                let since = || late(log.changed.max(state.last_given_up(op.ask.lock, own)));
                (first && out + count <= capacity).then(|| (since(), "there is room"))
            }
            _ => None,
        }
    }

    /// O5: several locks are taken together, and those that are missing are free; or two wait for
    /// each other.
    pub(super) fn tangled(&self, now: u64) -> Option<String> {
        let state = self.state();
        let waits = |(id, op): &(usize, &Op)| op.grouped() && op.waiting() && op.group.start == *id;
        let leaders: Vec<(usize, &Op)> = state.running().filter(waits).collect();
        let quiet = |op: &Op| {
            let machine = op.life.machine;
            state.disturbed[machine].max(state.paused[machine]).max(op.started) + AFTER < now
                && state.ops[op.group.clone()].iter().all(|op| !op.excused)
        };
        let owns = |op: &Op| {
            let owners = &state.locks[op.ask.lock].owners;
            op.token().is_some_and(|token| owners.contains_key(token))
        };
        for (id, leader) in &leaders {
            if !leader.ask.queues || !quiet(leader) {
                continue;
            }
            let all = &state.ops[leader.group.clone()];
            let missing: Vec<&Op> = all.iter().filter(|op| !owns(op)).collect();
            let free = |op: &&Op| state.locks[op.ask.lock].owners.is_empty();
            // What is free is asked for when the one that was waited for is had.
            let had = all.iter().filter_map(|op| state.locks[op.ask.lock].held_since(op.token()?));
            let had = had.max().unwrap_or_default();
            let since = missing.iter().map(|op| state.locks[op.ask.lock].free_since.max(had)).max();
            if let Some(since) = since.filter(|_| missing.iter().all(free))
                && now > since.max(leader.started) + 2 * SECOND + 40 * self.latency
            {
                return Some(format!("O5: all locks are free that op{id} still waits for"));
            }
            // Only what both would hold alone. One that was had and lost since, where a ttl is short, is not
            // waited for while others are held: all are given back first.
            let had =
                |op: &Op| op.token().is_some_and(|token| state.locks[op.ask.lock].was_held(token));
            let has = |one: &Op, other: &Op| {
                let both = |op: &&Op| op.ask.how == How::Alone && owns(op);
                state.ops[one.group.clone()].iter().filter(both).any(|held| {
                    let wants = |op: &Op| op.ask.lock == held.ask.lock && !had(op);
                    state.ops[other.group.clone()].iter().any(wants)
                })
            };
            let tangled = |(_, other): &&(usize, &Op)| {
                quiet(other) && has(leader, other) && has(other, leader)
            };
            if let Some((other, _)) = leaders.iter().find(tangled) {
                return Some(format!("O5: op{id} and op{other} wait for each other's locks"));
            }
        }
        None
    }
}

impl State {
    /// When the last attempt was given up that ever stood before `place` in the queue of `lock`: nobody may
    /// have told the server.
    fn last_given_up(&self, lock: usize, place: &[u8]) -> u64 {
        let before = self.queue.iter().filter(|(_, its)| its.as_slice() < place);
        let over = before.filter_map(|(token, _)| {
            let op = &self.ops[*self.tokens.get(token)?];
            (op.ask.lock == lock).then(|| op.given_up(token))?
        });
        over.map(|(at, _)| at).max().unwrap_or_default()
    }

    /// One that excludes readers waits, or did until now.
    pub(super) fn bar(&mut self, lock: usize, how: How, now: u64) {
        if how != How::Reads {
            self.locks[lock].barred = now;
        }
    }

    /// Whether a writer may have been granted the lock and have ended within one step: of several that
    /// are given back in one, the end of the first may grant it to the second; and any that comes before
    /// the second may where nobody holds it, for then whose turn it is has been found by nobody yet.
    fn wrote_within(&self, lock: usize, old: &Owners, cause: Option<&Cause<'_>>) -> bool {
        let Some(cause) = cause.filter(|cause| cause.releases()) else { return false };
        let mut ended = cause.meant.tokens.iter();
        let of = |token: &Vec<u8>| {
            let ask = self.tokens.get(token).map(|op| self.ops[*op].ask);
            ask.filter(|ask| ask.lock == lock)
        };
        let writer = |token: &Vec<u8>| of(token).is_some_and(|ask| ask.how == How::Alone);
        ended.any(|token| old.contains_key(token) || old.is_empty() && of(token).is_some())
            && ended.any(|token| writer(token) && !old.contains_key(token))
    }

    /// What is wrong with whom a step granted the lock, whose owners were `old`.
    pub(super) fn turns(
        &self,
        lock: usize,
        old: &Owners,
        cause: Option<&Cause<'_>>,
        engine: &Engine,
        now_ms: i64,
        quiet: bool,
    ) -> Option<String> {
        let log = &self.locks[lock];
        let new: Vec<_> =
            log.owners.iter().filter(|(token, _)| !old.contains_key(*token)).collect();
        let mut queue = match &log.keys {
            Some(keys) if !new.is_empty() => keys::queued(engine, keys, now_ms),
            _ => return None,
        };
        // One that this very step queued may have come after the grant.
        queue.retain(|waiter| {
            cause.is_none_or(|cause| !cause.names(&waiter.token))
                && self.queue.get(&waiter.token) == Some(&waiter.place)
        });
        let left = |how| {
            old.iter().any(|(token, was)| {
                was.how == how && log.owners.get(token).is_none_or(|is| is.how != how)
            })
        };
        let wrote = left(How::Alone) || (old.is_empty() && log.last == Some(How::Alone));
        let unsure = old.is_empty() && log.unsure || self.wrote_within(lock, old, cause);
        // Where time ended a tenure, an earlier step may have found that and told nobody who heard.
        let certain = quiet || (left(How::Alone) && cause.is_some());
        for (token, owned) in new {
            let who = || match self.tokens.get(token) {
                Some(op) => format!("op{op}"),
                None => "nobody known".to_owned(),
            };
            if owned.how == How::Reads {
                // All that waited go together when a writer has ended; else no reader passes a writer.
                if !wrote && !unsure && queue.iter().any(|waiter| !waiter.reads) {
                    return Some(format!("O5: {} reads before a writer that waits", who()));
                }
                continue;
            }
            let place = self.queue.get(token);
            let before = |waiter: &&keys::Queued| {
                !waiter.reads && place.is_none_or(|place| waiter.place < *place)
            };
            if queue.iter().any(|waiter| before(&waiter)) {
                return Some(format!("O5: {} overtakes one that waits", who()));
            }
            if certain && wrote && queue.iter().any(|waiter| waiter.reads) {
                return Some(format!("O5: {} writes before readers whose phase it is", who()));
            }
        }
        None
    }
}
