//! A child process that does not outlive us: the command's child must not go on working when the
//! one that renews its lease was killed. And what a program must ask of signals and the terminal to
//! stand between its own parent and that child without being felt.

#![allow(unsafe_code)]

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal};

/// Starts `command` in a process group of its own, and, on Linux, has the kernel kill it when the
/// calling *thread* ends (prctl(2), PR_SET_PDEATHSIG): so call it from a thread that stays.
/// On macOS there is no such signal; the group is all there is.
pub fn bind_to_parent(command: &mut Command) {
    command.process_group(0);
    #[cfg(target_os = "linux")]
    {
        let parent = rustix::process::getpid();
        // SAFETY: prctl, getppid and _exit are async-signal-safe and nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                rustix::process::set_parent_process_death_signal(Some(
                    rustix::process::Signal::KILL,
                ))?;
                // The parent may have died before the call above.
                if rustix::process::getppid() != Some(parent) {
                    libc::_exit(70);
                }
                Ok(())
            });
        }
    }
}

/// Has `command` tell who watches it, before it becomes the program: in the child, for the parent
/// may be stopped or killed right after the start. Written to `to` in one piece: the child's process
/// number, which is its group's with [`bind_to_parent`], in eight bytes, little-endian, then `tail`.
pub fn announce(command: &mut Command, to: OwnedFd, tail: [u8; 8]) {
    // SAFETY: getpid and write are async-signal-safe and nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            let mut message = [0; 16];
            let number = i64::from(rustix::process::getpid().as_raw_pid());
            message[..8].copy_from_slice(&number.to_le_bytes());
            message[8..].copy_from_slice(&tail);
            rustix::io::write(&to, &message)?;
            Ok(())
        });
    }
}

/// Has `command` start in the foreground of `terminal`. Done in the child, before it becomes the
/// program: the parent alone would be too late for one that looks at the terminal at once. Its
/// group must be its own: call [`bind_to_parent`] too.
pub fn start_in_foreground(command: &mut Command, terminal: OwnedFd) {
    // SAFETY: pthread_sigmask, getpid and ioctl are async-signal-safe and nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            // A terminal that has gone away meanwhile is no reason not to run.
            let _ = set_foreground(&terminal, rustix::process::getpid());
            Ok(())
        });
    }
}

/// Makes `group` the foreground process group of `terminal`. From the background, where the kernel
/// would stop the caller for it with SIGTTOU, that signal is blocked meanwhile.
///
/// # Errors
/// As tcsetpgrp(3): the terminal is not this session's, or the group is gone.
pub fn set_foreground(terminal: impl AsFd, group: Pid) -> std::io::Result<()> {
    // SAFETY: both sets are plain data, initialised by sigemptyset and pthread_sigmask.
    unsafe {
        let mut block: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut block);
        libc::sigaddset(&mut block, libc::SIGTTOU);
        libc::pthread_sigmask(libc::SIG_BLOCK, &block, &mut before);
        let set = rustix::termios::tcsetpgrp(terminal, group);
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        Ok(set?)
    }
}

/// Whether this process ignores `signal`: `nohup` and a shell's `&` start programs that way, and
/// who installs a handler then, breaks their promise.
#[must_use]
pub fn ignores(signal: Signal) -> bool {
    // SAFETY: a null new action only reads the old one, into valid memory.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal.as_raw(), std::ptr::null(), &mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
    }
}

/// Gives `signal` its default action again, for a program that is about to end by it: a shell tells
/// "ended by Ctrl-C" only from that, not from an exit code.
pub fn restore_default(signal: Signal) {
    // SAFETY: SIG_DFL is a valid action for every signal; failure leaves things as they are.
    unsafe {
        libc::signal(signal.as_raw(), libc::SIG_DFL);
    }
}
