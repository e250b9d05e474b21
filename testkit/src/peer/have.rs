//! Where the peers' programs are: in the folder that `LEASEHOLD_PEERS` names, as `make` has it; else
//! scripts/peers makes them, and does nothing where they are made already from the same sources.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The folder of `language`'s peers, or why they can't be had on this machine.
pub(super) fn have(language: &'static str) -> Result<PathBuf, String> {
    static KNOWN: Mutex<BTreeMap<&str, Result<PathBuf, String>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(language).or_insert_with(|| provide(language)).clone()
}

fn provide(language: &str) -> Result<PathBuf, String> {
    if let Some(cache) = std::env::var_os("LEASEHOLD_PEERS").filter(|folder| !folder.is_empty()) {
        let folder = Path::new(&cache).join(language);
        let found = folder.join("peer").is_file();
        return found.then_some(folder).ok_or_else(|| {
            format!("LEASEHOLD_PEERS has no {language}: scripts/peers could not get it")
        });
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cache = root.join(".cache/peers");
    let done = Command::new(root.join("scripts/peers"))
        .arg(&cache)
        .arg(language)
        .output()
        .map_err(|error| format!("scripts/peers can't be run: {error}"))?;
    if done.status.success() {
        return Ok(cache.join(language));
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(said.lines().last().unwrap_or("scripts/peers gave no reason").to_owned())
}
