//! One peer: a process that holds one lock at a time, and does what it is told by a line, with a
//! line for an answer (testkit/peers/README.md). What is told and what is answered are two calls,
//! for the waits of a peer are when a test does something else.

use std::process::Command;
use std::time::Duration;

use leasehold::sys::child::bind_to_parent;

use super::Library;
use super::have::have;
use crate::Process;

/// A lock that a peer is to take.
#[derive(Clone, Copy, Debug)]
pub struct Want<'n> {
    /// Its name, without the library's prefix and without spaces.
    pub name: &'n str,
    /// After how long it expires; zero for never.
    pub ttl: Duration,
    /// For how long to wait; zero for one try.
    pub wait: Duration,
    /// Whether the library is to renew it by itself.
    pub renewed: bool,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The peer holds the lock.
    Held,
    /// Another did, for all of the wait.
    Busy,
    /// The library raised something else.
    Failed(String),
}

/// What came of giving it back, or of extending it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Released {
    /// It was the peer's, and is not any more (or is for longer).
    Done,
    /// It was not the peer's any more.
    NotHeld,
    /// The library doesn't say.
    Untold,
    /// The library raised something else.
    Failed(String),
}

/// A running peer. Killed when dropped, and when the thread that started it ends.
#[derive(Debug)]
pub struct Peer {
    library: &'static Library,
    process: Process,
    /// A line was written whose answer wasn't read.
    asked: bool,
    held: bool,
}

impl<'n> Want<'n> {
    /// A lock that expires after `ttl`, if it can be had at once.
    #[must_use]
    pub fn now(name: &'n str, ttl: Duration) -> Self {
        Self { name, ttl, wait: Duration::ZERO, renewed: false }
    }

    /// The same, waited for.
    #[must_use]
    pub fn wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// The same, renewed by the library.
    #[must_use]
    pub fn renewed(self) -> Self {
        Self { renewed: true, ..self }
    }
}

impl Peer {
    pub(super) fn start(library: &'static Library, url: &str) -> Result<Self, String> {
        let mut command = Command::new(have(library.language)?.join("peer"));
        command.args([library.name, url]);
        bind_to_parent(&mut command);
        let process = Process::start(&mut command);
        let version = process.wait_for("ready ");
        assert_eq!(version, library.version, "{} is another than the table says", library.name);
        Ok(Self { library, process, asked: false, held: false })
    }

    /// Its library.
    #[must_use]
    pub fn library(&self) -> &'static Library {
        self.library
    }

    /// Takes a lock, and waits for what comes of it.
    pub fn acquire(&mut self, want: Want<'_>) -> Outcome {
        self.ask(want);
        self.outcome()
    }

    /// Tells it to take a lock; [`Peer::outcome`] waits for what comes of it.
    ///
    /// # Panics
    /// Where it holds one: some libraries would enter it again, others wait for themselves.
    pub fn ask(&mut self, want: Want<'_>) {
        assert!(!self.held, "{} holds a lock already", self.library.name);
        let (ttl, wait) = (want.ttl.as_millis(), want.wait.as_millis());
        let renewed = if want.renewed { " renewed" } else { "" };
        self.say(&format!("acquire {} {ttl} {wait}{renewed}", want.name));
    }

    /// Waits for what came of [`Peer::ask`].
    ///
    /// # Panics
    /// Where it wasn't asked, ended or answers something else.
    pub fn outcome(&mut self) -> Outcome {
        let answer = self.answer();
        let outcome = match answer.as_str() {
            "held" => Outcome::Held,
            "busy" => Outcome::Busy,
            other => Outcome::Failed(self.failure(other)),
        };
        self.held = outcome == Outcome::Held;
        outcome
    }

    /// Gives the lock back.
    ///
    /// # Panics
    /// Where it ended or answers something else.
    pub fn release(&mut self) -> Released {
        self.say("release");
        let released = self.word("released");
        self.held = false;
        released
    }

    /// Extends the lock: it expires after `ttl` from now.
    ///
    /// # Panics
    /// Where it ended or answers something else.
    pub fn extend(&mut self, ttl: Duration) -> Released {
        self.say(&format!("extend {}", ttl.as_millis()));
        self.word("extended")
    }

    /// Kills it, with the lock in its hands.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Stops it (SIGSTOP) until [`Peer::wake`].
    pub fn stop(&self) {
        self.process.stop();
    }

    /// Wakes it.
    pub fn wake(&self) {
        self.process.wake();
    }

    fn say(&mut self, line: &str) {
        assert!(!self.asked, "{} was asked something already", self.library.name);
        self.asked = true;
        self.process.say(line);
    }

    fn answer(&mut self) -> String {
        assert!(self.asked, "{} was not asked", self.library.name);
        self.asked = false;
        self.process.wait_for("")
    }

    fn word(&mut self, done: &str) -> Released {
        let answer = self.answer();
        match answer.as_str() {
            "not-held" => Released::NotHeld,
            "told" => Released::Untold,
            said if said == done => Released::Done,
            other => Released::Failed(self.failure(other)),
        }
    }

    fn failure(&self, answer: &str) -> String {
        let error = answer.strip_prefix("error ");
        error.unwrap_or_else(|| panic!("{} answers {answer:?}", self.library.name)).to_owned()
    }
}
