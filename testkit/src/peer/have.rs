//! Where the peers' programs are: made by scripts/peers, which does nothing where they are there
//! already, so that a test run by hand never meets an old one.

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
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cache = std::env::var_os("LEASEHOLD_PEERS").filter(|folder| !folder.is_empty());
    let cache = cache.map_or_else(|| root.join(".cache/peers"), PathBuf::from);
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
