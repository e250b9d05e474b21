//! The README's first programs, each as a process of its own, on one database.

mod common;

use std::process::Stdio;
use std::time::Duration;

use common::{first_programs, here, said, url};

/// The fence in "invoice:42 is ours, fence 7".
fn fence(name: &str, text: &str) -> u64 {
    let number =
        text.strip_prefix("invoice:42 is ours, fence ").and_then(|rest| rest.trim().parse().ok());
    number.unwrap_or_else(|| panic!("{name} said {text:?}"))
}

#[test]
fn each_language_takes_the_lock_of_the_others() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = url(folder.path());
    let mut last = 0;
    for (name, mut program) in first_programs(&url) {
        let output = program.output().unwrap_or_else(|cause| panic!("{name}: {cause}"));
        let fence = fence(name, &said(name, &output));
        assert!(fence > last, "{name} was granted fence {fence} after {last}");
        last = fence;
    }
}

#[test]
fn each_language_waits_for_another_holder() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = url(folder.path());
    let client = leasehold::Client::connect(&url).expect("a sound URL");
    for (name, mut program) in first_programs(&url) {
        let lease = client.lock("invoice:42").acquire_blocking().expect("a free lock");
        let child = program
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|cause| panic!("{name}: {cause}"));
        leasehold::block_on(waiter(&client));
        let ours = lease.fence();
        leasehold::block_on(lease.release());
        let output = child.wait_with_output().unwrap_or_else(|cause| panic!("{name}: {cause}"));
        let fence = fence(name, &said(name, &output));
        assert!(fence > ours, "{name} was granted fence {fence} after {ours}");
    }
}

/// Completes when the program is in the queue. Looked at again and again: the store tells nobody of
/// a new waiter.
async fn waiter(client: &leasehold::Client) {
    let sys = leasehold::runtime::native_sys().expect("threads");
    let limit = sys.now() + Duration::from_secs(30);
    while client.inspect("invoice:42").await.expect("a store that answers").waiting == 0 {
        assert!(sys.now() < limit, "nobody waits");
        sys.sleep_until(sys.now() + Duration::from_millis(10)).await;
    }
}

#[test]
fn the_readme_shows_these_programs() {
    let readme = std::fs::read_to_string(here().join("../README.md")).expect("a README");
    for file in ["first.py", "first.rs", "first.sh"] {
        let program = std::fs::read_to_string(here().join(file)).expect("a first program");
        // Without what explains it: the README does that.
        let code: Vec<&str> = program
            .lines()
            .skip_while(|line| line.starts_with(['#', '/', '"']) || line.is_empty())
            .collect();
        assert!(readme.contains(&code.join("\n")), "README.md does not show {file} as it is");
    }
}
