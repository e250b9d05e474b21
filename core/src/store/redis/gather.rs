//! Calls of one script that travel together.
//!
//! While a few calls are under way, those that come meanwhile wait for an answer and then go as one:
//! the server takes one call of many locks for a fraction of what as many calls cost it, and both
//! sides a system call for a fraction of what as many cost. A caller that is alone never waits; tasks
//! that an answer woke together, one after the other in one thread, go on together. The
//! trap is an error of one lock that would be taken for all: the scripts answer each lock apart.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::resp::Value;
use super::script::{Call, Script};
use crate::Result;

/// With so many calls under way, those that come wait for an answer. Enough that the server has one
/// while the answers of the others are read and told.
const UNDER_WAY: usize = 5;
/// So many that wait go at once in the middle of an event loop's turn: the server need not idle until
/// the last callback has run.
const WORTH: usize = 4;
/// Where one lock's answer goes.
pub(super) type Asker = oneshot::Sender<Result<Value>>;

/// Calls that wait to be sent.
#[derive(Default)]
pub(super) struct Gather {
    under_way: usize,
    waiting: VecDeque<Bundle>,
}

struct Bundle {
    script: Arc<Script>,
    call: Call,
    askers: Vec<Asker>,
}

impl Gather {
    /// Whether a call has to wait. One of a thread that is `alone` in making it goes at once while it
    /// can; beside another under way, a task's waits until all that can run have made theirs.
    pub(super) fn full(&self, alone: bool) -> bool {
        let most = if alone { UNDER_WAY } else { 1 };
        self.under_way >= most || !self.waiting.is_empty()
    }

    /// Whether those that wait may go now.
    pub(super) fn may_go(&self) -> bool {
        self.under_way < UNDER_WAY
    }

    /// Whether those that wait may go now and are many.
    pub(super) fn worth_going(&self) -> bool {
        self.may_go() && self.waiting.front().is_some_and(|bundle| bundle.askers.len() >= WORTH)
    }

    /// Notes a call that is sent by itself.
    pub(super) fn sent(&mut self) {
        self.under_way += 1;
    }

    /// Notes that a call was answered.
    pub(super) fn answered(&mut self) {
        self.under_way -= 1;
    }

    /// Has a call of one lock wait; whether it is the first that does.
    pub(super) fn add(&mut self, script: &Arc<Script>, call: &Call, asker: Asker) -> bool {
        let first = self.waiting.is_empty();
        let fits = |bundle: &&mut Bundle| {
            bundle.askers.len() < script.together
                && Arc::ptr_eq(&bundle.script, script)
                && bundle.call.goes_with(call)
        };
        if let Some(bundle) = self.waiting.iter_mut().rev().find(fits) {
            bundle.call.add(call);
            bundle.askers.push(asker);
        } else {
            let (script, call) = (Arc::clone(script), call.clone());
            self.waiting.push_back(Bundle { script, call, askers: vec![asker] });
        }
        first
    }

    /// The next request that may go, and whose answers it brings.
    pub(super) fn next(&mut self) -> Option<(Vec<u8>, Vec<Asker>)> {
        if !self.may_go() {
            return None;
        }
        let Bundle { script, call, askers } = self.waiting.pop_front()?;
        self.under_way += 1;
        Some((script.by_sha(&call), askers))
    }

    /// All who wait.
    pub(super) fn give_up(&mut self) -> Vec<Asker> {
        self.waiting.drain(..).flat_map(|bundle| bundle.askers).collect()
    }
}

/// Hands each lock's part of an answer to who asked.
pub(super) fn hand_out(askers: Vec<Asker>, value: Value) {
    match value {
        Value::List(items) if askers.len() > 1 && items.len() == askers.len() => {
            for (asker, item) in askers.into_iter().zip(items) {
                let own = match item {
                    Value::Error(text) => Value::Error(text),
                    item => Value::List(vec![item]),
                };
                let _ = asker.send(Ok(own));
            }
        }
        // The one asker's; or an error of the call, or no answer to it, as each will say.
        value => {
            for asker in askers {
                let _ = asker.send(Ok(value.clone()));
            }
        }
    }
}
