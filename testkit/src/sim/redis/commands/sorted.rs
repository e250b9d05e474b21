//! Commands on sorted sets: members and scores. Ranges are next door.

use super::ranges;
use crate::sim::redis::Reply;
use crate::sim::redis::engine::{Command, Engine, count, double, int, syntax};

pub(super) static ALL: &[Command] = &[
    Command { name: "zadd", arity: -4, work: zadd },
    Command { name: "zincrby", arity: 4, work: zincrby },
    Command { name: "zrem", arity: -3, work: zrem },
    Command { name: "zcard", arity: 2, work: zcard },
    Command { name: "zscore", arity: 3, work: zscore },
    Command { name: "zrank", arity: 3, work: zrank },
    Command { name: "zpopmin", arity: -2, work: zpopmin },
    Command { name: "zcount", arity: 4, work: ranges::zcount },
    Command { name: "zrange", arity: -4, work: ranges::zrange },
    Command { name: "zrevrange", arity: -4, work: ranges::zrevrange },
    Command { name: "zrangebyscore", arity: -4, work: ranges::zrangebyscore },
    Command { name: "zrangebylex", arity: -4, work: ranges::zrangebylex },
    Command { name: "zlexcount", arity: 4, work: ranges::zlexcount },
    Command { name: "zremrangebyscore", arity: 4, work: ranges::zremrangebyscore },
    Command { name: "zremrangebyrank", arity: 4, work: ranges::zremrangebyrank },
];

#[derive(Default)]
struct Flags {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
    changed: bool,
    incr: bool,
}

fn zadd(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let mut flags = Flags::default();
    let mut at = 2;
    while let Some(word) = args.get(at) {
        match word.to_ascii_uppercase().as_slice() {
            b"NX" => flags.nx = true,
            b"XX" => flags.xx = true,
            b"GT" => flags.gt = true,
            b"LT" => flags.lt = true,
            b"CH" => flags.changed = true,
            b"INCR" => flags.incr = true,
            _ => break,
        }
        at += 1;
    }
    let pairs = &args[at..];
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(syntax());
    }
    if flags.nx && flags.xx {
        return Err(Reply::error("ERR XX and NX options at the same time are not compatible"));
    }
    if [flags.gt, flags.lt, flags.nx].into_iter().filter(|flag| *flag).count() > 1 {
        return Err(Reply::error(
            "ERR GT, LT, and/or NX options at the same time are not compatible",
        ));
    }
    if flags.incr && pairs.len() > 2 {
        return Err(Reply::error("ERR INCR option supports a single increment-element pair"));
    }
    let scores: Vec<f64> =
        pairs.chunks(2).map(|pair| double(&pair[0])).collect::<Result<_, _>>()?;
    let now = on.now_ms();
    if flags.xx && on.db.sorted(&args[1], now)?.is_none() {
        return Ok(if flags.incr { Reply::Null } else { Reply::Int(0) });
    }
    let sorted = on.db.sorted_mut(&args[1], now)?;
    let (mut added, mut updated, mut last) = (0, 0, None);
    for (pair, mut score) in pairs.chunks(2).zip(scores) {
        let old = sorted.score(&pair[1]);
        last = None;
        match old {
            Some(_) if flags.nx => continue,
            None if flags.xx => continue,
            _ => {}
        }
        if flags.incr {
            score += old.unwrap_or(0.0);
            if score.is_nan() {
                return Err(Reply::error("ERR resulting score is not a number (NaN)"));
            }
        }
        if old.is_some_and(|old| (flags.gt && score <= old) || (flags.lt && score >= old)) {
            continue;
        }
        last = Some(score);
        match old {
            None => added += 1,
            Some(old) if old != score => updated += 1,
            Some(_) => continue,
        }
        sorted.set(&pair[1], score);
    }
    on.db.tidy(&args[1]);
    if flags.incr {
        return Ok(last.map_or(Reply::Null, Reply::Double));
    }
    Ok(count(if flags.changed { added + updated } else { added }))
}

fn zincrby(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let by = double(&args[2])?;
    let now = on.now_ms();
    let sorted = on.db.sorted_mut(&args[1], now)?;
    let score = sorted.score(&args[3]).unwrap_or(0.0) + by;
    if score.is_nan() {
        return Err(Reply::error("ERR resulting score is not a number (NaN)"));
    }
    sorted.set(&args[3], score);
    Ok(Reply::Double(score))
}

fn zrem(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    let Some(sorted) = on.db.sorted(&args[1], now)? else { return Ok(Reply::Int(0)) };
    let gone = args[2..].iter().filter(|member| sorted.remove(member)).count();
    on.db.tidy(&args[1]);
    Ok(count(gone))
}

fn zcard(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    Ok(count(on.db.sorted(&args[1], now)?.map_or(0, |sorted| sorted.0.len())))
}

fn zscore(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    let score = on.db.sorted(&args[1], now)?.and_then(|sorted| sorted.score(&args[2]));
    Ok(score.map_or(Reply::Null, Reply::Double))
}

fn zrank(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let now = on.now_ms();
    let rank = on.db.sorted(&args[1], now)?.and_then(|sorted| sorted.rank(&args[2]));
    Ok(rank.map_or(Reply::Null, count))
}

fn zpopmin(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    if args.len() > 3 {
        return Err(syntax());
    }
    let wanted = match args.get(2) {
        None => 1,
        Some(text) => usize::try_from(int(text)?)
            .map_err(|_| Reply::error("ERR value is out of range, must be positive"))?,
    };
    let now = on.now_ms();
    let Some(sorted) = on.db.sorted(&args[1], now)? else { return Ok(Reply::Array(Vec::new())) };
    let taken = sorted.0.drain(..wanted.min(sorted.0.len())).collect::<Vec<_>>();
    on.db.tidy(&args[1]);
    // One alone is not wrapped.
    Ok(match (args.len(), taken.first().cloned()) {
        (2, Some((score, name))) => Reply::Array(vec![Reply::Bulk(name), Reply::Double(score)]),
        _ => Reply::Scored(taken),
    })
}
