//! The job of nightly.sh, run by the very line that it offers for the crontab.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::{here, leasehold, search, url};

/// The crontab line of nightly.sh with this test's paths in place of its own.
fn cron(from: &Path, to: &Path) -> String {
    let script = fs::read_to_string(here().join("nightly.sh")).expect("the script");
    let line = script.lines().find(|line| line.contains("30 2 * * *")).expect("a crontab line");
    let command = line.split_once("* * *").expect("three stars").1.trim();
    command
        .replace("/usr/local/bin/leasehold", &leasehold().display().to_string())
        .replace("/usr/local/bin/nightly.sh", &here().join("nightly.sh").display().to_string())
        .replace("/srv /backup", &format!("{} {}", from.display(), to.display()))
}

/// As cron would: by a shell, with a short PATH.
fn run(line: &str, url: &str) -> Output {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", line]).env("PATH", "/usr/bin:/bin").env("LEASEHOLD_URL", url);
    shell.output().expect("a shell")
}

#[test]
fn the_job_runs_under_the_lock_and_leaves_its_fence() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::create_dir(&from).expect("a folder");
    fs::write(from.join("row"), "1").expect("a file");
    let line = cron(&from, &to);
    let mut last = 0;
    for _ in 0..2 {
        let output = run(&line, &url(folder.path()));
        assert!(output.status.success(), "{output:?}");
        let fence = fs::read_to_string(to.join("fence")).expect("a fence");
        let fence: u64 = fence.trim().parse().expect("a number");
        assert!(fence > last, "fence {fence} after {last}");
        last = fence;
    }
    let listed = Command::new("tar").arg("-tf").arg(to.join("backup.tar")).output().expect("tar");
    assert!(String::from_utf8_lossy(&listed.stdout).contains("row"), "{listed:?}");
}

#[test]
fn a_second_run_ends_at_once_while_the_first_is_at_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = url(folder.path());
    let client = leasehold::Client::connect(&url).expect("a sound URL");
    let lease = client.lock("nightly").acquire_blocking().expect("a free lock");
    let to = folder.path().join("to");
    let output = run(&cron(folder.path(), &to), &url);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(!to.exists(), "it ran");
    leasehold::block_on(lease.release());
}

#[test]
fn a_run_that_was_overtaken_changes_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("fence"), "8\n").expect("a file");
    for (fence, code) in [("7", 1), ("8", 1), ("9", 0)] {
        let output = Command::new("sh")
            .arg(here().join("nightly.sh"))
            .arg(here().join("tests"))
            .arg(folder.path())
            .env("PATH", search())
            .env("LEASEHOLD_FENCE", fence)
            .output()
            .expect("a shell");
        assert_eq!(output.status.code(), Some(code), "fence {fence}: {output:?}");
        assert_eq!(folder.path().join("backup.tar").exists(), code == 0, "fence {fence}");
    }
}
