//! The program: one process group, whose number stays its own until it is reaped.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};

use leasehold::Lease;
use leasehold::sys::{BootClock, Clock, child};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use super::guard::Guard;
use super::terminal::Terminal;
use crate::exit::{Exit, Failure, code};

/// What became of the program.
pub(super) enum Change {
    /// It ended, and is not reaped.
    Ended,
    /// This signal stopped it.
    Stopped(Signal),
}

/// A running program.
pub(super) struct Process {
    child: Child,
    group: Pid,
}

impl Process {
    /// Starts `words` under `lease` and the guard's watch, in the foreground of `terminal` where that is lent. To be
    /// called from the main thread: the program ends with the thread that started it.
    pub(super) fn start(
        words: &[OsString],
        lease: &Lease,
        guard: &Guard,
        terminal: Option<&mut Terminal>,
    ) -> Result<Self, Failure> {
        let Some((program, arguments)) = words.split_first() else {
            return Err(Failure::new(code::USAGE, "the program is missing"));
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("LEASEHOLD_NAME", lease.name().as_str())
            .env("LEASEHOLD_FENCE", lease.fence().to_string());
        child::bind_to_parent(&mut command);
        // The clock first: the other order would make the deadline later than it is.
        let now = BootClock.now();
        guard
            .await_start(&mut command, now + lease.remaining())
            .map_err(|cause| Failure::system("the guard can't be told", cause))?;
        if let Some(terminal) = terminal {
            terminal.lend_to(&mut command);
        }
        let failed = |cause: io::Error| refused(program, &cause);
        let child = command.spawn().map_err(failed)?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let group = group.ok_or_else(|| Failure::system("a process number", child.id()))?;
        Ok(Self { child, group })
    }

    pub(super) fn group(&self) -> Pid {
        self.group
    }

    /// What happened since the last look. An end is seen again by every look.
    pub(super) fn change(&self) -> io::Result<Option<Change>> {
        let id = WaitId::Pid(self.group);
        let (stopped, once) = (WaitIdOptions::STOPPED, WaitIdOptions::NOHANG);
        let look = WaitIdOptions::EXITED | stopped | once | WaitIdOptions::NOWAIT;
        let Some(seen) = waitid(id.clone(), look)? else { return Ok(None) };
        if !seen.stopped() {
            return Ok(Some(Change::Ended));
        }
        // A stop must be taken, or it would be seen for ever. Where the program was killed since,
        // the kernel says that there is no such child: SIGCHLD is then on its way.
        let signal = match waitid(id, stopped | once) {
            Ok(status) => status.and_then(|status| status.stopping_signal()),
            Err(rustix::io::Errno::CHILD) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(signal.and_then(Signal::from_named_raw).map(Change::Stopped))
    }

    /// Sends `signal` to the program's whole group.
    pub(super) fn send(&self, signal: Signal) {
        match rustix::process::kill_process_group(self.group, signal) {
            // ESRCH: all of it has ended. macOS says EPERM for a group of zombies.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => tracing::warn!(%error, ?signal, "the program could not be signalled"),
        }
    }

    /// Takes the exit status of a program that ended.
    pub(super) fn reap(mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }
}

/// The exit that passes `status` on.
pub(super) fn passed_on(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
        (None, Some(signal)) => Exit::signal(signal),
        (None, None) => Exit::Code(code::SYSTEM),
    }
}

/// Why `program` did not start, with the codes of POSIX shells.
fn refused(program: &OsString, cause: &io::Error) -> Failure {
    let code = match cause.kind() {
        io::ErrorKind::NotFound => code::NOT_FOUND,
        io::ErrorKind::OutOfMemory | io::ErrorKind::WouldBlock => code::SYSTEM,
        _ => code::CANNOT_EXECUTE,
    };
    Failure::new(code, format!("{program:?} could not be run: {cause}"))
}
