//! Commands on strings. The trap is SET: its options exclude one another, an expiry of zero or less
//! is an error and no deletion, and with GET a refused NX still answers the old value.

use crate::sim::redis::engine::{Command, Engine, int, syntax};
use crate::sim::redis::{Reply, Value};

pub(super) static ALL: &[Command] = &[
    Command { name: "get", arity: 2, work: get },
    Command { name: "set", arity: -3, work: set },
    Command { name: "setnx", arity: 3, work: setnx },
    Command { name: "psetex", arity: 4, work: psetex },
    Command { name: "setex", arity: 4, work: setex },
    Command { name: "mget", arity: -2, work: mget },
    Command { name: "incr", arity: 2, work: incr },
    Command { name: "incrby", arity: 3, work: incrby },
    Command { name: "strlen", arity: 2, work: strlen },
    Command { name: "getdel", arity: 2, work: getdel },
    Command { name: "delifeq", arity: 3, work: delifeq },
    Command { name: "delex", arity: -2, work: delex },
];

fn get(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    Ok(on.db.string(&args[1], now)?.map_or(Reply::Null, |text| Reply::Bulk(text.clone())))
}

#[derive(Default)]
struct How {
    nx: bool,
    xx: bool,
    get: bool,
    keep: bool,
    /// The value that the key must have.
    equal: Option<Vec<u8>>,
    /// The unit's factor, whether it counts from now, and the number.
    expiry: Option<(i64, bool, i64)>,
}

fn how(args: &[Vec<u8>]) -> Result<How, Reply> {
    let mut how = How::default();
    let mut rest = args.iter();
    let mut expiry: Option<(i64, bool, &Vec<u8>)> = None;
    while let Some(word) = rest.next() {
        match word.to_ascii_uppercase().as_slice() {
            b"NX" if !how.xx && how.equal.is_none() => how.nx = true,
            b"XX" if !how.nx && how.equal.is_none() => how.xx = true,
            b"IFEQ" if !how.xx && !how.nx => {
                how.equal = Some(rest.next().ok_or_else(syntax)?.clone());
            }
            b"GET" => how.get = true,
            b"KEEPTTL" if expiry.is_none() => how.keep = true,
            unit @ (b"EX" | b"PX" | b"EXAT" | b"PXAT") if expiry.is_none() && !how.keep => {
                let factor = if unit.starts_with(b"E") { 1000 } else { 1 };
                let number = rest.next().ok_or_else(syntax)?;
                expiry = Some((factor, !unit.ends_with(b"AT"), number));
            }
            _ => return Err(syntax()),
        }
    }
    if let Some((factor, from_now, number)) = expiry {
        how.expiry = Some((factor, from_now, int(number)?));
    }
    Ok(how)
}

fn expires(on: &Engine, expiry: (i64, bool, i64), command: &str) -> Result<i64, Reply> {
    let (factor, from_now, number) = expiry;
    let invalid = || Reply::error(format!("ERR invalid expire time in '{command}' command"));
    if number <= 0 {
        return Err(invalid());
    }
    let ms = number.checked_mul(factor).ok_or_else(invalid)?;
    if from_now { ms.checked_add(on.now_ms()).ok_or_else(invalid) } else { Ok(ms) }
}

fn set(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let how = how(&args[3..])?;
    let (key, now) = (&args[1], on.now_ms());
    let expires_ms = how.expiry.map(|expiry| expires(on, expiry, "set")).transpose()?;
    let old = if how.get { Some(on.db.string(key, now)?.cloned()) } else { None };
    let old = old.map(|old| old.map_or(Reply::Null, Reply::Bulk));
    if let Some(equal) = &how.equal
        && on.db.string(key, now)?.as_deref() != Some(equal)
    {
        return Ok(old.unwrap_or(Reply::Null));
    }
    let there = on.db.get(key, now).map(|entry| entry.expires_ms);
    if (how.nx && there.is_some()) || (how.xx && there.is_none()) {
        return Ok(old.unwrap_or(Reply::Null));
    }
    let expires_ms = if how.keep { there.flatten() } else { expires_ms };
    on.db.put(key, Value::String(args[2].clone()), expires_ms);
    Ok(old.unwrap_or_else(Reply::ok))
}

fn setnx(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    if on.db.get(&args[1], now).is_some() {
        return Ok(Reply::Int(0));
    }
    on.db.put(&args[1], Value::String(args[2].clone()), None);
    Ok(Reply::Int(1))
}

fn psetex(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    timed(on, args, 1, "psetex")
}

fn setex(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    timed(on, args, 1000, "setex")
}

fn timed(on: &mut Engine, args: &[Vec<u8>], unit: i64, name: &str) -> Result<Reply, Reply> {
    let expires_ms = expires(on, (unit, true, int(&args[2])?), name)?;
    on.db.put(&args[1], Value::String(args[3].clone()), Some(expires_ms));
    Ok(Reply::ok())
}

fn mget(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    let one = |key: &Vec<u8>| match on.db.string(key, now) {
        Ok(Some(text)) => Reply::Bulk(text.clone()),
        _ => Reply::Null,
    };
    Ok(Reply::Array(args[1..].iter().map(one).collect()))
}

fn incr(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    add(on, &args[1], 1)
}

fn incrby(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    add(on, &args[1], int(&args[2])?)
}

fn add(on: &mut Engine, key: &[u8], by: i64) -> Result<Reply, Reply> {
    let now = on.now_ms();
    let old = on.db.string(key, now)?.map_or(Ok(0), |text| int(text))?;
    let sum = old
        .checked_add(by)
        .ok_or_else(|| Reply::error("ERR increment or decrement would overflow"))?;
    *on.db.string_mut(key, now)? = sum.to_string().into_bytes();
    Ok(Reply::Int(sum))
}

fn strlen(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    Ok(super::super::engine::count(on.db.string(&args[1], now)?.map_or(0, |text| text.len())))
}

fn getdel(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let old = get(on, args)?;
    let now = on.now_ms();
    on.db.remove(&args[1], now);
    Ok(old)
}

/// Of Valkey 9 (valkey.io/commands/delifeq).
fn delifeq(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    let equal = on.db.string(&args[1], now)?.as_deref() == Some(&args[2]);
    if equal {
        on.db.remove(&args[1], now);
    }
    Ok(Reply::Int(i64::from(equal)))
}

/// Of Redis 8.4 (redis.io/commands/delex), as far as it compares values.
fn delex(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    match &args[2..] {
        [word, _] if word.eq_ignore_ascii_case(b"IFEQ") => {
            let other = "ERR Key should be of string type if conditions are specified";
            delifeq(on, &[args[0].clone(), args[1].clone(), args[3].clone()])
                .map_err(|_| Reply::error(other))
        }
        _ => Err(syntax()),
    }
}
