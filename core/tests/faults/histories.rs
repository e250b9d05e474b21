//! Everything at random: clients of few locks, faults of the network and of the server. What they saw
//! is written to target/histories, and judged by testkit/porcupine.
//!
//! A seed repeats the choices, not the moments of a real network. It is printed; LEASEHOLD_SEED sets
//! it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use leasehold::{Client, ErrorKind, Release, block_on};
use leasehold_testkit::SeededRandom;
use leasehold_testkit::history::History;
use leasehold_testkit::oracle::boot_nanos;
use leasehold_testkit::proxy::{Action, Direction, Fault, Which};

use super::scene::{Scene, Test, now, report, test};

pub(super) const TESTS: &[Test] = &[test("of_random_faults", random)];

const CLIENTS: usize = 8;
const LOCKS: u64 = 3;
const SPAN: Duration = Duration::from_secs(10);
/// So many tenures show something. A loaded machine may need longer for them.
const ENOUGH: usize = 30;
const LONGEST: Duration = Duration::from_secs(60);

fn random(scene: &Scene<'_>) {
    let seed = std::env::var("LEASEHOLD_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(boot_nanos);
    report(&format!("LEASEHOLD_SEED={seed}"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target folder");
    let file = format!("histories/{}.jsonl", scene.server.flavour().name());
    let history = History::create(&target.join(file)).expect("a file");
    let clients: Vec<Client> = (0..CLIENTS).map(|_| scene.another()).collect();
    let (over, tallies) = (AtomicBool::new(false), Tallies::default());
    std::thread::scope(|scope| {
        for (number, client) in clients.iter().enumerate() {
            let random = SeededRandom::new(seed ^ ((number as u64 + 1) << 32));
            let (history, over, tallies) = (&history, &over, &tallies);
            scope.spawn(move || use_locks(client, number, &random, history, over, tallies));
        }
        let random = SeededRandom::new(seed);
        let (end, last) = (now() + SPAN, now() + LONGEST);
        let mut faults = 0;
        let few = || tallies.released.load(Ordering::Relaxed) < ENOUGH;
        while now() < end || (few() && now() < last) {
            fault(scene, &random);
            scene.proxy.heal();
            scene.server.wake();
            faults += 1;
            // Without a fault for a while: else nobody ever holds.
            pause(&random, 100, 500);
        }
        over.store(true, Ordering::Relaxed);
        report(&format!("{faults} faults; {tallies:?}"));
    });
    history.finish().expect("the history is written");
    assert!(tallies.released.into_inner() >= ENOUGH, "too few were granted to show anything");
}

#[derive(Debug, Default)]
struct Tallies {
    released: AtomicUsize,
    background: AtomicUsize,
    lost: AtomicUsize,
    refused: AtomicUsize,
    failed: AtomicUsize,
}

fn count(tally: &AtomicUsize) {
    tally.fetch_add(1, Ordering::Relaxed);
}

fn pause(random: &SeededRandom, least: u64, most: u64) {
    std::thread::sleep(Duration::from_millis(least + random.below(most - least)));
}

fn use_locks(
    client: &Client,
    number: usize,
    random: &SeededRandom,
    history: &History,
    over: &AtomicBool,
    tallies: &Tallies,
) {
    while !over.load(Ordering::Relaxed) {
        let name = format!("lock{}", random.below(LOCKS));
        let ttl = Duration::from_millis([200, 400, 1000, 5000][random.below(4) as usize]);
        let wait = Duration::from_millis(random.below(3) * 700);
        let lock = client.lock(&name).ttl(ttl).wait(wait);
        let take = || match block_on(lock.acquire()) {
            Ok(lease) => Ok(Some(lease)),
            // Nothing is known of the ask of a wait that ran out: only one that doesn't wait is sure.
            Err(error) if error.kind() == ErrorKind::Timeout && wait.is_zero() => Ok(None),
            Err(error) => Err(error),
        };
        match history.acquire(number, &name, take, |lease| lease.fence()) {
            Ok(Some((lease, mut seen))) => {
                // Some hold for longer than a fault lasts.
                let most = if random.below(4) == 0 { 150 } else { 25 };
                for _ in 0..random.below(most) {
                    if !seen.look(|| lease.is_held()) {
                        break;
                    }
                    pause(random, 1, 20);
                }
                match seen.release(|| block_on(lease.release())) {
                    Release::Released => count(&tallies.released),
                    Release::Lost(_) => count(&tallies.lost),
                    _ => count(&tallies.background),
                }
            }
            Ok(None) => count(&tallies.refused),
            Err(_) => count(&tallies.failed),
        }
        pause(random, 1, 30);
    }
}

/// One fault, for a while.
fn fault(scene: &Scene<'_>, random: &SeededRandom) {
    let proxy = &scene.proxy;
    let direction = Direction::BOTH[random.below(2) as usize];
    let some = Which::FirstBytes({
        let odd = random.below(2);
        std::sync::Arc::new(move |head: &[u8]| {
            head.iter().map(|byte| u64::from(*byte)).sum::<u64>() % 2 == odd
        })
    });
    let which = if random.below(2) == 0 { Which::All } else { some };
    match random.below(9) {
        0 => proxy.set(which, direction, Fault::BlackHole),
        1 => proxy.set(which, direction, Fault::Hold),
        2 => proxy.set(which, direction, Fault::CutAfter(random.below(2000))),
        3 => proxy.set(which, direction, Fault::Delay(Duration::from_millis(random.below(300)))),
        4 => proxy.reset(which),
        5 => proxy.sever(which),
        6 => {
            proxy.refuse();
            proxy.reset(which);
        }
        7 => {
            let _ = proxy.trap(Direction::ToServer, "EVALSHA", Action::DropReply, 20);
            let _ = proxy.trap(Direction::ToClient, "$7\r\nmessage\r\n", Action::Cut, 5);
        }
        _ => scene.server.pause(),
    }
    pause(random, 20, 700);
}
