//! What belongs to a connection: its protocol, its name, its transaction, what is pushed to it.

use leasehold_testkit::SeededRandom;

use crate::both::Both;
use crate::request::{pick, seed, words};

pub(crate) fn connections_answer_alike(both: &mut Both) {
    let random = SeededRandom::new(seed());
    for (on, line) in [
        (0, "HELLO 4"),
        (0, "HELLO x"),
        (0, "HELLO 3 WHAT"),
        (2, "CLIENT GETNAME"),
        (2, "CLIENT SETNAME me"),
        (2, "CLIENT GETNAME"),
        (2, "CLIENT NONSENSE"),
        (0, "EXEC"),
        (0, "DISCARD"),
        (0, "MULTI"),
        (0, "MULTI"),
        (0, "SET a 1"),
        (0, "GET a"),
        (0, "EXEC"),
        (0, "MULTI"),
        (0, "GET"),
        (0, "EXEC"),
        (0, "MULTI"),
        (0, "INCR a"),
        (0, "DISCARD"),
        (0, "GET a"),
        (0, "EVAL return 0"),
        (0, "EVAL return 1"),
        (0, "EVAL return -1"),
        (0, "EVAL return x"),
        (0, "SCRIPT NONSENSE"),
        (0, "SCRIPT LOAD"),
    ] {
        both.ask(on, &words(line));
    }
    // One listens in the new protocol, one in the old.
    let _ = both.real[1].ask(&words("HELLO 3 SETNAME ear"));
    both.simulated(1, &words("HELLO 3 SETNAME ear"));
    both.ask(1, &words("CLIENT GETNAME"));
    for line in ["SUBSCRIBE c", "SUBSCRIBE d", "UNSUBSCRIBE c", "UNSUBSCRIBE", "SUBSCRIBE c"] {
        both.ask(1, &words(line));
    }
    both.ask(2, &words("SUBSCRIBE c"));
    both.ask(2, &words("GET a"));
    for _ in 0..200 {
        let line = pick(&random, &["PUBLISH c hello", "PUBLISH d nobody", "PUBLISH c "]);
        both.ask(0, &words(line));
        let script = "return {redis.call('PUBLISH','c',ARGV[1]),redis.call('PUBLISH','c','again')}";
        let args = [b"EVAL".to_vec(), script.into(), b"0".to_vec(), b"first".to_vec()];
        both.ask(0, &args);
        both.pushed(1);
        both.pushed(2);
        if random.below(4) == 0 {
            both.ask(1, &words(pick(&random, &["GET a", "PING", "UNSUBSCRIBE x", "ECHO 1"])));
        }
    }
    // What a script publishes to its own caller: before its reply, in this version.
    let args =
        [b"EVAL".to_vec(), b"redis.call('PUBLISH','c','own') return 7".to_vec(), b"0".to_vec()];
    both.real[1].send(&args);
    let real = [both.real[1].frame(), both.real[1].frame()].concat();
    assert_eq!(
        real.escape_ascii().to_string(),
        both.simulated(1, &args).escape_ascii().to_string()
    );
}
