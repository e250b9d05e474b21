//! The bench's workers: processes that wait for orders. All are there from the beginning and those
//! of one contestant work at a time, so that a round has no start-up in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use leasehold_testkit::Process;

use super::order::{Answer, Did, Order};
use crate::Result;

/// Begins each line that is an answer; a library may print what it likes.
pub(crate) const ANSWER: &str = "answer ";

/// In how many processes the contenders are at most.
pub(crate) const PROCESSES: usize = 4;

/// Workers of one language.
pub(crate) struct Crew {
    workers: Vec<Process>,
    rivals: Vec<String>,
}

impl Crew {
    fn start(mut command: impl FnMut() -> Result<Command>) -> Result<Self> {
        let (mut workers, mut rivals) = (Vec::new(), Vec::new());
        for number in 0..PROCESSES {
            let mut worker = Process::start(&mut command()?);
            let Answer::Here { rivals: here, absent } = answer(&mut worker)? else {
                return Err("a worker began with another word".into());
            };
            if number == 0 {
                for (rival, why) in absent {
                    eprintln!("  {rival} left out: {why}");
                }
                rivals = here;
            }
            workers.push(worker);
        }
        Ok(Self { workers, rivals })
    }
}

/// The workers of all languages.
pub(crate) struct Crews {
    crews: Vec<Crew>,
}

impl Crews {
    /// Starts the workers against the server at `url`. Python's are left out where there is none.
    pub(crate) fn start(url: &str) -> Result<Self> {
        let program = std::env::current_exe()?;
        let rust = Crew::start(|| {
            let mut command = Command::new(&program);
            command.args(["redis-worker", "--url", url]);
            Ok(command)
        })?;
        let mut crews = vec![rust];
        match python() {
            Ok(python) => crews.push(Crew::start(|| {
                let mut command = Command::new(&python);
                command.arg(source("redis_worker.py")).arg(url);
                Ok(command)
            })?),
            Err(why) => eprintln!("  Python's locks left out: {why}"),
        }
        Ok(Self { crews })
    }

    /// Whether a worker has `rival`.
    pub(crate) fn has(&self, rival: &str) -> bool {
        self.crews.iter().any(|crew| crew.rivals.iter().any(|name| name == rival))
    }

    fn of(&mut self, rival: &str) -> Result<&mut Crew> {
        let mut crews = self.crews.iter_mut();
        let found = crews.find(|crew| crew.rivals.iter().any(|name| name == rival));
        found.ok_or_else(|| format!("no worker has {rival:?}").into())
    }

    /// Has the first worker get ready for `order`.
    pub(crate) fn one(&mut self, rival: &str, order: &Order) -> Result<Gathered<'_>> {
        Gathered::of(&mut self.of(rival)?.workers[..1], |_| order.clone())
    }

    /// Has `processes` workers get ready with `each` contenders. Worker number n leaves its turns in
    /// the n-th of `files`.
    pub(crate) fn contend(
        &mut self,
        rival: &str,
        each: u32,
        hold: u64,
        files: &[PathBuf],
    ) -> Result<Gathered<'_>> {
        let workers = &mut self.of(rival)?.workers[..files.len()];
        Gathered::of(workers, |number| Order::Contend {
            rival: rival.to_owned(),
            contenders: each,
            first: number as u32 * each,
            hold,
            file: files[number].clone(),
        })
    }
}

/// Workers that wait for the word.
pub(crate) struct Gathered<'a> {
    workers: &'a mut [Process],
}

impl<'a> Gathered<'a> {
    fn of(workers: &'a mut [Process], order: impl Fn(usize) -> Order) -> Result<Self> {
        for (number, worker) in workers.iter_mut().enumerate() {
            tell(worker, &order(number))?;
        }
        Working { workers }.paused()
    }

    /// Lets them work until `until`; contender number 0 keeps its first turn until `open`.
    pub(crate) fn go(self, open: u64, until: u64) -> Result<Working<'a>> {
        for worker in &mut *self.workers {
            tell(worker, &Order::Go { open, until })?;
        }
        Ok(Working { workers: self.workers })
    }
}

/// Workers at work.
pub(crate) struct Working<'a> {
    workers: &'a mut [Process],
}

impl<'a> Working<'a> {
    /// Waits until all wait for a word again.
    pub(crate) fn paused(self) -> Result<Gathered<'a>> {
        for worker in &mut *self.workers {
            match answer(worker)? {
                Answer::Ready => {}
                Answer::Failed(why) => return Err(why.into()),
                other => return Err(format!("a worker said {other:?} instead of ready").into()),
            }
        }
        Ok(Gathered { workers: self.workers })
    }

    /// Waits for their ends. The sum of what they did.
    pub(crate) fn done(self) -> Result<Did> {
        let mut sum = Did::default();
        for worker in &mut *self.workers {
            let did = match answer(worker)? {
                Answer::Did(did) => did,
                Answer::Failed(why) => return Err(why.into()),
                other => return Err(format!("a worker said {other:?}, not its figures").into()),
            };
            sum.count += did.count;
            sum.cpu += did.cpu;
            sum.seconds = sum.seconds.max(did.seconds);
        }
        Ok(sum)
    }
}

fn tell(worker: &mut Process, order: &Order) -> Result<()> {
    worker.say(&serde_json::to_string(order)?);
    Ok(())
}

fn answer(worker: &mut Process) -> Result<Answer> {
    Ok(serde_json::from_str(&worker.wait_for(ANSWER))?)
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The Python that has the peers, or why there is none.
fn python() -> std::result::Result<PathBuf, String> {
    let python = crate::python::path();
    let found = Command::new(&python).args(["-c", "import redis"]).output();
    match found {
        Ok(output) if output.status.success() => Ok(python),
        Ok(_) => Err(format!("{} has no redis package", python.display())),
        Err(cause) => Err(format!("{}: {cause}", python.display())),
    }
}
