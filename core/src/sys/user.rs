//! The effective user's home by the password database: `$HOME` may be another user's under `sudo`,
//! and two homes would mean two databases, so no exclusion.

#![allow(unsafe_code)]

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The home folder of the effective uid.
///
/// # Errors
/// Where the password database has no entry for the uid, or can't be read.
pub fn home() -> std::io::Result<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let mut buffer = vec![0; 1024];
    loop {
        // SAFETY: an all-zero passwd is a valid value to be overwritten.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: all pointers are valid for the call, and the length is the buffer's.
        let code = unsafe {
            libc::getpwuid_r(uid, &mut entry, buffer.as_mut_ptr(), buffer.len(), &mut found)
        };
        if code == libc::ERANGE && buffer.len() < 1 << 20 {
            buffer.resize(buffer.len() * 4, 0);
            continue;
        }
        if code != 0 {
            return Err(std::io::Error::from_raw_os_error(code));
        }
        if found.is_null() || entry.pw_dir.is_null() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::NotFound,
                format!("the password database has no home for uid {uid}"),
            ));
        }
        // SAFETY: pw_dir points to a NUL-terminated string inside `buffer`.
        let home = unsafe { CStr::from_ptr(entry.pw_dir) };
        return Ok(PathBuf::from(OsStr::from_bytes(home.to_bytes())));
    }
}
