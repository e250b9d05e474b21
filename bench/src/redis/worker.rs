//! A worker in Rust: the bench starts itself, says what to measure on the worker's input and reads
//! figures from its output. Its end of input is its end, so that it can't outlive the bench.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::runtime::Runtime;

use super::blpop::Blpop;
use super::crew::ANSWER;
use super::grant::Grant;
use super::order::{Answer, Did, Order};
use super::ours::Ours;
use super::plain::Plain;
use super::renewal::Renewal;
use super::rival::{Holder, Rival};
use super::rslock::Rslock;
use super::scripted::Scripted;
use super::shift::{Contest, Pairs, keep};
use crate::{Result, task_runtime};

/// How a worker is started.
#[derive(Args, Debug)]
pub(crate) struct WorkerArgs {
    /// The server.
    #[arg(long)]
    url: String,
}

struct Worker {
    url: String,
    runtime: Runtime,
    /// Kept from round to round, as a program would keep it.
    ours: std::result::Result<Ours, String>,
}

/// Answers orders until there are no more.
pub(crate) fn run(args: &WorkerArgs) -> Result<()> {
    // One thread: with two, a task and its connection's task wake each other across processors.
    let runtime = task_runtime(1)?;
    let ours = {
        let _inside = runtime.enter();
        Ours::open(&args.url).map_err(|cause| cause.to_string())
    };
    let worker = Worker { url: args.url.clone(), runtime, ours };
    let mut rivals: Vec<String> =
        ["limit A", "limit B", "BLPOP", "grant", "rslock", "renewal"].map(str::to_owned).into();
    let mut absent = Vec::new();
    match &worker.ours {
        Ok(_) => rivals.extend(["leasehold", "leasehold throughput"].map(str::to_owned)),
        Err(cause) => absent.push(("leasehold".to_owned(), cause.clone())),
    }
    say(&Answer::Here { rivals, absent })?;
    while let Some(order) = next()? {
        let answer = match worker.obey(order) {
            Ok(did) => Answer::Did(did),
            Err(cause) => Answer::Failed(cause.to_string()),
        };
        say(&answer)?;
    }
    Ok(())
}

fn say(answer: &Answer) -> Result<()> {
    println!("{ANSWER}{}", serde_json::to_string(answer)?);
    Ok(std::io::stdout().flush()?)
}

fn next() -> Result<Option<Order>> {
    let mut line = String::new();
    let length = std::io::stdin().lock().read_line(&mut line)?;
    if length == 0 { Ok(None) } else { Ok(Some(serde_json::from_str(&line)?)) }
}

/// What one rival shall do.
enum Job {
    Pairs { tasks: u32 },
    Contend { range: (u32, u32), hold: Duration, file: PathBuf },
}

impl Worker {
    fn obey(&self, order: Order) -> Result<Did> {
        let (rival, job) = match order {
            Order::Pairs { rival, tasks } => (rival, Job::Pairs { tasks }),
            Order::Contend { rival, contenders, first, hold, file } => {
                let hold = Duration::from_micros(hold);
                (rival, Job::Contend { range: (first, contenders), hold, file })
            }
            Order::Hold { rival, locks, ttl } => {
                return self.hold(&rival, locks, Duration::from_millis(ttl));
            }
            Order::Go { .. } => return Err("told to go without a lock".into()),
        };
        self.runtime.block_on(async {
            match rival.as_str() {
                "limit A" => job.run(&Plain::open(&self.url).await?).await,
                "limit B" => job.run(&Scripted::open(&self.url).await?).await,
                "BLPOP" => job.run(&Blpop::new(&self.url)).await,
                "grant" => job.run(&Grant::open(&self.url).await?).await,
                "rslock" => job.run(&Rslock::new(&self.url)).await,
                "leasehold" => job.run(self.ours()?).await,
                "leasehold throughput" => job.run(&self.ours()?.throughput()).await,
                other => Err(format!("{other:?} makes no pairs here").into()),
            }
        })
    }

    fn hold(&self, rival: &str, locks: u32, ttl: Duration) -> Result<Did> {
        self.runtime.block_on(async {
            match rival {
                "renewal" => hold(&Renewal::open(&self.url).await?, locks, ttl).await,
                "leasehold" => hold(self.ours()?, locks, ttl).await,
                other => Err(format!("{other:?} holds no locks here").into()),
            }
        })
    }

    fn ours(&self) -> Result<&Ours> {
        Ok(self.ours.as_ref().map_err(String::clone)?)
    }
}

async fn hold<H: Holder>(holder: &H, locks: u32, ttl: Duration) -> Result<Did> {
    let held = holder.hold(locks, ttl).await?;
    let (_, until) = told_to_go()?;
    keep(holder, held, until, || told_to_go().map(drop)).await
}

impl Job {
    async fn run<R: Rival>(self, rival: &R) -> Result<Did> {
        match self {
            Self::Pairs { tasks } => {
                let pairs = Pairs::ready(rival, tasks).await?;
                let (_, until) = told_to_go()?;
                pairs.work(until).await
            }
            Self::Contend { range, hold, file } => {
                let contest = Contest::ready(rival, range, hold).await?;
                contest.work(told_to_go()?, &file).await
            }
        }
    }
}

/// Says that all is made; answers when it opens and until when it goes. Nothing runs in this thread's runtime
/// meanwhile: that is meant.
fn told_to_go() -> Result<(u64, u64)> {
    say(&Answer::Ready)?;
    match next()? {
        Some(Order::Go { open, until }) => Ok((open, until)),
        other => Err(format!("told {other:?} instead of to go").into()),
    }
}
