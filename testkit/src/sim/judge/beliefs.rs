//! What holders believe, held against what the server says and what the clocks allow (O1, O6).

use leasehold::LostReason;
use leasehold::store::Kind;

use super::bench::Judge;
use super::ops::{Handle, Op};
use crate::sim::mix::{Family, How};

/// Later than this after its deadline a loss is told late.
const PROMPT: u64 = 2_000_000;
/// A hand-off may be believed for this long without a confirmation.
const CLAIM: u64 = 1_500_000_000;

impl Judge {
    /// Looks at the leases of all machines.
    pub(crate) fn look_all(&self) {
        let machines = self.state().disturbed.len();
        (0..machines).for_each(|machine| self.look(machine));
        let held = |id: &usize| self.state().ops[*id].held;
        let active: Vec<usize> = self.state().active.iter().copied().collect();
        let mut met = vec![false; self.places.len()];
        for op in active.into_iter().filter(held) {
            let lock = self.state().ops[op].ask.lock;
            if !std::mem::replace(&mut met[lock], true) {
                self.meet(op);
            }
        }
    }

    /// Looks at the leases of one machine.
    pub(crate) fn look(&self, machine: usize) {
        let leases: Vec<(usize, Handle, Option<u64>)> = {
            let state = self.state();
            let held = state
                .running()
                .filter(|(_, op)| op.held && op.life.machine == machine && op.lost.is_none());
            held.map(|(id, op)| (id, op.handle.clone(), op.deadline)).collect()
        };
        for (op, handle, deadline) in leases {
            self.look_at(op, &handle, deadline, machine);
        }
    }

    fn look_at(&self, op: usize, handle: &Handle, deadline: Option<u64>, machine: usize) {
        let local = self.kernel.boot(machine).as_nanos();
        let (owned, excused) = {
            let state = self.state();
            let entry = &state.ops[op];
            let owned =
                entry.token().and_then(|token| state.locks[entry.ask.lock].owners.get(token));
            (owned.map(|owned| owned.how), entry.excused)
        };
        // At its deadline the watchdog's turn comes first: a look would take the news from it. Not
        // where the lock is another's already: there nothing may be believed.
        if owned.is_some() && deadline.is_some_and(|at| local >= at && local < at + PROMPT) {
            return;
        }
        self.state().looking = true;
        let seen = handle.look(|lease| (lease.remaining(), lease.kind(), lease.fence()));
        self.state().looking = false;
        let Some((remaining, kind, fence)) = seen.filter(|(remaining, ..)| !remaining.is_zero())
        else {
            return;
        };
        self.steady(op, fence);
        if owned.is_none() && !excused {
            self.accuse(format!("O1: op{op} believes in a lease that the server has ended"));
        }
        if kind == Kind::Exclusive && owned.is_some_and(|how| how != How::Alone) && !excused {
            self.accuse(format!("O1: op{op} believes that it is alone, the server does not"));
        }
        let until = local + u64::try_from(remaining.as_nanos()).unwrap_or(u64::MAX / 2);
        if let Some(text) = self.check_deadline(op, until, machine) {
            self.accuse(text);
        }
    }

    /// O2: a lease has the fence that it was given, also when it is over.
    pub(crate) fn steady(&self, op: usize, fence: u64) {
        let given = self.state().ops[op].fence;
        if fence != given {
            self.accuse(format!("O2: op{op} was given fence {given} and has {fence} now"));
        }
    }

    /// O1: who believes in the lock of `op` at this instant, each by its own clock: one writer or
    /// only readers, and no more permits than there are.
    pub(super) fn meet(&self, op: usize) {
        let (lock, all): (_, Vec<_>) = {
            let state = self.state();
            let lock = state.ops[op].ask.lock;
            let held = state.running().filter(|(_, op)| {
                op.held && op.ask.lock == lock && op.lost.is_none() && !op.excused
            });
            (
                lock,
                held.map(|(id, op)| (id, op.handle.clone(), op.life.machine, op.deadline))
                    .collect(),
            )
        };
        let (mut tokens, mut alone, mut reads, mut permits) = (Vec::new(), 0, 0, 0);
        for (id, handle, machine, deadline) in all {
            let local = self.kernel.boot(machine).as_nanos();
            if deadline.is_none_or(|at| local >= at) {
                continue;
            }
            let Some(kind) = handle.look(|lease| lease.is_held().then(|| lease.kind())).flatten()
            else {
                continue;
            };
            // Two leases of one owner are one tenure.
            let token = self.state().ops[id].token().cloned();
            if tokens.contains(&token) {
                continue;
            }
            tokens.push(token);
            match kind {
                Kind::Shared => reads += 1,
                Kind::Permits { count, .. } => permits += count,
                _ => alone += 1,
            }
        }
        let fits = match self.places[lock].family {
            Family::Permits(capacity) => permits <= capacity && alone + reads == 0,
            _ => permits == 0 && alone <= 1 && (alone == 0 || reads == 0),
        };
        if !fits {
            let name = &self.places[lock].name;
            self.accuse(format!(
                "O1: of {name}, {alone} believe that they are alone, {reads} that they read, and in {permits} permits"
            ));
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
            let Op { excused, ask, term, held_since: since, .. } = *entry;
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
            let owners = &state.locks[ask.lock].owners;
            let owned = token.is_some_and(|token| owners.contains_key(&token));
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
            let quiet = disturbed + 10_000_000_000 < since && term > 40 * self.latency;
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
