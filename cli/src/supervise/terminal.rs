//! Job control: the program's group becomes the terminal's foreground group, and we are one before
//! and after. Without it a program that reads the terminal would be stopped for ever.
//!
//! In a pipeline (stdin or stdout is no terminal) the others of the pipeline share our group, and
//! lending the terminal at once would take it from them: there it is lent when the program is
//! stopped for want of it. It is never taken from a group that isn't the program's.

use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::OwnedFd;
use std::process::Command;

use leasehold::sys::child;
use rustix::process::{Pid, getpgrp, getpid, getsid};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// The controlling terminal.
pub(super) struct Terminal {
    file: File,
    /// Lend it without being asked.
    eager: bool,
    lent: bool,
    /// How it was set when it was lent.
    modes: Option<Termios>,
}

impl Terminal {
    /// The terminal of this process, if it has one.
    pub(super) fn open() -> Option<Self> {
        let file = File::options().read(true).write(true).open("/dev/tty").ok()?;
        let eager = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        Some(Self { file, eager, lent: false, modes: None })
    }

    /// Whether our own group is in the foreground.
    pub(super) fn is_ours(&self) -> bool {
        tcgetpgrp(&self.file).is_ok_and(|group| group == getpgrp())
    }

    /// Whether the terminal is lent to the program.
    pub(super) fn lent(&self) -> bool {
        self.lent
    }

    /// Whether someone would continue us after a stop: a shell, of which a session's first process
    /// is none's child.
    pub(super) fn under_a_shell(&self) -> bool {
        getsid(None).is_ok_and(|leader| leader != getpid())
    }

    /// Has `command` start in the foreground, if we are there.
    pub(super) fn lend_to(&mut self, command: &mut Command) {
        if !self.eager || !self.is_ours() {
            return;
        }
        let Ok(copy) = self.file.try_clone() else { return };
        child::start_in_foreground(command, OwnedFd::from(copy));
        self.modes = tcgetattr(&self.file).ok();
        self.lent = true;
    }

    /// Lends it to the running `group`, if we are in the foreground. With `wanted`, also in a
    /// pipeline, from now on.
    pub(super) fn lend(&mut self, group: Pid, wanted: bool) {
        self.eager |= wanted;
        if !self.eager || !self.is_ours() {
            return;
        }
        self.modes = tcgetattr(&self.file).ok();
        self.lent = child::set_foreground(&self.file, group).is_ok();
    }

    /// Whether `group` has it now.
    pub(super) fn is_with(&self, group: Pid) -> bool {
        tcgetpgrp(&self.file).is_ok_and(|now| now == group)
    }

    /// Takes it back from the program's group, or from one that is gone.
    pub(super) fn take_back(&mut self, group: Option<Pid>) {
        if !std::mem::take(&mut self.lent) {
            return;
        }
        let Ok(now) = tcgetpgrp(&self.file) else { return };
        let gone = || rustix::process::test_kill_process_group(now) == Err(rustix::io::Errno::SRCH);
        if Some(now) == group || gone() {
            // Fails only where the terminal is gone.
            let _ = child::set_foreground(&self.file, getpgrp());
        }
    }

    /// Sets it as it was when it was lent: for a program that was killed and couldn't.
    pub(super) fn restore(&self) {
        if let Some(modes) = &self.modes
            && self.is_ours()
        {
            let _ = tcsetattr(&self.file, OptionalActions::Drain, modes);
        }
    }
}
