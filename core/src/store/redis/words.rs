//! What the scripts are told and what they answer, in the words of the store's contract.

use std::sync::Arc;
use std::time::Duration;

use super::resp::Value;
use super::script::Call;
use super::session::refused;
use crate::store::{
    Answer, Ask, Hold, HolderView, Holding, Kind, LockView, Released, Renewal, Resized, WaiterView,
    Wanting,
};
use crate::sys::Token;
use crate::{Error, ErrorKind, LostReason, Name, Owner, Profile, Result};

/// `glance` says when to look again at the lock of another library.
pub(super) fn answer(ask: &Ask, value: &Value, glance: impl Fn() -> Duration) -> Option<Answer> {
    let stored_for = ask.ttl + ask.grace;
    if let Some(fence) = value.text() {
        // Never a number, which is what another script answers: a grant must not be a reply gone
        // astray.
        let fence = std::str::from_utf8(fence).ok()?.parse().ok()?;
        return Some(Answer::Granted { fence, stored_for });
    }
    let (code, rest) = value.list()?.split_first()?;
    Some(match (code.int()?, rest) {
        (1, [fence]) => Answer::Granted { fence: u64::try_from(fence.int()?).ok()?, stored_for },
        (2, [first, left, profile]) => {
            let wait = ask.wait.as_ref()?;
            let (first, foreign) = (first.int()? > 0, first.int()? == 2);
            let left = span(left.int()?);
            let look = if foreign { glance().min(wait.heartbeat) } else { wait.heartbeat };
            let look_again_in = match left {
                Some(left) if first => look.min(left),
                _ => look,
            };
            let holder = Some(Holding { expires_in: left, profile: known(profile) });
            Answer::Queued { first, look_again_in, holder }
        }
        // -2: not taken, but left alone with the others of its call.
        (3, [Value::Int(-2), _]) => Answer::Busy { holder: None },
        (3, [left, profile]) => Answer::Busy {
            holder: Some(Holding { expires_in: span(left.int()?), profile: known(profile) }),
        },
        (4, [limit]) => Answer::QueueFull { limit: u32::try_from(limit.int()?).ok()? },
        (5, []) => Answer::Cancelled,
        (6, [tag]) => Answer::Misfit { used: kind_of(tag.text()?)? },
        (7, [others]) => {
            let others = u64::try_from(others.int()?).ok()?;
            Answer::Deadlock { cycle: crate::lock::reader_among(&ask.name, others) }
        }
        _ => return None,
    })
}

pub(super) fn renewal(hold: &Hold, value: &Value) -> Option<Renewal> {
    Some(match value.int()? {
        1 => Renewal::Renewed { stored_for: hold.ttl + hold.grace },
        2 => Renewal::Gone(LostReason::Revoked),
        3 => Renewal::Gone(LostReason::Superseded),
        4 => Renewal::Gone(LostReason::Expired),
        _ => return None,
    })
}

pub(super) fn released(_: &Hold, value: &Value) -> Option<Released> {
    Some(match value.int()? {
        1 => Released::Released,
        2 => Released::LeftQueue,
        3 => Released::NotHeld,
        _ => return None,
    })
}

pub(super) fn view(name: &Name, value: &Value) -> Option<LockView> {
    let [kind, first, second, grace, claimed, profile, waiting, queue @ ..] = value.list()? else {
        return None;
    };
    let (holding, mut holders) = match kind.int()? {
        0 => (0, Vec::new()),
        1 => (1, vec![holder([first, second, grace, claimed, profile])?]),
        2 => {
            let (kind, fence, profile) = (Kind::Exclusive, 0, foreigner());
            let stored = span(second.int()?).unwrap_or(Duration::MAX);
            let (told, claimed, owner) = (stored, false, None);
            (1, vec![HolderView { kind, fence, told, stored, claimed, owner, profile }])
        }
        3 => {
            let several = second.list()?.iter().map(|one| {
                let [fence, left, grace, claimed, profile] = one.list()? else { return None };
                holder([fence, left, grace, claimed, profile])
            });
            (u64::try_from(first.int()?).ok()?, several.collect::<Option<_>>()?)
        }
        _ => return None,
    };
    let queue = queue.chunks_exact(2).map(|pair| {
        let alive_for = Duration::from_millis(u64::try_from(pair[0].int()?).ok()?);
        let (kind, profile) = tagged(&pair[1]);
        Some(WaiterView { kind, alive_for, profile })
    });
    Some(LockView {
        name: name.clone(),
        others: holders.split_off(holders.len().min(1)),
        holder: holders.pop(),
        holding,
        queue: queue.collect::<Option<_>>()?,
        waiting: u64::try_from(waiting.int()?).ok()?,
    })
}

/// The answer to a change of a semaphore's permits.
pub(super) fn resized(value: &Value) -> Option<Resized> {
    match value.list()? {
        [Value::Int(1), version] => {
            Some(Resized::Changed { version: u64::try_from(version.int()?).ok()? })
        }
        [Value::Int(0), used, version] => {
            let used = match used.text()? {
                b"" => None,
                tag => Some(kind_of(tag)?),
            };
            Some(Resized::Unchanged { used, version: u64::try_from(version.int()?).ok()? })
        }
        _ => None,
    }
}

/// The attempt and the lock that a note of lua/wants.lua names.
pub(super) fn noted(value: &Value) -> Option<(Token, Name)> {
    let (token, name) = value.text()?.split_at_checked(32)?;
    let token = u128::from_str_radix(std::str::from_utf8(token).ok()?, 16).ok()?;
    let name = std::str::from_utf8(name.strip_prefix(b" ")?).ok()?;
    Some((Token::from_bytes(token.to_be_bytes()), Name::new(name).ok()?))
}

/// A lock as `view`, and what is known of the waiter that was looked for: none where it waits no more.
pub(super) fn wanting(attempt: Token, name: &Name, value: &Value) -> Option<Option<Wanting>> {
    let (seen, rank, profile) = match value.list()? {
        [seen, rank, profile] => (seen, rank.text()?, profile),
        [] => return Some(None),
        _ => return None,
    };
    let view = view(name, seen)?;
    let (kind, profile) = tagged(profile);
    let (name, priority) = (view.name, priority_of(rank)?);
    let holders = view.holder.into_iter().chain(view.others).collect();
    Some(Some(Wanting { name, attempt, kind, priority, profile, holders }))
}

/// "fence, left, grace, claimed, profile".
fn holder([fence, left, grace, claimed, profile]: [&Value; 5]) -> Option<HolderView> {
    let stored = span(left.int()?).unwrap_or(Duration::MAX);
    let grace = Duration::from_millis(u64::try_from(grace.int()?).ok()?);
    let (fence, claimed) = (u64::try_from(fence.int()?).ok()?, claimed.int()? == 1);
    let (told, owner) = (stored.saturating_sub(grace), owner_of(profile));
    let (kind, profile) = tagged(profile);
    Some(HolderView { kind, fence, told, stored, claimed, owner, profile })
}

/// One answer for each question.
pub(super) fn each<Q, T>(
    value: &Value,
    questions: &[Q],
    read: impl Fn(&Q, &Value) -> Option<T>,
) -> Result<Vec<T>> {
    // One question's simplest answer comes alone.
    let alone = std::slice::from_ref(value);
    let answers = Some(value.list().unwrap_or(alone)).filter(|list| list.len() == questions.len());
    if let Some(Value::Error(text)) =
        answers.and_then(|list| list.iter().find(|it| matches!(it, Value::Error(_))))
    {
        return Err(broken(text));
    }
    let answers = answers.and_then(|list| {
        questions.iter().zip(list).map(|(question, value)| read(question, value)).collect()
    });
    answers.ok_or_else(|| odd("the script", value))
}

/// How long the state outlives its tenure: `KEEP` in lua/lock.lua.
pub(super) const KEEP: u64 = 3_600_000;

/// For how many milliseconds a tenure is kept.
pub(super) fn kept_ms(ttl: Duration, grace: Duration) -> u64 {
    millis(ttl + grace).max(2)
}

/// The profile of an ask, and its owner.
pub(super) fn profile_text(ask: &Ask) -> String {
    // A profile is strings and numbers: it can't fail to be JSON.
    let mut profile = serde_json::to_string(&*ask.profile).unwrap_or_default();
    if let Some(owner) = ask.owner
        && profile.pop().is_some()
    {
        // One member more: who reads only the profile passes it over.
        profile.push_str(&format!(",\"owner\":\"{:032x}\"}}", owner.number()));
    }
    profile
}

/// Whether two asks have the same terms, as [`write_terms`] writes them.
pub(super) fn same_terms(one: &Ask, other: &Ask) -> bool {
    (one.ttl, one.grace, one.wait) == (other.ttl, other.grace, other.wait)
}

/// What asks for exclusive locks may have in common, as lua/acquire.lua lists it.
pub(super) fn write_terms(call: &mut Call, ask: &Ask, channel: &str) {
    let span = kept_ms(ask.ttl, ask.grace);
    let mut digits = Digits::default();
    call.term(digits.of(span - 1)).term(digits.of(span.saturating_add(KEEP)));
    call.term(&wait_text(ask, channel));
}

/// What an ask says besides its terms.
pub(super) fn write_own(call: &mut Call, ask: &Ask) {
    let (span, grace) = (kept_ms(ask.ttl, ask.grace), millis(ask.grace));
    let (mut lasts, mut told) = (Digits::default(), Digits::default());
    let (token, profile) = (hex_bytes(&ask.token), profile_text(ask));
    let tag = match ask.kind {
        Kind::Exclusive => String::new(),
        Kind::Shared => "s ".to_owned(),
        Kind::Permits { count, capacity } => format!("{count}/{capacity} "),
    };
    call.joined(&[
        lasts.padded(span - 1, 13),
        &token,
        b" ",
        told.of(grace),
        b" 0 ",
        tag.as_bytes(),
        profile.as_bytes(),
    ]);
}

/// An ask's arguments where each says all of it: terms and its own.
pub(super) fn write_ask(call: &mut Call, ask: &Ask, channel: &str) {
    let span = kept_ms(ask.ttl, ask.grace);
    call.text(&hex_bytes(&ask.token)).number(span - 1).number(span.saturating_add(KEEP));
    write_own(call, ask);
    call.text(&wait_text(ask, channel));
}

fn wait_text(ask: &Ask, channel: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let Some(wait) = &ask.wait else { return out };
    let mut digits = Digits::default();
    out.reserve(96);
    out.extend_from_slice(digits.of(millis(wait.alive_for)));
    out.push(b' ');
    out.extend_from_slice(digits.of(millis(wait.claim)));
    if ask.fences() > 1 {
        out.push(b'/');
        out.extend_from_slice(digits.of(ask.fences().into()));
    }
    out.push(b' ');
    out.extend_from_slice(digits.of(wait.max_queue.into()));
    out.push(b' ');
    out.extend_from_slice(&rank_of(ask.kind, wait.priority));
    out.push(b' ');
    out.extend_from_slice(channel.as_bytes());
    out
}

/// Room for a number's digits: each ask writes half a dozen numbers, and `format!` would allocate for each.
#[derive(Default)]
pub(super) struct Digits([u8; 20]);

impl Digits {
    pub(super) fn of(&mut self, number: u64) -> &[u8] {
        self.padded(number, 1)
    }

    /// With zeros before it up to `width`.
    pub(super) fn padded(&mut self, mut number: u64, width: usize) -> &[u8] {
        let mut at = self.0.len();
        while number > 0 || self.0.len() - at < width {
            at -= 1;
            self.0[at] = b'0' + (number % 10) as u8;
            number /= 10;
        }
        &self.0[at..]
    }
}

/// How the place in the queue begins: sorts by who goes first.
fn rank_of(kind: Kind, priority: i32) -> [u8; 10] {
    let rank = i64::from(i32::MAX) - i64::from(priority);
    let mut digits = [0; 10];
    digits.copy_from_slice(Digits::default().padded(rank.unsigned_abs(), 10));
    if kind == Kind::Shared {
        // Readers stand behind all others.
        digits[0] += READERS;
    }
    digits
}

fn priority_of(rank: &[u8]) -> Option<i32> {
    let mut rank = rank.to_vec();
    if rank.first()? >= &b'A' {
        rank[0] -= READERS;
    }
    let rank: i64 = std::str::from_utf8(&rank).ok()?.parse().ok()?;
    i32::try_from(i64::from(i32::MAX) - rank).ok()
}

const READERS: u8 = b'A' - b'0';

/// An answer that no script of ours gives.
pub(super) fn odd(what: &str, value: &Value) -> Error {
    let shown: String = format!("{value:?}").chars().take(200).collect();
    Error::new(ErrorKind::StoreFailed, format!("the answer to {what} is not understood: {shown}"))
}

/// What a script failed with.
pub(super) fn broken(text: &str) -> Error {
    if text.contains("LEASEHOLD_FENCE") {
        return Error::new(
            ErrorKind::StoreFailed,
            "the next fence would be above 2^53-1: check the server's clock",
        );
    }
    refused(text)
}

pub(super) fn read(value: &Value) -> Arc<Profile> {
    tagged(value).1
}

/// A profile, and the kind that its tag names: none is an exclusive lock.
fn tagged(value: &Value) -> (Kind, Arc<Profile>) {
    let text = value.text().unwrap_or_default();
    let end = text.iter().position(|byte| *byte == b' ').unwrap_or_default();
    // The profile itself begins with a brace.
    let (kind, profile) = match kind_of(&text[..end]) {
        Some(kind) => (kind, &text[end + 1..]),
        None => (Kind::Exclusive, text),
    };
    (kind, Arc::new(serde_json::from_slice(profile).unwrap_or_default()))
}

/// The owner beside a profile.
fn owner_of(value: &Value) -> Option<Owner> {
    #[derive(serde::Deserialize)]
    struct Owned {
        owner: String,
    }
    let text = value.text()?;
    let begin = text.iter().position(|byte| *byte == b'{')?;
    let Owned { owner } = serde_json::from_slice(&text[begin..]).ok()?;
    u128::from_str_radix(&owner, 16).ok().map(Owner::from_number)
}

fn kind_of(tag: &[u8]) -> Option<Kind> {
    match tag {
        b"x" => Some(Kind::Exclusive),
        b"s" => Some(Kind::Shared),
        _ => {
            let (count, capacity) = std::str::from_utf8(tag).ok()?.split_once('/')?;
            Some(Kind::Permits { count: count.parse().ok()?, capacity: capacity.parse().ok()? })
        }
    }
}

fn known(value: &Value) -> Option<Arc<Profile>> {
    value.text().is_some_and(|text| !text.is_empty()).then(|| read(value))
}

pub(super) fn foreigner() -> Arc<Profile> {
    Arc::new(Profile { note: "held by another library".to_owned(), ..Profile::default() })
}

/// Whole milliseconds, rounded up: a lease is never shorter than it was asked for.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Negative: without an end.
pub(super) fn span(left: i64) -> Option<Duration> {
    u64::try_from(left).ok().map(Duration::from_millis)
}

pub(super) fn hex_bytes(token: &Token) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = [0; 32];
    for (pair, byte) in out.chunks_exact_mut(2).zip(token.as_bytes()) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    out
}

pub(super) fn hex(token: &Token) -> String {
    String::from_utf8_lossy(&hex_bytes(token)).into_owned()
}
