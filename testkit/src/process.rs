//! Child processes of a test: what they print is awaited, they can be killed, stopped and woken,
//! and none outlives the test, however it ends.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// A wait for a line this long is a child that hangs.
const HANG: Duration = Duration::from_secs(120);

/// A running child. Killed and reaped when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: Arc<Output>,
    label: String,
}

#[derive(Debug, Default)]
struct Output {
    state: Mutex<Lines>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    lines: Vec<String>,
    /// Lines that were waited for already.
    read: usize,
    ended: bool,
}

impl Process {
    /// Starts `command` with its input and output in our hands; its errors go to ours.
    ///
    /// # Panics
    /// Where it can't be started.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "a thread reads the child's output")]
    pub fn start(command: &mut Command) -> Self {
        let label = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{label} can't be started: {error}"));
        let output = Arc::<Output>::default();
        let reader = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let shared = Arc::clone(&output);
        std::thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                shared.change(|lines| lines.lines.push(line));
            }
            shared.change(|lines| lines.ended = true);
        });
        let input = child.stdin.take();
        Self { child, input, output, label }
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next line that starts with `prefix`; what follows the prefix.
    ///
    /// # Panics
    /// Where the child ends or hangs without it.
    pub fn wait_for(&self, prefix: &str) -> String {
        let output = &self.output;
        let mut state = output.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            while let Some(line) = state.lines.get(state.read) {
                let found = line.strip_prefix(prefix).map(|rest| rest.trim().to_owned());
                state.read += 1;
                if let Some(rest) = found {
                    return rest;
                }
            }
            let all = &state.lines;
            assert!(!state.ended, "{} ended without {prefix:?}; it said {all:?}", self.label);
            let (next, waited) =
                output.bell.wait_timeout(state, HANG).unwrap_or_else(PoisonError::into_inner);
            state = next;
            assert!(!waited.timed_out(), "{} never said {prefix:?}", self.label);
        }
    }

    /// All lines so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.output.state.lock().unwrap_or_else(PoisonError::into_inner).lines.clone()
    }

    /// Writes a line to its input.
    ///
    /// # Panics
    /// Where it has ended.
    pub fn say(&mut self, line: &str) {
        let input = self.input.as_mut().expect("its input is open");
        writeln!(input, "{line}").and_then(|()| input.flush()).expect("the child reads its input");
    }

    /// Kills it (SIGKILL) and waits for its end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// Where it has ended.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the child runs");
    }

    /// Stops it (SIGSTOP), and waits until every thread of it stands still.
    ///
    /// # Panics
    /// Where it has ended.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        let (_, status) = waitpid(Some(self.pid()), WaitOptions::UNTRACED)
            .expect("the child can be waited for")
            .expect("it changed its state");
        assert!(status.stopped(), "{} ended instead of stopping", self.label);
    }

    /// Wakes it (SIGCONT).
    ///
    /// # Panics
    /// Where it has ended.
    pub fn wake(&self) {
        self.signal(Signal::CONT);
    }

    /// Closes its input and waits for its end, and for that of its output.
    ///
    /// # Panics
    /// Where it can't be waited for.
    pub fn finish(&mut self) -> ExitStatus {
        self.input = None;
        let status = self.child.wait().unwrap_or_else(|error| panic!("{}: {error}", self.label));
        // The thread that reads may not have got to its last lines yet.
        let state = self.output.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (_state, waited) = self
            .output
            .bell
            .wait_timeout_while(state, HANG, |lines| !lines.ended)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "{} left its output to a child of its own", self.label);
        status
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Output {
    fn change(&self, change: impl FnOnce(&mut Lines)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.bell.notify_all();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A stopped child is killed all the same.
        self.kill();
    }
}
