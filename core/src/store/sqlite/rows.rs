//! The rows of the rules, as statements on an open transaction.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::lock::{Book, Rows, Tenure, Tomb, Waiter};
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
            "SELECT name FROM lock
              WHERE name >= ?1 AND substr(name, 1, ?2) = ?1 AND name > ?3 AND until > ?4
             UNION
             SELECT name FROM waiter
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
            "SELECT token, rank, seq, alive_until, claim, channel, owner, profile FROM waiter
              WHERE name = ?1 AND alive_until > ?2 ORDER BY rank, seq LIMIT ?3",
        )?;
        let found = statement.query_map(params![bytes, stamp(now), limit as i64], waiter_of)?;
        let waiters = found.collect::<rusqlite::Result<Vec<_>>>()?;
        let count: i64 = self
            .0
            .prepare_cached("SELECT count(*) FROM waiter WHERE name = ?1 AND alive_until > ?2")?
            .query_row(params![bytes, stamp(now)], |row| row.get(0))?;
        Ok((waiters, count.unsigned_abs()))
    }

    /// The tenure of `name` if it is live at `now`.
    pub(super) fn tenure(&mut self, name: &Name, now: BootTime) -> Result<Option<Tenure>> {
        Ok(self.rows(name).holder()?.filter(|tenure| tenure.until > now))
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
            "SELECT token, fence, until, told, claimed, owner, profile FROM lock WHERE name = ?1",
        )?;
        Ok(statement.query_row([self.key()], tenure_of).optional()?)
    }

    fn set_holder(&mut self, tenure: Option<&Tenure>) -> Result<()> {
        match tenure {
            None => self
                .connection
                .prepare_cached("DELETE FROM lock WHERE name = ?1")?
                .execute([self.key()])?,
            Some(tenure) => self
                .connection
                .prepare_cached(
                    "REPLACE INTO lock (name, token, fence, until, told, claimed, owner, profile)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                )?
                .execute(params![
                    self.key(),
                    tenure.token.as_bytes(),
                    tenure.fence as i64,
                    stamp(tenure.until),
                    stamp(tenure.told),
                    tenure.claimed,
                    owner_bytes(tenure.owner),
                    profile_text(&tenure.profile),
                ])?,
        };
        Ok(())
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
                "UPDATE lock SET until = max(until, ?3), told = max(told, ?4), claimed = 0
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

    fn head(&mut self) -> Result<Option<Waiter>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT token, rank, seq, alive_until, claim, channel, owner, profile FROM waiter
              WHERE name = ?1 ORDER BY rank, seq LIMIT 1",
        )?;
        Ok(statement.query_row([self.key()], waiter_of).optional()?)
    }

    fn waiter(&mut self, token: &Token) -> Result<Option<Waiter>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT token, rank, seq, alive_until, claim, channel, owner, profile FROM waiter
              WHERE token = ?1 AND name = ?2",
        )?;
        Ok(statement.query_row(params![token.as_bytes(), self.key()], waiter_of).optional()?)
    }

    fn set_waiter(&mut self, waiter: &Waiter) -> Result<()> {
        self.connection
            .prepare_cached(
                "REPLACE INTO waiter
                   (name, rank, seq, token, alive_until, claim, channel, owner, profile)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                self.key(),
                rank(waiter.priority),
                waiter.seq as i64,
                waiter.token.as_bytes(),
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
            .prepare_cached("DELETE FROM waiter WHERE token = ?1 AND name = ?2")?
            .execute(params![token.as_bytes(), self.key()])?;
        Ok(removed > 0)
    }

    /// Arrival numbers grow by one per arrival, so their span bounds the queue from above: it is
    /// counted only where that bound reaches the limit.
    fn crowded(&mut self, limit: u64, now: BootTime) -> Result<bool> {
        let edge = |order: &str| -> Result<Option<(i64, i64)>> {
            let sql =
                format!("SELECT rank, seq FROM waiter WHERE name = ?1 ORDER BY {order} LIMIT 1");
            let mut statement = self.connection.prepare_cached(&sql)?;
            let found = statement.query_row([self.key()], |row| Ok((row.get(0)?, row.get(1)?)));
            Ok(found.optional()?)
        };
        let (Some(first), Some(last)) = (edge("rank, seq")?, edge("rank DESC, seq DESC")?) else {
            return Ok(limit == 0);
        };
        let span = (last.1 - first.1 + 1).unsigned_abs();
        if first.0 == last.0 && span < limit {
            return Ok(false);
        }
        let live: i64 = self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM
                   (SELECT 1 FROM waiter WHERE name = ?1 AND alive_until > ?2 LIMIT ?3)",
            )?
            .query_row(params![self.key(), stamp(now), limit as i64], |row| row.get(0))?;
        Ok(live.unsigned_abs() >= limit)
    }

    fn next_seq(&mut self, priority: i32) -> Result<u64> {
        let mut statement = self.connection.prepare_cached(
            "SELECT seq FROM waiter WHERE name = ?1 AND rank = ?2 ORDER BY seq DESC LIMIT 1",
        )?;
        let last: Option<i64> = statement
            .query_row(params![self.key(), rank(priority)], |row| row.get(0))
            .optional()?;
        Ok(last.unwrap_or_default().unsigned_abs() + 1)
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
            .prepare_cached("SELECT fence FROM lock WHERE name = x''")?
            .query_row([], |row| row.get(0))?;
        Ok(fence.unsigned_abs())
    }

    fn set_last_fence(&mut self, fence: u64) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE lock SET fence = ?1 WHERE name = x''")?
            .execute([fence as i64])?;
        Ok(())
    }
}

fn tenure_of(row: &Row<'_>) -> rusqlite::Result<Tenure> {
    Ok(Tenure {
        token: Token::from_bytes(row.get(0)?),
        fence: row.get::<_, i64>(1)?.unsigned_abs(),
        until: time(row.get(2)?),
        told: time(row.get(3)?),
        claimed: row.get(4)?,
        owner: owner_of(row.get(5)?),
        profile: profile_of(&row.get::<_, String>(6)?),
    })
}

fn waiter_of(row: &Row<'_>) -> rusqlite::Result<Waiter> {
    Ok(Waiter {
        token: Token::from_bytes(row.get(0)?),
        priority: i32::try_from(-row.get::<_, i64>(1)?).unwrap_or_default(),
        seq: row.get::<_, i64>(2)?.unsigned_abs(),
        alive_until: time(row.get(3)?),
        claim: Duration::from_nanos(row.get::<_, i64>(4)?.unsigned_abs()),
        channel: row.get::<_, i64>(5)?.unsigned_abs(),
        owner: owner_of(row.get(6)?),
        profile: profile_of(&row.get::<_, String>(7)?),
    })
}

fn rank(priority: i32) -> i64 {
    -i64::from(priority)
}

fn stamp(at: BootTime) -> i64 {
    i64::try_from(at.as_nanos()).unwrap_or(i64::MAX)
}

fn time(stamp: i64) -> BootTime {
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
