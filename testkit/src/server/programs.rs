//! Where the programs of servers are: in the folder that the Makefile filled and named, or fetched
//! now, for a test that is run by itself.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The folder of `server`'s programs.
///
/// # Errors
/// Where it can't be had on this machine: why.
pub(super) fn folder(server: &'static str) -> Result<PathBuf, String> {
    type Found = HashMap<&'static str, Result<PathBuf, String>>;
    static FOUND: Mutex<Option<Found>> = Mutex::new(None);
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    found.get_or_insert_default().entry(server).or_insert_with(|| find(server)).clone()
}

fn find(server: &str) -> Result<PathBuf, String> {
    if let Some(servers) = std::env::var_os("LEASEHOLD_SERVERS") {
        let bin = Path::new(&servers).join(server).join("bin");
        return if bin.is_dir() {
            Ok(bin)
        } else {
            Err(format!("LEASEHOLD_SERVERS has no {server}: scripts/servers could not get it"))
        };
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let cache = root.join(".cache/servers");
    let done = Command::new(root.join("scripts/servers")).arg(&cache).arg(server).output();
    let done = done.map_err(|error| format!("scripts/servers: {error}"))?;
    if done.status.success() {
        return Ok(cache.join(server).join("bin"));
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(said.lines().last().unwrap_or("scripts/servers failed").to_owned())
}
