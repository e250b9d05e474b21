//! Ranges of sorted sets: by place, by score, by bytes.

use crate::sim::redis::Reply;
use crate::sim::redis::engine::{Engine, count, int, syntax};
use crate::sim::redis::number;
use crate::sim::redis::value::Sorted;

type Pick = dyn Fn(&(f64, Vec<u8>)) -> bool;

fn sorted(on: &mut Engine, key: &[u8]) -> Result<Sorted, Reply> {
    let now = on.now_ms();
    Ok(on.db.sorted(key, now)?.cloned().unwrap_or_default())
}

fn score_bound(text: &[u8]) -> Result<(f64, bool), Reply> {
    let (text, open) = text.strip_prefix(b"(").map_or((text, false), |rest| (rest, true));
    number::double(text)
        .map(|bound| (bound, open))
        .ok_or_else(|| Reply::error("ERR min or max is not a float"))
}

fn by_score(min: &[u8], max: &[u8]) -> Result<Box<Pick>, Reply> {
    let ((min, min_open), (max, max_open)) = (score_bound(min)?, score_bound(max)?);
    Ok(Box::new(move |(score, _)| {
        (if min_open { *score > min } else { *score >= min })
            && (if max_open { *score < max } else { *score <= max })
    }))
}

enum Lex {
    Lowest,
    Highest,
    At(Vec<u8>, bool),
}

fn lex_bound(text: &[u8]) -> Result<Lex, Reply> {
    match text {
        b"-" => Ok(Lex::Lowest),
        b"+" => Ok(Lex::Highest),
        [b'(', rest @ ..] => Ok(Lex::At(rest.to_vec(), true)),
        [b'[', rest @ ..] => Ok(Lex::At(rest.to_vec(), false)),
        _ => Err(Reply::error("ERR min or max not valid string range item")),
    }
}

fn by_lex(min: &[u8], max: &[u8]) -> Result<Box<Pick>, Reply> {
    let (min, max) = (lex_bound(min)?, lex_bound(max)?);
    Ok(Box::new(move |(_, name)| {
        (match &min {
            Lex::Lowest => true,
            Lex::Highest => false,
            Lex::At(bound, true) => name > bound,
            Lex::At(bound, false) => name >= bound,
        }) && (match &max {
            Lex::Lowest => false,
            Lex::Highest => true,
            Lex::At(bound, true) => name < bound,
            Lex::At(bound, false) => name <= bound,
        })
    }))
}

/// The places from `start` to `stop`, both counted from the end where negative.
fn places(length: usize, start: i64, stop: i64) -> std::ops::Range<usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let from = if start < 0 { (length + start).max(0) } else { start };
    let to = if stop < 0 { length + stop } else { stop.min(length - 1) };
    if from > to || from >= length {
        return 0..0;
    }
    usize::try_from(from).unwrap_or(0)..usize::try_from(to + 1).unwrap_or(0)
}

#[derive(Default)]
struct Extras {
    by: Option<Vec<u8>>,
    reverse: bool,
    limit: Option<(i64, i64)>,
    scores: bool,
}

fn extras(words: &[Vec<u8>], whole: bool) -> Result<Extras, Reply> {
    let mut extras = Extras::default();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        match word.to_ascii_uppercase().as_slice() {
            b"WITHSCORES" => extras.scores = true,
            b"LIMIT" if words.len() > at + 2 => {
                extras.limit = Some((int(&words[at + 1])?, int(&words[at + 2])?));
                at += 2;
            }
            b"REV" if whole => extras.reverse = true,
            by @ (b"BYSCORE" | b"BYLEX") if whole => extras.by = Some(by.to_vec()),
            _ => return Err(syntax()),
        }
        at += 1;
    }
    Ok(extras)
}

fn answer(items: Vec<(f64, Vec<u8>)>, scores: bool) -> Reply {
    if scores {
        return Reply::Scored(items);
    }
    Reply::Array(items.into_iter().map(|(_, name)| Reply::Bulk(name)).collect())
}

fn limited(
    items: impl Iterator<Item = (f64, Vec<u8>)>,
    limit: Option<(i64, i64)>,
) -> Vec<(f64, Vec<u8>)> {
    let Some((offset, wanted)) = limit else { return items.collect() };
    let Ok(offset) = usize::try_from(offset) else { return Vec::new() };
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    items.skip(offset).take(wanted).collect()
}

pub(super) fn zrange(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let extras = extras(&args[4..], true)?;
    let (first, second) = if extras.reverse { (&args[3], &args[2]) } else { (&args[2], &args[3]) };
    let pick = match extras.by.as_deref() {
        Some(b"BYSCORE") => by_score(first, second)?,
        Some(_) if extras.scores => {
            return Err(Reply::error(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        Some(_) => by_lex(first, second)?,
        None => {
            if extras.limit.is_some() {
                return Err(Reply::error(
                    "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
                ));
            }
            return by_place(on, args, extras.reverse, extras.scores);
        }
    };
    let mut sorted = sorted(on, &args[1])?;
    if extras.reverse {
        sorted.0.reverse();
    }
    Ok(answer(limited(sorted.0.into_iter().filter(|item| pick(item)), extras.limit), extras.scores))
}

fn by_place(
    on: &mut Engine,
    args: &[Vec<u8>],
    reverse: bool,
    scores: bool,
) -> Result<Reply, Reply> {
    let (start, stop) = (int(&args[2])?, int(&args[3])?);
    let mut sorted = sorted(on, &args[1])?;
    if reverse {
        sorted.0.reverse();
    }
    let range = places(sorted.0.len(), start, stop);
    Ok(answer(sorted.0[range].to_vec(), scores))
}

pub(super) fn zrevrange(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let scores = match args.get(4) {
        None => false,
        Some(word) if word.eq_ignore_ascii_case(b"WITHSCORES") && args.len() == 5 => true,
        Some(_) => return Err(syntax()),
    };
    by_place(on, args, true, scores)
}

pub(super) fn zrangebyscore(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let extras = extras(&args[4..], false)?;
    let pick = by_score(&args[2], &args[3])?;
    let all = sorted(on, &args[1])?.0.into_iter().filter(|item| pick(item));
    Ok(answer(limited(all, extras.limit), extras.scores))
}

pub(super) fn zrangebylex(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let extras = extras(&args[4..], false)?;
    if extras.scores {
        return Err(Reply::error(
            "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        ));
    }
    let pick = by_lex(&args[2], &args[3])?;
    let all = sorted(on, &args[1])?.0.into_iter().filter(|item| pick(item));
    Ok(answer(limited(all, extras.limit), false))
}

pub(super) fn zcount(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let pick = by_score(&args[2], &args[3])?;
    Ok(count(sorted(on, &args[1])?.0.iter().filter(|item| pick(item)).count()))
}

pub(super) fn zlexcount(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let pick = by_lex(&args[2], &args[3])?;
    Ok(count(sorted(on, &args[1])?.0.iter().filter(|item| pick(item)).count()))
}

fn remove(
    on: &mut Engine,
    key: &[u8],
    pick: impl Fn(usize, &(f64, Vec<u8>)) -> bool,
) -> Result<Reply, Reply> {
    let now = on.now_ms();
    let Some(sorted) = on.db.sorted(key, now)? else { return Ok(Reply::Int(0)) };
    let before = sorted.0.len();
    let mut place = 0;
    sorted.0.retain(|item| {
        place += 1;
        !pick(place - 1, item)
    });
    let gone = before - sorted.0.len();
    on.db.tidy(key);
    Ok(count(gone))
}

pub(super) fn zremrangebyscore(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let pick = by_score(&args[2], &args[3])?;
    remove(on, &args[1], |_, item| pick(item))
}

pub(super) fn zremrangebyrank(on: &mut Engine, args: &[Vec<u8>]) -> Result<Reply, Reply> {
    let (start, stop) = (int(&args[2])?, int(&args[3])?);
    let range = places(sorted(on, &args[1])?.0.len(), start, stop);
    remove(on, &args[1], |place, _| range.contains(&place))
}
