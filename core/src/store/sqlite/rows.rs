//! The rows of the rules, as statements on an open transaction.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::lock::{Book, Capacity, Head, Rows, Sum, Tenure, Tomb, Waiter};
use crate::store::{Kind, SHOWN, Wanting};
use crate::sys::{BootTime, Token};
use crate::{Error, Name, Owner, Profile};

/// What a step can fail with: the rules, or the database.
#[derive(Debug)]
pub(super) enum SqlError {
    Rules(Error),
    Sqlite(rusqlite::Error),
}

impl From<Error> for SqlError {
    fn from(error: Error) -> Self {
        Self::Rules(error)
    }
}

impl From<rusqlite::Error> for SqlError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

type Result<T> = std::result::Result<T, SqlError>;

/// All locks of one database, within one transaction.
pub(super) struct SqlBook<'c>(pub(super) &'c Connection);

impl<'c> Book for SqlBook<'c> {
    type Error = SqlError;
    type Rows<'a>
        = SqlRows<'a>
    where
        Self: 'a;

    fn rows<'a>(&'a mut self, name: &'a Name) -> SqlRows<'a> {
        SqlRows { connection: self.0, name }
    }
}

impl SqlBook<'_> {
    /// Names that are held or waited for at `now`, in order.
    pub(super) fn names(
        &self,
        prefix: &str,
        after: Option<&Name>,
        limit: u32,
        now: BootTime,
    ) -> Result<Vec<Name>> {
        let after = after.map_or(&b""[..], |name| name.as_str().as_bytes());
        let mut statement = self.0.prepare_cached(
            "SELECT name FROM tenure
              WHERE name >= ?1 AND substr(name, 1, ?2) = ?1 AND name > ?3 AND until > ?4
             UNION
             SELECT name FROM waiting
              WHERE name >= ?1 AND substr(name, 1, ?2) = ?1 AND name > ?3 AND alive_until > ?4
             ORDER BY name LIMIT ?5",
        )?;
        let found = statement.query_map(
            params![prefix.as_bytes(), prefix.len() as i64, after, stamp(now), limit],
            |row| row.get::<_, Vec<u8>>(0),
        )?;
        found.map(|name| Ok(Name::new(String::from_utf8_lossy(&name?))?)).collect()
    }

    /// The live waiters of `name`, first in line first, at most `limit`; and how many there are.
    pub(super) fn queue(
        &self,
        name: &Name,
        limit: usize,
        now: BootTime,
    ) -> Result<(Vec<Waiter>, u64)> {
        let bytes = name.as_str().as_bytes();
        let mut statement = self.0.prepare_cached(
            "SELECT token, kind, count, capacity, rank, seq, alive_until, claim, channel, owner,
                    profile
               FROM waiting WHERE name = ?1 AND alive_until > ?2
              ORDER BY reads, rank, seq LIMIT ?3",
        )?;
        let found = statement.query_map(params![bytes, stamp(now), limit as i64], waiter_of)?;
        let waiters = found.collect::<rusqlite::Result<Vec<_>>>()?;
        let count: i64 = self
            .0
            .prepare_cached("SELECT count(*) FROM waiting WHERE name = ?1 AND alive_until > ?2")?
            .query_row(params![bytes, stamp(now)], |row| row.get(0))?;
        Ok((waiters, count.unsigned_abs()))
    }

    /// What the live waiters of `owner` wait for.
    pub(super) fn wants(&self, owner: Owner, now: BootTime) -> Result<Vec<Wanting>> {
        let mut statement = self.0.prepare_cached(
            "SELECT token, kind, count, capacity, rank, seq, alive_until, claim, channel, owner,
                    profile, name
               FROM waiting WHERE owner = ?1 AND alive_until > ?2",
        )?;
        let found = statement.query_map(params![owner_bytes(Some(owner)), stamp(now)], |row| {
            Ok((waiter_of(row)?, row.get::<_, Vec<u8>>(11)?))
        })?;
        let waiters = found.collect::<rusqlite::Result<Vec<_>>>()?;
        let wants = waiters.into_iter().map(|(waiter, name)| {
            let name = Name::new(String::from_utf8_lossy(&name))?;
            let (tenures, _) = self.tenures(&name, SHOWN, now)?;
            Ok(Wanting::of(&name, &waiter, &tenures, now))
        });
        wants.collect()
    }

    /// The live tenures of `name`, at most `limit`; and how many there are.
    pub(super) fn tenures(
        &self,
        name: &Name,
        limit: usize,
        now: BootTime,
    ) -> Result<(Vec<Tenure>, u64)> {
        let bytes = name.as_str().as_bytes();
        let mut statement = self.0.prepare_cached(
            "SELECT token, kind, count, capacity, fence, until, told, claimed, owner, profile
               FROM tenure WHERE name = ?1 AND until > ?2 ORDER BY token LIMIT ?3",
        )?;
        let found = statement.query_map(params![bytes, stamp(now), limit as i64], tenure_of)?;
        let tenures = found.collect::<rusqlite::Result<Vec<_>>>()?;
        let count: i64 = self
            .0
            .prepare_cached("SELECT count(*) FROM tenure WHERE name = ?1 AND until > ?2")?
            .query_row(params![bytes, stamp(now)], |row| row.get(0))?;
        Ok((tenures, count.unsigned_abs()))
    }
}

/// One lock.
pub(super) struct SqlRows<'a> {
    connection: &'a Connection,
    name: &'a Name,
}

impl SqlRows<'_> {
    fn key(&self) -> &[u8] {
        self.name.as_str().as_bytes()
    }
}

impl Rows for SqlRows<'_> {
    type Error = SqlError;

    fn name(&self) -> &Name {
        self.name
    }

    fn holder(&mut self) -> Result<Option<Tenure>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT token, kind, count, capacity, fence, until, told, claimed, owner, profile
               FROM tenure WHERE name = ?1 ORDER BY token LIMIT 1",
        )?;
        Ok(statement.query_row([self.key()], tenure_of).optional()?)
    }

    fn tenure(&mut self, token: &Token) -> Result<Option<Tenure>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT token, kind, count, capacity, fence, until, told, claimed, owner, profile
               FROM tenure WHERE name = ?1 AND token = ?2",
        )?;
        Ok(statement.query_row(params![self.key(), token.as_bytes()], tenure_of).optional()?)
    }

    fn sum(&mut self) -> Result<Sum> {
        let mut statement = self.connection.prepare_cached(
            "SELECT count(*), ifnull(sum(count), 0), ifnull(min(until), ?2), ifnull(max(until), 0)
               FROM tenure WHERE name = ?1",
        )?;
        Ok(statement.query_row(params![self.key(), stamp(BootTime::NEVER)], |row| {
            Ok(Sum {
                tenures: row.get::<_, i64>(0)?.unsigned_abs(),
                permits: row.get::<_, i64>(1)?.unsigned_abs(),
                first_end: time(row.get(2)?),
                last_end: time(row.get(3)?),
            })
        })?)
    }

    fn set_tenure(&mut self, tenure: &Tenure) -> Result<()> {
        let (kind, count, capacity) = kind_columns(tenure.kind);
        self.connection
            .prepare_cached(
                "REPLACE INTO tenure (name, token, kind, count, capacity, fence, until, told,
                                      claimed, owner, profile)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                self.key(),
                tenure.token.as_bytes(),
                kind,
                count,
                capacity,
                tenure.fence as i64,
                stamp(tenure.until),
                stamp(tenure.told),
                tenure.claimed,
                owner_bytes(tenure.owner),
                profile_text(&tenure.profile),
            ])?;
        Ok(())
    }

    fn remove_tenure(&mut self, token: &Token) -> Result<()> {
        self.connection
            .prepare_cached("DELETE FROM tenure WHERE name = ?1 AND token = ?2")?
            .execute(params![self.key(), token.as_bytes()])?;
        Ok(())
    }

    fn take_expired(&mut self, now: BootTime) -> Result<Vec<(Token, BootTime)>> {
        let mut statement = self.connection.prepare_cached(
            "DELETE FROM tenure WHERE name = ?1 AND until <= ?2 RETURNING token, until",
        )?;
        let found = statement.query_map(params![self.key(), stamp(now)], |row| {
            Ok((Token::from_bytes(row.get(0)?), time(row.get(1)?)))
        })?;
        Ok(found.collect::<rusqlite::Result<Vec<_>>>()?)
    }

    fn prolong(
        &mut self,
        token: &Token,
        until: BootTime,
        told: BootTime,
        now: BootTime,
    ) -> Result<bool> {
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE tenure SET until = max(until, ?3), told = max(told, ?4), claimed = 0
                  WHERE name = ?1 AND token = ?2 AND until > ?5",
            )?
            .execute(params![
                self.key(),
                token.as_bytes(),
                stamp(until),
                stamp(told),
                stamp(now)
            ])?;
        Ok(changed > 0)
    }

    fn head(&mut self) -> Result<Option<Head>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT token, kind, count, capacity, rank, seq, alive_until, claim, channel, owner,
                    profile, EXISTS (SELECT 1 FROM waiting WHERE name = ?1 AND reads = 1)
               FROM waiting WHERE name = ?1 ORDER BY reads, rank, seq LIMIT 1",
        )?;
        let head = |row: &Row<'_>| Ok(Head { waiter: waiter_of(row)?, readers: row.get(11)? });
        Ok(statement.query_row([self.key()], head).optional()?)
    }

    fn readers(&mut self) -> Result<Vec<Waiter>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT token, kind, count, capacity, rank, seq, alive_until, claim, channel, owner,
                    profile
               FROM waiting WHERE name = ?1 AND reads = 1 ORDER BY rank, seq",
        )?;
        let found = statement.query_map([self.key()], waiter_of)?;
        Ok(found.collect::<rusqlite::Result<Vec<_>>>()?)
    }

    fn waiter(&mut self, token: &Token) -> Result<Option<Waiter>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT token, kind, count, capacity, rank, seq, alive_until, claim, channel, owner,
                    profile
               FROM waiting WHERE token = ?1 AND name = ?2",
        )?;
        Ok(statement.query_row(params![token.as_bytes(), self.key()], waiter_of).optional()?)
    }

    fn set_waiter(&mut self, waiter: &Waiter) -> Result<()> {
        let (kind, mut count, capacity) = kind_columns(waiter.kind);
        if waiter.kind == Kind::Exclusive {
            count = waiter.fences;
        }
        self.connection
            .prepare_cached(
                "REPLACE INTO waiting (name, reads, rank, seq, token, kind, count, capacity,
                                       alive_until, claim, channel, owner, profile)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?
            .execute(params![
                self.key(),
                waiter.kind == Kind::Shared,
                rank(waiter.priority),
                waiter.seq as i64,
                waiter.token.as_bytes(),
                kind,
                count,
                capacity,
                stamp(waiter.alive_until),
                nanos(waiter.claim),
                waiter.channel as i64,
                owner_bytes(waiter.owner),
                profile_text(&waiter.profile),
            ])?;
        Ok(())
    }

    fn remove_waiter(&mut self, token: &Token) -> Result<bool> {
        let removed = self
            .connection
            .prepare_cached("DELETE FROM waiting WHERE token = ?1 AND name = ?2")?
            .execute(params![token.as_bytes(), self.key()])?;
        Ok(removed > 0)
    }

    /// Arrival numbers grow by one per arrival, so their span bounds the queue from above: it is
    /// counted only where that bound reaches the limit.
    fn crowded(&mut self, limit: u64, now: BootTime) -> Result<bool> {
        let edge = |of: &str, order: &str| -> Result<Option<(bool, i64, i64)>> {
            let sql = format!(
                "SELECT reads, rank, seq FROM waiting WHERE name = ?1{of} ORDER BY {order} LIMIT 1"
            );
            let mut statement = self.connection.prepare_cached(&sql)?;
            let columns = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            Ok(statement.query_row([self.key()], columns).optional()?)
        };
        let (up, down) = ("reads, rank, seq", "reads DESC, rank DESC, seq DESC");
        let (Some(first), Some(last)) = (edge("", up)?, edge("", down)?) else {
            return Ok(limit == 0);
        };
        let span = |first: (bool, i64, i64), last: (bool, i64, i64)| {
            (first.1 == last.1).then(|| (last.2 - first.2 + 1).unsigned_abs())
        };
        let bound = if first.0 == last.0 {
            span(first, last)
        } else {
            let writers = edge(" AND reads = 0", down)?.and_then(|last| span(first, last));
            let readers = edge(" AND reads = 1", up)?.and_then(|first| span(first, last));
            writers.zip(readers).map(|(writers, readers)| writers + readers)
        };
        if bound.is_some_and(|bound| bound < limit) {
            return Ok(false);
        }
        let live: i64 = self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM
                   (SELECT 1 FROM waiting WHERE name = ?1 AND alive_until > ?2 LIMIT ?3)",
            )?
            .query_row(params![self.key(), stamp(now), limit as i64], |row| row.get(0))?;
        Ok(live.unsigned_abs() >= limit)
    }

    fn next_seq(&mut self, kind: Kind, priority: i32) -> Result<u64> {
        let mut statement = self.connection.prepare_cached(
            "SELECT seq FROM waiting WHERE name = ?1 AND reads = ?2 AND rank = ?3
              ORDER BY seq DESC LIMIT 1",
        )?;
        let last: Option<i64> = statement
            .query_row(params![self.key(), kind == Kind::Shared, rank(priority)], |row| row.get(0))
            .optional()?;
        Ok(last.unwrap_or_default().unsigned_abs() + 1)
    }

    fn capacity(&mut self, now: BootTime) -> Result<Option<Capacity>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT value, version, until FROM cell WHERE name = ?1 AND until > ?2",
        )?;
        let found = statement.query_row(params![capacity_key(self.name), stamp(now)], |row| {
            let numbers = row.get::<_, String>(0)?;
            let mut numbers = numbers.split(' ').map(|number| number.parse().unwrap_or_default());
            Ok(Capacity {
                permits: numbers.next().unwrap_or_default(),
                formers: numbers.collect(),
                version: row.get::<_, i64>(1)?.unsigned_abs(),
                until: time(row.get(2)?),
            })
        });
        Ok(found.optional()?)
    }

    fn set_capacity(&mut self, capacity: &Capacity, now: BootTime) -> Result<()> {
        self.connection
            .prepare_cached("DELETE FROM cell WHERE until <= ?1")?
            .execute([stamp(now)])?;
        let numbers = std::iter::once(&capacity.permits).chain(&capacity.formers);
        let numbers: Vec<String> = numbers.map(u32::to_string).collect();
        let (version, until) = (capacity.version as i64, stamp(capacity.until));
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO cell VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![capacity_key(self.name), version, until, numbers.join(" ")])?;
        Ok(())
    }

    fn recount(&mut self, from: u32, to: u32) -> Result<()> {
        let change = params![self.key(), from, to];
        for statement in [
            "UPDATE tenure SET capacity = ?3 WHERE name = ?1 AND kind = 2 AND capacity = ?2",
            "DELETE FROM waiting WHERE name = ?1 AND kind = 2 AND capacity = ?2 AND count > ?3",
            "UPDATE waiting SET capacity = ?3 WHERE name = ?1 AND kind = 2 AND capacity = ?2",
        ] {
            self.connection.prepare_cached(statement)?.execute(change)?;
        }
        Ok(())
    }

    fn tomb(&mut self, token: &Token, now: BootTime) -> Result<Option<Tomb>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT kind FROM tomb WHERE token = ?1 AND until > ?2")?;
        let kind: Option<i64> = statement
            .query_row(params![token.as_bytes(), stamp(now)], |row| row.get(0))
            .optional()?;
        Ok(kind.map(|kind| match kind {
            1 => Tomb::Revoked,
            2 => Tomb::Expired,
            _ => Tomb::Cancelled,
        }))
    }

    fn bury(&mut self, token: &Token, tomb: Tomb, now: BootTime, until: BootTime) -> Result<()> {
        self.connection
            .prepare_cached("DELETE FROM tomb WHERE until <= ?1")?
            .execute([stamp(now)])?;
        let kind = match tomb {
            Tomb::Cancelled => 0,
            Tomb::Revoked => 1,
            Tomb::Expired => 2,
        };
        self.connection
            .prepare_cached(
                "INSERT INTO tomb (token, kind, until) VALUES (?1, ?2, ?3)
                 ON CONFLICT (token) DO UPDATE SET until = max(until, excluded.until)",
            )?
            .execute(params![token.as_bytes(), kind, stamp(until)])?;
        Ok(())
    }

    fn last_fence(&mut self) -> Result<u64> {
        let fence: i64 = self
            .connection
            .prepare_cached("SELECT fence FROM tenure WHERE name = x''")?
            .query_row([], |row| row.get(0))?;
        Ok(fence.unsigned_abs())
    }

    fn set_last_fence(&mut self, fence: u64) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE tenure SET fence = ?1 WHERE name = x''")?
            .execute([fence as i64])?;
        Ok(())
    }
}

fn tenure_of(row: &Row<'_>) -> rusqlite::Result<Tenure> {
    Ok(Tenure {
        token: Token::from_bytes(row.get(0)?),
        kind: kind_of(row)?,
        fence: row.get::<_, i64>(4)?.unsigned_abs(),
        until: time(row.get(5)?),
        told: time(row.get(6)?),
        claimed: row.get(7)?,
        owner: owner_of(row.get(8)?),
        profile: profile_of(&row.get::<_, String>(9)?),
    })
}

fn waiter_of(row: &Row<'_>) -> rusqlite::Result<Waiter> {
    let kind = kind_of(row)?;
    // 0 in a row of a version that knew one only.
    let fences = if kind == Kind::Exclusive { row.get::<_, u32>(2)?.max(1) } else { 1 };
    Ok(Waiter {
        token: Token::from_bytes(row.get(0)?),
        kind,
        fences,
        priority: i32::try_from(-row.get::<_, i64>(4)?).unwrap_or_default(),
        seq: row.get::<_, i64>(5)?.unsigned_abs(),
        alive_until: time(row.get(6)?),
        claim: Duration::from_nanos(row.get::<_, i64>(7)?.unsigned_abs()),
        channel: row.get::<_, i64>(8)?.unsigned_abs(),
        owner: owner_of(row.get(9)?),
        profile: profile_of(&row.get::<_, String>(10)?),
    })
}

/// Columns 1 to 3 of both.
fn kind_of(row: &Row<'_>) -> rusqlite::Result<Kind> {
    Ok(match row.get::<_, i64>(1)? {
        0 => Kind::Exclusive,
        1 => Kind::Shared,
        _ => Kind::Permits { count: row.get(2)?, capacity: row.get(3)? },
    })
}

fn kind_columns(kind: Kind) -> (i64, u32, u32) {
    match kind {
        Kind::Exclusive => (0, 0, 0),
        Kind::Shared => (1, 0, 0),
        Kind::Permits { count, capacity } => (2, count, capacity),
    }
}

/// Where a changed number of permits is kept: among the cells, whose ends are swept and which a reboot
/// empties, under a key that is no name's, for it is not UTF-8.
fn capacity_key(name: &Name) -> Vec<u8> {
    [&[0xFF], name.as_str().as_bytes()].concat()
}

fn rank(priority: i32) -> i64 {
    -i64::from(priority)
}

pub(super) fn stamp(at: BootTime) -> i64 {
    i64::try_from(at.as_nanos()).unwrap_or(i64::MAX)
}

pub(super) fn time(stamp: i64) -> BootTime {
    BootTime::from_nanos(stamp.unsigned_abs())
}

fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

fn owner_bytes(owner: Option<Owner>) -> Option<[u8; 16]> {
    owner.map(|owner| owner.number().to_be_bytes())
}

fn owner_of(bytes: Option<[u8; 16]>) -> Option<Owner> {
    bytes.map(|bytes| Owner::from_number(u128::from_be_bytes(bytes)))
}

fn profile_text(profile: &Profile) -> String {
    serde_json::to_string(profile).unwrap_or_default()
}

/// A profile that can't be read is an empty one: it is for people and decides nothing.
fn profile_of(text: &str) -> Arc<Profile> {
    Arc::new(serde_json::from_str(text).unwrap_or_default())
}
