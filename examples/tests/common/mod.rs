//! Where the programs are that the examples need, and a store of the test's own.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder of the examples.
pub(crate) fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A Python that has the package; `make test` names it.
pub(crate) fn python() -> PathBuf {
    program("LEASEHOLD_PYTHON", here().join("../.venv/bin/python"))
}

/// The `leasehold` command; `make test` names it.
pub(crate) fn leasehold() -> PathBuf {
    program("LEASEHOLD_CLI", Path::new(env!("CARGO_BIN_EXE_first")).with_file_name("leasehold"))
}

fn program(variable: &str, default: PathBuf) -> PathBuf {
    let path = std::env::var_os(variable).map_or(default, PathBuf::from);
    assert!(path.is_file(), "{} is missing: `make build python` makes it", path.display());
    path
}

/// PATH with the command's folder before the others.
pub(crate) fn search() -> std::ffi::OsString {
    let folder = leasehold().parent().expect("a file has a folder").to_owned();
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(folder).chain(std::env::split_paths(&rest));
    std::env::join_paths(all).expect("no folder of PATH has a colon")
}

/// The URL of a database in `folder`.
pub(crate) fn url(folder: &Path) -> String {
    format!("sqlite://{}/locks.db", folder.display())
}

/// The README's first programs, on the store at `url`.
pub(crate) fn first_programs(url: &str) -> Vec<(&'static str, Command)> {
    let mut rust = Command::new(env!("CARGO_BIN_EXE_first"));
    let mut python = Command::new(python());
    python.arg(here().join("first.py"));
    let mut shell = Command::new("sh");
    shell.arg(here().join("first.sh")).env("PATH", search());
    rust.env("LEASEHOLD_URL", url);
    python.env("LEASEHOLD_URL", url);
    shell.env("LEASEHOLD_URL", url);
    vec![("first.rs", rust), ("first.py", python), ("first.sh", shell)]
}

/// What a program wrote, once it has succeeded.
pub(crate) fn said(name: &str, output: &Output) -> String {
    assert!(output.status.success(), "{name}: {output:?}");
    String::from_utf8(output.stdout.clone()).expect("the programs write UTF-8")
}
