//! A store that doesn't answer: the test has the file's turn in its hands, as a process stopped in
//! the middle of a step would.
#![allow(clippy::disallowed_methods, reason = "real time and a real file")]

mod common;

use std::os::unix::net::UnixDatagram;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::{await_view, eventually, is_free, millis, seconds};
use leasehold::{Client, ErrorKind, LostReason, block_on};
use leasehold_testkit::{Stepper, Turn, folder};
use tempfile::TempDir;

/// What a busy machine may add to any of the times below.
const SLACK: Duration = seconds(3);

struct File {
    client: Client,
    other: Client,
    folder: TempDir,
}

/// What is still given back in the background would make the folder anew.
impl Drop for File {
    fn drop(&mut self) {
        for client in [&self.client, &self.other] {
            block_on(client.shutdown(seconds(10)));
        }
    }
}

impl File {
    fn new() -> Self {
        let folder = folder("stalled").expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("locks.db").display());
        let connect = || Client::connect(&url).expect("a client");
        let file = Self { client: connect(), other: connect(), folder };
        block_on(file.client.ping()).expect("the store answers");
        block_on(file.other.ping()).expect("the store answers");
        file
    }

    fn turn(&self) -> Turn {
        Turn::take(&self.folder.path().join("locks.db"))
    }
}

/// Hazard 52: a wait is not over-run, whatever it waits for.
#[test]
fn a_wait_ends_in_time_though_the_store_is_silent() {
    let file = File::new();
    let turn = file.turn();
    for wait in [millis(50), millis(700)] {
        let start = Instant::now();
        let error = file.client.lock("wait").wait(wait).acquire_blocking().expect_err("silent");
        let took = start.elapsed();
        let kind = error.kind();
        assert!(kind == ErrorKind::Timeout, "{error:?}");
        assert!(error.message().contains("\"wait\""), "{error} should name the lock");
        assert!(took >= wait && took <= wait + SLACK, "{took:?}, not {wait:?}");
    }
    drop(turn);
    await_view(&file.other, "wait", "free", is_free);
}

/// Hazard 4: the answer took longer than the lease it grants.
#[test]
fn an_answer_that_comes_after_its_lease_yields_none() {
    let file = File::new();
    let turn = file.turn();
    let mut late = Stepper::new(file.client.lock("late").ttl(millis(100)).try_acquire());
    assert!(late.poll().is_pending(), "the file is another's");
    // The deadline counts from when the request was sent: let it pass.
    std::thread::sleep(millis(200));
    drop(turn);
    let answer = loop {
        match late.poll() {
            std::task::Poll::Ready(answer) => break answer,
            std::task::Poll::Pending => assert!(late.woken(seconds(30)), "never answered"),
        }
    };
    let error = answer.expect_err("its lease was over before it was known");
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error:?}");
    await_view(&file.other, "late", "given back", is_free);
}

#[test]
fn a_waiter_whose_answer_came_too_late_tries_again() {
    let file = File::new();
    let turn = file.turn();
    let mut late = Stepper::new(file.client.lock("again").ttl(seconds(1)).acquire());
    assert!(late.poll().is_pending(), "the file is another's");
    std::thread::sleep(millis(1100));
    drop(turn);
    let lease = loop {
        match late.poll() {
            std::task::Poll::Ready(lease) => break lease.expect("granted in the end"),
            std::task::Poll::Pending => assert!(late.woken(seconds(30)), "never granted"),
        }
    };
    assert!(lease.is_held() && lease.remaining() > Duration::ZERO);
}

/// Hazard 2: a holder whose store fell silent is told by its own clock.
#[test]
fn a_holder_is_told_in_time_though_the_store_is_silent() {
    let file = File::new();
    let ttl = millis(1500);
    let lease = file.client.lock("silent").ttl(ttl).acquire_blocking().expect("free");
    let (tell, told) = mpsc::channel();
    let turn = file.turn();
    let start = Instant::now();
    lease.on_lost(move |reason| {
        let _ = tell.send(reason);
    });
    let reason = told.recv_timeout(ttl + SLACK).expect("told of the loss");
    println!("told {:?} after the store fell silent, ttl {ttl:?}", start.elapsed());
    assert_eq!(reason, LostReason::StoreUnreachable);
    assert!(!lease.is_held());
    drop(turn);
    let next = file.other.lock("silent").acquire_blocking().expect("after the expiry");
    assert!(next.fence() > lease.fence());
}

/// A store silent for less than a lease costs nobody anything (hazard 17).
#[test]
fn a_holder_outlives_a_short_silence() {
    let file = File::new();
    let ttl = seconds(3);
    let lease = file.client.lock("short").ttl(ttl).acquire_blocking().expect("free");
    for _ in 0..3 {
        let turn = file.turn();
        std::thread::sleep(ttl / 2);
        drop(turn);
        let now = lease.remaining();
        eventually("it is renewed after the silence", || lease.remaining() > now.max(ttl / 2));
    }
    assert!(lease.is_held());
}

/// Hazard 47: whoever can write to the socket can wake a waiter, but not make it a holder.
#[test]
fn strange_datagrams_make_nobody_a_holder() {
    let file = File::new();
    let lease = file.other.lock("stray").acquire_blocking().expect("free");
    let mut waiting = Stepper::new(file.client.lock("stray").acquire());
    while waiting.poll().is_pending() {
        if block_on(file.other.inspect("stray")).expect("a view").waiting == 1 {
            break;
        }
        assert!(waiting.woken(seconds(30)), "nothing woke the acquire");
    }
    let sender = UnixDatagram::unbound().expect("a socket");
    let sockets = file.folder.path().join("locks.db-wake");
    let mut sent = 0;
    for socket in std::fs::read_dir(&sockets).expect("the clients' sockets") {
        let path = socket.expect("an entry").path();
        for message in [&[][..], &[0], &[1], &[1; 33], &[2; 33], &[255; 34], &[1; 4096]] {
            if sender.send_to(message, &path).is_ok() {
                sent += 1;
            }
        }
    }
    assert!(sent > 0, "no socket took a message");
    assert!(!waiting.woken(millis(500)) || waiting.poll().is_pending(), "two holders");
    assert!(lease.is_held());
    block_on(lease.release());
    let next = loop {
        match waiting.poll() {
            std::task::Poll::Ready(next) => break next.expect("handed over"),
            std::task::Poll::Pending => assert!(waiting.woken(seconds(30)), "never granted"),
        }
    };
    assert!(next.fence() > lease.fence());
}
