//! A second process that ends the program when this one can't: it was killed with SIGKILL, or is
//! stopped or starved at the deadline.
//!
//! The kernel's parent-death signal reaches the program itself but none of its children, and
//! nothing of it when we are merely stopped. The guard reads deadlines from a pipe: the pipe's end
//! is our end, and then, or at the last deadline that it was told, it kills the program's group.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::time::Duration;

use leasehold::sys::{BootClock, BootTime, Clock, child};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal};

use crate::exit::{Failure, code};

/// The argument that makes this program a guard. No subcommand: people have no use for it.
pub(crate) const GUARD: &str = "__guard";

/// poll(2) counts on a clock that stops while the machine is suspended: never sleep longer.
const NAP: Duration = Duration::from_secs(1);

/// One message: the group to watch and its deadline in boot time, eight bytes each. Shorter than
/// PIPE_BUF, so it arrives whole.
const MESSAGE: usize = 16;

/// The guard, as its principal sees it.
pub(super) struct Guard {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Guard {
    /// Starts a guard that watches nothing yet.
    pub(super) fn start() -> Result<Self, Failure> {
        let failed = |cause: io::Error| Failure::system("the guard could not be started", cause);
        let mut command = Command::new(own_program().map_err(failed)?);
        let mut child = command
            .arg0("leasehold")
            .arg(GUARD)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Out of reach of the terminal's Ctrl-C and Ctrl-Z.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let pipe = child.stdin.take();
        if let Some(pipe) = &pipe {
            // A guard that someone stopped must not make us wait.
            rustix::io::ioctl_fionbio(pipe, true).map_err(|cause| failed(cause.into()))?;
        }
        Ok(Self { child, pipe })
    }

    /// Has `command` put itself under the guard's watch before it starts, until `deadline`.
    pub(super) fn await_start(&self, command: &mut Command, deadline: BootTime) -> io::Result<()> {
        if let Some(pipe) = &self.pipe {
            let pipe = pipe.as_fd().try_clone_to_owned()?;
            child::announce(command, pipe, deadline.as_nanos().to_le_bytes());
        }
        Ok(())
    }

    /// From now on `group` ends at `deadline`.
    pub(super) fn watch(&mut self, group: Pid, deadline: BootTime) {
        let Some(pipe) = &mut self.pipe else { return };
        let group = u64::from(group.as_raw_pid().unsigned_abs());
        let mut message = [0; MESSAGE];
        message[..8].copy_from_slice(&group.to_le_bytes());
        message[8..].copy_from_slice(&deadline.as_nanos().to_le_bytes());
        match pipe.write(&message) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                tracing::warn!(%error, "the guard is gone; the program runs on without one");
                self.pipe = None;
            }
        }
    }

    /// Sends the guard away. It does nothing more after this returned: the group's number may then
    /// become another's.
    pub(super) fn dismiss(mut self) {
        // Before the pipe closes, which would be its sign to kill. Both fail only if it is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This very program, even if its file was replaced by another version meanwhile.
fn own_program() -> io::Result<std::path::PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}

/// The guard's own life.
pub(crate) fn main() -> ExitCode {
    let stdin = rustix::stdio::stdin();
    let mut watched: Option<(Pid, BootTime)> = None;
    loop {
        let left = watched.map_or(NAP, |(_, deadline)| deadline.since(BootClock.now()).min(NAP));
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(0),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        // Messages first: a newer deadline may lie in the pipe when the old one passes.
        if poll(&mut fds, Some(&timeout)).is_ok_and(|ready| ready > 0) {
            let mut message = [0; MESSAGE];
            match rustix::io::read(stdin, &mut message) {
                Ok(MESSAGE) => match parse(&message) {
                    Some(next) => watched = Some(next),
                    None => return ExitCode::from(code::USAGE),
                },
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                // The other end is gone, or nobody's: it ended without sending us away.
                _ => {
                    kill(watched);
                    return ExitCode::SUCCESS;
                }
            }
        } else if let Some((_, deadline)) = watched
            && BootClock.now() >= deadline
        {
            kill(watched.take());
        }
    }
}

fn parse(message: &[u8; MESSAGE]) -> Option<(Pid, BootTime)> {
    let half = |at: usize| message[at..at + 8].try_into().ok().map(u64::from_le_bytes);
    let group = i32::try_from(half(0)?).ok().filter(|group| *group > 1)?;
    Some((Pid::from_raw(group)?, BootTime::from_nanos(half(8)?)))
}

fn kill(watched: Option<(Pid, BootTime)>) {
    if let Some((group, _)) = watched {
        // Nothing can be done about a refusal, and a group that is gone is what was wanted.
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
}
