//! Processes of the command under test, each with a limit to its life, and a store of their own.
//!
//! A test waits for what a process writes or for its end, never for time to pass. A process that
//! does neither within [`LIMIT`] is killed, so that the test fails instead of hanging.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use leasehold::Client;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Far more than any test takes on a loaded machine.
const LIMIT: Duration = Duration::from_secs(90);

/// A store and a folder for one test.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::Builder::new().prefix("leasehold-cli-").tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite://{}", self.path("locks.db").display())
    }

    /// The same store through the library.
    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.url()).unwrap()
    }

    /// The command with `arguments`, on this store, in a process group of its own: in that of a
    /// developer's terminal it would take the terminal.
    pub(crate) fn command<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
        command.args(arguments).process_group(0);
        self.settle(&mut command);
        command
    }

    /// Gives `command` this store and pipes.
    pub(crate) fn settle(&self, command: &mut Command) {
        command
            .env("LEASEHOLD_URL", self.url())
            .env("LEASEHOLD", env!("CARGO_BIN_EXE_leasehold"))
            .env("HERE", self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    }

    /// Starts the command.
    pub(crate) fn start<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Running {
        Running::start(self.command(arguments))
    }

    /// Starts `script` under lock `name`, with `options` for `run`.
    pub(crate) fn under(&self, name: &str, options: &[&str], script: &str) -> Running {
        let tail = ["--", "sh", "-c", script];
        self.start(["run", name].iter().chain(options).chain(&tail))
    }

    /// Runs the command to its end, with nothing on its stdin.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ended {
        self.start(arguments).finish()
    }

    /// What `show --json` says of lock `name`.
    pub(crate) fn show(&self, name: &str) -> serde_json::Value {
        let ended = self.run(["show", name, "--json"]);
        assert_eq!(ended.code(), Some(0), "{ended:?}");
        serde_json::from_slice(&ended.out).unwrap()
    }

    /// Whether lock `name` can be had at once.
    pub(crate) fn free(&self, name: &str) -> bool {
        let ended = self.run(["run", name, "--wait", "0", "--", "true"]);
        match ended.code() {
            Some(0) => true,
            Some(75) => false,
            _ => panic!("{ended:?}"),
        }
    }

    /// Returns when `count` wait for lock `name`. The store is the only one to know, and tells
    /// nobody: hence a bounded poll.
    pub(crate) fn until_waiting(&self, name: &str, count: u64) {
        let client = self.client();
        for _ in 0..LIMIT.as_millis() / 10 {
            let view = leasehold::block_on(client.inspect(name)).unwrap();
            if view.waiting == count {
                return;
            }
            pause(Duration::from_millis(10));
        }
        panic!("{count} never waited for lock {name:?}");
    }
}

#[allow(clippy::disallowed_methods, reason = "the step of a bounded poll")]
fn pause(span: Duration) {
    std::thread::sleep(span);
}

/// A process under way.
pub(crate) struct Running {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    out: BufReader<ChildStdout>,
    err: ChildStderr,
    /// Dropped: the limit is off.
    _limit: Sender<()>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (stdin, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let pid = pid_of(&child);
        // Its guard ends what runs under it.
        let limit = limit(move || kill_process(pid, Signal::KILL).unwrap_or_default());
        Self { child, stdin, out: BufReader::new(out.unwrap()), err: err.unwrap(), _limit: limit }
    }

    pub(crate) fn pid(&self) -> Pid {
        pid_of(&self.child)
    }

    /// The next line that it or its program writes; empty at the end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Writes a line to its stdin.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Closes its stdin and waits for its end, and for that of all who share its stdout.
    pub(crate) fn finish(mut self) -> Ended {
        drop(self.stdin.take());
        let (mut out, mut err) = (Vec::new(), String::new());
        self.out.read_to_end(&mut out).unwrap();
        self.err.read_to_string(&mut err).unwrap();
        Ended { status: self.child.wait().unwrap(), out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Calls `end` if the answer isn't dropped within the limit.
#[allow(clippy::disallowed_methods, reason = "a test's own watchman")]
pub(crate) fn limit(end: impl FnOnce() + Send + 'static) -> Sender<()> {
    let (limit, over) = channel();
    std::thread::spawn(move || {
        if over.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            end();
        }
    });
    limit
}

pub(crate) fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

/// A process that ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Ended {
    /// Its exit code; none where a signal ended it.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub(crate) fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap().trim_end()
    }
}

/// A named pipe. All who have it open for writing share one event: its end.
pub(crate) struct Fifo(PathBuf);

impl Fifo {
    pub(crate) fn new(path: PathBuf) -> Self {
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Opens it for reading, once there is a writer.
    pub(crate) fn reader(&self) -> BufReader<std::fs::File> {
        BufReader::new(std::fs::File::open(&self.0).unwrap())
    }
}
