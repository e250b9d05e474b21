//! Commands on lists and sets: what the dialects of other libraries push and collect.

use crate::sim::redis::Reply;
use crate::sim::redis::engine::{Command, Engine, count, int};

pub(super) static ALL: &[Command] = &[
    Command { name: "lpush", arity: -3, work: lpush },
    Command { name: "rpush", arity: -3, work: rpush },
    Command { name: "lpop", arity: 2, work: lpop },
    Command { name: "llen", arity: 2, work: llen },
    Command { name: "lrange", arity: 4, work: lrange },
    Command { name: "sadd", arity: -3, work: sadd },
    Command { name: "srem", arity: -3, work: srem },
    Command { name: "scard", arity: 2, work: scard },
    Command { name: "sismember", arity: 3, work: sismember },
];

fn lpush(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    let list = on.db.list_mut(&args[1], now)?;
    args[2..].iter().for_each(|item| list.push_front(item.clone()));
    Ok(count(list.len()))
}

fn rpush(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    let list = on.db.list_mut(&args[1], now)?;
    list.extend(args[2..].iter().cloned());
    Ok(count(list.len()))
}

fn lpop(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    let item = on.db.list(&args[1], now)?.and_then(std::collections::VecDeque::pop_front);
    on.db.tidy(&args[1]);
    Ok(item.map_or(Reply::Null, Reply::Bulk))
}

fn llen(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    Ok(count(on.db.list(&args[1], now)?.map_or(0, |list| list.len())))
}

fn lrange(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let (start, stop) = (int(&args[2])?, int(&args[3])?);
    let now = on.now_ms();
    let Some(list) = on.db.list(&args[1], now)? else { return Ok(Reply::Array(Vec::new())) };
    let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
    let from = if start < 0 { (length + start).max(0) } else { start };
    let to = if stop < 0 { length + stop } else { stop };
    let inside = |at: usize| i64::try_from(at).is_ok_and(|at| at >= from && at <= to);
    let items = list.iter().enumerate().filter(|(at, _)| inside(*at));
    Ok(Reply::Array(items.map(|(_, item)| Reply::Bulk(item.clone())).collect()))
}

fn sadd(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    let set = on.db.set_mut(&args[1], now)?;
    Ok(count(args[2..].iter().filter(|item| set.insert((*item).clone())).count()))
}

fn srem(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    let Some(set) = on.db.set(&args[1], now)? else { return Ok(Reply::Int(0)) };
    let gone = args[2..].iter().filter(|item| set.remove(*item)).count();
    on.db.tidy(&args[1]);
    Ok(count(gone))
}

fn scard(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    Ok(count(on.db.set(&args[1], now)?.map_or(0, |set| set.len())))
}

fn sismember(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    let there = on.db.set(&args[1], now)?.is_some_and(|set| set.contains(&args[2]));
    Ok(Reply::Int(there.into()))
}
