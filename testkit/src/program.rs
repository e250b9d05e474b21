//! The programs that tests start: this crate's contenders and the `leasehold` command. A test of
//! another crate can't name them to cargo, so they are built here, in the profile and target folder
//! of the running test; where nothing changed that takes no time.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The path of the binary `name` of `package`, built as it is now.
///
/// # Panics
/// Where it can't be built.
#[must_use]
pub fn program(package: &str, name: &str) -> PathBuf {
    static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.get_or_insert_default();
    built.entry(format!("{package}/{name}")).or_insert_with(|| build(package, name)).clone()
}

fn build(package: &str, name: &str) -> PathBuf {
    // target/<profile>/deps/<test>: the binaries lie one folder up.
    let test = std::env::current_exe().expect("the test's own path");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("a profile's folder");
    let target = folder.parent().expect("a target folder");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", package, "--bin", name]);
    command.arg("--target-dir").arg(target).current_dir(env!("CARGO_MANIFEST_DIR"));
    // What cargo told this test of its own package would have build scripts that look at it, and
    // all that depends on them, run anew.
    for (name, _) in std::env::vars_os() {
        let named = |prefix| name.to_str().is_some_and(|name| name.starts_with(prefix));
        if named("CARGO_PKG_") || named("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let done = command.status().expect("cargo runs");
    assert!(done.success(), "{package}'s {name} can't be built");
    folder.join(name)
}
