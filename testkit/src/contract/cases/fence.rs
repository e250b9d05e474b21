//! Fences of one lock only grow, whatever ended the tenure before.

use leasehold::ErrorKind;
use leasehold::lock::MAX_FENCE;
use leasehold::store::{Ask, FenceSource, How};

use crate::contract::case::cases;
use crate::contract::{CLAIM, Case, GRACE, Scene, Seat, TTL};

pub(super) const CASES: &[Case] = cases![
    now:
        fences_grow_across_releases,
        fences_grow_across_clients,
        fences_grow_across_hand_offs,
        fences_grow_across_evictions,
        fences_grow_after_all_rows_are_gone,
        fences_grow_across_a_restart_of_the_store,
        fences_are_not_below_the_wall_clock;
    later:
        fences_grow_across_expiries,
        fences_grow_across_lapsed_claims,
        fences_grow_while_the_wall_clock_steps_back,
        fences_of_a_tenure_are_nobody_elses,
        fences_grow_across_a_restart_with_the_wall_clock_set_back,
        a_fence_beyond_the_largest_is_refused;
];

/// Demands that each fence is larger than the one before.
#[derive(Default)]
struct Ladder(u64);

impl Ladder {
    fn climb(&mut self, fence: u64) {
        assert!(fence > self.0, "fence {fence} after {}", self.0);
        assert!(fence <= MAX_FENCE, "fence {fence} is beyond 2^53-1");
        self.0 = fence;
    }

    /// A whole tenure of a new attempt.
    fn tenure(&mut self, scene: &mut Scene<'_>, name: &str) {
        let ask = scene.ask(name);
        self.climb(scene.grant(&ask));
        scene.release(&ask);
    }
}

fn fences_grow_across_releases(scene: &mut Scene<'_>) {
    let mut ladder = Ladder::default();
    for _ in 0..50 {
        ladder.tenure(scene, "released");
    }
}

fn fences_grow_across_clients(scene: &mut Scene<'_>) {
    let mut ladder = Ladder::default();
    for round in 0..20 {
        let seat = if round % 2 == 0 { Seat::First } else { Seat::Second };
        let ask = scene.ask("clients");
        ladder.climb(scene.grant_from(seat, &ask));
        scene.release(&ask);
    }
}

fn fences_grow_across_hand_offs(scene: &mut Scene<'_>) {
    let mut ladder = Ladder::default();
    let mut holder = scene.patient("handed");
    ladder.climb(scene.grant(&holder));
    for _ in 0..20 {
        let waiter = scene.patient("handed");
        scene.queue(&waiter);
        scene.release(&holder);
        ladder.climb(scene.grant(&waiter));
        holder = waiter;
    }
}

fn fences_grow_across_evictions(scene: &mut Scene<'_>) {
    let mut ladder = Ladder::default();
    for _ in 0..20 {
        let ask = scene.ask("evicted");
        ladder.climb(scene.grant(&ask));
        scene.evict("evicted", None);
    }
}

/// The trap of a counter in the lock's own row: it starts anew when the row is deleted.
fn fences_grow_after_all_rows_are_gone(scene: &mut Scene<'_>) {
    let mut ladder = Ladder::default();
    for round in 0..10 {
        ladder.tenure(scene, "forgotten");
        Ladder::default().tenure(scene, &format!("other {round}"));
        if let Some(kept) = scene.rig().kept() {
            assert_eq!(kept, 0, "a released lock leaves no row");
        }
    }
}

fn fences_grow_across_a_restart_of_the_store(scene: &mut Scene<'_>) {
    if !scene.capabilities().survives.store_restart {
        return;
    }
    let mut ladder = Ladder::default();
    for _ in 0..5 {
        ladder.tenure(scene, "restart");
        assert!(scene.rig().reopen(), "a store that survives restarts can be opened again");
    }
    let holder = scene.ask("restart");
    ladder.climb(scene.grant(&holder));
    scene.rig().reopen();
    assert_eq!(scene.holder("restart"), Some(ladder.0), "and so do its tenures");
}

/// What makes a fence outlive the deletion of everything (and comparable with a fence of a guard
/// that outlived it).
fn fences_are_not_below_the_wall_clock(scene: &mut Scene<'_>) {
    if scene.capabilities().fence != FenceSource::Clock {
        return;
    }
    // 2026-01-01 in microseconds: no clock of a test's machine is older.
    let ask = scene.ask("clock");
    assert!(scene.grant(&ask) >= 1_767_225_600_000_000);
}

fn fences_grow_across_expiries(scene: &mut Scene<'_>) {
    let mut ladder = Ladder::default();
    for _ in 0..10 {
        let ask = scene.ask("expired");
        ladder.climb(scene.grant(&ask));
        scene.pass(TTL + GRACE);
    }
}

fn fences_grow_across_lapsed_claims(scene: &mut Scene<'_>) {
    let mut ladder = Ladder::default();
    let holder = scene.ask("lapsed");
    ladder.climb(scene.grant(&holder));
    let waiters: Vec<Ask> = (0..6).map(|_| scene.patient("lapsed")).collect();
    for waiter in &waiters {
        scene.queue(waiter);
    }
    scene.release(&holder);
    for pair in waiters.chunks(2) {
        // The first of each pair sleeps through its claim, the second confirms.
        ladder.climb(scene.holder("lapsed").expect("handed over"));
        scene.pass(CLAIM);
        ladder.climb(scene.grant(&pair[1]));
        scene.release(&pair[1]);
    }
}

fn fences_grow_while_the_wall_clock_steps_back(scene: &mut Scene<'_>) {
    let mut ladder = Ladder::default();
    for _ in 0..10 {
        ladder.tenure(scene, "stepped");
        if !scene.rig().step_wall(-3600) {
            return;
        }
    }
    scene.rig().step_wall(24 * 3600);
    ladder.tenure(scene, "stepped");
}

/// Those who hold a tenure in turn have the fences just below the one that it is known by. With the
/// clock set back only the number that is asked for keeps them apart.
fn fences_of_a_tenure_are_nobody_elses(scene: &mut Scene<'_>) {
    if scene.capabilities().fence != FenceSource::Clock {
        return;
    }
    let first = scene.ask("several");
    let mut last = scene.grant(&first);
    scene.evict("several", None);
    scene.rig().set_wall_us(1_000_000);
    let mut holder = scene.patient("several");
    for (round, count) in [16, 1, 64, 2, 1, 16].into_iter().enumerate() {
        if let Some(wait) = &mut holder.wait {
            wait.fences = count;
        }
        // Granted at once, or from the queue; and the same when it asks again.
        let fence = if round % 2 == 0 {
            scene.grant(&holder)
        } else {
            let before = scene.ask("several");
            last = scene.grant(&before);
            scene.queue(&holder);
            scene.release(&before);
            scene.grant(&holder)
        };
        assert!(fence - last >= u64::from(count), "{count} fences up to {fence} after {last}");
        assert_eq!(scene.grant(&holder), fence);
        last = fence;
        scene.release(&holder);
        holder = scene.patient("several");
    }
    let ask = scene.ask("several");
    assert!(scene.grant(&ask) > last);
}

fn fences_grow_across_a_restart_with_the_wall_clock_set_back(scene: &mut Scene<'_>) {
    if !scene.capabilities().survives.store_restart {
        return;
    }
    let mut ladder = Ladder::default();
    ladder.tenure(scene, "both");
    if scene.rig().step_wall(-365 * 24 * 3600) {
        scene.rig().reopen();
        ladder.tenure(scene, "both");
    }
}

fn a_fence_beyond_the_largest_is_refused(scene: &mut Scene<'_>) {
    if scene.capabilities().fence != FenceSource::Clock || !scene.rig().set_wall_us(MAX_FENCE) {
        return;
    }
    let last = scene.ask("largest");
    assert_eq!(scene.grant(&last), MAX_FENCE);
    scene.release(&last);
    for wall_us in [MAX_FENCE, MAX_FENCE + 1, 1 << 60] {
        scene.rig().set_wall_us(wall_us);
        let ask = scene.ask("largest");
        let error = scene
            .try_acquire_many(Seat::First, &[ask], How::EachAlone)
            .expect_err("no larger fence exists");
        assert_eq!(error.kind(), ErrorKind::StoreFailed, "{error:?}");
        assert!(error.message().contains("2^53"), "{error}");
        assert_eq!(scene.holder("largest"), None, "a refusal grants nothing");
    }
}
