//! What the server's keys say of one lock: who holds it, and who waits for it in which place. In the
//! words of core/src/store/redis/lua/lock.lua and kinds.lua, read by another hand.

use std::collections::BTreeMap;

use crate::sim::mix::How;
use crate::sim::redis::{Db, Engine, Hash, Value};

/// What the lock's key holds while several hold it.
const MARK: &[u8] = b"held-by-several:leasehold-kinds!";
/// Where the ends of several tenures begin among the scores of a queue.
const SEVERAL: f64 = 2_251_799_813_685_248.0;
/// The length of a place in the queue: rank and arrival. A token follows it.
const PLACE: usize = 26;

/// One of the holders.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Owned {
    /// The last ms of the server's clock at which it is one; none for ever.
    pub(super) ends: Option<i64>,
    pub(super) how: How,
    /// Its fence, where several have one each.
    pub(super) fence: Option<u64>,
}

/// Holders by token.
pub(super) type Owners = BTreeMap<Vec<u8>, Owned>;

/// One that waits and lives.
pub(super) struct Queued {
    pub(super) token: Vec<u8>,
    pub(super) place: Vec<u8>,
    pub(super) reads: bool,
}

/// The keys of one lock: itself, its hash, its queue.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) hash: Vec<u8>,
    pub(super) queue: Vec<u8>,
}

/// Who holds the lock `name`, and what is wrong with its keys.
pub(super) fn owners(
    db: &Db,
    name: &[u8],
    keys: Option<&Keys>,
    now_ms: i64,
) -> (Owners, Option<String>) {
    let mut owners = Owners::new();
    let Some(entry) = db.peek(name, now_ms) else { return (owners, None) };
    let ends = entry.expires_ms;
    let one = match &entry.value {
        Value::String(text) if text == MARK => None,
        Value::String(token) => Some(token.clone()),
        other => Some(other.type_name().into()),
    };
    if let Some(token) = one {
        owners.insert(token, Owned { ends, how: How::Alone, fence: None });
        return (owners, None);
    }
    let Some(keys) = keys else { return (owners, None) };
    let empty = Hash::default();
    let hash = match db.peek(&keys.hash, now_ms).map(|entry| &entry.value) {
        Some(Value::Hash(hash)) => hash,
        _ => &empty,
    };
    let mut broken = None;
    let (mut last, mut sum) = (i64::MIN, 0);
    if let Some(Value::Sorted(queue)) = db.peek(&keys.queue, now_ms).map(|entry| &entry.value) {
        for (score, entry) in queue.0.iter().filter(|(score, _)| *score >= SEVERAL) {
            let Some(token) = entry.strip_prefix(b"xt") else { continue };
            let known = hash.get(&[b"t", token].concat());
            let Some((fence, how)) = known.and_then(|text| tenure(text)) else {
                broken = Some(format!("O8: nothing is known of holder {}", token.escape_ascii()));
                continue;
            };
            sum += i64::from(how.permits());
            // A key is there in the ms of its end, a tenure of several is not.
            let till = (score - SEVERAL) as i64 - 1;
            if till >= now_ms {
                last = last.max(till);
                owners.insert(token.to_vec(), Owned { ends: Some(till), how, fence: Some(fence) });
            }
        }
    }
    let used = hash.get(b"u").and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    if used.unwrap_or(0) != sum {
        broken = Some(format!("O8: {used:?} permits are counted, the tenures have {sum}"));
    }
    // No key can be kept for less than a ms.
    let late = owners.is_empty() && ends.is_none_or(|ends| ends > now_ms + 1);
    if late || ends.is_some_and(|ends| ends < last) {
        broken = Some(format!("O8: the lock's key lasts until {ends:?}, its holders until {last}"));
    }
    (owners, broken)
}

/// Those in the queue that live and would hear of a grant.
pub(super) fn queued(engine: &Engine, keys: &Keys, now_ms: i64) -> Vec<Queued> {
    let db = &engine.db;
    let (Some(Value::Sorted(queue)), Some(Value::Hash(hash))) = (
        db.peek(&keys.queue, now_ms).map(|entry| &entry.value),
        db.peek(&keys.hash, now_ms).map(|entry| &entry.value),
    ) else {
        return Vec::new();
    };
    let waits = queue.0.iter().filter(|(score, entry)| *score == 0.0 && entry.len() > PLACE);
    let lives = waits.filter_map(|(_, entry)| {
        let (place, token) = entry.split_at(PLACE);
        let until = std::str::from_utf8(hash.get(&[b"a", token].concat())?).ok()?;
        let waiter = hash.get(&[b"w", token].concat())?;
        let channel = waiter.split(|byte| *byte == b' ').nth(2)?;
        let heard = engine.channels.get(channel).is_some_and(|ears| !ears.is_empty());
        let lives = until.parse::<f64>().is_ok_and(|until| until > now_ms as f64);
        let reads = place[0] >= b'A';
        (lives && heard).then(|| Queued { token: token.to_vec(), place: place.to_vec(), reads })
    });
    lives.collect()
}

/// Where `token` stands in the queue, if it does.
pub(super) fn place(db: &Db, keys: &Keys, token: &[u8], now_ms: i64) -> Option<Vec<u8>> {
    let Some(Value::Hash(hash)) = db.peek(&keys.hash, now_ms).map(|entry| &entry.value) else {
        return None;
    };
    hash.get(&[b"w", token].concat()).map(|waiter| waiter[..PLACE.min(waiter.len())].to_vec())
}

/// "fence grace claimed profile", with a tag before the profile.
fn tenure(text: &[u8]) -> Option<(u64, How)> {
    let mut words = std::str::from_utf8(text).ok()?.split(' ');
    let fence = words.next()?.parse().ok()?;
    let tag = words.nth(2)?;
    let how = match tag.split_once('/') {
        _ if tag == "s" => How::Reads,
        Some((count, _)) => How::Permits(count.parse().ok()?),
        None => return None,
    };
    Some((fence, how))
}
