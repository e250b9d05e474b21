//! The real clock, randomness and threads of Linux and macOS.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{BootTime, Clock, Moment, Randomness};

/// CLOCK_BOOTTIME on Linux; on macOS CLOCK_MONOTONIC, which counts sleep there
/// (`mach_continuous_time`, unlike CLOCK_UPTIME_RAW).
#[derive(Clone, Copy, Debug)]
pub struct BootClock;

impl Clock for BootClock {
    fn now(&self) -> BootTime {
        #[cfg(target_os = "linux")]
        const ID: rustix::time::ClockId = rustix::time::ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        const ID: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
        let at = rustix::time::clock_gettime(ID);
        let (seconds, nanos) = (at.tv_sec.unsigned_abs(), at.tv_nsec.unsigned_abs());
        BootTime::from_nanos(seconds * 1_000_000_000 + nanos)
    }

    #[allow(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn moment(&self) -> Moment {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment { now: self.now(), wall_us: u64::try_from(wall.as_micros()).unwrap_or(u64::MAX) }
    }
}

/// The operating system's generator. Called per token: nothing is buffered in the process, so a
/// forked child can't repeat its parent's tokens.
pub(crate) struct OsRandom;

impl Randomness for OsRandom {
    #[allow(clippy::disallowed_methods, reason = "the one place that asks for randomness")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system's random generator failed");
    }
}

/// Starts a named thread.
///
/// # Errors
/// As the operating system refuses it.
#[allow(clippy::disallowed_methods, reason = "the one place that starts threads")]
pub fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map(drop)
}

/// Names this boot of this machine: boot times of different boots can't be compared.
///
/// # Errors
/// Where the operating system doesn't tell.
pub fn boot_id() -> std::io::Result<&'static str> {
    static BOOT: OnceLock<String> = OnceLock::new();
    if let Some(id) = BOOT.get() {
        return Ok(id);
    }
    let id = read_boot_id()?;
    Ok(BOOT.get_or_init(|| id))
}

#[cfg(target_os = "linux")]
fn read_boot_id() -> std::io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(not(target_os = "linux"))]
fn read_boot_id() -> std::io::Result<String> {
    let output = std::process::Command::new("/usr/sbin/sysctl")
        .args(["-n", "kern.bootsessionuuid"])
        .output()?;
    let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if id.is_empty() { Err(std::io::Error::other("kern.bootsessionuuid is empty")) } else { Ok(id) }
}

/// This machine's name, for people who look at a lock.
#[must_use]
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
