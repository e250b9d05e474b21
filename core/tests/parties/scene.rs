//! Clients of one store, and processes beside them.

use std::future::poll_fn;
use std::process::Command;
use std::task::Poll;
use std::time::{Duration, Instant};

use leasehold::Client;
use leasehold_testkit::{Process, program};

/// A short lease, and when it is over for all on a loaded machine: its grace is 500 ms.
pub(crate) const SHORT: Duration = Duration::from_millis(600);
pub(crate) const SHORT_IS_OVER: Duration = Duration::from_millis(600 + 500 + 3000);
/// Far longer than any case.
pub(crate) const LONG: Duration = Duration::from_secs(300);

pub(crate) struct Scene {
    pub(crate) clients: [Client; 3],
    url: String,
}

impl Scene {
    pub(crate) fn new(url: &str) -> Self {
        let clients = [(); 3].map(|()| Client::connect(url).expect("a client"));
        Self { clients, url: url.to_owned() }
    }

    /// A process that takes part: see testkit's `party`.
    pub(crate) fn party(&self, arguments: &[&str]) -> Process {
        let mut command = Command::new(program("leasehold-testkit", "party"));
        Process::start(command.arg(&self.url).args(arguments))
    }

    /// Waits until nobody holds the lock of this name.
    pub(crate) async fn free(&self, name: &str) {
        self.counts(name, 0, 0).await;
    }

    /// Waits until so many hold the lock of this name, and at least so many wait for it. Polls: who comes and
    /// what is given back in the background tells nobody.
    pub(crate) async fn counts(&self, name: &str, holding: u64, waiting: u64) {
        let patience = Instant::now() + Duration::from_secs(30);
        loop {
            let view = self.clients[0].inspect(name).await.expect("a view");
            if view.holding == holding && view.waiting >= waiting {
                return;
            }
            assert!(Instant::now() < patience, "{name} is never held by {holding}: {view:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// What `future` comes to, or none where it was dropped because it did not within so many polls.
pub(crate) async fn after_polls<T>(future: impl Future<Output = T>, polls: u32) -> Option<T> {
    let (mut future, mut left) = (Box::pin(future), polls);
    poll_fn(move |context| {
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Waits for a process's line on a thread that may block.
pub(crate) async fn line(process: Process, prefix: &'static str) -> (Process, String) {
    tokio::task::spawn_blocking(move || {
        let rest = process.wait_for(prefix);
        (process, rest)
    })
    .await
    .expect("the line came")
}
