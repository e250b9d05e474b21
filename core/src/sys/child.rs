//! A child process that does not outlive us: the command's child must not go on working when the
//! one that renews its lease was killed.

#![allow(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::Command;

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
