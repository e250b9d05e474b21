//! One contender: a process in one of the languages, its orders and its words.
//!
//! The trap: a demo that ends must take every process with it, also those that its children
//! started. So each contender leads a process group of its own, which is killed as a whole, and
//! dies with the demo on Linux (PR_SET_PDEATHSIG). Where the demo itself is killed with -9, the end
//! of the contender's stdin ends what the kernel did not.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

/// How a language's contender is started.
pub(crate) struct Program {
    pub(crate) language: &'static str,
    path: PathBuf,
    arguments: Vec<OsString>,
    search: Option<OsString>,
}

impl Program {
    pub(crate) fn new(language: &'static str, path: impl Into<PathBuf>) -> Self {
        Self { language, path: path.into(), arguments: Vec::new(), search: None }
    }

    pub(crate) fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// With the folders of `programs` before the others in PATH.
    pub(crate) fn with_path_to(mut self, programs: &[&Path]) -> Self {
        let folders = programs.iter().filter_map(|program| program.parent());
        let rest = std::env::var_os("PATH").unwrap_or_default();
        let all = folders.map(Path::to_owned).chain(std::env::split_paths(&rest));
        self.search = std::env::join_paths(all).ok();
        self
    }
}

/// What a contender says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It asked for the lock.
    Waits,
    /// It holds the lock.
    Held(u64),
    /// It did its work under the lock.
    Wrote(u64),
    /// It did not, for its lease was gone: the fence and the reason.
    Refused(u64, String),
    /// Something else, which no contender should say.
    Other(String),
    /// It ended.
    Gone,
}

impl Said {
    pub(crate) fn parse(line: &str) -> Self {
        let words: Vec<&str> = line.split_whitespace().collect();
        let fence = words.get(1).and_then(|word| word.parse().ok());
        match (words.as_slice(), fence) {
            (["waits"], _) => Self::Waits,
            (["held", _], Some(fence)) => Self::Held(fence),
            (["wrote", _], Some(fence)) => Self::Wrote(fence),
            (["refused", _, reason], Some(fence)) => Self::Refused(fence, (*reason).to_owned()),
            _ => Self::Other(line.to_owned()),
        }
    }
}

/// What a contender is doing, as far as is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Starting,
    Waits,
    Holds(u64),
    Paused(u64),
    Killed,
    Ended,
}

pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) language: &'static str,
    pub(crate) state: State,
    pub(crate) held: u32,
    child: Child,
    group: Option<Pid>,
    reaped: bool,
    orders: Option<ChildStdin>,
}

impl Contender {
    /// Starts one; what it says goes to `to` under `index`, read by a task of `readers`.
    pub(crate) fn start(
        program: &Program,
        number: usize,
        arguments: &[OsString],
        index: usize,
        to: UnboundedSender<(usize, Said)>,
        readers: &mut JoinSet<()>,
    ) -> io::Result<Self> {
        let name = format!("{}-{number}", program.language);
        let mut command = std::process::Command::new(&program.path);
        command.args(&program.arguments).args(arguments).arg(&name);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        if let Some(search) = &program.search {
            command.env("PATH", search);
        }
        leasehold::sys::child::bind_to_parent(&mut command);
        let mut child = tokio::process::Command::from(command).spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let orders = child.stdin.take();
        let words = child.stdout.take();
        readers.spawn(async move {
            if let Some(words) = words {
                let mut lines = BufReader::new(words).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    let _ = to.send((index, Said::parse(&line)));
                }
            }
            let _ = to.send((index, Said::Gone));
        });
        Ok(Self {
            name,
            language: program.language,
            state: State::Starting,
            held: 0,
            child,
            group,
            reaped: false,
            orders,
        })
    }

    /// Gives an order. One that has died can't take it, which its end tells anyway.
    pub(crate) async fn order(&mut self, order: &str) {
        if let Some(orders) = &mut self.orders {
            let _ = orders.write_all(format!("{order}\n").as_bytes()).await;
        }
    }

    /// There will be no more orders.
    pub(crate) fn dismiss(&mut self) {
        self.orders = None;
    }

    /// Sends `signal` to the contender and whatever it started.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match self.group {
            Some(group) => Ok(kill_process_group(group, signal)?),
            None => Err(io::Error::other(format!("{} has no process", self.name))),
        }
    }

    pub(crate) fn running(&self) -> bool {
        !matches!(self.state, State::Killed | State::Ended)
    }

    /// Waits for its end: whether it ended well.
    pub(crate) async fn ended_well(&mut self) -> bool {
        let status = self.child.wait().await;
        self.reaped = true;
        status.is_ok_and(|status| status.success())
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        // Afterwards the group's number may be another's.
        if self.reaped {
            return;
        }
        // SIGKILL also ends what is stopped.
        let _ = self.signal(Signal::KILL);
        while matches!(self.child.try_wait(), Ok(None)) {
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_understood_and_others_kept() {
        assert_eq!(Said::parse("waits"), Said::Waits);
        assert_eq!(Said::parse("held 7"), Said::Held(7));
        assert_eq!(Said::parse("refused 7 expired"), Said::Refused(7, "expired".to_owned()));
        for odd in ["", "held", "held x", "held 7 8", "Traceback (most recent call last):"] {
            assert_eq!(Said::parse(odd), Said::Other(odd.to_owned()));
        }
    }
}
