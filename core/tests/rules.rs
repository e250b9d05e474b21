//! The rules of a lock under random histories: against the promises, and the stores against the
//! rules. Each test prints how many histories of each kind of lock it has played to their ends.
//!
//! Thousands in each run, so nothing here waits for a disk or a network: SQLite's files are in memory, and
//! Redis is the simulated one, which runs the shipped scripts in Lua 5.1. What the simulation answers is
//! held to a real server, command by command, by testkit/tests/sim_redis; the contract suite
//! (contract.rs) plays its cases on both.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use leasehold::LostReason;
use leasehold::store::{Answer, Evicted, Holding, How, Kind, Renewal, Resized, Wait};
use leasehold::sys::BootTime;
use leasehold::watchdog::Schedule;
use leasehold_testkit::contract::{MemoryRig, SimRedisRig, SqliteRig};
use leasehold_testkit::model::{
    Mix, Op, Outcome, Rules, Seen, Subject, Through, Try, history, play, who,
};
use leasehold_testkit::{contract::Rig, property};
use proptest::prelude::*;

/// Of each mix, for each store; `PROPTEST_CASES` says otherwise.
const HISTORIES: u32 = 2000;

#[test]
fn the_rules_keep_their_promises() {
    of_each_mix("the rules", 1..120, |history| play(&mut Rules::default(), history).map(drop));
}

#[test]
fn the_memory_store_answers_as_the_rules_do() {
    of_each_mix("memory", 1..100, |history| {
        let rig = MemoryRig::new(1);
        same(history, &mut Through::new(&rig, Rules::default().moment()))
    });
}

#[test]
fn the_sqlite_store_answers_as_the_rules_do() {
    of_each_mix("SQLite", 1..100, |history| {
        let rig = SqliteRig::new(1)?;
        same(history, &mut Through::new(&rig, Rules::default().moment()))
    });
}

/// The shipped scripts, on a simulated server.
#[test]
fn the_redis_store_answers_as_the_rules_do() {
    of_each_mix("Redis", 1..100, |history| {
        let history = in_millis(history);
        let rig = SimRedisRig::new(1);
        let expected = play(&mut Rules::default(), &history)?;
        let found = play(&mut Through::new(&rig, Rules::default().moment()), &history)?;
        alike(&history, &found, &expected)?;
        // An hour after the last of them, which may be a waiter for a day, nothing is left.
        rig.advance(Duration::from_secs(26 * 3600));
        let keys = rig.keys();
        if keys.is_empty() { Ok(()) } else { Err(format!("left behind: {keys:?}")) }
    });
}

/// Demands `hold` of random histories of each kind of lock, and prints how many there were. Two kinds at a
/// time: a store that is slow to play must not keep one core busy while the other has nothing to do.
fn of_each_mix(
    store: &str,
    steps: Range<usize>,
    hold: impl Fn(&[Op]) -> Result<(), String> + Sync,
) {
    let all_of = |mix| {
        let (played, taken) = (Cell::new(0_u64), Cell::new(0_usize));
        property(HISTORIES, &history(mix, steps.clone()), |history: &Vec<Op>| {
            hold(history)?;
            played.set(played.get() + 1);
            taken.set(taken.get() + history.len());
            Ok(())
        });
        println!("| {store} | {mix:?} | {} histories | {} steps |", played.get(), taken.get());
    };
    std::thread::scope(|scope| {
        for half in [[Mix::Exclusive, Mix::Permits], [Mix::ReadWrite, Mix::All]] {
            scope.spawn(move || half.map(all_of));
        }
    });
}

/// Nothing stays for ever: not of a queue that a newcomer finds full of the dead and begins anew, nor
/// where the only waiter of a queue is granted and never heard of again.
#[test]
fn what_nobody_gives_back_is_gone_in_time() {
    let ask = |attempt, kind, wait: bool| {
        let millis = Duration::from_millis;
        let (alive_for, claim, heartbeat) = (millis(250), millis(150), millis(100));
        let wait = wait.then_some(Wait {
            alive_for,
            claim,
            heartbeat,
            max_queue: 2,
            priority: 0,
            fences: 1,
        });
        let (ttl, grace) = (millis(500), millis(100));
        Op::Ask(vec![Try { name: 1, attempt, kind, ttl, grace, wait }], How::EachAlone)
    };
    let dead = Op::Advance(Duration::from_millis(250));
    let free = Op::Release { name: 1, attempt: 4, tomb: None };
    let alone = |attempt, wait| ask(attempt, Kind::Exclusive, wait);
    let permit = Kind::Permits { count: 1, capacity: 4 };
    let all = Kind::Permits { count: 4, capacity: 4 };
    for history in [
        vec![alone(4, false), alone(0, true), alone(1, true), dead, alone(5, true)],
        vec![alone(4, false), ask(0, Kind::Shared, true), free.clone()],
        vec![ask(4, all, false), ask(0, permit, true), free],
    ] {
        leaves_nothing(&history);
    }
}

/// What a dead waiter is refused may be another's number of permits, the same as its own: it has its place
/// still, and goes before who came after it.
#[test]
fn a_dead_waiter_that_a_holder_does_not_fit_keeps_its_place() {
    let millis = Duration::from_millis;
    let ask = |attempt, count, capacity, alive_for, priority| {
        let (ttl, grace, kind) = (millis(900), millis(100), Kind::Permits { count, capacity });
        let (claim, heartbeat, max_queue) = (millis(150), millis(100), 10_000);
        let wait = Some(Wait { alive_for, claim, heartbeat, max_queue, priority, fences: 1 });
        Op::Ask(vec![Try { name: 1, attempt, kind, ttl, grace, wait }], How::EachAlone)
    };
    let history = [
        ask(5, 1, 4, millis(250), 1),
        ask(4, 4, 4, millis(60_000), 1),
        ask(0, 1, 4, millis(250), 0),
        ask(2, 2, 4, millis(1000), 0),
        Op::Advance(millis(300)),
        ask(0, 1, 5, millis(1000), 0),
        ask(0, 1, 4, millis(1000), 0),
    ];
    play(&mut Rules::default(), &history).expect("kept its promises");
}

/// A lock that is used again more than a minute after its last lease would have ended is free and waited for
/// by nobody, alone and among others. A tombstone of that tenure would keep it from the scripts' short way.
#[test]
fn a_lock_that_is_seldom_used_has_no_queue() {
    let one = |name, attempt| {
        let (ttl, grace) = (Duration::from_secs(30), Duration::from_millis(100));
        Try { name, attempt, kind: Kind::Exclusive, ttl, grace, wait: None }
    };
    let used = |first, second, how| {
        let free = |name, attempt| Op::Release { name, attempt, tomb: None };
        let asks = Op::Ask(vec![one(0, first), one(1, second)], how);
        [asks, free(0, first), free(1, second), Op::Advance(Duration::from_secs(91))]
    };
    for how in [How::AllOrNothing, How::EachAlone] {
        let history = [used(0, 1, how), used(2, 3, how)].concat();
        let rig = SimRedisRig::new(1);
        play(&mut Through::new(&rig, Rules::default().moment()), &history)
            .expect("kept its promises");
        let keys = rig.keys();
        assert!(!keys.iter().any(|key| key.contains(":q:")), "{how:?}: {keys:?}");
    }
}

fn leaves_nothing(history: &[Op]) {
    let rig = SimRedisRig::new(1);
    play(&mut Through::new(&rig, Rules::default().moment()), history).expect("kept its promises");
    rig.advance(Duration::from_secs(2 * 3600));
    assert_eq!(rig.keys(), [""; 0]);
}

/// A server's clock counts milliseconds, and is the only one: a step of it is time that passes.
///
/// A release without a queue leaves the tenure's note behind. A token that asks again, as no client's
/// does, would be refused after the tenure's time, as one that slept: it releases twice here, and does
/// not ask again after a tenure that was renewed, which the note does not know. Nor does it where such a
/// tenure may have run out more than a minute ago by the note. And who finds a queue full removes the dead
/// from it, which then have lost their places. One ask that is all or nothing is an ask like any other there.
fn in_millis(history: &[Op]) -> Vec<Op> {
    let whole = |span: &Duration| Duration::from_millis(u64::try_from(span.as_millis()).unwrap());
    let asks_again = |rest: &[Op], lock: usize, who: usize| {
        rest.iter().any(|op| match op {
            Op::Ask(tries, _) => tries.iter().any(|it| (it.name, it.attempt) == (lock, who)),
            _ => false,
        })
    };
    // Half of the histories have a short queue, whose waiters live long.
    let short = history.len().is_multiple_of(2);
    let waits = |one: &Try| {
        let wait = one.wait.map(|wait| match wait.max_queue {
            _ if short => Wait { alive_for: Duration::from_secs(86_400), ..wait },
            0 => wait,
            _ => Wait { max_queue: 10_000, ..wait },
        });
        Try { wait, ..one.clone() }
    };
    let renewed = |until: usize, lock: usize, who: usize| {
        let of = |op: &Op| matches!(op, Op::Renew { name, attempt, .. } if (*name, *attempt) == (lock, who));
        history[..until].iter().any(of)
    };
    let (mut steps, mut over) = (Vec::new(), HashSet::new());
    let (mut now, mut renewed_at) = (Duration::ZERO, HashMap::new());
    for (index, op) in history.iter().enumerate() {
        match op {
            Op::Advance(span) => {
                now += whole(span);
                steps.push(Op::Advance(whole(span)));
            }
            Op::StepWall(_) => {}
            Op::Ask(tries, how) => {
                let how = if tries.len() == 1 { How::EachAlone } else { *how };
                let new = |one: &&Try| {
                    let who = (one.name, one.attempt);
                    let known = |at: &Duration| now < *at + Duration::from_secs(60);
                    !over.contains(&who) && renewed_at.get(&who).is_none_or(known)
                };
                let tries: Vec<Try> = tries.iter().filter(new).map(waits).collect();
                if !tries.is_empty() {
                    steps.push(Op::Ask(tries, how));
                }
            }
            Op::Release { name, attempt, tomb: None } if renewed(index, *name, *attempt) => {
                over.insert((*name, *attempt));
                steps.push(op.clone());
            }
            Op::Release { name, attempt, tomb: None }
                if asks_again(&history[index..], *name, *attempt) =>
            {
                steps.extend([op.clone(), op.clone()]);
            }
            other => {
                if let Op::Renew { name, attempt, .. } = other {
                    renewed_at.entry((*name, *attempt)).or_insert(now);
                }
                steps.push(other.clone());
            }
        }
    }
    steps
}

type Record = Vec<(Outcome, Vec<Seen>)>;

/// The same answers and views, but that fences are each lock's own (the oracle judges them in both),
/// and that of several holders another may be shown.
fn alike(history: &[Op], found: &Record, expected: &Record) -> Result<(), String> {
    let mut before: Vec<Seen> = Vec::new();
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let holders = expected.1.iter().chain(&before).flat_map(|seen| &seen.holders);
        let there: Vec<usize> = holders.map(|holder| holder.attempt).collect();
        let op = &history[index];
        let (ours, theirs) = (unnumbered(op, found, &there), unnumbered(op, expected, &there));
        if ours != theirs {
            return Err(format!("step {index}: the store {ours:?}\n  the rules {theirs:?}"));
        }
        before.clone_from(&expected.1);
    }
    Ok(())
}

fn unnumbered(
    op: &Op,
    (outcome, seen): &(Outcome, Vec<Seen>),
    there: &[usize],
) -> (Outcome, Vec<Seen>) {
    let one = |holding: &mut Option<Holding>| {
        if let Some(profile) = holding.as_mut().and_then(|holding| holding.profile.as_mut()) {
            assert!(there.contains(&who(profile)), "{profile:?} is none of those who hold");
            *profile = std::sync::Arc::default();
        }
    };
    let (mut outcome, mut seen) = (outcome.clone(), seen.clone());
    let free = matches!(op, Op::Renew { name, .. } if seen[*name].holders.is_empty());
    match &mut outcome {
        Outcome::Answers(answers) => {
            for answer in answers {
                match answer {
                    Answer::Granted { fence, .. } => *fence = 0,
                    Answer::Queued { holder, .. } | Answer::Busy { holder } => one(holder),
                    Answer::Misfit { used: Kind::Permits { count, .. } } => *count = 0,
                    _ => {}
                }
            }
        }
        Outcome::Evicted(Evicted::Evicted { fence, profile }) => {
            assert!(there.contains(&who(profile)), "{profile:?} is none of those who held");
            (*fence, *profile) = (0, std::sync::Arc::default());
        }
        Outcome::Resized(Resized::Changed { version }) => *version = 0,
        Outcome::Resized(Resized::Unchanged { used, version }) => {
            *version = (*version).min(1);
            if let Some(Kind::Permits { count, .. }) = used {
                *count = 0;
            }
        }
        // Whether somebody held a lock since that is free now, the scripts may know and the rules not.
        Outcome::Renewal(Renewal::Gone(why @ LostReason::Superseded)) if free => {
            *why = LostReason::Expired;
        }
        _ => {}
    }
    for holder in seen.iter_mut().flat_map(|seen| &mut seen.holders) {
        holder.fence = 0;
    }
    (outcome, seen)
}

/// Plays `history` on `store` and on the rules, and demands the same answers and views.
fn same(history: &[Op], store: &mut dyn Subject) -> Result<(), String> {
    let expected = play(&mut Rules::default(), history)?;
    let found = play(store, history)?;
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        if found != expected {
            return Err(format!("step {index}: the store {found:?}\n  the rules {expected:?}"));
        }
    }
    Ok(())
}

#[derive(Clone, Debug)]
enum Plan {
    Set(u64, u64),
    Remove(u64),
    Take(u64),
}

#[test]
fn a_schedule_gives_each_entry_once_in_time() {
    let plan = prop_oneof![
        3 => (0_u64..12, 0_u64..40).prop_map(|(id, at)| Plan::Set(id, at)),
        1 => (0_u64..12).prop_map(Plan::Remove),
        2 => (0_u64..45).prop_map(Plan::Take),
    ];
    property(500, &proptest::collection::vec(plan, 1..80), |plans: &Vec<Plan>| {
        let (mut schedule, mut naive) = (Schedule::default(), BTreeMap::<u64, u64>::new());
        for plan in plans {
            match *plan {
                Plan::Set(id, at) => {
                    schedule.set(id, BootTime::from_nanos(at));
                    naive.insert(id, at);
                }
                Plan::Remove(id) => {
                    schedule.remove(id);
                    naive.remove(&id);
                }
                Plan::Take(now) => {
                    let mut due: Vec<(u64, u64)> = naive
                        .iter()
                        .filter(|(_, at)| **at <= now)
                        .map(|(id, at)| (*at, *id))
                        .collect();
                    due.sort_unstable();
                    let taken = schedule.take_due(BootTime::from_nanos(now));
                    let expected: Vec<u64> = due.iter().map(|(_, id)| *id).collect();
                    if taken != expected {
                        return Err(format!("due at {now}: {taken:?}, not {expected:?}"));
                    }
                    naive.retain(|_, at| *at > now);
                }
            }
            let next = naive.values().min().map_or(BootTime::NEVER, |at| BootTime::from_nanos(*at));
            if schedule.next() != next || schedule.is_empty() != naive.is_empty() {
                return Err(format!("next is {:?}, not {next:?}", schedule.next()));
            }
        }
        Ok(())
    });
}

/// A waiter that fell silent may come back at the place it had, before one that came meanwhile. When
/// one step grants both, their fences tell in what order they stood.
#[test]
fn the_oracle_takes_an_uncertain_order_from_the_fences() {
    let ask = |attempt, count, alive_for: Option<u64>| {
        let wait = alive_for.map(|alive_for| Wait {
            alive_for: Duration::from_millis(alive_for),
            claim: Duration::from_millis(150),
            heartbeat: Duration::from_millis(100),
            max_queue: 9,
            priority: i32::from(attempt == 3),
            fences: 1,
        });
        let (ttl, grace) = (Duration::from_millis(500), Duration::from_millis(100));
        let kind = Kind::Permits { count, capacity: 4 };
        Op::Ask(vec![Try { name: 0, attempt, kind, ttl, grace, wait }], How::EachAlone)
    };
    let history = [
        ask(4, 4, None),
        ask(3, 1, Some(1000)),
        ask(0, 1, Some(250)),
        Op::Advance(Duration::from_millis(250)),
        ask(1, 1, Some(250)),
        ask(0, 1, Some(250)),
        Op::Evict { name: 0, fence: false },
    ];
    play(&mut Rules::default(), &history).expect("the rules kept their promises");

    // The same, where the one that came back asks for itself in that step.
    let history = [
        ask(4, 4, None),
        ask(2, 3, Some(250)),
        Op::Advance(Duration::from_millis(250)),
        ask(0, 1, Some(1000)),
        ask(2, 3, Some(1000)),
        Op::Advance(Duration::from_millis(350)),
        ask(2, 3, None),
    ];
    play(&mut Rules::default(), &history).expect("the rules kept their promises");
}

/// The oracle itself can tell: each broken rule below is one that a peer has or had.
#[test]
fn the_oracle_catches_broken_rules() {
    for broken in broken::ALL {
        let caught = (0..4000).find(|seed| broken::caught(*broken, *seed));
        let seed = caught.unwrap_or_else(|| panic!("{broken:?} was not caught in 4,000 histories"));
        println!("{broken:?}: caught by history {seed}");
    }
}

mod broken {
    //! Subjects that break one promise each, by lying between the rules and the observer.

    use leasehold::store::{Answer, How, Kind, Released, Renewal, Resized};
    use leasehold::sys::Moment;
    use leasehold_testkit::model::{Mix, Op, Outcome, Rules, Seen, Subject, history, play};
    use proptest::strategy::{Strategy, ValueTree};
    use proptest::test_runner::{Config, RngSeed, TestRunner};

    #[derive(Clone, Copy, PartialEq, Debug)]
    pub(super) enum Broken {
        /// An expired holder's release frees its successor's lock (ShedLock before 2025).
        ReleaseOfAny,
        /// A lost wake-up: an expired tenure is not handed over by who sees it.
        Asleep,
        /// A renewal brings an expired tenure back (RedLock.net).
        Resurrect,
        /// A repeated ask gets a new fence (RedissonFencedLock).
        NewFence,
        /// A cancelled attempt is granted (no tombstone).
        NoTomb,
        /// A newcomer is granted before those who wait.
        Barge,
        /// One reader's renewal prolongs all (Redisson's read lock).
        RenewAll,
        /// Readers join while a writer waits (Redisson's read lock, minio).
        ReadOn,
        /// A small ask for permits is granted before a large one that waits.
        SmallFirst,
        /// A reader's release ends all readers' tenures.
        ReleaseAll,
        /// A change of permits overwrites another (Redisson's `trySetPermits`).
        Overwrite,
        /// Fewer permits take some from who holds them.
        TakeAway,
    }

    pub(super) const ALL: &[Broken] = &[
        Broken::ReleaseOfAny,
        Broken::Asleep,
        Broken::Resurrect,
        Broken::NewFence,
        Broken::NoTomb,
        Broken::Barge,
        Broken::RenewAll,
        Broken::ReadOn,
        Broken::SmallFirst,
        Broken::ReleaseAll,
        Broken::Overwrite,
        Broken::TakeAway,
    ];

    fn mix(broken: Broken) -> Mix {
        match broken {
            Broken::RenewAll | Broken::ReadOn | Broken::ReleaseAll => Mix::ReadWrite,
            Broken::SmallFirst | Broken::Overwrite | Broken::TakeAway => Mix::Permits,
            _ => Mix::Exclusive,
        }
    }

    pub(super) fn caught(broken: Broken, seed: u64) -> bool {
        let config = Config {
            rng_seed: RngSeed::Fixed(seed),
            failure_persistence: None,
            ..Config::default()
        };
        let mut runner = TestRunner::new(config);
        let ops = history(mix(broken), 20..60).new_tree(&mut runner).expect("a history").current();
        play(&mut Liar { rules: Rules::default(), broken, changes: [0; 2] }, &ops).is_err()
    }

    struct Liar {
        rules: Rules,
        broken: Broken,
        /// The last change of each lock.
        changes: [u64; 2],
    }

    impl Subject for Liar {
        fn apply(&mut self, op: &Op, fence: Option<u64>) -> Outcome {
            let op = match (self.broken, op) {
                (Broken::ReleaseOfAny, Op::Release { name, tomb, .. }) => {
                    match self.rules.see(*name).holders.first() {
                        Some(holder) => {
                            Op::Release { name: *name, attempt: holder.attempt, tomb: *tomb }
                        }
                        None => op.clone(),
                    }
                }
                (Broken::NoTomb, Op::Release { name, attempt, .. }) => {
                    Op::Release { name: *name, attempt: *attempt, tomb: None }
                }
                (
                    Broken::Barge | Broken::ReadOn | Broken::SmallFirst,
                    Op::Ask(tries, How::EachAlone),
                ) => {
                    // Those who wait are made to leave first: for a free lock, or for one that the
                    // newcomer can share.
                    for one in tries {
                        let seen = self.rules.see(one.name);
                        let share = match self.broken {
                            Broken::ReadOn => one.kind == Kind::Shared,
                            Broken::SmallFirst => true,
                            _ => seen.holders.is_empty(),
                        };
                        if share {
                            for (attempt, _) in seen.queue {
                                let leave = Op::Release { name: one.name, attempt, tomb: None };
                                self.rules.apply(&leave, None);
                            }
                        }
                    }
                    op.clone()
                }
                (Broken::RenewAll, Op::Renew { name, kind, ttl, .. }) => {
                    for holder in self.rules.see(*name).holders {
                        let (name, attempt, kind, ttl) = (*name, holder.attempt, *kind, *ttl);
                        self.rules.apply(&Op::Renew { name, attempt, kind, ttl }, None);
                    }
                    op.clone()
                }
                (Broken::ReleaseAll, Op::Release { name, attempt, tomb }) => {
                    let holders = self.rules.see(*name).holders;
                    if holders.iter().any(|holder| holder.attempt == *attempt) {
                        for holder in holders {
                            let (name, attempt) = (*name, holder.attempt);
                            self.rules.apply(&Op::Release { name, attempt, tomb: None }, None);
                        }
                    }
                    Op::Release { name: *name, attempt: *attempt, tomb: *tomb }
                }
                (Broken::Asleep, Op::Release { name, .. })
                    if self.rules.see(*name).holders.is_empty() =>
                {
                    return Outcome::Released(Released::NotHeld);
                }
                _ => op.clone(),
            };
            let fence = match (self.broken, &op) {
                (Broken::Overwrite, Op::Resize { name, .. }) => Some(self.changes[*name]),
                _ => fence,
            };
            let outcome = self.rules.apply(&op, fence);
            if let (Op::Resize { name, from, to, .. }, Outcome::Resized(answer)) = (&op, &outcome)
                && let Resized::Changed { version } = answer
            {
                self.changes[*name] = *version;
                let holder = self.rules.see(*name).holders.first().map(|holder| holder.attempt);
                if let (Broken::TakeAway, true, Some(attempt)) = (self.broken, to < from, holder) {
                    self.rules.apply(&Op::Release { name: *name, attempt, tomb: None }, None);
                }
            }
            match (self.broken, outcome) {
                (Broken::Resurrect, Outcome::Renewal(Renewal::Gone(_))) => {
                    Outcome::Renewal(Renewal::Renewed { stored_for: super::Duration::from_secs(9) })
                }
                (Broken::NewFence, Outcome::Answers(mut answers)) => {
                    for answer in &mut answers {
                        if let Answer::Granted { fence, .. } = answer {
                            *fence += 1;
                        }
                    }
                    Outcome::Answers(answers)
                }
                (_, outcome) => outcome,
            }
        }

        fn see(&mut self, name: usize) -> Seen {
            self.rules.see(name)
        }

        fn moment(&self) -> Moment {
            self.rules.moment()
        }
    }
}
