//! Calls of one script that travel together.
//!
//! While a few calls are under way, those that come meanwhile wait for an answer and then go as one:
//! the server takes one call of many locks for a fraction of what as many calls cost it, and both
//! sides a system call for a fraction of what as many cost. A caller that is alone never waits. The
//! trap is an error of one lock that would be taken for all: the scripts answer each lock apart.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::resp::Value;
use super::script::{Call, Script};
use crate::Result;

/// With so many calls under way, those that come wait for an answer. Two, so that the server has one
/// while the other's answer is read.
const UNDER_WAY: usize = 2;
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
    /// Whether a call has to wait.
    pub(super) fn full(&self) -> bool {
        self.under_way >= UNDER_WAY || !self.waiting.is_empty()
    }

    /// Notes a call that is sent by itself.
    pub(super) fn sent(&mut self) {
        self.under_way += 1;
    }

    /// Notes that a call was answered.
    pub(super) fn answered(&mut self) {
        self.under_way -= 1;
    }

    /// Has a call of one lock wait.
    pub(super) fn add(&mut self, script: &Arc<Script>, call: &Call, asker: Asker) {
        let fits = |bundle: &&mut Bundle| {
            bundle.askers.len() < script.together && Arc::ptr_eq(&bundle.script, script)
        };
        if let Some(bundle) = self.waiting.iter_mut().rev().find(fits) {
            bundle.call.add(call);
            bundle.askers.push(asker);
        } else {
            let (script, call) = (Arc::clone(script), call.clone());
            self.waiting.push_back(Bundle { script, call, askers: vec![asker] });
        }
    }

    /// The next request that may go, and whose answers it brings.
    pub(super) fn next(&mut self) -> Option<(Vec<u8>, Vec<Asker>)> {
        if self.under_way >= UNDER_WAY {
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
