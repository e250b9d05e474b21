//! Calls whose callers go on to other things: each is told, whoever reads the server's answers at the
//! time; and none goes on at once for ever.
#![allow(clippy::disallowed_methods, reason = "threads of a user's program, in real time")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use leasehold_bridge::{Client, ClientRequest, LOOKS, LockRequest, Mailbox, Outcome};
use leasehold_testkit::server::{Flavour, RedisSetup, on_redis};
use libtest_mimic::{Arguments, Trial};

/// Beyond it something hangs. Never a measure.
const PATIENCE: Duration = Duration::from_secs(60);
const PAIRS: u32 = 300;
/// The number that ends the reader.
const END: u64 = 0;

type Test = (&'static str, fn(&Post));

const TESTS: &[Test] = &[
    ("whoever_reads_all_are_told", whoever_reads_all_are_told),
    ("two_that_ask_at_once_are_both_told", two_that_ask_at_once_are_both_told),
    ("after_a_few_that_go_on_at_once_one_is_told", after_a_few_that_go_on_at_once_one_is_told),
];

fn main() {
    let mut arguments = Arguments::from_args();
    // One at a time: the machine is small.
    arguments.test_threads = Some(1);
    let mut trials = Vec::new();
    for reads in [true, false] {
        for (name, test) in TESTS {
            let by = if reads { "reader" } else { "driver" };
            trials.push(Trial::ignorable_test(format!("{by}::{name}"), move || {
                on_redis(&RedisSetup::new(Flavour::Redis), |server| {
                    Post::with(&server.url(), reads, test);
                })
            }));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn whoever_reads_all_are_told(post: &Post) {
    std::thread::scope(|scope| {
        for lane in 0..6 {
            scope.spawn(move || {
                for turn in 0..PAIRS {
                    // Now its own lock, now one that others wait for, too.
                    let name = if turn % 3 == 0 { "shared".to_owned() } else { format!("{lane}") };
                    post.pair(&name);
                }
            });
        }
        // Who blocks reads by itself.
        scope.spawn(|| {
            for _ in 0..PAIRS {
                let attempt = post.client.attempt(&request("blocks"));
                let outcome = attempt.wait_for(PATIENCE);
                assert!(matches!(outcome, Some(Outcome::Held { .. })), "{outcome:?}");
                let release = attempt.held().expect("a lease").release().wait_for(PATIENCE);
                assert_eq!(release.expect("in time").expect("a release").state, "released");
            }
        });
    });
}

/// Whoever has read its own answer leaves that of the other to someone.
fn two_that_ask_at_once_are_both_told(post: &Post) {
    let both = Barrier::new(2);
    std::thread::scope(|scope| {
        for lane in ["one", "other"] {
            let both = &both;
            scope.spawn(move || {
                for _ in 0..PAIRS {
                    // So that none is read for the sake of a later call.
                    both.wait();
                    post.ping();
                }
                post.pair(lane);
            });
        }
    });
}

fn after_a_few_that_go_on_at_once_one_is_told(post: &Post) {
    let mut in_a_row = 0;
    for _ in 0..PAIRS {
        for told in post.pair("alone") {
            in_a_row = if told { 0 } else { in_a_row + 1 };
            assert!(in_a_row < LOOKS, "other tasks of the thread have no turn");
        }
    }
}

/// A mailbox, the thread that empties it, and those who wait for its numbers.
struct Post {
    client: Client,
    mailbox: Arc<Mailbox>,
    keys: AtomicU64,
    waiting: Mutex<HashMap<u64, Sender<()>>>,
}

impl Post {
    fn with(url: &str, reads: bool, test: impl FnOnce(&Self)) {
        let language = "test";
        let url = Some(url.to_owned());
        let client = Client::connect(ClientRequest { url, language, ..ClientRequest::default() });
        let mailbox = Arc::new(Mailbox::new(reads).expect("a mailbox"));
        let (client, keys) = (client.expect("a client"), AtomicU64::new(END));
        let post = Self { client, mailbox, keys, waiting: Mutex::default() };
        std::thread::scope(|scope| {
            scope.spawn(|| post.read());
            // Also where the test fails: the reader would wait for ever.
            let _end = End(&post);
            test(&post);
        });
    }

    fn read(&self) {
        loop {
            for key in self.mailbox.take() {
                if key == END {
                    return;
                }
                let waiting = self.waiting.lock().unwrap().remove(&key);
                waiting.expect("told once").send(()).expect("someone waits");
            }
        }
    }

    /// Takes the lock and gives it back; for each whether it was told of it.
    fn pair(&self, name: &str) -> [bool; 2] {
        let attempt = self.client.attempt(&request(name));
        let taken = self.settled(|key| attempt.unless_done_tell_in(&self.mailbox, key));
        let outcome = attempt.outcome();
        assert!(matches!(outcome, Some(Outcome::Held { .. })), "{name}: {outcome:?}");
        let release = attempt.held().expect("a lease").release();
        let given = self.settled(|key| release.unless_done_tell_in(&self.mailbox, key));
        let state = release.result().expect("it is done").expect("a release").state;
        assert_eq!(state, "released", "{name}");
        [taken, given]
    }

    fn ping(&self) {
        let ping = self.client.ping();
        self.settled(|key| ping.unless_done_tell_in(&self.mailbox, key));
        ping.result().expect("it is done").expect("a server");
    }

    /// Waits for the number that `begin` has put into the box, if it does; whether it does.
    fn settled(&self, begin: impl FnOnce(u64) -> bool) -> bool {
        let key = self.keys.fetch_add(1, Ordering::Relaxed) + 1;
        let (to, from) = channel();
        self.waiting.lock().unwrap().insert(key, to);
        let told = begin(key);
        if told {
            from.recv_timeout(PATIENCE).expect("a call that nobody was told of");
        } else {
            self.waiting.lock().unwrap().remove(&key);
        }
        told
    }
}

struct End<'a>(&'a Post);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.mailbox.letter(END)();
    }
}

fn request(name: &str) -> LockRequest {
    LockRequest { name: name.to_owned(), ttl: Some(3600.0), ..LockRequest::default() }
}
