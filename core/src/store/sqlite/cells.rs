//! The file's cells. A write tells its watchers after the commit, as a grant is told; what it told is
//! forgotten in the same step, so a watcher is told once for each time it looked.

use std::sync::{Arc, Weak};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{SqlError, stamp, time};
use super::store::{Inner, SqliteStore};
use crate::lock::{Event, next_fence};
use crate::store::{Cell, Cells, Watched};
use crate::sys::{BootTime, BoxFuture};
use crate::{Name, Result};

type Sql<T> = std::result::Result<T, SqlError>;

/// The cells within one transaction.
struct Book<'c>(&'c Connection);

impl Book<'_> {
    fn get(&self, name: &Name, now: BootTime) -> Sql<Option<Cell>> {
        let mut statement = self.0.prepare_cached(
            "SELECT value, version, until FROM cell
              WHERE name = ?1 AND (until IS NULL OR until > ?2)",
        )?;
        let found = statement.query_row(params![bytes(name), stamp(now)], |row| {
            let until: Option<i64> = row.get(2)?;
            Ok(Cell {
                value: row.get(0)?,
                version: row.get::<_, i64>(1)?.unsigned_abs(),
                left: until.map(|until| time(until).since(now)),
            })
        });
        Ok(found.optional()?)
    }

    /// Removes what ended, of any name.
    fn sweep(&self, now: BootTime) -> Sql<()> {
        for statement in
            ["DELETE FROM cell WHERE until <= ?1", "DELETE FROM watch WHERE until <= ?1"]
        {
            self.0.prepare_cached(statement)?.execute([stamp(now)])?;
        }
        Ok(())
    }

    /// Writes a cell; the channels to tell.
    fn set(&self, name: &Name, value: &[u8], keep: Option<Duration>, at: Event) -> Sql<Vec<u64>> {
        let last: i64 = self
            .0
            .prepare_cached("SELECT version FROM cell WHERE name = x''")?
            .query_row([], |row| row.get(0))?;
        let version = next_fence(last.unsigned_abs(), at.wall_us)? as i64;
        self.0
            .prepare_cached("UPDATE cell SET version = ?1 WHERE name = x''")?
            .execute([version])?;
        if keep == Some(Duration::ZERO) {
            self.0.prepare_cached("DELETE FROM cell WHERE name = ?1")?.execute([bytes(name)])?;
        } else {
            let until = keep.map(|keep| stamp(at.now + keep));
            self.0
                .prepare_cached("INSERT OR REPLACE INTO cell VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![bytes(name), version, until, value])?;
        }
        let mut statement =
            self.0.prepare_cached("DELETE FROM watch WHERE name = ?1 RETURNING channel")?;
        let told = statement.query_map([bytes(name)], |row| row.get::<_, i64>(0))?;
        Ok(told.map(|channel| channel.map(i64::unsigned_abs)).collect::<rusqlite::Result<_>>()?)
    }

    fn watch(&self, name: &Name, channel: u64, until: BootTime) -> Sql<()> {
        self.0
            .prepare_cached("INSERT OR REPLACE INTO watch VALUES (?1, ?2, ?3)")?
            .execute(params![bytes(name), channel as i64, stamp(until)])?;
        Ok(())
    }
}

fn bytes(name: &Name) -> &[u8] {
    name.as_str().as_bytes()
}

fn version_of(cell: Option<&Cell>) -> u64 {
    cell.map_or(0, |cell| cell.version)
}

impl Inner {
    /// One transaction about cells. None where it must wait.
    fn cells_step<T>(
        &self,
        wait: bool,
        body: impl Fn(&Book<'_>, Event) -> Sql<T>,
    ) -> Result<Option<T>> {
        self.db.step(wait, |book, at| body(&Book(book.0), at))
    }

    fn set_cell(
        &self,
        wait: bool,
        (name, version): (&Name, u64),
        value: &[u8],
        keep: Option<Duration>,
    ) -> Result<Option<(bool, Option<Cell>)>> {
        let done = self.cells_step(wait, |book, at| {
            book.sweep(at.now)?;
            let found = book.get(name, at.now)?;
            if version_of(found.as_ref()) != version {
                return Ok((false, found, Vec::new()));
            }
            let told = book.set(name, value, keep, at)?;
            Ok((true, book.get(name, at.now)?, told))
        })?;
        let Some((written, found, told)) = done else { return Ok(None) };
        for channel in told {
            if self.wake.is_own(channel) {
                if let Some(listener) = self.listener.get().and_then(Weak::upgrade) {
                    listener.changed(name);
                }
            } else {
                self.wake.tell_of_cell(channel, name);
            }
        }
        Ok(Some((written, found)))
    }
}

impl Cells for SqliteStore {
    fn get<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, Result<Option<Cell>>> {
        let name = name.clone();
        Box::pin(self.request(move |inner: &Arc<Inner>, wait| {
            inner.cells_step(wait, |book, at| book.get(&name, at.now))
        }))
    }

    fn compare_and_set<'a>(
        &'a self,
        name: &'a Name,
        version: u64,
        value: &'a [u8],
        keep: Option<Duration>,
    ) -> BoxFuture<'a, Result<(bool, Option<Cell>)>> {
        Box::pin(async move {
            Cell::check(name, value)?;
            let (name, value) = (name.clone(), value.to_vec());
            self.request(move |inner: &Arc<Inner>, wait| {
                inner.set_cell(wait, (&name, version), &value, keep)
            })
            .await
        })
    }

    fn watch<'a>(
        &'a self,
        name: &'a Name,
        version: u64,
        alive_for: Duration,
    ) -> BoxFuture<'a, Result<Watched>> {
        Box::pin(async move {
            // Nobody to tell: it only looks.
            let channel = match self.inner.listener.get() {
                Some(listener) => Some(self.inner.ear(listener)?),
                None => None,
            };
            let name = name.clone();
            self.request(move |inner: &Arc<Inner>, wait| {
                inner.cells_step(wait, |book, at| {
                    let found = book.get(&name, at.now)?;
                    if version_of(found.as_ref()) != version {
                        return Ok(Watched::Changed(found));
                    }
                    book.sweep(at.now)?;
                    if let Some(channel) = channel {
                        book.watch(&name, channel, at.now + alive_for)?;
                    }
                    Ok(Watched::Same { left: found.and_then(|cell| cell.left) })
                })
            })
            .await
        })
    }
}
