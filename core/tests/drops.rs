//! A lease may be dropped anywhere: it is given back, nothing panics and nothing blocks
//! (hazard 32).
#![allow(clippy::disallowed_methods, reason = "threads and runtimes of a user's program")]

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use common::{await_view, is_free};
use leasehold::{Client, Lease, block_on};
use leasehold_testkit::{Process, folder, program};
use tempfile::TempDir;

/// Dropping must not wait for the store: far more than it takes, far less than a ttl.
const AT_ONCE: Duration = Duration::from_secs(5);

fn each_store(test: impl Fn(&Client)) {
    test(&Client::connect("memory://").expect("a client"));
    let (_folder, url) = file();
    test(&Client::connect(&url).expect("a client"));
}

fn file() -> (TempDir, String) {
    let folder = folder("drops").expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("locks.db").display());
    (folder, url)
}

fn take(client: &Client) -> Lease {
    client.lock("dropped").acquire_blocking().expect("free")
}

fn assert_given_back(client: &Client) {
    await_view(client, "dropped", "given back", is_free);
}

#[test]
fn in_a_thread_without_a_runtime() {
    each_store(|client| {
        let lease = take(client);
        let start = Instant::now();
        std::thread::spawn(move || drop(lease)).join().expect("no panic");
        assert!(start.elapsed() < AT_ONCE);
        assert_given_back(client);
    });
}

#[test]
fn in_a_task_of_a_runtime_of_the_users() {
    each_store(|client| {
        for threads in [1, 2] {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(threads)
                .enable_all()
                .build()
                .expect("a runtime");
            let mine = client.clone();
            let task = runtime.spawn(async move {
                let lease = mine.lock("dropped").acquire().await.expect("free");
                assert!(lease.is_held());
            });
            runtime.block_on(task).expect("no panic");
            assert_given_back(client);
        }
    });
}

#[test]
fn in_another_runtime_and_after_the_first_was_shut_down() {
    each_store(|client| {
        let first = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let lease = first.block_on(client.lock("dropped").acquire()).expect("free");
        drop(first);
        assert!(lease.is_held());
        let second = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        second.block_on(async move { drop(lease) });
        assert_given_back(client);
    });
}

#[test]
fn with_the_runtime_whose_task_holds_it() {
    each_store(|client| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (mine, (tell, told)) = (client.clone(), std::sync::mpsc::channel());
        runtime.spawn(async move {
            let lease = mine.lock("dropped").acquire().await.expect("free");
            tell.send(()).expect("the test listens");
            std::future::pending::<()>().await;
            drop(lease);
        });
        told.recv_timeout(AT_ONCE).expect("the task holds it");
        runtime.shutdown_timeout(AT_ONCE);
        assert_given_back(client);
    });
}

#[test]
fn while_a_panic_unwinds() {
    each_store(|client| {
        let mine = client.clone();
        let panicked = std::thread::Builder::new()
            .name("panics on purpose".to_owned())
            .spawn(move || {
                let _lease = take(&mine);
                panic!("the user's own panic");
            })
            .expect("a thread")
            .join();
        let why = panicked.expect_err("it panicked");
        assert_eq!(why.downcast_ref(), Some(&"the user's own panic"), "and not in ours");
        assert_given_back(client);
    });
}

#[test]
fn with_its_client() {
    let (_folder, url) = file();
    let lease = take(&Client::connect(&url).expect("a client"));
    assert!(lease.is_held(), "a lease outlives the client value it came from");
    drop(lease);
    assert_given_back(&Client::connect(&url).expect("a client"));
}

#[test]
fn in_a_listener_of_its_own_loss() {
    each_store(|client| {
        let lock = client.lock("dropped").ttl(Duration::from_millis(100)).fixed_term();
        let lease = lock.acquire_blocking().expect("free");
        let (tell, told) = std::sync::mpsc::channel();
        let slot = std::sync::Arc::new(std::sync::Mutex::new(None::<Lease>));
        let mine = std::sync::Arc::clone(&slot);
        lease.on_lost(move |reason| {
            drop(mine.lock().expect("not poisoned").take());
            let _ = tell.send(reason);
        });
        *slot.lock().expect("not poisoned") = Some(lease);
        told.recv_timeout(Duration::from_secs(60)).expect("told of the loss");
        assert_given_back(client);
    });
}

fn holder(url: &str) -> Process {
    let mut command = Command::new(program("leasehold-testkit", "holder"));
    let holder = Process::start(command.args([url, "dropped", "30000"]));
    holder.wait_for("granted");
    holder
}

#[test]
fn at_the_end_of_the_process() {
    let (_folder, url) = file();
    let mut child = holder(&url);
    let start = Instant::now();
    assert!(child.finish().success(), "{:?}", child.lines());
    assert!(start.elapsed() < AT_ONCE, "the end of a process waits for no store");
}

#[test]
fn by_an_exit_hook() {
    let (_folder, url) = file();
    let client = Client::connect(&url).expect("a client");
    let mut child = holder(&url);
    child.say("exit");
    assert_eq!(child.wait_for("released"), "true Some(Shutdown)", "told, then given back");
    // Given back before the hook returned: nothing to wait for.
    let view = block_on(client.inspect("dropped")).expect("a view");
    assert_eq!(view.holder, None);
    assert!(child.finish().success());
}

/// A database that was deleted under its holders is not made anew by what they give back or renew,
/// and they are told.
#[test]
fn after_the_database_was_deleted() {
    let (folder, url) = file();
    let client = Client::connect(&url).expect("a client");
    let (released, dropped, renewed) = (take(&client), client.lock("b"), client.lock("c"));
    let dropped = dropped.acquire_blocking().expect("free");
    let renewed = renewed.acquire_blocking().expect("free");
    std::fs::remove_dir_all(folder.path()).expect("deleted");
    block_on(released.release());
    drop(dropped);
    let error = block_on(renewed.extend(Duration::from_secs(60))).expect_err("gone");
    assert_eq!(error.kind(), leasehold::ErrorKind::Lost, "{error:?}");
    assert!(!renewed.is_held());
    assert!(block_on(client.shutdown(AT_ONCE)), "nothing is left to be done");
    assert!(!folder.path().exists(), "made anew");
}
