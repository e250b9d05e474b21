//! Who waits for whom. A queue knows the owners in it, but an owner's waits lie in the queues of many
//! locks, in any slot: a note per owner says in which. A note is written beside the ask and may be out
//! of date; so it is only where to look, and the locks themselves say what is so.

use std::pin::pin;
use std::task::Poll;

use super::resp::{self, Value};
use super::script::Call;
use super::session::refused;
use super::store::{BATCH, RedisStore};
use super::words::{each, hex_bytes, millis, noted, wanting};
use crate::runtime::all;
use crate::store::{Ask, SHOWN, WaitsFor, Wanting};
use crate::sys::{BoxFuture, Token};
use crate::{Name, Owner, Result};

impl RedisStore {
    /// Notes for each owner what it may come to wait for with these asks; none where there is none.
    pub(super) fn note_wants(&self, asks: &[Ask]) -> Option<impl Future<Output = Result<Vec<()>>>> {
        let mut calls = Vec::new();
        for ask in asks {
            let (Some(owner), Some(wait)) = (ask.owner, &ask.wait) else { continue };
            let key = self.places.of_owner(owner);
            let mut call = Call::new(1, |keys| resp::argument(keys, &key));
            let name = ask.name.as_str().as_bytes();
            call.number(millis(wait.alive_for)).joined(&[&hex_bytes(&ask.token), b" ", name]);
            calls.push(call);
        }
        let note = async |call: Call| {
            self.call(&self.requests, &self.scripts.wants, &call, true).await.map(|_| Vec::new())
        };
        (!calls.is_empty()).then(|| all(calls.into_iter().map(note)))
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
}

/// The answer to `request`, once `note` was taken too.
pub(super) async fn together<T>(
    note: impl Future<Output = Result<Vec<()>>>,
    request: impl Future<Output = Result<T>>,
) -> Result<T> {
    let (mut note, mut request) = (pin!(note), pin!(request));
    let (mut noted, mut answer) = (None, None);
    std::future::poll_fn(|context| {
        // The note first: it goes out before the ask.
        if noted.is_none()
            && let Poll::Ready(result) = note.as_mut().poll(context)
        {
            noted = Some(result);
        }
        if answer.is_none()
            && let Poll::Ready(result) = request.as_mut().poll(context)
        {
            answer = Some(result);
        }
        match (&noted, answer.take()) {
            (Some(Ok(_)), Some(answer)) => Poll::Ready(answer),
            (Some(Err(_)), Some(answer)) => {
                Poll::Ready(noted.take().and_then(Result::err).map_or(answer, Err))
            }
            (_, answered) => {
                answer = answered;
                Poll::Pending
            }
        }
    })
    .await
}
