//! The scripts that run in the server, each one atomic step, called by their SHA-1.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use sha1::{Digest, Sha1};

use super::dialect::{Dialect, Layout};
use super::keys::Places;
use super::resp;

/// The line that reads the server's clock. A test may have it read another.
const CLOCK: &str = "redis.call('TIME')";

/// Heartbeats that share a call. An ask of a waiter costs several times a renewal: those of 10,000
/// must not hold up a release for much longer than those of ten do.
pub(super) const ASKS: usize = 8;
/// Calls of different callers that may travel together. More would cost the server less for each, but
/// one side then waits for the other: with 24 of them, 64 tasks got through a fifth less.
const TOGETHER: usize = 8;

/// One script.
pub(super) struct Script {
    body: String,
    sha: String,
    /// How many locks may share a call with those of others: one, unless its arguments and answers
    /// are each lock's own. A server has one thread, and the first answer waits for the last lock.
    pub(super) together: usize,
}

/// All scripts.
pub(super) struct Scripts {
    /// For asks of which all are for exclusive locks.
    pub(super) acquire: Arc<Script>,
    /// For all others.
    pub(super) acquire_any: Arc<Script>,
    pub(super) renew: Arc<Script>,
    pub(super) release: Arc<Script>,
    /// For several locks, where that is simple; none where a layout has more to do.
    pub(super) acquire_all: Option<Arc<Script>>,
    pub(super) release_all: Option<Arc<Script>>,
    pub(super) evict: Arc<Script>,
    pub(super) inspect: Arc<Script>,
    pub(super) resize: Arc<Script>,
    /// Notes what an owner waits for.
    pub(super) wants: Arc<Script>,
    pub(super) cell_set: Arc<Script>,
    pub(super) cell_watch: Arc<Script>,
}

/// The keys and arguments of a call.
#[derive(Clone)]
pub(super) struct Call {
    /// Whether it can't travel with others: it says something of all its locks together.
    pub(super) apart: bool,
    count: [usize; 3],
    keys: Vec<u8>,
    /// What is said once for all locks.
    terms: Vec<u8>,
    arguments: Vec<u8>,
}

const LOCK: &str = include_str!("lua/lock.lua");
const KINDS: &str = include_str!("lua/kinds.lua");

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
        let script = |first: &str, steps: &str, together| {
            let body = [first, &common, KINDS, steps].concat().replace(CLOCK, clock);
            Arc::new(Script::new(&body, together))
        };
        let steps = include_str!("lua/acquire_steps.lua");
        let of_one = |steps: &str| script("local done = {}\n", steps, 1);
        let of_cell = |steps: &str| {
            let body = [include_str!("lua/cell.lua"), steps].concat().replace(CLOCK, clock);
            Arc::new(Script::new(&body, 1))
        };
        let of_all =
            |steps: &str| short.then(|| Arc::new(Script::new(&steps.replace(CLOCK, clock), 1)));
        let when_short = |first| if short { first } else { "local done = {}\n" };
        Self {
            acquire: script(
                when_short(include_str!("lua/acquire.lua")),
                &["local ANY = false\n", steps].concat(),
                TOGETHER,
            ),
            acquire_any: script("local done = {}\n", &["local ANY = true\n", steps].concat(), ASKS),
            renew: script(
                when_short(include_str!("lua/renew.lua")),
                include_str!("lua/renew_steps.lua"),
                TOGETHER,
            ),
            release: script(
                when_short(include_str!("lua/release.lua")),
                include_str!("lua/release_steps.lua"),
                TOGETHER,
            ),
            acquire_all: of_all(include_str!("lua/acquire_all.lua")),
            release_all: of_all(include_str!("lua/release_all.lua")),
            evict: of_one(include_str!("lua/evict.lua")),
            inspect: of_one(include_str!("lua/inspect.lua")),
            resize: of_one(include_str!("lua/resize.lua")),
            wants: Arc::new(Script::new(&include_str!("lua/wants.lua").replace(CLOCK, clock), 1)),
            cell_set: of_cell(include_str!("lua/cell_set.lua")),
            cell_watch: of_cell(include_str!("lua/cell_watch.lua")),
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
    fn new(body: &str, together: usize) -> Self {
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
        Self { body, sha, together }
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
    /// A call with `count` keys, which `write` appends.
    pub(super) fn new(count: usize, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut keys = Vec::with_capacity(count * 64);
        write(&mut keys);
        let (terms, arguments) = (Vec::new(), Vec::with_capacity(256));
        Self { apart: false, count: [count, 0, 0], keys, terms, arguments }
    }

    /// Adds an argument that is said once, of all locks of the call: only calls that say the same travel
    /// together. It comes before all that [`text`](Self::text) and the others add.
    pub(super) fn term(&mut self, text: &[u8]) -> &mut Self {
        self.count[1] += 1;
        resp::argument(&mut self.terms, text);
        self
    }

    /// Adds an argument.
    pub(super) fn text(&mut self, text: &[u8]) -> &mut Self {
        self.joined(&[text])
    }

    /// Adds an argument made of `parts`.
    pub(super) fn joined(&mut self, parts: &[&[u8]]) -> &mut Self {
        self.count[2] += 1;
        resp::joined(&mut self.arguments, parts);
        self
    }

    /// Adds a number.
    pub(super) fn number(&mut self, number: impl Into<i128>) -> &mut Self {
        self.count[2] += 1;
        resp::integer(&mut self.arguments, number);
        self
    }

    /// Adds what is said of all locks of the call together.
    pub(super) fn of_all(&mut self, text: &[u8]) -> &mut Self {
        self.apart = true;
        self.text(text)
    }

    /// How many keys it has.
    pub(super) fn keys(&self) -> usize {
        self.count[0]
    }

    /// Whether `other` may travel with it.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        self.terms == other.terms
    }

    /// Adds the keys and arguments of another call.
    pub(super) fn add(&mut self, other: &Self) {
        debug_assert!(self.goes_with(other));
        self.count[0] += other.count[0];
        self.count[2] += other.count[2];
        self.keys.extend_from_slice(&other.keys);
        self.arguments.extend_from_slice(&other.arguments);
    }

    fn request(&self, command: &[u8], script: &str) -> Vec<u8> {
        let [keys, terms, arguments] = self.count;
        let size = self.keys.len() + self.terms.len() + self.arguments.len() + script.len() + 48;
        let mut out = Vec::with_capacity(size);
        resp::head(&mut out, 3 + keys + terms + arguments);
        resp::argument(&mut out, command);
        resp::argument(&mut out, script.as_bytes());
        resp::integer(&mut out, keys as i128);
        out.extend_from_slice(&self.keys);
        out.extend_from_slice(&self.terms);
        out.extend_from_slice(&self.arguments);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_counts_its_arguments() {
        let mut call = Call::new(1, |keys| resp::argument(keys, b"key"));
        call.text(b"one").number(2);
        let script = Script::new("-- why\nreturn 1\n", 1);
        assert_eq!(
            String::from_utf8(script.whole(&call)).unwrap(),
            "*6\r\n$4\r\nEVAL\r\n$9\r\nreturn 1\n\r\n$1\r\n1\r\n$3\r\nkey\r\n$3\r\none\r\n$1\r\n2\r\n"
        );
        assert!(script.by_sha(&call).starts_with(b"*6\r\n$7\r\nEVALSHA\r\n$40\r\n"));
    }

    #[test]
    fn calls_add_up() {
        let call = |key: &[u8], argument: &[u8]| {
            let mut call = Call::new(1, |keys| resp::argument(keys, key));
            call.text(argument).term(b"all");
            call
        };
        let mut both = call(b"a", b"1");
        both.add(&call(b"bb", b"22"));
        both.add(&call(b"c", b"3"));
        let request = String::from_utf8(Script::new("s", 2).by_sha(&both)).unwrap();
        let words: Vec<_> = request.lines().skip(2).step_by(2).collect();
        assert_eq!(words[2..], ["3", "a", "bb", "c", "all", "1", "22", "3"]);
        assert!(request.starts_with("*10\r\n"));
        assert!(both.goes_with(&call(b"d", b"4")));
        assert!(!both.goes_with(call(b"d", b"4").term(b"more")));
    }

    #[test]
    fn every_clock_of_a_script_can_be_replaced() {
        for second in [None, Some(Dialect::Redisson)] {
            let scripts = Scripts::with_clock(Dialect::Pottery, second, "fake()");
            let Scripts {
                acquire, renew, release, evict, resize, wants, cell_set, cell_watch, ..
            } = &scripts;
            let timed = [acquire, renew, release, evict, resize, wants, cell_set, cell_watch];
            for script in timed.into_iter().chain(&scripts.acquire_all) {
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
