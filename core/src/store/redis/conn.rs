//! One connection: requests go out in order, replies come back in the same order, pushes in between.
//!
//! A request is written by the thread that asks, so that an idle connection costs no thread hop on
//! the way out; replies are read by the connection's driver. The trap: a request that nobody waits
//! for any more keeps its place, for its reply still comes.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::link::Link;
use super::resp::{self, Value};
use crate::sys::{BootTime, MaybeSend, MaybeSync, Sys};
use crate::{Error, ErrorKind, Result};

/// A server that has been silent for this long while an answer is due is taken for unreachable: the
/// connection is given up, for another may get through.
const SILENCE: Duration = Duration::from_millis(1500);

/// What a connection tells of.
pub(super) trait Ear: MaybeSend + MaybeSync {
    /// The server pushed this.
    fn pushed(&self, items: &[Value]);
}

/// One connection.
pub(super) struct Conn {
    link: Arc<dyn Link>,
    sys: Sys,
    pipe: Mutex<Pipe>,
    inbound: Mutex<Vec<u8>>,
    ear: Option<Arc<dyn Ear>>,
}

#[derive(Default)]
struct Pipe {
    due: VecDeque<Due>,
    heard_at: BootTime,
    dead: Option<String>,
}

struct Due {
    sent: BootTime,
    reply: oneshot::Sender<Result<Value>>,
}

enum Event {
    Reply(oneshot::Sender<Result<Value>>, Value),
    Push(Vec<Value>),
}

impl Conn {
    pub(super) fn new(link: Arc<dyn Link>, sys: Sys, ear: Option<Arc<dyn Ear>>) -> Self {
        Self { link, sys, pipe: Mutex::default(), inbound: Mutex::default(), ear }
    }

    /// Whether it can still be used.
    pub(super) fn alive(&self) -> bool {
        self.pipe().dead.is_none()
    }

    /// Sends `bytes`, which are one request, and awaits its reply. Dropping the future leaves it
    /// unknown whether the request took place.
    ///
    /// # Errors
    /// [`StoreUnavailable`](ErrorKind::StoreUnavailable) where the connection is lost first.
    pub(super) fn request(self: &Arc<Self>, bytes: &[u8]) -> Reply {
        let (reply, answer) = oneshot::channel();
        let sent = self.sys.now();
        let failed = {
            let mut pipe = self.pipe();
            match &pipe.dead {
                Some(why) => {
                    let _ = reply.send(Err(lost(why)));
                    None
                }
                None => {
                    pipe.due.push_back(Due { sent, reply });
                    // Under the mutex: the order of the bytes is the order of the replies.
                    self.link.send(bytes).err()
                }
            }
        };
        if let Some(cause) = failed {
            self.fail(&cause.to_string());
        }
        Reply { conn: Arc::clone(self), answer, done: false }
    }

    /// Gives the connection up.
    pub(super) fn fail(&self, why: &str) {
        let due = {
            let mut pipe = self.pipe();
            if pipe.dead.is_some() {
                return;
            }
            pipe.dead = Some(why.to_owned());
            std::mem::take(&mut pipe.due)
        };
        self.link.close();
        for one in due {
            let _ = one.reply.send(Err(lost(why)));
        }
    }

    /// Reads and hands out replies until the connection ends; says why it did.
    pub(super) async fn drive(self: Arc<Self>) -> String {
        loop {
            let more = match self.link.ready().await {
                Ok(()) => self.pump(),
                Err(cause) => Err(cause.to_string()),
            };
            if let Err(why) = more {
                self.fail(&why);
                return why;
            }
        }
    }

    /// Hands out what has arrived.
    fn pump(&self) -> Result<(), String> {
        let mut events = Vec::new();
        let read = self.read(&mut events);
        for event in events {
            match event {
                Event::Reply(to, value) => drop(to.send(Ok(value))),
                Event::Push(items) => {
                    if let Some(ear) = &self.ear {
                        ear.pushed(&items);
                    }
                }
            }
        }
        read
    }

    fn read(&self, events: &mut Vec<Event>) -> Result<(), String> {
        let mut buffer = self.inbound.lock().unwrap_or_else(PoisonError::into_inner);
        match self.link.receive(&mut buffer) {
            Ok(0) => return Err("the server closed the connection".to_owned()),
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(cause) => return Err(cause.to_string()),
        }
        let now = self.sys.now();
        let mut at = 0;
        let mut pipe = self.pipe();
        pipe.heard_at = now;
        loop {
            match resp::decode(&buffer[at..]) {
                Ok(Some((value, size))) => {
                    at += size;
                    match value {
                        Value::Push(items) => events.push(Event::Push(items)),
                        value => match pipe.due.pop_front() {
                            Some(due) => events.push(Event::Reply(due.reply, value)),
                            None => return Err("a reply that nobody asked for".to_owned()),
                        },
                    }
                }
                Ok(None) => break,
                Err(malformed) => return Err(format!("the reply is malformed: {}", malformed.0)),
            }
        }
        buffer.drain(..at);
        Ok(())
    }

    /// A waiter went away without its reply: is the server there at all?
    fn abandoned(&self) {
        let now = self.sys.now();
        let silent = {
            let pipe = self.pipe();
            pipe.due.front().is_some_and(|due| {
                now.since(due.sent) >= SILENCE && now.since(pipe.heard_at) >= SILENCE
            })
        };
        if silent {
            self.fail("the server did not answer");
        }
    }

    fn pipe(&self) -> MutexGuard<'_, Pipe> {
        self.pipe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reply to come.
pub(super) struct Reply {
    conn: Arc<Conn>,
    answer: oneshot::Receiver<Result<Value>>,
    done: bool,
}

impl Reply {
    pub(super) async fn value(mut self) -> Result<Value> {
        let answer = poll_fn(|context| Pin::new(&mut self.answer).poll(context)).await;
        self.done = true;
        answer.unwrap_or_else(|_| Err(lost("it was given up")))
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.done {
            self.conn.abandoned();
        }
    }
}

fn lost(why: &str) -> Error {
    Error::new(ErrorKind::StoreUnavailable, format!("the connection to Redis was lost: {why}"))
}
