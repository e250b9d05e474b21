//! The scripts that run in the server, each one atomic step, called by their SHA-1.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use sha1::{Digest, Sha1};

use super::dialect::{Dialect, Layout};
use super::keys::Places;
use super::resp;

/// The line that reads the server's clock. A test may have it read another.
const CLOCK: &str = "redis.call('TIME')";

/// One script.
pub(super) struct Script {
    body: String,
    sha: String,
}

/// All scripts.
pub(super) struct Scripts {
    pub(super) acquire: Script,
    pub(super) renew: Script,
    pub(super) release: Script,
    pub(super) evict: Script,
    pub(super) inspect: Script,
}

/// The arguments of a call, from the number of keys on.
pub(super) struct Call {
    count: usize,
    tail: Vec<u8>,
}

const LOCK: &str = include_str!("lua/lock.lua");

/// Scripts of one kind are the same for all clients, and so are made once.
type Shipped = Mutex<Vec<(Kind, Arc<Scripts>)>>;

/// What the scripts' text depends on: the layout, and the dialect of a second lock.
type Kind = (Layout, Option<Dialect>);

impl Scripts {
    /// The scripts as they are shipped.
    pub(super) fn shipped(dialect: Dialect, second: Option<Dialect>) -> Arc<Self> {
        static SHIPPED: Shipped = Mutex::new(Vec::new());
        let kind = (dialect.layout(), second);
        let mut shipped = SHIPPED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, scripts)) = shipped.iter().find(|(known, _)| *known == kind) {
            return Arc::clone(scripts);
        }
        let scripts = Arc::new(Self::with_clock(dialect, second, CLOCK));
        shipped.push((kind, Arc::clone(&scripts)));
        scripts
    }

    /// The same with another clock.
    pub(super) fn with_clock(dialect: Dialect, second: Option<Dialect>, clock: &str) -> Self {
        let common = common(dialect, second);
        // What comes before all else knows the string and nothing else.
        let short = dialect.layout() == Layout::Text && second.is_none();
        let script = |first: &str, steps: &str| {
            Script::new(&[first, &common, steps].concat().replace(CLOCK, clock))
        };
        let when_short = |first| if short { first } else { "" };
        let renewed = if short { include_str!("lua/renew.lua") } else { "local done = {}\n" };
        Self {
            acquire: script(
                when_short(include_str!("lua/acquire.lua")),
                include_str!("lua/acquire_steps.lua"),
            ),
            renew: script(renewed, include_str!("lua/renew_steps.lua")),
            release: script(
                when_short(include_str!("lua/release.lua")),
                include_str!("lua/release_steps.lua"),
            ),
            evict: script("", include_str!("lua/evict.lua")),
            inspect: script("", include_str!("lua/inspect.lua")),
        }
    }
}

/// What the scripts share.
fn common(dialect: Dialect, second: Option<Dialect>) -> String {
    let each = |second| Places::of("", dialect, second).each();
    let own = layout(dialect);
    let Some(other) = second else {
        return format!("local EACH, dual = {}, false\n{own}{LOCK}", each(None));
    };
    let (each, at, mark) = (each(second), each(None) + 1, waiters_of_both(other));
    format!(
        "local EACH, SECOND, DUAL, dual = {each}, {at}, '{mark}', {{}}\n\
         local look2, put2, drop2 = (function()\n{}\nreturn look, put, drop\nend)()\n\
         {own}{LOCK}{}",
        layout(other),
        include_str!("lua/dual.lua")
    )
}

fn layout(dialect: Dialect) -> &'static str {
    match dialect.layout() {
        Layout::Text => include_str!("lua/layout_text.lua"),
        Layout::Signal => {
            concat!(include_str!("lua/layout_text.lua"), include_str!("lua/layout_signal.lua"))
        }
        Layout::Hash => include_str!("lua/layout_hash.lua"),
    }
}

/// How the channel begins of a waiter that wants a lock of `second` too.
pub(super) fn waiters_of_both(second: Dialect) -> String {
    format!("leasehold:{second}:")
}

impl Script {
    fn new(body: &str) -> Self {
        // Comments and margins need not travel.
        let body: String = body
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with("--"))
            .flat_map(|line| [line, "\n"])
            .collect();
        let mut sha = String::with_capacity(40);
        for byte in Sha1::digest(&body) {
            // Writing to a string can't fail.
            let _ = write!(sha, "{byte:02x}");
        }
        Self { body, sha }
    }

    /// The request for a server that knows the script.
    pub(super) fn by_sha(&self, call: &Call) -> Vec<u8> {
        call.request(b"EVALSHA", &self.sha)
    }

    /// The request for a server that doesn't, and from then on does.
    pub(super) fn whole(&self, call: &Call) -> Vec<u8> {
        call.request(b"EVAL", &self.body)
    }
}

impl Call {
    /// A call with `keys` keys; they are to be written next, then the arguments.
    pub(super) fn new(keys: usize) -> Self {
        let mut call = Self { count: 3 + keys, tail: Vec::with_capacity(128 + keys * 64) };
        resp::integer(&mut call.tail, keys as i128);
        call
    }

    /// Where the keys are written.
    pub(super) fn keys(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    /// Adds an argument.
    pub(super) fn text(&mut self, text: &[u8]) -> &mut Self {
        self.count += 1;
        resp::argument(&mut self.tail, text);
        self
    }

    /// Adds a number.
    pub(super) fn number(&mut self, number: impl Into<i128>) -> &mut Self {
        self.count += 1;
        resp::integer(&mut self.tail, number);
        self
    }

    fn request(&self, command: &[u8], script: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.tail.len() + script.len() + 32);
        resp::head(&mut out, self.count);
        resp::argument(&mut out, command);
        resp::argument(&mut out, script.as_bytes());
        out.extend_from_slice(&self.tail);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_counts_its_arguments() {
        let mut call = Call::new(1);
        resp::argument(call.keys(), b"key");
        call.text(b"one").number(2);
        let script = Script::new("-- why\nreturn 1\n");
        assert_eq!(
            String::from_utf8(script.whole(&call)).unwrap(),
            "*6\r\n$4\r\nEVAL\r\n$9\r\nreturn 1\n\r\n$1\r\n1\r\n$3\r\nkey\r\n$3\r\none\r\n$1\r\n2\r\n"
        );
        assert!(script.by_sha(&call).starts_with(b"*6\r\n$7\r\nEVALSHA\r\n$40\r\n"));
    }

    #[test]
    fn every_clock_of_a_script_can_be_replaced() {
        for second in [None, Some(Dialect::Redisson)] {
            let scripts = Scripts::with_clock(Dialect::Pottery, second, "fake()");
            for script in [&scripts.acquire, &scripts.renew, &scripts.release, &scripts.evict] {
                assert!(!script.body.contains("TIME") && script.body.contains("fake()"));
            }
        }
    }

    #[test]
    fn scripts_that_do_the_same_are_the_same() {
        let of = |dialect, second| Scripts::shipped(dialect, second);
        assert!(Arc::ptr_eq(&of(Dialect::Plain, None), &of(Dialect::Pottery, None)));
        assert!(!Arc::ptr_eq(&of(Dialect::Plain, None), &of(Dialect::Redisson, None)));
        let dual = of(Dialect::Plain, Some(Dialect::Redisson));
        assert!(!Arc::ptr_eq(&dual, &of(Dialect::Plain, Some(Dialect::Pottery))));
    }
}
