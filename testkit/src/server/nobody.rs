//! Who runs a server that refuses to be root's: nobody, where the tests are root's.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Signal, geteuid};
use tempfile::TempDir;

const ID: u32 = 65_534;

/// Gives a file or a folder to whom a server's program runs as.
pub(super) fn own(path: &Path) {
    if geteuid().is_root() {
        std::os::unix::fs::chown(path, Some(ID), Some(ID)).expect("root may");
    }
}

/// `program`, not as root. `farewell` comes to it when the process that starts it dies.
pub(super) fn command(program: &Path, farewell: Signal) -> Command {
    let signal = if farewell == Signal::QUIT { "QUIT" } else { "KILL" };
    let mut command = Command::new("setpriv");
    if geteuid().is_root() {
        command.arg(format!("--reuid={ID}")).arg(format!("--regid={ID}")).arg("--clear-groups");
    }
    // Once more after the nursery, whose signal is another; and a change of user undoes it.
    command.args(["--pdeathsig", signal, "--"]).arg(program);
    command
}

/// A server's folder of programs: where nobody may enter it (a checkout in root's own folder), a copy.
///
/// # Errors
/// As the copy fails.
pub(super) fn reachable(programs: PathBuf) -> Result<(PathBuf, Option<TempDir>), String> {
    let closed =
        |folder: &Path| folder.metadata().is_ok_and(|it| it.permissions().mode() & 0o001 == 0);
    if !geteuid().is_root() || !programs.ancestors().any(closed) {
        return Ok((programs, None));
    }
    let from = programs.parent().ok_or("a server's programs lie in a folder of its own")?;
    let copy = crate::folder("programs").map_err(|error| error.to_string())?;
    std::fs::set_permissions(copy.path(), PermissionsExt::from_mode(0o755))
        .map_err(|error| error.to_string())?;
    let done = Command::new("cp").arg("-a").arg(from.join(".")).arg(copy.path()).output();
    match done {
        Ok(done) if done.status.success() => Ok((copy.path().join("bin"), Some(copy))),
        Ok(done) => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
        Err(error) => Err(format!("cp: {error}")),
    }
}
