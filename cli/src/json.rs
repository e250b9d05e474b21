//! The JSON view of locks: one document, keys that stay.
//!
//! Written with every character escaped that a terminal could obey; JSON itself asks for that only
//! below U+0020, and U+009B starts an escape sequence too.

use std::io::{self, Write};

use leasehold::Profile;
use leasehold::store::{HolderView, LockView, WaiterView};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

use crate::exit::{Failure, code};
use crate::print;

/// What `ls` shows.
#[derive(Serialize)]
pub(crate) struct Locks<'a> {
    locks: Vec<Lock<'a>>,
}

/// What `show` shows.
#[derive(Serialize)]
pub(crate) struct Lock<'a> {
    name: &'a str,
    held: bool,
    holder: Option<Holder<'a>>,
    waiting: u64,
    queue: Vec<Waiter<'a>>,
}

/// What `elect --observe` shows.
#[derive(Serialize)]
pub(crate) struct Led<'a> {
    name: &'a str,
    leader: Option<Leader<'a>>,
}

#[derive(Serialize)]
struct Leader<'a> {
    fence: u64,
    #[serde(flatten)]
    who: Who<'a>,
    value: Option<&'a str>,
    value_hex: Option<String>,
}

#[derive(Serialize)]
struct Holder<'a> {
    fence: u64,
    #[serde(flatten)]
    who: Who<'a>,
    confirmed: bool,
    told_ms: u64,
    stored_ms: u64,
}

#[derive(Serialize)]
struct Waiter<'a> {
    #[serde(flatten)]
    who: Who<'a>,
    alive_ms: u64,
}

#[derive(Serialize)]
struct Who<'a> {
    host: &'a str,
    pid: u32,
    language: &'a str,
    since: String,
    note: &'a str,
}

impl<'a> Locks<'a> {
    pub(crate) fn of(views: &'a [LockView]) -> Self {
        Self { locks: views.iter().map(Lock::of).collect() }
    }
}

impl<'a> Lock<'a> {
    pub(crate) fn of(view: &'a LockView) -> Self {
        Self {
            name: view.name.as_str(),
            held: view.holder.is_some(),
            holder: view.holder.as_ref().map(Holder::of),
            waiting: view.waiting,
            queue: view.queue.iter().map(Waiter::of).collect(),
        }
    }
}

impl<'a> Led<'a> {
    pub(crate) fn of(name: &'a str, leader: Option<&'a leasehold::Leader>) -> Self {
        let leader = leader.map(|leader| {
            let value = std::str::from_utf8(&leader.value).ok();
            let hex = || leader.value.iter().map(|byte| format!("{byte:02x}")).collect();
            Leader {
                fence: leader.fence,
                who: Who::of(&leader.profile),
                value,
                value_hex: if value.is_none() { Some(hex()) } else { None },
            }
        });
        Self { name, leader }
    }
}

impl<'a> Holder<'a> {
    fn of(view: &'a HolderView) -> Self {
        Self {
            fence: view.fence,
            who: Who::of(&view.profile),
            confirmed: !view.claimed,
            told_ms: millis(view.told),
            stored_ms: millis(view.stored),
        }
    }
}

impl<'a> Waiter<'a> {
    fn of(view: &'a WaiterView) -> Self {
        Self { who: Who::of(&view.profile), alive_ms: millis(view.alive_for) }
    }
}

impl<'a> Who<'a> {
    fn of(profile: &'a Profile) -> Self {
        let Profile { host, pid, language, note, .. } = profile;
        Self { host, pid: *pid, language, since: crate::table::wall(profile.since_us), note }
    }
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Writes `document` to stdout, on one line; whether anyone reads on.
pub(crate) fn out(document: &impl Serialize) -> Result<bool, Failure> {
    let mut bytes = Vec::new();
    document
        .serialize(&mut Serializer::with_formatter(&mut bytes, Harmless))
        .map_err(|cause| Failure::new(code::SYSTEM, format!("the JSON failed: {cause}")))?;
    bytes.push(b'\n');
    print::out(&bytes)
}

/// Compact, with what a terminal could obey as `\uXXXX`.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| print::unfit(*c)) {
            CompactFormatter.write_string_fragment(writer, &rest[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_it_moves_a_cursor_and_all_of_it_comes_back() {
        let text = "a\u{1b}[2J\u{9b}2J\u{202e}\u{e0041}\u{7f}\"\\\n\u{0}größe 🔒";
        let mut bytes = Vec::new();
        text.serialize(&mut Serializer::with_formatter(&mut bytes, Harmless)).unwrap();
        let written = String::from_utf8(bytes).unwrap();
        assert!(!written.chars().any(print::unfit), "{written}");
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
    }
}
