//! Sixteen tasks of one process on one lock: how fast it goes round.
//!
//! Each holder yields once: without that, tokio's mutex is taken again by the task that has just
//! let it go, and nothing is handed over.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use leasehold::{Client, Order};
use tokio::task::JoinSet;

use crate::plan::Plan;
use crate::rounds::{Better, Contestant, Sample, Section, contestant};
use crate::stats::{Contest, Tenure, judge};
use crate::{Result, clock, task_runtime};

const TASKS: usize = 16;

/// What the section of one hot lock in memory is called.
pub(crate) const HOT: &str = "hot lock: hand-offs among 16 tasks of one thread, memory";
/// What its rows, and those of the same on Redis, are called.
pub(crate) const HOT_ROWS: [&str; 3] =
    ["tokio Mutex", "leasehold, order fifo", "leasehold, order throughput"];

/// A lock that is awaited, and given back by the second future.
pub(crate) trait Contended: Clone + Send + Sync + 'static {
    type Held: Send;
    fn take(&self) -> impl Future<Output = Result<Self::Held>> + Send;
    fn give(held: Self::Held) -> impl Future<Output = ()> + Send;
}

impl Contended for Arc<tokio::sync::Mutex<()>> {
    type Held = tokio::sync::OwnedMutexGuard<()>;
    async fn take(&self) -> Result<Self::Held> {
        Ok(Self::clone(self).lock_owned().await)
    }
    async fn give(held: Self::Held) {
        drop(held);
    }
}

impl Contended for Client {
    type Held = leasehold::Lease;
    async fn take(&self) -> Result<Self::Held> {
        Ok(self.lock("bench").await?)
    }
    async fn give(held: Self::Held) {
        held.release().await;
    }
}

/// leasehold's lock in one of its orders.
#[derive(Clone)]
pub(crate) struct Ordered(pub(crate) Client, pub(crate) Order);

impl Contended for Ordered {
    type Held = leasehold::Lease;
    async fn take(&self) -> Result<Self::Held> {
        Ok(self.0.lock("hot").order(self.1).acquire().await?)
    }
    async fn give(held: Self::Held) {
        held.release().await;
    }
}

/// One hot lock in memory.
pub(crate) fn hot(plan: &Plan) -> Result<Section> {
    let mutex = Arc::new(tokio::sync::Mutex::new(()));
    let memory = Client::connect("memory://")?;
    let [limit, fifo, throughput] = HOT_ROWS;
    let orders = [Order::Fifo, Order::Throughput].map(|order| Ordered(memory.clone(), order));
    let section = Section::measure(
        HOT.to_owned(),
        ("1/s", Better::Higher),
        plan.rounds,
        plan.tasks,
        vec![among(limit, 1, &mutex), among(fifo, 1, &orders[0]), among(throughput, 1, &orders[1])],
    )?;
    Ok(section.note("each holder yields once"))
}

/// Hand-offs among tasks: on one thread, and on two.
pub(crate) fn contended(plan: &Plan, folder: &Path) -> Result<Section> {
    let mutex = Arc::new(tokio::sync::Mutex::new(()));
    let memory = Client::connect("memory://")?;
    let sqlite = Client::connect(&format!("sqlite://{}/tasks.db", folder.display()))?;
    let section = Section::measure(
        format!("hand-offs among {TASKS} tasks, hold 0"),
        ("1/s", Better::Higher),
        plan.long_rounds,
        plan.tasks,
        vec![
            among("tokio Mutex, 1 thread", 1, &mutex),
            among("tokio Mutex, 2 threads", 2, &mutex),
            among("leasehold memory, 1 thread", 1, &memory),
            among("leasehold memory, 2 threads", 2, &memory),
            among("leasehold SQLite, 1 thread", 1, &sqlite),
            among("leasehold SQLite, 2 threads", 2, &sqlite),
        ],
    )?;
    Ok(section.note("each holder yields once; strict FIFO, through the store's queue each time"))
}

fn among<'a, L: Contended>(name: &str, threads: usize, lock: &'a L) -> Contestant<'a> {
    among_with(name, threads, move || Ok(lock.clone()))
}

/// The same with a lock that is made in the runtime of its users.
pub(crate) fn among_with<'a, L: Contended>(
    name: &str,
    threads: usize,
    make: impl Fn() -> Result<L> + 'a,
) -> Contestant<'a> {
    contestant(name, move |span| {
        let runtime = task_runtime(threads)?;
        let contest = runtime.block_on(async { contest(span, &make()?).await })?;
        // Ends the threads in the background of the next round otherwise.
        runtime.shutdown_timeout(Duration::from_secs(1));
        sample(&contest)
    })
}

async fn contest<L: Contended>(span: Duration, lock: &L) -> Result<Contest> {
    let from = clock::now() + clock::span(span) / 10;
    let until = from + clock::span(span);
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let lock = lock.clone();
        tasks.spawn(async move {
            let mut tenures = Vec::new();
            loop {
                let held = lock.take().await?;
                let granted = clock::now();
                tokio::task::yield_now().await;
                let released = clock::now();
                L::give(held).await;
                tenures.push(Tenure { granted, released });
                if released >= until {
                    return Ok::<_, crate::Failure>(tenures);
                }
            }
        });
    }
    let mut contenders = Vec::with_capacity(TASKS);
    while let Some(done) = tasks.join_next().await {
        contenders.push(done??);
    }
    Ok(judge(&contenders, from, until))
}

/// A contest as a row shows it. An overlap is no figure but a failure.
pub(crate) fn sample(contest: &Contest) -> Result<Sample> {
    if contest.overlaps > 0 {
        return Err(format!("{} tenures overlapped", contest.overlaps).into());
    }
    Ok(Sample::of(contest.per_second)
        .with("p50 us", contest.p50 / 1000.0)
        .with("p99 us", contest.p99 / 1000.0)
        .with("jain", contest.jain))
}
