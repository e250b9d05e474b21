//! Expiry to the millisecond, by the real server's clock.

use crate::both::Both;
use crate::request::words;

/// A key is there while the clock reads its expiry, and gone a millisecond later.
pub(crate) fn keys_end_at_the_same_millisecond(both: &mut Both) {
    let script = b"local t = redis.call('TIME') return {t[1], t[2], redis.call('EXISTS', KEYS[1])}";
    let load = [b"SCRIPT".to_vec(), b"LOAD".to_vec(), script.to_vec()];
    both.ask(0, &load);
    let sha = leasehold_testkit::sim::redis::sha1hex(script);
    let look = [b"EVALSHA".to_vec(), sha, b"1".to_vec(), b"k".to_vec()];
    let clock_of = |reply: &[u8]| -> i64 {
        let text = String::from_utf8(reply.to_vec()).expect("text");
        let parts: Vec<i64> = text
            .split("\r\n")
            .filter(|part| !part.starts_with(['*', '$']) && !part.is_empty())
            .map(|part| part.trim_start_matches(':').parse().expect("a number"))
            .collect();
        parts[0] * 1_000_000 + parts[1]
    };
    let (mut compared, mut last) = (0, 0);
    for _ in 0..40 {
        let start = both.real[0].ask(&look);
        let expires = clock_of(&start) / 1000 + 4;
        let set = words(&format!("SET k v PXAT {expires}"));
        both.sim.engine.now_us = clock_of(&start);
        both.ask(0, &set);
        loop {
            let reply = both.real[0].ask(&look);
            let now_us = clock_of(&reply);
            // Expiry goes by the clock as it was when the command began: the edge of a
            // millisecond may lie in between.
            if now_us % 1000 > 300 {
                both.sim.engine.now_us = now_us;
                let answered = both.simulated(0, &look);
                assert_eq!(reply.escape_ascii().to_string(), answered.escape_ascii().to_string());
                compared += 1;
                last += i32::from(now_us / 1000 == expires);
            }
            if now_us / 1000 > expires + 1 {
                break;
            }
        }
    }
    println!("{compared} looks, {last} of them in the last millisecond");
    assert!(last > 0, "no look fell into a key's last millisecond");
}
