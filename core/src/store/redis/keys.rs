//! Where a lock's data lies: the lock itself at its own name, all else at names that fall into the
//! same cluster slot.
//!
//! A lock's name may hold anything, also braces, so it can't be a hash tag itself. The tag is taken
//! from a fixed table instead: for each of the 16,384 slots the first number, written in base 36,
//! that falls into it. Every client computes the same table.
//! Source: the Redis Cluster specification, "Keys distribution model" and "Hash tags".

use std::sync::OnceLock;

use crate::{Name, Owner};

use super::dialect::{Dialect, Layout};
use super::resp;

const SLOTS: usize = 16_384;

/// The names of one lock's keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Keys {
    /// The string that is the lock.
    pub lock: Vec<u8>,
    /// The string of its tenure.
    pub state: Vec<u8>,
    /// The hash of its waiters.
    pub waiters: Vec<u8>,
    /// The sorted set of its queue and its tombstones.
    pub queue: Vec<u8>,
}

impl Keys {
    /// The keys of `name` under `prefix`.
    #[must_use]
    pub fn of(prefix: &str, name: &Name) -> Self {
        let lock = [prefix.as_bytes(), name.as_str().as_bytes()].concat();
        let tag = tag_of(&lock);
        let beside = |letter: &str| {
            [b"leasehold:{", tag, b"}:", letter.as_bytes(), b":", &lock[..]].concat()
        };
        let (state, waiters, queue) = (beside("s"), beside("h"), beside("q"));
        Self { lock, state, waiters, queue }
    }
}

/// Which key goes with that of a lock, where two are enough.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Second {
    /// Its state.
    State,
    /// Its queue.
    Queue,
}

/// Where one client's locks lie.
#[derive(Debug)]
pub(super) struct Places {
    /// What comes before a lock's name in its key.
    prefix: Vec<u8>,
    /// What stands between the tag and that key in the names of state, waiters and queue. Each kind
    /// of key has its own: clients whose layouts differ take each other for strangers, and must not
    /// hand each other what they can't read.
    beside: [&'static [u8]; 3],
    /// The same for its cell, and for those who watch that.
    cell: [&'static [u8]; 2],
    /// What comes before the name in the keys of bells and of a second lock.
    more: Vec<Vec<u8>>,
}

impl Places {
    pub(super) fn of(prefix: &str, dialect: Dialect, second: Option<Dialect>) -> Self {
        let prefix = [dialect.prefix().as_bytes(), prefix.as_bytes()].concat();
        let beside = match dialect.layout() {
            Layout::Text | Layout::Signal => [b"}:s:".as_slice(), b"}:h:", b"}:q:"],
            Layout::Hash => [b"}:hs:".as_slice(), b"}:hh:", b"}:hq:"],
        };
        let cell = match dialect.layout() {
            Layout::Text | Layout::Signal => [b"}:c:".as_slice(), b"}:w:"],
            Layout::Hash => [b"}:hc:".as_slice(), b"}:hw:"],
        };
        let bell = |dialect: Dialect| dialect.bell().map(str::as_bytes);
        let mut more = Vec::new();
        if let Some(bell) = bell(dialect) {
            more.push([bell, &prefix[dialect.prefix().len()..]].concat());
        }
        if let Some(second) = second {
            more.push(second.prefix().as_bytes().to_vec());
            more.extend(bell(second).map(<[u8]>::to_vec));
        }
        Self { prefix, beside, cell, more }
    }

    /// Keys for each lock: those of [`Keys`], its bell, its second lock and that one's bell.
    pub(super) fn each(&self) -> usize {
        4 + self.more.len()
    }

    /// Appends the keys of `name` to a request.
    pub(super) fn write(&self, out: &mut Vec<u8>, name: &Name) {
        self.write_own(out, name, &self.beside);
        for before in &self.more {
            resp::joined(out, &[before, name.as_str().as_bytes()]);
        }
    }

    /// Appends the key of the lock `name` itself, and that of its state or of its queue.
    pub(super) fn write_two(&self, out: &mut Vec<u8>, name: &Name, second: Second) {
        let [state, _, queue] = self.beside;
        self.write_own(out, name, &[if second == Second::State { state } else { queue }]);
    }

    fn write_own(&self, out: &mut Vec<u8>, name: &Name, beside: &[&[u8]]) {
        let (prefix, name) = (&self.prefix[..], name.as_str().as_bytes());
        let tag = match prefix {
            [] => tag_of(name),
            _ => tag_of(&[prefix, name].concat()),
        };
        resp::joined(out, &[prefix, name]);
        for letter in beside {
            resp::joined(out, &[b"leasehold:{", tag, letter, prefix, name]);
        }
    }

    /// The key of what `owner` waits for. Of its own slot: it names locks of all slots.
    pub(super) fn of_owner(&self, owner: Owner) -> Vec<u8> {
        let owner = format!("{:032x}", owner.number());
        // As the queues, so that an owner's waits in other layouts are not among them.
        let letter = &self.beside[2][1..];
        [b"leasehold:o", letter, owner.as_bytes(), b":", &self.prefix].concat()
    }

    /// Appends the two keys of the cell `name` to a request.
    pub(super) fn write_cell(&self, out: &mut Vec<u8>, name: &Name) {
        let (prefix, name) = (&self.prefix[..], name.as_str().as_bytes());
        let tag = tag_of(&[prefix, name].concat());
        for letter in self.cell {
            resp::joined(out, &[b"leasehold:{", tag, letter, prefix, name]);
        }
    }

    /// The lock's name, from that of its state.
    pub(super) fn name_of_state<'a>(&self, state: &'a [u8]) -> Option<&'a str> {
        self.name_in(state, self.beside[0])
    }

    /// The cell's name, from that of its key.
    pub(super) fn name_of_cell<'a>(&self, cell: &'a [u8]) -> Option<&'a str> {
        self.name_in(cell, self.cell[0])
    }

    fn name_in<'a>(&self, key: &'a [u8], letter: &[u8]) -> Option<&'a str> {
        let rest = key.strip_prefix(b"leasehold:{")?;
        let end = rest.iter().position(|byte| *byte == b'}')?;
        let lock = rest[end..].strip_prefix(letter)?;
        std::str::from_utf8(lock.strip_prefix(&self.prefix[..])?).ok()
    }

    /// A pattern for SCAN that finds the states of the locks whose names begin with `begin`.
    pub(super) fn pattern(&self, begin: &str) -> Vec<u8> {
        let mut out = [b"leasehold:{*".as_slice(), self.beside[0]].concat();
        for &byte in self.prefix.iter().chain(begin.as_bytes()) {
            if b"*?[]\\^-".contains(&byte) {
                out.push(b'\\');
            }
            out.push(byte);
        }
        out.push(b'*');
        out
    }
}

fn tag_of(key: &[u8]) -> &'static [u8] {
    static TAGS: OnceLock<Vec<[u8; 5]>> = OnceLock::new();
    let tag = &TAGS.get_or_init(tags)[slot(key)];
    &tag[1..=usize::from(tag[0])]
}

/// For each slot the length of its tag and the tag.
fn tags() -> Vec<[u8; 5]> {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut tags = vec![[0; 5]; SLOTS];
    let mut missing = SLOTS;
    let mut number = 0;
    while missing > 0 {
        let (mut tag, mut size, mut left) = ([0_u8; 4], 0, number);
        loop {
            tag[size] = DIGITS[left % 36];
            size += 1;
            left /= 36;
            if left == 0 {
                break;
            }
        }
        tag[..size].reverse();
        let place = &mut tags[usize::from(crc16(&tag[..size])) % SLOTS];
        if place[0] == 0 {
            place[0] = size as u8;
            place[1..=size].copy_from_slice(&tag[..size]);
            missing -= 1;
        }
        number += 1;
    }
    tags
}

/// The cluster slot of `key`: of what stands in its first braces, if anything does.
fn slot(key: &[u8]) -> usize {
    let tagged = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    usize::from(crc16(tagged.unwrap_or(key))) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    const TABLE: [u16; 256] = {
        let mut table = [0_u16; 256];
        let mut index = 0;
        while index < 256 {
            let mut crc = (index as u16) << 8;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
                bit += 1;
            }
            table[index] = crc;
            index += 1;
        }
        table
    };
    bytes.iter().fold(0, |crc, byte| (crc << 8) ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        for (key, expected) in [
            ("foo", 12_182),
            ("{user1000}.following", slot(b"user1000")),
            ("foo{}{bar}", usize::from(crc16(b"foo{}{bar}")) % SLOTS),
            ("foo{{bar}}zap", slot(b"{bar")),
            ("foo{bar}{zap}", slot(b"bar")),
        ] {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
    }

    #[test]
    fn all_keys_of_a_lock_are_in_one_slot_whatever_its_name() {
        for name in ["a", "{", "}", "{}", "{a}", "x{y}z", "}{", "{{a}}", "日本", "a b\r\n"] {
            for prefix in ["", "p:", "{p}"] {
                let keys = Keys::of(prefix, &Name::new(name).unwrap());
                for key in [&keys.state, &keys.waiters, &keys.queue] {
                    assert_eq!(slot(key), slot(&keys.lock), "{name} {prefix}");
                }
                let places = Places::of(prefix, Dialect::Plain, None);
                assert_eq!(places.name_of_state(&keys.state), Some(name));
                let mut written = Vec::new();
                places.write(&mut written, &Name::new(name).unwrap());
                let mut expected = Vec::new();
                for key in [&keys.lock, &keys.state, &keys.waiters, &keys.queue] {
                    resp::argument(&mut expected, key);
                }
                assert_eq!(written, expected);
                written.clear();
                places.write_cell(&mut written, &Name::new(name).unwrap());
                // "$LENGTH", then a key, whose name may have line ends in it.
                let mut left = &written[..];
                for letter in ["c", "w"] {
                    let (tag, size) = (tag_of(&keys.lock), left.iter().position(|it| *it == b'\n'));
                    let head = format!("leasehold:{{{}}}:{letter}:", String::from_utf8_lossy(tag));
                    let (begin, length) = (size.unwrap() + 1, head.len() + keys.lock.len());
                    let key = &left[begin..begin + length];
                    assert_eq!(slot(key), slot(&keys.lock), "{name} {prefix}");
                    if letter == "c" {
                        assert_eq!(places.name_of_cell(key), Some(name));
                        assert_eq!(places.name_of_state(key), None);
                    }
                    left = &left[begin + length + 2..];
                }
                assert!(left.is_empty());
            }
        }
        let tags = tags();
        assert!(tags.iter().all(|tag| tag[0] > 0));
    }

    #[test]
    fn a_prefix_is_matched_as_it_is_written() {
        let places = Places::of("a*", Dialect::Plain, None);
        assert_eq!(places.pattern("[b]?\\"), b"leasehold:{*}:s:a\\*\\[b\\]\\?\\\\*");
    }

    #[test]
    fn a_dialect_has_the_keys_of_its_library() {
        let keys = |prefix, dialect, second| {
            let places = Places::of(prefix, dialect, second);
            let mut out = Vec::new();
            places.write(&mut out, &Name::new("n").unwrap());
            let lines = String::from_utf8(out).unwrap();
            let keys: Vec<String> = lines.lines().skip(1).step_by(2).map(str::to_owned).collect();
            assert_eq!(keys.len(), places.each());
            let (own, beside) = keys.split_at(1);
            [own, &beside[3..]].concat().join(" ")
        };
        let signal = Dialect::PythonRedisLock;
        assert_eq!(keys("", signal, None), "lock:n lock-signal:n");
        assert_eq!(keys("p:", signal, None), "lock:p:n lock-signal:p:n");
        assert_eq!(keys("p:", Dialect::Pottery, None), "redlock:p:n");
        assert_eq!(keys("new:", Dialect::Plain, Some(Dialect::Redisson)), "new:n n");
        assert_eq!(keys("", Dialect::Plain, Some(signal)), "n lock:n lock-signal:n");
        let both = "lock:n lock-signal:n mutex:n";
        assert_eq!(keys("", signal, Some(Dialect::RedisSemaphore)), both);
    }
}
