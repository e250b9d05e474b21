//! A server's process: what it writes is awaited, so that nobody has to guess when it is ready.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// A server that says nothing for so long hangs.
const HANG: Duration = Duration::from_secs(60);

/// A running server. Ended and reaped when dropped, and by the kernel when this process dies.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    farewell: Signal,
    log: Arc<Log>,
}

#[derive(Debug, Default)]
struct Log {
    state: Mutex<(Vec<String>, bool)>,
    bell: Condvar,
}

impl Daemon {
    /// Starts `command`, whose log is its standard output; complaints go to the other one.
    pub(super) fn start(command: Command) -> std::io::Result<Self> {
        Self::start_with(command, Signal::KILL)
    }

    /// The same for a server that is ended by `farewell`: one that obeys it at once.
    pub(super) fn start_with(mut command: Command, farewell: Signal) -> std::io::Result<Self> {
        let (output, writer) = std::io::pipe()?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let child = super::nursery::start(command)?;
        let log = Arc::<Log>::default();
        let shared = Arc::clone(&log);
        leasehold::sys::thread("server-log", move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                shared.change(|(lines, _)| lines.push(line));
            }
            shared.change(|(_, ended)| *ended = true);
        })?;
        Ok(Self { child, farewell, log })
    }

    /// Waits for a line that contains `what`.
    ///
    /// # Errors
    /// What it wrote, where it ended or hung without.
    pub(super) fn wait_for(&self, what: &str) -> Result<(), String> {
        let state = self.log.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |(lines, ended): &mut (Vec<String>, bool)| {
            !*ended && !lines.iter().any(|line| line.contains(what))
        };
        let waited = self.log.bell.wait_timeout_while(state, HANG, waits);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let (lines, _) = &*state;
        if lines.iter().any(|line| line.contains(what)) { Ok(()) } else { Err(lines.join("\n")) }
    }

    /// All that it wrote.
    pub(super) fn log(&self) -> String {
        self.log.state.lock().unwrap_or_else(PoisonError::into_inner).0.join("\n")
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Stops it (SIGSTOP), and waits until every thread of it stands still.
    pub(super) fn stop(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP).expect("the server runs");
        let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED)
            .expect("the server can be waited for")
            .expect("it changed its state");
        assert!(status.stopped(), "the server ended instead of stopping:\n{}", self.log());
    }

    /// Wakes it (SIGCONT).
    pub(super) fn wake(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).expect("the server runs");
    }
}

impl Log {
    fn change(&self, change: impl FnOnce(&mut (Vec<String>, bool))) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.bell.notify_all();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A stopped one too. Once it is reaped, its port is free.
        let pid = Pid::from_child(&self.child);
        let _ = kill_process(pid, self.farewell);
        if self.farewell != Signal::KILL {
            let _ = kill_process(pid, Signal::CONT);
        }
        let _ = self.child.wait();
    }
}
