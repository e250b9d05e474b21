//! Commands on keys of any type, on time, and PUBLISH.
//!
//! The trap: an expiry in the past deletes the key and counts as set.

use crate::sim::redis::engine::{Command, Engine, count, int, syntax};
use crate::sim::redis::{Reply, Value};

pub(super) static ALL: &[Command] = &[
    Command { name: "del", arity: -2, work: del },
    Command { name: "unlink", arity: -2, work: del },
    Command { name: "exists", arity: -2, work: exists },
    Command { name: "type", arity: 2, work: type_of },
    Command { name: "pttl", arity: 2, work: pttl },
    Command { name: "ttl", arity: 2, work: ttl },
    Command { name: "pexpiretime", arity: 2, work: pexpiretime },
    Command { name: "pexpire", arity: -3, work: pexpire },
    Command { name: "expire", arity: -3, work: expire },
    Command { name: "pexpireat", arity: -3, work: pexpireat },
    Command { name: "persist", arity: 2, work: persist },
    Command { name: "dbsize", arity: 1, work: dbsize },
    Command { name: "keys", arity: 2, work: keys },
    Command { name: "scan", arity: -2, work: scan },
    Command { name: "time", arity: 1, work: time },
    Command { name: "publish", arity: 3, work: publish },
    Command { name: "ping", arity: -1, work: ping },
    Command { name: "echo", arity: 2, work: echo },
    Command { name: "flushall", arity: -1, work: flush },
    Command { name: "flushdb", arity: -1, work: flush },
];

fn del(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    Ok(count(args[1..].iter().filter(|key| on.db.remove(key, now)).count()))
}

fn exists(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    Ok(count(args[1..].iter().filter(|key| on.db.get(key, now).is_some()).count()))
}

fn type_of(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    let name = on.db.get(&args[1], now).map_or("none", |entry| entry.value.type_name());
    Ok(Reply::Status(name.into()))
}

/// −2 without the key, −1 without an expiry, else what `of` makes of it.
fn expiry(on: &mut Engine, key: &[u8], of: impl Fn(i64, i64) -> i64) -> Reply {
    let now = on.now_ms();
    Reply::Int(match on.db.get(key, now) {
        None => -2,
        Some(entry) => entry.expires_ms.map_or(-1, |at| of(at, now)),
    })
}

fn pttl(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    Ok(expiry(on, &args[1], |at, now| (at - now).max(0)))
}

fn ttl(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    Ok(expiry(on, &args[1], |at, now| ((at - now).max(0) + 500) / 1000))
}

fn pexpiretime(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    Ok(expiry(on, &args[1], |at, _| at))
}

fn pexpire(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let base = on.now_ms();
    expire_at(on, args, 1, base, "pexpire")
}

fn expire(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let base = on.now_ms();
    expire_at(on, args, 1000, base, "expire")
}

fn pexpireat(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    expire_at(on, args, 1, 0, "pexpireat")
}

fn expire_at(
    on: &mut Engine,
    args: &[Vec<u8>],
    unit: i64,
    base: i64,
    name: &str,
) -> Result<Reply, Reply> {
    let (mut nx, mut xx, mut gt, mut lt) = (false, false, false, false);
    for word in &args[3..] {
        match word.to_ascii_uppercase().as_slice() {
            b"NX" => nx = true,
            b"XX" => xx = true,
            b"GT" => gt = true,
            b"LT" => lt = true,
            _ => {
                let word = String::from_utf8_lossy(word).into_owned();
                return Err(Reply::error(format!("ERR Unsupported option {word}")));
            }
        }
    }
    if nx && (xx || gt || lt) {
        return Err(Reply::error(
            "ERR NX and XX, GT or LT options at the same time are not compatible",
        ));
    }
    if gt && lt {
        return Err(Reply::error("ERR GT and LT options at the same time are not compatible"));
    }
    let at = int(&args[2])?
        .checked_mul(unit)
        .and_then(|ms| ms.checked_add(base))
        .ok_or_else(|| Reply::error(format!("ERR invalid expire time in '{name}' command")))?;
    let now = on.now_ms();
    let Some(entry) = on.db.get(&args[1], now) else { return Ok(Reply::Int(0)) };
    let refused = match entry.expires_ms {
        None => xx || gt,
        Some(old) => nx || (gt && at <= old) || (lt && at >= old),
    };
    if refused {
        return Ok(Reply::Int(0));
    }
    if at <= now {
        on.db.remove(&args[1], now);
    } else {
        entry.expires_ms = Some(at);
    }
    Ok(Reply::Int(1))
}

fn persist(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    let old = on.db.get(&args[1], now).and_then(|entry| entry.expires_ms.take());
    Ok(Reply::Int(old.is_some().into()))
}

fn dbsize(on: &mut Engine, _: &[Vec<u8>]) -> Result<Reply, Reply> {
    Ok(count(on.db.live(on.now_ms()).count()))
}

fn keys(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let all = on.db.live(on.now_ms()).filter(|(key, _)| glob(&args[1], key));
    Ok(Reply::Array(all.map(|(key, _)| Reply::Bulk(key.clone())).collect()))
}

/// All in one page: a cursor of 0 is what a caller must be ready for at any call.
fn scan(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let cursor = std::str::from_utf8(&args[1]).ok().and_then(|text| text.parse::<u64>().ok());
    cursor.ok_or_else(|| Reply::error("ERR invalid cursor"))?;
    let (mut pattern, mut kind) = (None, None);
    for pair in args[2..].chunks(2) {
        let [word, value] = pair else { return Err(syntax()) };
        match word.to_ascii_uppercase().as_slice() {
            b"MATCH" => pattern = Some(value),
            b"COUNT" if int(value)? < 1 => return Err(syntax()),
            b"COUNT" => {}
            b"TYPE" => kind = Some(value.to_ascii_lowercase()),
            _ => return Err(syntax()),
        }
    }
    let wanted = |key: &[u8], value: &Value| {
        pattern.is_none_or(|pattern| glob(pattern, key))
            && kind.as_ref().is_none_or(|kind| value.type_name().as_bytes() == kind.as_slice())
    };
    let all = on.db.live(on.now_ms()).filter(|(key, entry)| wanted(key, &entry.value));
    let page = all.map(|(key, _)| Reply::Bulk(key.clone())).collect();
    Ok(Reply::Array(vec![Reply::bulk("0"), Reply::Array(page)]))
}

/// A pattern of `*`, `?`, `[…]` and backslash.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|at| glob(rest, &text[at..])),
        [b'?', rest @ ..] => !text.is_empty() && glob(rest, &text[1..]),
        [b'[', rest @ ..] => {
            let Some((first, tail)) = text.split_first() else { return false };
            let (rest, negated) =
                rest.strip_prefix(b"^").map_or((rest, false), |rest| (rest, true));
            let end = rest.iter().position(|byte| *byte == b']').unwrap_or(rest.len());
            let mut class = &rest[..end];
            let mut found = false;
            while let Some(low) = class.first() {
                if class.len() >= 3 && class[1] == b'-' {
                    found |= (*low.min(&class[2])..=*low.max(&class[2])).contains(first);
                    class = &class[3..];
                } else {
                    found |= low == first;
                    class = &class[1..];
                }
            }
            found != negated && glob(rest.get(end + 1..).unwrap_or_default(), tail)
        }
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => {
            text.first() == Some(literal) && glob(rest, &text[1..])
        }
    }
}

fn time(on: &mut Engine, _: &[Vec<u8>]) -> Result<Reply, Reply> {
    let (seconds, micros) = (on.now_us.div_euclid(1_000_000), on.now_us.rem_euclid(1_000_000));
    Ok(Reply::Array(vec![Reply::bulk(seconds.to_string()), Reply::bulk(micros.to_string())]))
}

fn publish(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    Ok(Reply::Int(on.publish(&args[1], &args[2])))
}

fn ping(_: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    match args {
        [_] => Ok(Reply::Status(b"PONG".to_vec())),
        [_, text] => Ok(Reply::Bulk(text.clone())),
        _ => Err(super::super::engine::wrong_count("ping")),
    }
}

fn echo(_: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    Ok(Reply::Bulk(args[1].clone()))
}

fn flush(on: &mut Engine, _: &[Vec<u8>]) -> Result<Reply, Reply> {
    on.db.clear();
    Ok(Reply::ok())
}
