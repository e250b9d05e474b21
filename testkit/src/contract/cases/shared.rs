//! Readers share a lock, and take turns with writers by phases.

use std::time::Duration;

use leasehold::LostReason;
use leasehold::store::{Answer, Ask, Evicted, Hold, How, Kind, Released, Renewal};

use crate::contract::case::cases;
use crate::contract::{ALIVE, CLAIM, Case, GRACE, HEARTBEAT, Scene, Seat, TTL};

pub(super) const CASES: &[Case] = cases![
    now:
        readers_hold_together,
        a_reader_keeps_a_writer_out,
        a_writer_keeps_readers_out,
        an_epoch_lies_between_the_writers,
        readers_of_one_phase_have_one_epoch,
        a_reader_queues_behind_a_writer_that_waits,
        a_writers_release_grants_all_waiting_readers,
        the_last_reader_grants_the_writer,
        readers_and_writers_take_turns,
        a_writer_that_leaves_lets_the_readers_in,
        each_reader_of_a_batch_is_told,
        a_downgrade_keeps_the_fence_and_lets_readers_in,
        a_downgrade_can_be_repeated,
        the_only_reader_may_write,
        what_is_not_held_is_not_changed,
        a_reader_among_others_may_not_write,
        a_readers_release_ends_its_own_tenure_only,
        an_eviction_ends_all_readers,
        readers_are_shown,
        all_or_nothing_reads_together,
        released_readers_leave_no_row;
    later:
        a_dead_reader_leaves_at_its_own_expiry,
        one_renewal_renews_one_reader,
        an_expired_reader_is_told_so,
        an_expired_writer_is_followed_by_readers,
        who_waits_for_one_thing_is_not_granted_another,
        a_dead_writer_keeps_no_reader_waiting,
        a_writer_looks_again_when_the_last_reader_ends;
];

fn declared(scene: &Scene<'_>) -> bool {
    scene.capabilities().kinds.shared
}

fn reading(ask: Ask) -> Ask {
    Ask { kind: Kind::Shared, ..ask }
}

fn reader(scene: &mut Scene<'_>, name: &str) -> Ask {
    reading(scene.ask(name))
}

fn waiting_reader(scene: &mut Scene<'_>, name: &str) -> Ask {
    reading(scene.patient(name))
}

/// Demands that `asks`, and nobody else, hold the lock.
fn assert_held(scene: &Scene<'_>, name: &str, asks: &[&Ask]) {
    let view = scene.view(name);
    let mut held: Vec<&str> =
        view.holder.iter().chain(&view.others).map(|holder| holder.profile.note.as_str()).collect();
    held.sort_unstable();
    let mut expected: Vec<&str> = asks.iter().map(|ask| ask.profile.note.as_str()).collect();
    expected.sort_unstable();
    assert_eq!(held, expected, "the holders of {name}");
    assert_eq!(view.holding, asks.len() as u64);
}

fn readers_hold_together(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let readers: Vec<Ask> = (0..5).map(|_| reader(scene, "together")).collect();
    for (index, ask) in readers.iter().enumerate() {
        scene.grant_from(if index % 2 == 0 { Seat::First } else { Seat::Second }, ask);
    }
    assert_held(scene, "together", &readers.iter().collect::<Vec<_>>());
}

fn a_reader_keeps_a_writer_out(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (one, writer) = (reader(scene, "out"), scene.ask("out"));
    scene.grant(&one);
    let Answer::Busy { holder: Some(shown) } = scene.acquire_from(Seat::Second, &writer) else {
        panic!("a lock with a reader should be busy, with its holder");
    };
    assert_eq!(shown.profile.as_deref(), Some(&*one.profile));
    scene.release(&one);
    scene.grant(&writer);
}

fn a_writer_keeps_readers_out(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (writer, one) = (scene.ask("in"), reader(scene, "in"));
    scene.grant(&writer);
    assert!(matches!(scene.acquire(&one), Answer::Busy { holder: Some(_) }));
    assert_held(scene, "in", &[&writer]);
}

fn an_epoch_lies_between_the_writers(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let mut last = 0;
    for _ in 0..5 {
        let (writer, one) = (scene.ask("epoch"), reader(scene, "epoch"));
        let fence = scene.grant(&writer);
        assert!(fence > last, "fence {fence} after the epoch {last}");
        scene.release(&writer);
        let epoch = scene.grant(&one);
        assert!(epoch >= fence, "epoch {epoch} after the writer with {fence}");
        assert_eq!(scene.grant(&one), epoch, "one tenure has one epoch");
        scene.release(&one);
        last = epoch;
    }
}

fn readers_of_one_phase_have_one_epoch(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (writer, one) = (scene.ask("phase"), reader(scene, "phase"));
    let waiting: Vec<Ask> = (0..3).map(|_| waiting_reader(scene, "phase")).collect();
    let fence = scene.grant(&writer);
    for ask in &waiting {
        scene.queue(ask);
    }
    // Another lock's fences are none of this one's business.
    let other = scene.ask("another");
    scene.grant(&other);
    scene.release(&writer);
    let epochs: Vec<u64> = waiting.iter().map(|ask| scene.grant(ask)).collect();
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "{epochs:?}");
    assert!(epochs[0] >= fence);
    let third = scene.ask("a third");
    scene.grant(&third);
    assert_eq!(scene.grant(&one), epochs[0], "whoever joins has the same");
}

fn a_reader_queues_behind_a_writer_that_waits(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (first, writer) = (reader(scene, "behind"), scene.patient("behind"));
    let (late, other) = (waiting_reader(scene, "behind"), reader(scene, "behind"));
    scene.grant(&first);
    assert!(scene.queue(&writer), "the writer is the first in line");
    assert!(!scene.queue(&late), "the reader comes after it");
    assert!(matches!(scene.acquire(&other), Answer::Busy { .. }), "and nobody slips in");
    assert_held(scene, "behind", &[&first]);
    scene.release(&first);
    assert_held(scene, "behind", &[&writer]);
}

fn a_writers_release_grants_all_waiting_readers(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let writer = scene.ask("batch");
    scene.grant(&writer);
    let (before, next) = (waiting_reader(scene, "batch"), scene.patient("batch"));
    let (after, last) = (waiting_reader(scene, "batch"), waiting_reader(scene, "batch"));
    for ask in [&before, &next, &after, &last] {
        scene.queue(ask);
    }
    scene.release(&writer);
    assert_held(scene, "batch", &[&before, &after, &last]);
    assert_eq!(scene.view("batch").waiting, 1, "the writer waits for one phase of readers");
    let late = waiting_reader(scene, "batch");
    scene.queue(&late);
    assert_held(scene, "batch", &[&before, &after, &last]);
}

fn the_last_reader_grants_the_writer(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let readers: Vec<Ask> = (0..3).map(|_| reader(scene, "last")).collect();
    for ask in &readers {
        scene.grant(ask);
    }
    let (writer, late) = (scene.patient("last"), waiting_reader(scene, "last"));
    scene.queue(&writer);
    scene.queue(&late);
    for ask in &readers {
        assert_eq!(scene.view("last").waiting, 2, "not before the last of them");
        scene.release(ask);
    }
    assert_held(scene, "last", &[&writer]);
    scene.release(&writer);
    assert_held(scene, "last", &[&late]);
}

/// However many of either come, each waits for one phase of the others (hazards 49 and 50).
fn readers_and_writers_take_turns(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let mut reads = reader(scene, "turns");
    scene.grant(&reads);
    for _ in 0..10 {
        let writes = [scene.patient("turns"), scene.patient("turns")];
        for ask in &writes {
            scene.queue(ask);
        }
        let next = waiting_reader(scene, "turns");
        scene.queue(&next);
        scene.release(&reads);
        assert_held(scene, "turns", &[&writes[0]]);
        scene.release(&writes[0]);
        assert_held(scene, "turns", &[&next]);
        let stream = waiting_reader(scene, "turns");
        scene.queue(&stream);
        scene.release(&next);
        assert_held(scene, "turns", &[&writes[1]]);
        scene.release(&writes[1]);
        assert_held(scene, "turns", &[&stream]);
        reads = stream;
    }
}

fn a_writer_that_leaves_lets_the_readers_in(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (first, writer) = (reader(scene, "gone"), scene.patient("gone"));
    let late = waiting_reader(scene, "gone");
    scene.grant(&first);
    scene.queue(&writer);
    scene.queue(&late);
    assert_eq!(scene.release(&writer), Released::LeftQueue);
    assert_held(scene, "gone", &[&first, &late]);
}

fn each_reader_of_a_batch_is_told(scene: &mut Scene<'_>) {
    if !declared(scene) || !scene.capabilities().push {
        return;
    }
    let writer = scene.ask("told");
    scene.grant(&writer);
    let waiting: Vec<Ask> = (0..8).map(|_| waiting_reader(scene, "told")).collect();
    for (index, ask) in waiting.iter().enumerate() {
        scene.queue_from(if index < 4 { Seat::First } else { Seat::Second }, ask);
    }
    scene.release(&writer);
    for (seat, own) in [(Seat::First, &waiting[..4]), (Seat::Second, &waiting[4..])] {
        let grants = scene.inbox(seat).wait_for(4);
        for ask in own {
            let told = grants.iter().filter(|grant| grant.token == ask.token).count();
            assert_eq!(told, 1, "{} is told once", ask.profile.note);
        }
        assert!(grants.iter().all(|grant| grant.fence == grants[0].fence), "one epoch");
    }
}

fn a_downgrade_keeps_the_fence_and_lets_readers_in(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let writer = scene.ask("down");
    let fence = scene.grant(&writer);
    let (late, next) = (waiting_reader(scene, "down"), scene.patient("down"));
    scene.queue(&next);
    scene.queue(&late);
    let down = reading(writer.clone());
    assert_eq!(scene.grant(&down), fence, "no other wrote in between");
    assert_held(scene, "down", &[&writer, &late]);
    assert_eq!(scene.grant(&late), fence, "what it reads is what this writer left");
    assert!(matches!(scene.renew(&down), Renewal::Renewed { .. }));
    scene.release(&down);
    scene.release(&late);
    assert_held(scene, "down", &[&next]);
}

fn a_downgrade_can_be_repeated(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (writer, other) = (scene.ask("again"), reader(scene, "again"));
    let fence = scene.grant(&writer);
    let down = reading(writer.clone());
    assert_eq!(scene.grant(&down), fence);
    assert_eq!(scene.grant(&other), fence);
    assert_eq!(scene.grant(&down), fence, "an answer may be lost, and asked for again");
    assert_held(scene, "again", &[&writer, &other]);
}

fn the_only_reader_may_write(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (only, late) = (reader(scene, "only"), reader(scene, "only"));
    let epoch = scene.grant(&only);
    let up = Ask { kind: Kind::Exclusive, ..only.clone() };
    let fence = scene.grant(&up);
    assert!(fence > epoch, "a writer's fence of its own: {fence} after {epoch}");
    assert!(matches!(scene.acquire(&late), Answer::Busy { .. }));
    assert_eq!(scene.grant(&up), fence, "one tenure has one fence");
}

/// What the store forgot, or ended, is not had again by a change of it: others may have held it since.
fn what_is_not_held_is_not_changed(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let read = |scene: &mut Scene<'_>| reader(scene, "changed");
    let (never, gone, held) = (read(scene), read(scene), read(scene));
    let change = |scene: &Scene<'_>, ask: &Ask, kind| {
        let ask = Ask { kind, ..ask.clone() };
        scene.acquire_many(&[ask], How::Held).remove(0)
    };
    for kind in [Kind::Shared, Kind::Exclusive] {
        assert_eq!(change(scene, &never, kind), Answer::Cancelled, "free, and not its own");
        assert_eq!(scene.view("changed").holding, 0, "no tenure begins");
    }
    scene.grant(&gone);
    scene.release(&gone);
    scene.grant(&held);
    for kind in [Kind::Shared, Kind::Exclusive] {
        assert_eq!(change(scene, &gone, kind), Answer::Cancelled, "given back");
    }
    assert_held(scene, "changed", &[&held]);
    for kind in [Kind::Shared, Kind::Exclusive, Kind::Exclusive, Kind::Shared] {
        let answer = change(scene, &held, kind);
        assert!(matches!(answer, Answer::Granted { .. }), "{kind:?}: {answer:?}");
        assert_eq!(change(scene, &never, kind), Answer::Cancelled, "beside {kind:?}");
    }
    assert_held(scene, "changed", &[&held]);
}

fn a_reader_among_others_may_not_write(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (one, other) = (reader(scene, "up"), reader(scene, "up"));
    let epoch = scene.grant(&one);
    scene.grant(&other);
    for wait in [None, scene.patient("up").wait] {
        let up = Ask { kind: Kind::Exclusive, wait, ..one.clone() };
        let answer = scene.acquire(&up);
        assert!(matches!(answer, Answer::Deadlock { .. }), "it would wait for itself: {answer:?}");
    }
    assert_held(scene, "up", &[&one, &other]);
    assert_eq!(scene.grant(&one), epoch, "and it reads on");
}

fn a_readers_release_ends_its_own_tenure_only(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (one, other, none) = (reader(scene, "own"), reader(scene, "own"), reader(scene, "own"));
    scene.grant(&one);
    scene.grant(&other);
    assert_eq!(scene.release(&none), Released::NotHeld);
    assert_eq!(scene.release(&one), Released::Released);
    assert_eq!(scene.release(&one), Released::NotHeld);
    assert_held(scene, "own", &[&other]);
}

fn an_eviction_ends_all_readers(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let readers: Vec<Ask> = (0..3).map(|_| reader(scene, "evict")).collect();
    let epochs: Vec<u64> = readers.iter().map(|ask| scene.grant(ask)).collect();
    assert_eq!(scene.evict("evict", Some(epochs[0] + 1)), Evicted::NotHeld);
    assert!(matches!(scene.evict("evict", None), Evicted::Evicted { .. }));
    assert_held(scene, "evict", &[]);
    for ask in &readers {
        assert_eq!(scene.renew(ask), Renewal::Gone(LostReason::Revoked));
        assert_eq!(scene.acquire(ask), Answer::Cancelled);
    }
    let writer = scene.ask("evict");
    assert!(scene.grant(&writer) > epochs[0] + 1, "the fence moved on");
}

fn readers_are_shown(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (one, other) = (reader(scene, "shown"), reader(scene, "shown"));
    let (writer, late) = (scene.patient("shown"), waiting_reader(scene, "shown"));
    scene.grant(&one);
    scene.grant(&other);
    scene.queue(&writer);
    scene.queue(&late);
    let view = scene.view("shown");
    assert!(view.holder.iter().chain(&view.others).all(|held| held.kind == Kind::Shared));
    assert_eq!((view.others.len(), view.holding, view.waiting), (1, 2, 2));
    let queue: Vec<Kind> = view.queue.iter().map(|waiter| waiter.kind).collect();
    assert_eq!(queue, [Kind::Exclusive, Kind::Shared], "readers are listed after writers");
}

fn all_or_nothing_reads_together(scene: &mut Scene<'_>) {
    if !declared(scene) || !scene.capabilities().atomic_multi {
        return;
    }
    let (held, writer) = (reader(scene, "a"), scene.ask("b"));
    scene.grant(&held);
    scene.grant(&writer);
    let both = [reader(scene, "a"), reader(scene, "b")];
    let answers = scene.acquire_many(&both, How::AllOrNothing);
    assert!(answers.iter().all(|answer| matches!(answer, Answer::Busy { .. })), "{answers:?}");
    assert_held(scene, "a", &[&held]);
    scene.release(&writer);
    let answers = scene.acquire_many(&both, How::AllOrNothing);
    assert!(answers.iter().all(|answer| matches!(answer, Answer::Granted { .. })), "{answers:?}");
    assert_held(scene, "a", &[&held, &both[0]]);
}

fn released_readers_leave_no_row(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let readers: Vec<Ask> = (0..20).map(|_| reader(scene, "row")).collect();
    for ask in &readers {
        scene.grant(ask);
    }
    let holds: Vec<Hold> = readers.iter().map(Hold::of).collect();
    scene.release_many(&holds);
    if let Some(kept) = scene.rig().kept() {
        assert_eq!(kept, 0, "rows kept after all readers left");
    }
}

/// Hazard 18: a dead reader's tenure is no other's to prolong.
fn a_dead_reader_leaves_at_its_own_expiry(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (dead, live) = (reader(scene, "dead"), reader(scene, "dead"));
    scene.grant(&dead);
    scene.grant(&live);
    scene.pass(TTL);
    assert!(matches!(scene.renew(&live), Renewal::Renewed { .. }));
    assert_held(scene, "dead", &[&dead, &live]);
    scene.pass(GRACE);
    assert_held(scene, "dead", &[&live]);
}

fn one_renewal_renews_one_reader(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (one, other) = (reader(scene, "one"), reader(scene, "one"));
    scene.grant(&one);
    scene.grant(&other);
    scene.pass(TTL);
    scene.renew(&one);
    let view = scene.view("one");
    for held in view.holder.iter().chain(&view.others) {
        let own = held.profile == one.profile;
        assert_eq!(held.stored > GRACE, own, "{held:?}");
    }
}

fn an_expired_reader_is_told_so(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (other, late) = (reader(scene, "late"), reader(scene, "late"));
    scene.grant(&late);
    scene.pass(TTL);
    scene.grant(&other);
    scene.pass(GRACE);
    assert_eq!(scene.renew(&late), Renewal::Gone(LostReason::Expired), "not superseded");
    assert_eq!(scene.acquire(&late), Answer::Cancelled, "one tenure per attempt");
    assert_held(scene, "late", &[&other]);
}

fn an_expired_writer_is_followed_by_readers(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (dead, next) = (scene.ask("expired"), scene.patient("expired"));
    let late = waiting_reader(scene, "expired");
    scene.grant(&dead);
    scene.queue(&next);
    scene.queue(&late);
    scene.pass(TTL + GRACE);
    assert!(scene.queue(&next), "the writer's own look lets the readers in");
    assert_held(scene, "expired", &[&late]);
    scene.release(&late);
    assert_held(scene, "expired", &[&next]);
}

/// Or whoever waits to read would write before the writers that came first, in the very step that finds
/// the lock free.
fn who_waits_for_one_thing_is_not_granted_another(scene: &mut Scene<'_>) {
    if !declared(scene) || !scene.capabilities().atomic_multi {
        return;
    }
    for (name, waits, asks) in
        [("write", Kind::Shared, Kind::Exclusive), ("read", Kind::Exclusive, Kind::Shared)]
    {
        let (dead, next) = (scene.ask(name), scene.patient(name));
        let (early, own) = (scene.patient(name), scene.patient(name));
        let (early, own) = (Ask { kind: waits, ..early }, Ask { kind: waits, ..own });
        let other = |ask: &Ask| [Ask { kind: asks, wait: None, ..ask.clone() }];
        scene.grant(&dead);
        for ask in [&early, &own, &next] {
            scene.queue(ask);
        }
        let answers = scene.acquire_many(&other(&early), How::AllOrNothing);
        assert_eq!(answers, [Answer::Misfit { used: waits }], "it waits for that");
        scene.pass(TTL + GRACE);
        let answers = scene.acquire_many(&other(&own), How::AllOrNothing);
        assert_eq!(answers, [Answer::Misfit { used: waits }], "it waited for that");
        assert_held(scene, name, &[&next]);
        assert_eq!(scene.view(name).waiting, 0, "both have lost their places");
    }
}

fn a_dead_writer_keeps_no_reader_waiting(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let (first, dead) = (reader(scene, "ghost"), scene.waiter("ghost"));
    let (one, other) = (waiting_reader(scene, "ghost"), waiting_reader(scene, "ghost"));
    scene.grant(&first);
    scene.queue(&dead);
    scene.queue(&one);
    scene.queue(&other);
    scene.pass(ALIVE);
    scene.grant(&one);
    assert_held(scene, "ghost", &[&first, &one, &other]);
    scene.pass(CLAIM);
    assert_held(scene, "ghost", &[&first, &one]);
}

fn a_writer_looks_again_when_the_last_reader_ends(scene: &mut Scene<'_>) {
    if !declared(scene) {
        return;
    }
    let short =
        |millis, ask: Ask| Ask { ttl: Duration::from_millis(millis), grace: Duration::ZERO, ..ask };
    let first = short(300, reader(scene, "look"));
    let last = short(700, reader(scene, "look"));
    let writer = scene.waiter("look");
    scene.grant(&first);
    scene.grant(&last);
    let Answer::Queued { first: true, look_again_in, holder: Some(shown) } = scene.acquire(&writer)
    else {
        panic!("the writer should wait, first in line");
    };
    assert!(look_again_in < HEARTBEAT);
    scene.assert_about(look_again_in, Duration::from_millis(700), "the last reader's end");
    assert_eq!(shown.expires_in, Some(look_again_in));
    scene.pass(Duration::from_millis(700));
    scene.grant(&writer);
}
