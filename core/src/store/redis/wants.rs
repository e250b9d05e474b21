//! Who waits for whom. A queue knows the owners in it, but an owner's waits lie in the queues of many
//! locks, in any slot: a note per owner says in which. A note is written once the wait has begun and
//! struck out when it is over, and either may not come about; so it is only where to look, and the locks
//! themselves say what is so. One that stays is looked up by every search that comes by.

use super::resp::{self, Value};
use super::script::Call;
use super::session::refused;
use super::store::{BATCH, RedisStore};
use super::words::{each, hex_bytes, millis, noted, wanting};
use crate::runtime::all;
use crate::store::{Answer, Ask, SHOWN, WaitsFor, Wanting};
use crate::sys::{BoxFuture, Token};
use crate::{Name, Owner, Result};

impl RedisStore {
    /// Notes for the owners of those of `asks` that were queued what they wait for.
    pub(super) async fn note_wants(&self, asks: &[Ask], answers: &[Answer]) -> Result<()> {
        let mut calls = Vec::new();
        for (ask, answer) in asks.iter().zip(answers) {
            let (Some(owner), Some(wait), Answer::Queued { .. }) = (ask.owner, &ask.wait, answer)
            else {
                continue;
            };
            let key = self.places.of_owner(owner);
            let mut call = Call::new(1, |keys| resp::argument(keys, &key));
            call.number(millis(wait.alive_for)).text(&note(&ask.token, &ask.name));
            calls.push(call);
        }
        let note = async |call: Call| {
            self.call(&self.requests, &self.scripts.wants, &call, true).await.map(|_| Vec::new())
        };
        all(calls.into_iter().map(note)).await.map(|_: Vec<()>| ())
    }

    async fn wants_of(&self, owner: Owner) -> Result<Vec<Wanting>> {
        let key = self.places.of_owner(owner);
        let conn = self.requests.conn().await?;
        let notes = conn.request(&resp::command(&[b"ZRANGE", &key, b"0", b"-1"])).value().await?;
        if let Value::Error(text) = &notes {
            return Err(refused(text));
        }
        let waits: Vec<(Token, Name)> =
            notes.list().unwrap_or_default().iter().filter_map(noted).collect();
        let mut wants = Vec::new();
        for waits in waits.chunks(BATCH) {
            let mut call = self.about(waits.iter().map(|(_, name)| name), waits.len());
            call.number(SHOWN as u64);
            for (token, _) in waits {
                call.text(&hex_bytes(token));
            }
            let value = self.call(&self.requests, &self.scripts.inspect, &call, true).await?;
            let found = each(&value, waits, |(token, name), value| wanting(*token, name, value))?;
            wants.extend(found.into_iter().flatten());
        }
        Ok(wants)
    }
}

impl WaitsFor for RedisStore {
    fn wants(&self, owner: Owner) -> BoxFuture<'_, Result<Vec<Wanting>>> {
        Box::pin(self.wants_of(owner))
    }

    fn over(&self, owner: Owner, attempt: Token, name: &Name) {
        let Some(conn) = self.requests.live() else { return };
        let (key, note) = (self.places.of_owner(owner), note(&attempt, name));
        let gone = conn.request(&resp::command(&[b"ZREM", &key, &note]));
        // Awaited, so that somebody reads the answer.
        self.sys.spawn(Box::pin(async move { drop(gone.value().await) }));
    }
}

/// What is noted of a wait: see lua/wants.lua.
fn note(attempt: &Token, name: &Name) -> Vec<u8> {
    [&hex_bytes(attempt)[..], b" ", name.as_str().as_bytes()].concat()
}
