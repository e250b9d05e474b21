//! One of eight processes that contend for one lock; the bench starts itself eight times.
//!
//! It says `ready`, reads when to begin to count and when to end, and at the end writes when each
//! of its tenures began and ended. The parent judges these together, so that the lock's own word
//! about who held it is never asked for.

use std::fs::File;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use leasehold::Client;

use crate::stats::Tenure;
use crate::token_ring::{Queue, Ring};
use crate::{Result, clock, polling::Polling};

/// What the processes contend with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Rival {
    /// A ring of datagrams, one transaction per hand-off.
    Ring,
    /// A queue in the database and a datagram, two transactions per hand-off.
    Queue,
    /// leasehold, blocking.
    Leasehold,
    /// leasehold, awaited in a runtime of one thread.
    Awaited,
    /// INSERT OR IGNORE every 10 ms.
    Polling,
}

/// How a worker is started.
#[derive(Args, Debug)]
pub(crate) struct WorkerArgs {
    /// What it contends with.
    #[arg(long)]
    pub(crate) rival: Rival,
    /// Where the database and the sockets are.
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// Which of the workers it is.
    #[arg(long)]
    pub(crate) index: u32,
    /// How many there are.
    #[arg(long)]
    pub(crate) count: u32,
    /// How long each holds the lock, in microseconds.
    #[arg(long)]
    pub(crate) hold: u64,
}

/// When to count and when to end, and what happened.
pub(crate) struct Shift {
    until: u64,
    hold: Duration,
    tenures: Vec<Tenure>,
}

impl Shift {
    /// Whether it is time to stop.
    pub(crate) fn over(&self) -> bool {
        clock::now() >= self.until
    }

    /// Holds the lock that has just been granted. The caller gives it back at once after this.
    pub(crate) fn hold(&mut self) {
        let granted = clock::now();
        clock::pause(self.hold);
        self.tenures.push(Tenure { granted, released: clock::now() });
    }
}

/// Runs one worker to its end.
pub(crate) fn run(args: &WorkerArgs) -> Result<()> {
    let mut runner = runner(args)?;
    println!("ready");
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let until = line.trim().parse().map_err(|cause| format!("{line:?}: {cause}"))?;
    let mut shift = Shift {
        until,
        hold: Duration::from_micros(args.hold),
        tenures: Vec::with_capacity(1 << 16),
    };
    runner(&mut shift)?;
    write(&log_of(&args.folder, args.index), &shift.tenures)
}

type Runner = Box<dyn FnMut(&mut Shift) -> Result<()>>;

fn runner(args: &WorkerArgs) -> Result<Runner> {
    let database = args.folder.join("locks.db");
    Ok(match args.rival {
        Rival::Ring => {
            let mut ring = Ring::open(&database, args.index, args.count)?;
            Box::new(move |shift| ring.run(shift))
        }
        Rival::Queue => {
            let mut queue = Queue::open(&database, args.index)?;
            Box::new(move |shift| queue.run(shift))
        }
        Rival::Polling => {
            let polling = Polling::open(&database, args.index)?;
            Box::new(move |shift| polling.run(shift))
        }
        Rival::Leasehold => {
            let client = connect(&database)?;
            Box::new(move |shift| {
                while !shift.over() {
                    let lease = client.lock("bench").acquire_blocking()?;
                    shift.hold();
                    leasehold::block_on(lease.release());
                }
                Ok(())
            })
        }
        Rival::Awaited => {
            let client = connect(&database)?;
            let runtime = crate::task_runtime(1)?;
            Box::new(move |shift| {
                runtime.block_on(async {
                    while !shift.over() {
                        let lease = client.lock("bench").await?;
                        shift.hold();
                        lease.release().await;
                    }
                    Ok(())
                })
            })
        }
    })
}

fn connect(database: &Path) -> Result<Client> {
    let client = Client::connect(&format!("sqlite://{}", database.display()))?;
    leasehold::block_on(client.ping())?;
    Ok(client)
}

/// Where worker `index` leaves its tenures.
pub(crate) fn log_of(folder: &Path, index: u32) -> PathBuf {
    folder.join(format!("tenures-{index}"))
}

fn write(path: &Path, tenures: &[Tenure]) -> Result<()> {
    let mut file = std::io::BufWriter::new(File::create(path)?);
    for tenure in tenures {
        file.write_all(&tenure.granted.to_le_bytes())?;
        file.write_all(&tenure.released.to_le_bytes())?;
    }
    Ok(file.flush()?)
}

/// Reads what [`run`] wrote.
pub(crate) fn read(path: &Path) -> Result<Vec<Tenure>> {
    let bytes = std::fs::read(path)?;
    let number = |bytes: &[u8]| u64::from_le_bytes(std::array::from_fn(|index| bytes[index]));
    let rows = bytes.chunks_exact(16);
    Ok(rows.map(|row| Tenure { granted: number(row), released: number(&row[8..]) }).collect())
}
