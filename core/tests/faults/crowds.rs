//! A thousand wait for one lock: each is granted once and in turn, and what a hand-off costs the
//! server does not grow with those who wait.

use std::collections::{BTreeSet, VecDeque};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use leasehold::store::redis::{Keys, RedisStore, TcpDial};
use leasehold::store::{Answer, Ask, Cancel, Hold, How, Kind, Released, Store, Wait};
use leasehold::sys::{BootTime, Sys, Token};
use leasehold::{Batcher, Lease, Name, Release, Result, StoreUrl, block_on};
use leasehold_testkit::{Process, program};

use super::scene::{LONG, Scene, Test, now, report, test};

pub(super) const TESTS: &[Test] = &[
    test("of_one_process", one_process),
    test("of_four_processes", four_processes),
    test("cost_a_script_no_more_than_a_few_do", script_time),
    test("that_ask_at_once_travel_together", travel_together),
    test("that_travel_together_fail_apart", fail_apart),
    test("of_locks_taken_at_once", a_thousand_locks),
    test("of_callers_collected_by_a_batcher", collected),
];

const WAITERS: usize = 1000;
const PROCESSES: usize = 4;
const NAME: &str = "crowded";

fn begin(scene: &Scene<'_>) -> BootTime {
    scene.server.reset_stats();
    now()
}

/// What the hand-offs to all waiters since `began` cost, with the heartbeats of that time.
fn cost(scene: &Scene<'_>, began: BootTime) {
    let took = now().since(began);
    let mut stats = scene.server.commandstats();
    stats.retain(|name, _| !["info", "config|resetstat"].contains(&&**name));
    let each = |calls: u64| calls as f64 / WAITERS as f64;
    let (scripts, usec) = stats["evalsha"];
    let all: u64 = stats.values().map(|stat| stat.0).sum();
    report(&format!(
        "{WAITERS} hand-offs in {took:.1?}: for each {:.2} script calls of {:.0} µs, with {:.1} \
         commands in them",
        each(scripts),
        usec as f64 / scripts as f64,
        each(all - scripts)
    ));
    assert!(each(scripts) <= 3.0, "{stats:?}");
}

fn one_process(scene: &Scene<'_>) {
    scene.warm();
    // Where the machine stands still for longer than a waiter may be silent, some are taken for dead
    // and come to wait anew: not each time.
    let in_order = (0..3).any(|_| {
        let fences = pass_on(scene);
        assert_eq!(fences.iter().collect::<BTreeSet<_>>().len(), WAITERS + 1);
        fences.is_sorted()
    });
    assert!(in_order, "not in the order of arrival");
    scene.await_free(NAME);
}

/// A thousand locks, all or none: in how many requests.
fn a_thousand_locks(scene: &Scene<'_>) {
    scene.warm();
    let names: Vec<_> = (0..WAITERS).map(|number| format!("many{number}")).collect();
    let all = || scene.client.lock_all(names.iter().map(|name| scene.client.lock(name).ttl(LONG)));
    scene.server.reset_stats();
    let began = now();
    let leases = block_on(all().acquire()).expect("nobody else wants them");
    let taken = now().since(began);
    assert!(leases.is_held() && leases.len() == WAITERS);
    assert_eq!(scene.server.commandstats()["evalsha"].0, 1, "one request");
    assert!(block_on(leases.release()).iter().all(|found| *found == Release::Released));
    let (calls, usec) = scene.server.commandstats()["evalsha"];
    report(&format!(
        "{WAITERS} locks taken in {taken:.1?} and given back, with {calls} script calls of {usec:.0} µs"
    ));
    // Those of the release are sent together: each is short, so that others are served in between.
    assert!(calls <= 11, "{calls} script calls");
    let one = block_on(scene.client.lock("many700").acquire()).expect("free");
    assert!(block_on(all().try_acquire()).expect("an answer").is_none());
    assert!(block_on(scene.client.lock("many0").try_acquire()).expect("an answer").is_some());
    block_on(one.release());
}

/// A thousand callers with a lock each, collected: in how many requests.
fn collected(scene: &Scene<'_>) {
    scene.warm();
    let batcher = Batcher::new(&scene.client, WAITERS, LONG).expect("a batcher");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    scene.server.reset_stats();
    let leases: Vec<Lease> = runtime.block_on(async {
        let take = |number| {
            let lock = scene.client.lock(format!("collected{number}")).ttl(LONG);
            let batcher = batcher.clone();
            tokio::spawn(async move { batcher.acquire(lock).await })
        };
        let tasks: Vec<_> = (0..WAITERS).map(take).collect();
        let mut leases = Vec::new();
        for task in tasks {
            leases.push(task.await.expect("it did not panic").expect("free"));
        }
        leases
    });
    let (calls, usec) = scene.server.commandstats()["evalsha"];
    report(&format!("{WAITERS} callers in {calls} script calls of {usec} µs in all"));
    // All in one request of the client's, cut so that the server serves others in between.
    assert_eq!(calls, WAITERS as u64 / 100);
    assert!(leases.iter().all(Lease::is_held));
    for lease in &leases {
        assert_eq!(block_on(lease.release()), Release::Released);
    }
}

/// Takes that many locks at once and gives back those that it got.
fn at_once(scene: &Scene<'_>, names: &[String]) -> Vec<Result<u64>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let take = |name: &String| {
            let lock = scene.client.lock(name).ttl(LONG);
            tokio::spawn(async move {
                let lease = lock.await?;
                assert!(lease.is_held());
                assert_eq!(lease.release().await, Release::Released);
                Ok(lease.fence())
            })
        };
        let tasks: Vec<_> = names.iter().map(take).collect();
        let mut fences = Vec::new();
        for task in tasks {
            fences.push(task.await.expect("it did not panic"));
        }
        fences
    })
}

fn travel_together(scene: &Scene<'_>) {
    scene.warm();
    let names: Vec<_> = (0..WAITERS).map(|number| format!("own{number}")).collect();
    for _ in 0..2 {
        scene.server.reset_stats();
        for fence in at_once(scene, &names) {
            fence.expect("a lock that nobody else wants");
        }
        let (calls, _) = scene.server.commandstats()["evalsha"];
        report(&format!("{} requests in {calls} script calls", 2 * WAITERS));
        assert!(calls < WAITERS as u64, "most went alone");
    }
    for name in &names {
        scene.await_free(name);
    }
}

fn fail_apart(scene: &Scene<'_>) {
    scene.warm();
    let names: Vec<_> = (0..100).map(|number| format!("own{number}")).collect();
    let odd = "own50";
    let lease = scene.other.lock(odd).acquire_blocking().expect("free");
    assert_eq!(block_on(lease.release()), Release::Released);
    let state = Keys::of("", &Name::new(odd).expect("a name")).state;
    let state = String::from_utf8(state).expect("ASCII");
    // The largest fence there is was given out.
    scene.server.admin(&["SETRANGE", &state, "1", "9007199254740991"]);
    for (name, fence) in names.iter().zip(at_once(scene, &names)) {
        if name == odd {
            let error = fence.expect_err("no fence is left");
            assert!(error.message().contains("2^53"), "{error}");
        } else {
            fence.expect("another lock's error");
        }
    }
}

/// Each of the waiters gets the lock; the fences in the order in which they came to wait.
fn pass_on(scene: &Scene<'_>) -> Vec<u64> {
    let holder = scene.other.lock(NAME).ttl(LONG).acquire_blocking().expect("free");
    // Tasks of one thread begin in the order in which they were spawned.
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let wait = |_| {
            let lock = scene.client.lock(NAME).ttl(LONG);
            tokio::spawn(async move {
                let lease = lock.await.expect("granted in the end");
                assert!(lease.is_held());
                lease.release().await;
                lease.fence()
            })
        };
        let tasks: Vec<_> = (0..WAITERS).map(wait).collect();
        while scene.other.inspect(NAME).await.expect("a view").waiting < WAITERS as u64 {
            tokio::task::yield_now().await;
        }
        let began = begin(scene);
        holder.release().await;
        let mut fences = vec![holder.fence()];
        for task in tasks {
            fences.push(task.await.expect("no panic"));
        }
        cost(scene, began);
        fences
    })
}

fn four_processes(scene: &Scene<'_>) {
    scene.warm();
    let holder = scene.other.lock(NAME).ttl(LONG).acquire_blocking().expect("free");
    let crowd = program("leasehold-testkit", "crowd");
    let each = (WAITERS / PROCESSES).to_string();
    let mut crowds: Vec<Process> = (0..PROCESSES)
        .map(|_| Process::start(Command::new(&crowd).args([&scene.server.url(), NAME, &each])))
        .collect();
    scene.await_waiting(NAME, WAITERS as u64);
    let began = begin(scene);
    block_on(holder.release());
    let mut all = vec![holder.fence()];
    for crowd in &mut crowds {
        crowd.wait_for("done");
        let grants: Vec<u64> = crowd
            .lines()
            .iter()
            .filter_map(|line| line.strip_prefix("granted ")?.parse().ok())
            .collect();
        assert_eq!(grants.len(), WAITERS / PROCESSES);
        all.extend(grants);
    }
    cost(scene, began);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), WAITERS + 1, "one fence, one tenure");
    scene.await_free(NAME);
}

/// One lock and those who wait for it, without clients that would send heartbeats.
struct Queue {
    name: Name,
    tokens: VecDeque<Token>,
}

impl Queue {
    fn ask(&self, token: Token) -> Ask {
        let hours = Duration::from_secs(10 * 3600);
        let wait = Wait {
            alive_for: hours,
            claim: hours,
            heartbeat: hours,
            max_queue: 100_000,
            priority: 0,
            fences: 1,
        };
        Ask {
            name: self.name.clone(),
            kind: Kind::Exclusive,
            token,
            ttl: hours,
            grace: LONG,
            wait: Some(wait),
            owner: None,
            profile: Arc::default(),
        }
    }

    /// The first of `count + 1` holds it, the others wait.
    async fn new(store: &RedisStore, sys: &Sys, name: &str, count: usize) -> Result<Self> {
        let mut queue = Self { name: Name::new(name)?, tokens: VecDeque::new() };
        let asks: Vec<Ask> = (0..=count).map(|_| queue.ask(sys.token())).collect();
        queue.tokens = asks.iter().map(|ask| ask.token).collect();
        let answers = store.acquire(&asks, How::EachAlone).await?;
        assert!(matches!(answers[0], Answer::Granted { .. }));
        assert!(answers[1..].iter().all(|answer| matches!(answer, Answer::Queued { .. })));
        Ok(queue)
    }

    /// The holder releases, and another comes to wait; so many times.
    async fn pass(&mut self, store: &RedisStore, sys: &Sys, times: usize) -> Result<()> {
        for _ in 0..times {
            let old = self.tokens.pop_front().expect("a holder");
            let released = store.release(&[Hold::of(&self.ask(old))], Cancel::No).await?;
            assert_eq!(released, [Released::Released], "the first in line has it");
            self.tokens.push_back(sys.token());
            let last = self.ask(self.tokens[self.tokens.len() - 1]);
            let answers = store.acquire(&[last], How::EachAlone).await?;
            assert!(matches!(answers[0], Answer::Queued { .. }), "{answers:?}");
        }
        Ok(())
    }
}

/// 10,000 waiters against 10, in turns on one server, so that both have the same luck.
fn script_time(scene: &Scene<'_>) {
    let sys = leasehold::runtime::native_sys().expect("threads");
    let StoreUrl::Redis(url) = StoreUrl::parse(&scene.server.url()).expect("a URL") else {
        panic!("a Redis URL")
    };
    let settings = url.settings();
    let store = RedisStore::new(Arc::new(TcpDial::new(url)), &sys, settings);
    let queue = |count: usize| {
        block_on(Queue::new(&store, &sys, &format!("queue-{count}"), count)).expect("a queue")
    };
    let mut queues = [(10, queue(10)), (10_000, queue(10_000))];
    let mut best = [[f64::MAX; 2]; 2];
    for _ in 0..5 {
        for (index, (_, queue)) in queues.iter_mut().enumerate() {
            scene.server.reset_stats();
            block_on(queue.pass(&store, &sys, 200)).expect("answers");
            let info = scene.server.admin(&["INFO", "latencystats"]).text();
            let line = info.lines().find(|line| line.contains("usec_evalsha:")).expect("a line");
            for (at, name) in ["p50=", "p99="].into_iter().enumerate() {
                let figure = line.split([':', ',']).find_map(|part| part.strip_prefix(name));
                let figure: f64 = figure.expect("a figure").parse().expect("a number");
                best[index][at] = best[index][at].min(figure);
            }
        }
    }
    for ((count, _), [p50, p99]) in queues.iter().zip(best) {
        report(&format!("{count} waiters: release and ask take p50 {p50:.0} µs, p99 {p99:.0} µs"));
    }
    let [[_, few], [_, many]] = best;
    assert!(many <= few * 2.0, "p99 is {many} µs with 10,000 waiters and {few} µs with 10");
}
