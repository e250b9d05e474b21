//! The steps of a history, and how they are drawn: few names and attempts, so that they meet, and
//! time spans around the ones that matter, so that edges are hit exactly.

use std::time::Duration;

use leasehold::store::{How, Kind, Wait};
use proptest::prelude::*;

/// Locks in a history.
pub(super) const NAMES: usize = 2;
/// Attempts for each lock. An attempt has one token for ever, as a buggy or slow client would.
pub(super) const ATTEMPTS: usize = 7;

/// One attempt's ask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Try {
    /// The lock.
    pub name: usize,
    /// The attempt.
    pub attempt: usize,
    /// How it wants to hold the lock.
    pub kind: Kind,
    /// The ttl.
    pub ttl: Duration,
    /// Kept beyond it.
    pub grace: Duration,
    /// Whether and how it waits.
    pub wait: Option<Wait>,
}

/// One step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Ask for one lock or several.
    Ask(Vec<Try>, How),
    /// Renew a tenure.
    Renew {
        /// The lock.
        name: usize,
        /// The attempt.
        attempt: usize,
        /// How it thinks that it holds the lock.
        kind: Kind,
        /// For how long.
        ttl: Duration,
    },
    /// Release or leave the queue, with a tombstone or without.
    Release {
        /// The lock.
        name: usize,
        /// The attempt.
        attempt: usize,
        /// The tombstone's length.
        tomb: Option<Duration>,
    },
    /// End a tenure from outside; true demands the fence that was seen last.
    Evict {
        /// The lock.
        name: usize,
        /// Whether the last seen fence is demanded.
        fence: bool,
    },
    /// Change a semaphore's number of permits.
    Resize {
        /// The lock.
        name: usize,
        /// So many there must be.
        from: u32,
        /// So many there will be.
        to: u32,
        /// Whether it names the change before it.
        fresh: bool,
    },
    /// Let time pass.
    Advance(Duration),
    /// Step the wall clock, in seconds.
    StepWall(i64),
}

/// Which kinds of lock a history is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mix {
    /// Exclusive locks alone.
    Exclusive,
    /// Readers and writers, which now and then change from one to the other.
    ReadWrite,
    /// Permits, now and then of another capacity, which is changed now and then.
    Permits,
    /// All kinds on the same names: what one attempt uses as a semaphore another asks to write.
    All,
}

/// Histories of `steps` steps.
pub fn history(mix: Mix, steps: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Op>> {
    proptest::collection::vec(op(mix), steps)
}

/// What an attempt asks for: mostly the same each time, `other` of a hundred times something else.
fn kind(mix: Mix, attempt: usize, other: u8) -> Kind {
    let odd = other < 10;
    let reads = (attempt < 4) != odd;
    let permits = Kind::Permits {
        count: [1, 1, 2, 3, 4, 1, 2][attempt],
        capacity: if other < 4 { 5 } else { 4 },
    };
    match mix {
        Mix::Exclusive => Kind::Exclusive,
        Mix::ReadWrite if reads => Kind::Shared,
        Mix::ReadWrite => Kind::Exclusive,
        Mix::Permits => permits,
        Mix::All => match attempt % 3 {
            0 => Kind::Exclusive,
            1 => Kind::Shared,
            _ => permits,
        },
    }
}

fn op(mix: Mix) -> impl Strategy<Value = Op> {
    let name = 0..NAMES;
    let attempt = 0..ATTEMPTS;
    prop_oneof![
        10 => a_try(mix, true, 0.8).prop_map(|ask| Op::Ask(vec![ask], How::EachAlone)),
        2 => proptest::collection::vec(a_try(mix, false, 0.8), 0..4)
            .prop_map(|asks| Op::Ask(asks, How::EachAlone)),
        2 => proptest::collection::vec(a_try(mix, false, 0.01), 1..3)
            .prop_map(|asks| {
                let asks = asks.into_iter().map(|ask| Try { wait: None, ..ask });
                Op::Ask(asks.collect(), How::AllOrNothing)
            }),
        1 => a_try(mix, true, 0.01)
            .prop_map(|ask| Op::Ask(vec![Try { wait: None, ..ask }], How::Held)),
        4 => (name.clone(), attempt.clone(), ttl())
            .prop_map(move |(name, attempt, ttl)| {
                Op::Renew { name, attempt, kind: kind(mix, attempt, 50), ttl }
            }),
        5 => (name.clone(), attempt.clone(), proptest::option::weighted(0.4, tomb()))
            .prop_map(|(name, attempt, tomb)| Op::Release { name, attempt, tomb }),
        1 => (name.clone(), any::<bool>()).prop_map(|(name, fence)| Op::Evict { name, fence }),
        6 => span().prop_map(Op::Advance),
        1 => (-5000_i64..5000).prop_map(Op::StepWall),
        1 => match mix {
            Mix::Permits | Mix::All => resize(name).boxed(),
            Mix::Exclusive | Mix::ReadWrite => span().prop_map(Op::Advance).boxed(),
        },
    ]
}

/// Mostly from what most ask with; to more, to less, and to less than some ask for.
fn resize(name: std::ops::Range<usize>) -> impl Strategy<Value = Op> {
    let capacity = || prop_oneof![3 => Just(4_u32), 1 => Just(2), 1 => Just(3), 1 => Just(6)];
    (name, capacity(), capacity(), proptest::bool::weighted(0.9))
        .prop_filter("a change", |(_, from, to, _)| from != to)
        .prop_map(|(name, from, to, fresh)| Op::Resize { name, from, to, fresh })
}

/// `free`: the attempt may ask for something else than before. In one of several asks it may not, or
/// two changes of one attempt in a step could not be told apart by what is seen after it.
fn a_try(mix: Mix, free: bool, waits: f64) -> impl Strategy<Value = Try> {
    let other = if free { 0..100_u8 } else { 50..51 };
    (0..NAMES, 0..ATTEMPTS, other, ttl(), proptest::option::weighted(waits, wait())).prop_map(
        move |(name, attempt, other, ttl, wait)| {
            // An attempt's rank and fences are its own: they don't change between asks.
            let priority = [0, 0, 0, 0, 1, 1, -1][attempt];
            let fences = [1, 16, 1, 64, 1, 16, 2][attempt];
            let wait = wait.map(|wait| Wait { priority, fences, ..wait });
            let kind = kind(mix, attempt, other);
            Try { name, attempt, kind, ttl, grace: Duration::from_millis(100), wait }
        },
    )
}

fn wait() -> impl Strategy<Value = Wait> {
    let alive = prop_oneof![Just(250_u64), Just(1000), Just(60_000)];
    let queue = prop_oneof![1 => Just(0_u32), 2 => Just(2), 7 => Just(10_000)];
    (alive, queue).prop_map(|(alive, max_queue)| Wait {
        alive_for: Duration::from_millis(alive),
        claim: Duration::from_millis(150),
        heartbeat: Duration::from_millis(100),
        max_queue,
        priority: 0,
        fences: 1,
    })
}

fn ttl() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(200_u64), Just(500), Just(900)].prop_map(Duration::from_millis)
}

fn tomb() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(100_u64), Just(1000), Just(10_000)].prop_map(Duration::from_millis)
}

/// Mostly sums of the spans above, so that something is due exactly now or a nanosecond ago.
fn span() -> impl Strategy<Value = Duration> {
    prop_oneof![
        6 => prop_oneof![
            Just(100_u64), Just(150), Just(250), Just(300), Just(600), Just(1000), Just(60_000)
        ].prop_map(Duration::from_millis),
        1 => Just(Duration::from_nanos(1)),
        2 => (0_u64..1_200_000_000).prop_map(Duration::from_nanos),
    ]
}
