//! What the demo leaves behind when it is ended: nothing. (That it succeeds is shown by running it,
//! which `make test` does.)

#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// The demo with a mark in its environment, which all its descendants inherit.
struct Marked {
    mark: String,
    demo: Child,
    temporary: tempfile::TempDir,
}

impl Marked {
    /// Starts the demo and waits until someone holds the lock.
    fn start(mark: &str) -> Self {
        let mark = format!("LEASEHOLD_DEMO_TEST={mark}-{}", std::process::id());
        let (name, value) = mark.split_once('=').expect("a name and a value");
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"))
            .env(name, value)
            .env("TMPDIR", temporary.path())
            .env("LEASEHOLD_PYTHON", common::python())
            .env("LEASEHOLD_CLI", common::leasehold())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the demo");
        let mut lines = BufReader::new(demo.stdout.take().expect("a pipe")).lines();
        let holds = lines.any(|line| line.is_ok_and(|line| line.contains(" holds ")));
        let marked = Self { mark, demo, temporary };
        assert!(holds, "nobody ever held the lock");
        assert!(marked.left().len() > 3, "the demo and its contenders: {:?}", marked.left());
        // Read on, so that the demo does not end for want of a reader.
        leasehold::sys::thread("demo-output", move || lines.for_each(drop)).expect("a thread");
        marked
    }

    fn signal(&self, signal: Signal) {
        let demo = Pid::from_raw(self.demo.id().cast_signed()).expect("a process");
        kill_process(demo, signal).expect("the demo is running");
    }

    /// Its processes that live, by their command lines.
    fn left(&self) -> Vec<String> {
        let processes = fs::read_dir("/proc").expect("/proc");
        let marked = processes.flatten().filter_map(|process| {
            let environment = fs::read(process.path().join("environ")).ok()?;
            let mut variables = environment.split(|byte| *byte == 0);
            variables.any(|variable| variable == self.mark.as_bytes()).then(|| {
                let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&command).replace('\0', " ")
            })
        });
        marked.collect()
    }

    /// Waits until none is left; a process that was killed takes its time to go, and there is no
    /// event for the end of another's child.
    fn wait_for_none(&self) {
        let sys = leasehold::runtime::native_sys().expect("threads");
        let limit = sys.now() + Duration::from_secs(20);
        while !self.left().is_empty() {
            assert!(sys.now() < limit, "still there: {:?}", self.left());
            leasehold::block_on(sys.sleep_until(sys.now() + Duration::from_millis(20)));
        }
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        let _ = self.demo.kill();
        let _ = self.demo.wait();
    }
}

#[test]
fn ctrl_c_leaves_no_process_and_no_file() {
    let mut marked = Marked::start("interrupt");
    marked.signal(Signal::INT);
    let status = marked.demo.wait().expect("the demo ends");
    assert_eq!(status.code(), Some(130));
    marked.wait_for_none();
    let left: Vec<_> = fs::read_dir(marked.temporary.path()).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn its_own_death_leaves_no_process() {
    let mut marked = Marked::start("kill");
    marked.signal(Signal::KILL);
    marked.demo.wait().expect("the demo ends");
    marked.wait_for_none();
}
