//! Commands on hashes.

use crate::sim::redis::Reply;
use crate::sim::redis::engine::{Command, Engine, count, int, wrong_count};

pub(super) static ALL: &[Command] = &[
    Command { name: "hget", arity: 3, work: hget },
    Command { name: "hmget", arity: -3, work: hmget },
    Command { name: "hset", arity: -4, work: hset },
    Command { name: "hsetnx", arity: 4, work: hsetnx },
    Command { name: "hdel", arity: -3, work: hdel },
    Command { name: "hlen", arity: 2, work: hlen },
    Command { name: "hexists", arity: 3, work: hexists },
    Command { name: "hgetall", arity: 2, work: hgetall },
    Command { name: "hkeys", arity: 2, work: hkeys },
    Command { name: "hvals", arity: 2, work: hvals },
    Command { name: "hincrby", arity: 4, work: hincrby },
];

fn field(on: &mut Engine, key: &[u8], field: &[u8]) -> Result<Option<Vec<u8>>, Reply> {
    let now = on.now_ms();
    Ok(on.db.hash(key, now)?.and_then(|hash| hash.get(field).cloned()))
}

fn hget(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    Ok(field(on, &args[1], &args[2])?.map_or(Reply::Null, Reply::Bulk))
}

fn hmget(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let mut values = Vec::with_capacity(args.len() - 2);
    for name in &args[2..] {
        values.push(field(on, &args[1], name)?.map_or(Reply::Null, Reply::Bulk));
    }
    Ok(Reply::Array(values))
}

fn hset(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    if !args.len().is_multiple_of(2) {
        return Err(wrong_count("hset"));
    }
    let now = on.now_ms();
    let hash = on.db.hash_mut(&args[1], now)?;
    let new = args[2..].chunks(2).filter(|pair| hash.set(&pair[0], &pair[1])).count();
    Ok(count(new))
}

fn hsetnx(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    let hash = on.db.hash_mut(&args[1], now)?;
    if hash.get(&args[2]).is_some() {
        return Ok(Reply::Int(0));
    }
    hash.set(&args[2], &args[3]);
    Ok(Reply::Int(1))
}

fn hdel(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    let Some(hash) = on.db.hash(&args[1], now)? else { return Ok(Reply::Int(0)) };
    let gone = args[2..].iter().filter(|name| hash.remove(name)).count();
    on.db.tidy(&args[1]);
    Ok(count(gone))
}

fn hlen(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    Ok(count(on.db.hash(&args[1], now)?.map_or(0, |hash| hash.0.len())))
}

fn hexists(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    Ok(Reply::Int(field(on, &args[1], &args[2])?.is_some().into()))
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn pairs(on: &mut Engine, key: &[u8]) -> Result<Pairs, Reply> {
    let now = on.now_ms();
    Ok(on.db.hash(key, now)?.map(|hash| hash.0.clone()).unwrap_or_default())
}

fn hgetall(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let pairs = pairs(on, &args[1])?;
    Ok(Reply::Map(
        pairs.into_iter().map(|(name, value)| (Reply::Bulk(name), Reply::Bulk(value))).collect(),
    ))
}

fn hkeys(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    Ok(Reply::Array(pairs(on, &args[1])?.into_iter().map(|pair| Reply::Bulk(pair.0)).collect()))
}

fn hvals(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    Ok(Reply::Array(pairs(on, &args[1])?.into_iter().map(|pair| Reply::Bulk(pair.1)).collect()))
}

fn hincrby(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let by = int(&args[3])?;
    let now = on.now_ms();
    let hash = on.db.hash_mut(&args[1], now)?;
    let old = hash.get(&args[2]).map_or(Some(0), |text| crate::sim::redis::number::int(text));
    let sum = old.ok_or_else(|| Reply::error("ERR hash value is not an integer")).and_then(|old| {
        old.checked_add(by).ok_or_else(|| Reply::error("ERR increment or decrement would overflow"))
    });
    if let Ok(sum) = &sum {
        hash.set(&args[2], sum.to_string().as_bytes());
    }
    sum.map(Reply::Int)
}
