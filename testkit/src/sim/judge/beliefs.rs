//! What holders believe, held against what the server says and what the clocks allow (O1, O6).

use std::sync::Arc;

use leasehold::{Lease, LostReason};

use super::bench::Judge;

/// Later than this after its deadline a loss is told late.
const PROMPT: u64 = 2_000_000;
/// A hand-off may be believed for this long without a confirmation.
const CLAIM: u64 = 1_500_000_000;

impl Judge {
    /// Looks at the leases of all machines.
    pub(crate) fn look_all(&self) {
        let machines = self.state().disturbed.len();
        (0..machines).for_each(|machine| self.look(machine));
    }

    /// Looks at the leases of one machine.
    pub(crate) fn look(&self, machine: usize) {
        let leases: Vec<(usize, Arc<Lease>, Option<u64>)> = {
            let state = self.state();
            let held = state
                .running()
                .filter(|(_, op)| op.held && op.life.machine == machine && op.lost.is_none());
            held.filter_map(|(id, op)| Some((id, op.lease.upgrade()?, op.deadline))).collect()
        };
        for (op, lease, deadline) in leases {
            self.look_at(op, &lease, deadline, machine);
        }
    }

    fn look_at(&self, op: usize, lease: &Arc<Lease>, deadline: Option<u64>, machine: usize) {
        let local = self.kernel.boot(machine).as_nanos();
        let (owned, excused) = {
            let state = self.state();
            let entry = &state.ops[op];
            let owner = state.locks[entry.ask.lock].owner.as_ref();
            (owner.is_some_and(|(token, _)| entry.token() == Some(token)), entry.excused)
        };
        // At its deadline the watchdog's turn comes first: a look would take the news from it. Not
        // where the lock is another's already: there nothing may be believed.
        if owned && deadline.is_some_and(|at| local >= at && local < at + PROMPT) {
            return;
        }
        self.state().looking = true;
        let remaining = lease.remaining();
        self.state().looking = false;
        if remaining.is_zero() {
            return;
        }
        if !owned && !excused {
            self.accuse(format!("O1: op{op} believes in a lease that the server has ended"));
        }
        let until = local + u64::try_from(remaining.as_nanos()).unwrap_or(u64::MAX / 2);
        if let Some(text) = self.check_deadline(op, until, machine) {
            self.accuse(text);
        }
    }

    /// A deadline counts from when the request was sent, and is over before the store's clock has
    /// counted what the holder was told.
    fn check_deadline(&self, op: usize, until: u64, machine: usize) -> Option<String> {
        let mut state = self.state();
        let entry = &mut state.ops[op];
        entry.deadline = Some(until);
        let span = entry.ask.ttl.max(CLAIM);
        let token = entry.token()?.clone();
        let excused = entry.excused;
        let sent = state.sent.get(&token).copied()?;
        if until > sent + span {
            return Some(format!(
                "O6: op{op} believes for {} ms after its last request was sent, its ttl is {} ms",
                (until - sent) / 1_000_000,
                span / 1_000_000
            ));
        }
        let executed = state.executed.get(&token).copied()?;
        drop(state);
        let ends = self.kernel.clock(machine).when(i128::from(until));
        // What the server's clock counts from the execution to the end of the belief.
        let counted = self.server_counts(ends.saturating_sub(executed));
        (counted > span && !excused).then(|| {
            format!("O6: op{op} believes {} ns longer than the server counts", counted - span)
        })
    }

    fn server_counts(&self, span: u64) -> u64 {
        let ppb = i128::from(self.server_ppb());
        let counted = i128::from(span) * (1_000_000_000 + ppb) / 1_000_000_000;
        u64::try_from(counted).unwrap_or(u64::MAX)
    }

    /// The holder is told that its lease is lost.
    pub(super) fn hear_loss(&self, op: usize, reason: LostReason) {
        let now = self.kernel.now();
        let life = self.state().ops[op].life;
        if !self.kernel.lives(life) {
            return;
        }
        let machine = life.machine;
        let (clock, local) = (self.kernel.clock(machine), self.kernel.boot(machine).as_nanos());
        let mut broken = None;
        {
            let mut state = self.state();
            let (looking, paused) = (state.looking, state.paused[machine]);
            let disturbed = state.disturbed[machine];
            let entry = &mut state.ops[op];
            entry.lost = Some((now, reason));
            entry.held &= !entry.leaked;
            let (deadline, token) = (entry.deadline, entry.token().cloned());
            let (excused, ask, since) = (entry.excused, entry.ask, entry.held_since);
            if let Some(deadline) = deadline {
                let due = clock.when(i128::from(deadline)).max(paused);
                if now > due + PROMPT {
                    let who = if looking { "nobody" } else { "its holder" };
                    broken = Some(format!(
                        "O6: {who} was told of the loss of op{op} by {} µs after its deadline",
                        (now - due) / 1000
                    ));
                }
            }
            let owner = state.locks[ask.lock].owner.as_ref();
            let owned = token.is_some() && owner.map(|(token, _)| token) == token.as_ref();
            let early = deadline.is_some_and(|deadline| local < deadline);
            if early
                && owned
                && !excused
                && reason != LostReason::MaxHold
                && reason != LostReason::Shutdown
            {
                broken =
                    Some(format!("O6: op{op} is told {reason} while the server says it holds"));
            }
            let quiet = disturbed + 10_000_000_000 < since && ask.ttl > 40 * self.latency;
            if quiet && ask.kept && !excused && reason != LostReason::Shutdown {
                broken =
                    Some(format!("O5: op{op} was not kept ({reason}) though nothing was wrong"));
            }
        }
        self.note(|| format!("m{machine} op{op} is lost: {reason}"));
        if let Some(text) = broken {
            self.accuse(text);
        }
    }
}
