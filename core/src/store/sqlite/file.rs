//! Where the database may live, and the side file whose `flock` orders its writers.

use std::fs;
use std::io::ErrorKind as Io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::sys::fork::NotInherited;
use crate::{Error, ErrorKind, Result};

/// File systems without the locks and shared memory that SQLite's log needs, by the magic number
/// of statfs(2): there two hosts could both hold a lock. FUSE is among them, for one can't tell
/// what is behind it.
#[cfg(target_os = "linux")]
const NETWORK: [(u32, &str); 12] = [
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB2"),
    (0x0102_1997, "9P"),
    (0x00C3_6400, "Ceph"),
    (0x5346_414F, "AFS"),
    (0x7375_7245, "Coda"),
    (0x0BD0_0BD0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x7461_636F, "OCFS2"),
    (0x6573_5546, "FUSE"),
];

/// The file system's name, if `magic` is one that is refused.
#[cfg(target_os = "linux")]
#[must_use]
pub(super) fn network(magic: u32) -> Option<&'static str> {
    NETWORK.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
}

/// An unusable database, naming its path.
pub(super) fn unusable(path: &Path, what: &str) -> Error {
    Error::new(ErrorKind::StoreFailed, format!("the database {} {what}", path.display()))
}

/// `path` with `suffix` added to the file's name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes the folder of `path` if it is missing, readable by its owner only, and refuses what can't
/// hold the database.
pub(super) fn prepare(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    let failed = |cause: std::io::Error| {
        let what = format!("can't be opened: its folder {} is unusable", folder.display());
        unusable(path, &what).caused_by(cause)
    };
    match fs::DirBuilder::new().recursive(true).mode(0o700).create(folder) {
        Err(cause) if cause.kind() == Io::AlreadyExists && folder.is_dir() => {}
        result => result.map_err(failed)?,
    }
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(unusable(path, "is a directory")),
        Ok(found) if !found.is_file() => return Err(unusable(path, "is not a regular file")),
        Err(cause) if cause.kind() != Io::NotFound => {
            return Err(unusable(path, "can't be looked at").caused_by(cause));
        }
        _ => {}
    }
    refuse_network(path, folder)
}

#[cfg(target_os = "linux")]
fn refuse_network(path: &Path, folder: &Path) -> Result<()> {
    let found = rustix::fs::statfs(folder)
        .map_err(|cause| unusable(path, "is on an unknown file system").caused_by(cause))?;
    // The field's width and sign differ between architectures; all magic numbers fit in 32 bits.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
    match network(found.f_type as u32) {
        Some(name) => Err(unusable(
            path,
            &format!(
                "is on a network file system ({name}), where two hosts could both hold a lock"
            ),
        )),
        None => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn refuse_network(path: &Path, folder: &Path) -> Result<()> {
    let found = rustix::fs::statfs(folder)
        .map_err(|cause| unusable(path, "is on an unknown file system").caused_by(cause))?;
    // MNT_LOCAL of sys/mount.h.
    if found.f_flags & 0x1000 == 0 {
        return Err(unusable(
            path,
            "is on a network file system, where two hosts could both hold a lock",
        ));
    }
    Ok(())
}

/// The side file.
pub(super) struct Turnstile(NotInherited);

impl Turnstile {
    /// Opens, and makes if need be, the side file of the database at `path`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let side = beside(path, "-flock");
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&side)
            .map_err(|cause| {
                let what = format!("can't be opened: its side file {} is unusable", side.display());
                unusable(path, &what).caused_by(cause)
            })?;
        Ok(Self(NotInherited::new(OwnedFd::from(file))))
    }

    /// Takes the turn; false where another process has it and `wait` is false.
    pub(super) fn enter(&self, wait: bool) -> Result<bool> {
        let how = if wait {
            FlockOperation::LockExclusive
        } else {
            FlockOperation::NonBlockingLockExclusive
        };
        loop {
            match flock(self.0.file(), how) {
                Ok(()) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => return Ok(false),
                Err(cause) => {
                    return Err(Error::new(ErrorKind::StoreFailed, "flock failed")
                        .caused_by(std::io::Error::from(cause)));
                }
            }
        }
    }

    /// Gives the turn back.
    pub(super) fn leave(&self) {
        // Fails only for a bad descriptor; closing it would do the same.
        let _ = flock(self.0.file(), FlockOperation::Unlock);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_refused_and_local_ones_not() {
        assert_eq!(network(0x6969), Some("NFS"));
        assert_eq!(network(0xFE53_4D42), Some("SMB2"));
        for local in [0xEF53, 0x0102_1994, 0x9123_683E, 0x5846_5342, 0x794C_7630] {
            assert_eq!(network(local), None, "{local:#x} is ext4, tmpfs, btrfs, xfs or overlay");
        }
    }
}
