//! The server's cells, each step one script. The trap is a write that is sent twice where its answer
//! was lost: the second would find its own version and call it another's. So it never is; who writes
//! looks again and knows its own value.

use std::time::Duration;

use super::resp::Value;
use super::script::Call;
use super::store::RedisStore;
use super::words::{millis, odd, span};
use crate::store::{Cell, Cells, Watched};
use crate::sys::BoxFuture;
use crate::{Name, Result};

impl RedisStore {
    fn about_cell(&self, name: &Name) -> Call {
        Call::new(2, |keys| self.places.write_cell(keys, name))
    }

    /// The answer of lua/cell_watch.lua.
    async fn look(&self, call: &Call) -> Result<(bool, Option<Cell>)> {
        let value = self.call(&self.requests, &self.scripts.cell_watch, call, true).await?;
        seen(&value).ok_or_else(|| odd("the look at a cell", &value))
    }
}

impl Cells for RedisStore {
    fn get<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, Result<Option<Cell>>> {
        let call = self.about_cell(name);
        Box::pin(async move { Ok(self.look(&call).await?.1) })
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
            let mut call = self.about_cell(name);
            call.number(version);
            match keep {
                Some(keep) => call.number(millis(keep)),
                None => call.text(b""),
            };
            // What is not kept need not travel.
            let value = if keep == Some(Duration::ZERO) { b"" } else { value };
            call.text(value);
            let answer = self.call(&self.requests, &self.scripts.cell_set, &call, false).await?;
            let found = match answer.list() {
                Some([Value::Int(1), version]) => (|| {
                    let version = u64::try_from(version.int()?).ok()?;
                    let cell = Cell { value: value.to_vec(), version, left: keep };
                    Some((true, (keep != Some(Duration::ZERO)).then_some(cell)))
                })(),
                _ => seen(&answer),
            };
            found.ok_or_else(|| odd("the write of a cell", &answer))
        })
    }

    fn watch<'a>(
        &'a self,
        name: &'a Name,
        version: u64,
        alive_for: Duration,
    ) -> BoxFuture<'a, Result<Watched>> {
        let mut call = self.about_cell(name);
        call.number(version).text(self.whole.as_bytes()).number(millis(alive_for));
        Box::pin(async move {
            let (changed, cell) = self.look(&call).await?;
            if changed {
                return Ok(Watched::Changed(cell));
            }
            self.requests.expect_push();
            Ok(Watched::Same { left: cell.and_then(|cell| cell.left) })
        })
    }
}

/// "first, version, left, value".
fn seen(value: &Value) -> Option<(bool, Option<Cell>)> {
    let [first, version, left, value] = value.list()? else { return None };
    let first = first.int()? == 1;
    let version = u64::try_from(version.int()?).ok()?;
    if version == 0 {
        return Some((first, None));
    }
    let (value, left) = (value.text()?.to_vec(), span(left.int()?));
    Some((first, Some(Cell { value, version, left })))
}
