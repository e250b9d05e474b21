//! One connection: requests go out in order, replies come back in the same order, pushes in between.
//!
//! A request is written by the thread that asks, so that an idle connection costs no thread hop on
//! the way out. Replies are read by the connection's driver, a task; or, while nobody else needs
//! them, by the thread that waits for one (see `runtime/parked.rs`) or by the event loop that is told
//! of them (see `runtime/event_loop.rs`). The traps: a request that nobody
//! waits for any more keeps its place, for its reply still comes; and whoever stops reading must
//! have another go on while anything is due.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::gather::{Asker, Gather, hand_out};
use super::link::{Link, Purpose};
use super::reader::{Near, Reading};
use super::resp::{self, Value};
use super::script::{Call, Script};
use crate::runtime::unless;
use crate::sys::{BootTime, MaybeSend, MaybeSync, Sys};
use crate::{Error, ErrorKind, Result};

/// A server that has been silent for this long while an answer is due is taken for unreachable: the
/// connection is given up, for another may get through.
const SILENCE: Duration = Duration::from_millis(1500);

/// With more requests than this under way, one more is sent by the driver, with those that follow.
const DIRECT: usize = 3;

/// The same where the answer is to a renewal. The network may have forgotten the connection, and a
/// short lease has the time to find out once, not twice.
const RENEWAL_SILENCE: Duration = Duration::from_millis(250);

/// What a connection tells of.
pub(super) trait Ear: MaybeSend + MaybeSync {
    /// The server pushed this.
    fn pushed(&self, items: &[Value]);
}

/// One connection.
pub(super) struct Conn {
    pub(super) link: Arc<dyn Link>,
    pub(super) sys: Sys,
    pipe: Mutex<Pipe>,
    inbound: Mutex<Vec<u8>>,
    ear: Option<Arc<dyn Ear>>,
    silence: Duration,
    pub(super) nudge: Notify,
    /// How soon its answers come.
    pub(super) near: Near,
}

#[derive(Default)]
pub(super) struct Pipe {
    pub(super) due: VecDeque<Due>,
    gather: Gather,
    /// What is to be sent, and whether someone is about to.
    out: Vec<u8>,
    writing: bool,
    heard_at: BootTime,
    pub(super) dead: Option<End>,
    pub(super) reading: Reading,
}

/// Why a connection can't be used any more.
#[derive(Clone)]
pub(super) struct End {
    kind: ErrorKind,
    why: String,
}

pub(super) struct Due {
    sent: BootTime,
    to: To,
}

/// Whose a reply is.
enum To {
    /// A request's.
    Request(Asker),
    /// A call's of one lock, or of several that travelled together.
    Call(Vec<Asker>),
}

enum Event {
    Reply(To, Value),
    Push(Vec<Value>),
}

impl Conn {
    pub(super) fn new(
        link: Arc<dyn Link>,
        purpose: Purpose,
        sys: Sys,
        ear: Option<Arc<dyn Ear>>,
    ) -> Self {
        let (pipe, inbound, nudge) = (Mutex::default(), Mutex::default(), Notify::new());
        let silence = match purpose {
            Purpose::Requests => SILENCE,
            Purpose::Renewal => RENEWAL_SILENCE,
        };
        Self { link, sys, pipe, inbound, ear, silence, nudge, near: Near::default() }
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
        {
            let mut pipe = self.pipe();
            if let Some(why) = &pipe.dead {
                let _ = reply.send(Err(lost(why)));
            } else {
                pipe.due.push_back(Due { sent, to: To::Request(reply) });
                // With the reply's place: the order of the bytes is the order of the replies.
                pipe.out.extend_from_slice(bytes);
                if pipe.reading.driven() && pipe.due.len() > DIRECT {
                    // Many at once: the driver sends them together.
                    drop(pipe);
                    self.nudge.notify_one();
                } else if !pipe.writing {
                    self.write(pipe);
                }
            }
        }
        Reply { conn: Arc::clone(self), answer, done: false }
    }

    /// Calls a script for one lock, which has `each` keys, or several. A call of one may travel with
    /// others of the same script, and is then answered with its own part; one that is all or nothing
    /// may not, though it be for one lock: it would make that of the others too.
    pub(super) fn call(self: &Arc<Self>, script: &Arc<Script>, call: &Call, each: usize) -> Reply {
        if script.together == 1 || call.apart || call.keys() != each {
            return self.request(&script.by_sha(call));
        }
        let (asker, answer) = oneshot::channel();
        {
            let mut pipe = self.pipe();
            if let Some(why) = &pipe.dead {
                let _ = asker.send(Err(lost(why)));
            } else if pipe.gather.full(pipe.reading.alone()) {
                let first = pipe.gather.add(script, call, asker);
                // By the driver, whose turn comes after those of all who can run now; where another
                // reads, at the next answer.
                if first && pipe.gather.may_go() && pipe.reading.driven() {
                    drop(pipe);
                    self.nudge.notify_one();
                } else if pipe.gather.worth_going() && !pipe.reading.driven() {
                    drop(pipe);
                    self.send_gathered();
                }
            } else {
                pipe.gather.sent();
                pipe.due.push_back(Due { sent: self.sys.now(), to: To::Call(vec![asker]) });
                pipe.out.extend_from_slice(&script.by_sha(call));
                if !pipe.writing {
                    self.write(pipe);
                }
            }
        }
        Reply { conn: Arc::clone(self), answer, done: false }
    }

    /// Sends the calls that waited for an answer, or for the others of a burst.
    pub(super) fn send_gathered(&self) {
        let mut pipe = self.pipe();
        while let Some((bytes, askers)) = pipe.gather.next() {
            pipe.due.push_back(Due { sent: self.sys.now(), to: To::Call(askers) });
            pipe.out.extend_from_slice(&bytes);
        }
        if !pipe.out.is_empty() && !pipe.writing {
            self.write(pipe);
        }
    }

    /// Sends what is to be sent, also what others add meanwhile; outside the mutex, for they and the
    /// reader want it.
    fn write<'a>(&'a self, mut pipe: MutexGuard<'a, Pipe>) {
        pipe.writing = true;
        while !pipe.out.is_empty() && pipe.dead.is_none() {
            let mut bytes = std::mem::take(&mut pipe.out);
            drop(pipe);
            let sent = self.link.send(&bytes);
            if let Err(cause) = sent {
                self.end(End::of(&cause));
            }
            bytes.clear();
            pipe = self.pipe();
            self.after_write(&mut pipe);
            if pipe.out.capacity() == 0 {
                pipe.out = bytes;
            }
        }
        pipe.writing = false;
    }

    /// Gives the connection up.
    pub(super) fn fail(&self, why: &str) {
        self.end(End::new(why));
    }

    pub(super) fn end(&self, why: End) {
        let (due, waiting) = {
            let mut pipe = self.pipe();
            if pipe.dead.is_some() {
                return;
            }
            pipe.dead = Some(why.clone());
            pipe.reading.ended();
            (std::mem::take(&mut pipe.due), pipe.gather.give_up())
        };
        self.link.close();
        self.nudge.notify_one();
        let askers = due.into_iter().flat_map(|due| match due.to {
            To::Request(asker) => vec![asker],
            To::Call(askers) => askers,
        });
        for asker in askers.chain(waiting) {
            let _ = asker.send(Err(lost(&why)));
        }
    }

    /// Reads and hands out replies, while no waiting thread does, until the connection ends; says
    /// why it did.
    pub(super) async fn drive(self: Arc<Self>) -> String {
        let mut answered = false;
        loop {
            if answered {
                // What those who were answered ask for now goes out together.
                self.let_others_go_first().await;
            }
            let mut nudged = pin!(self.nudge.notified());
            let driving = {
                let pipe = self.pipe();
                if let Some(why) = &pipe.dead {
                    return why.why.clone();
                }
                let driving = pipe.reading.driven();
                if !pipe.out.is_empty() && !pipe.writing {
                    self.write(pipe);
                }
                driving
            };
            self.send_gathered();
            if !driving {
                self.link.rest();
                nudged.await;
                answered = false;
                continue;
            }
            let seen = if answered { self.look_on(nudged.as_mut()) } else { None };
            let ready = match seen {
                Some(seen) => seen.map(Ok),
                None => unless(nudged, self.link.ready()).await,
            };
            let Ok(ready) = ready else { continue };
            answered = ready.is_ok();
            let more = match ready {
                Ok(()) => self.pump(),
                Err(cause) => Err(End::of(&cause)),
            };
            if let Err(why) = more {
                self.end(why);
            }
        }
    }

    /// Hands out what has arrived.
    pub(super) fn pump(&self) -> Result<(), End> {
        let mut events = Vec::new();
        let mut answered = false;
        let read = self.read(&mut events);
        for event in events {
            match event {
                Event::Reply(To::Request(asker), value) => drop(asker.send(Ok(value))),
                Event::Reply(To::Call(askers), value) => {
                    hand_out(askers, value);
                    answered = true;
                }
                Event::Push(items) => {
                    if let Some(ear) = &self.ear {
                        ear.pushed(&items);
                    }
                }
            }
        }
        if answered {
            self.send_gathered();
        }
        read
    }

    fn read(&self, events: &mut Vec<Event>) -> Result<(), End> {
        let mut buffer = self.inbound.lock().unwrap_or_else(PoisonError::into_inner);
        match self.link.receive(&mut buffer) {
            Ok(0) => return Err(End::new("the server closed the connection")),
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(cause) => return Err(End::of(&cause)),
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
                            Some(due) => {
                                self.near.took(now.since(due.sent));
                                if matches!(due.to, To::Call(_)) {
                                    pipe.gather.answered();
                                }
                                events.push(Event::Reply(due.to, value));
                            }
                            None => return Err(End::new("a reply that nobody asked for")),
                        },
                    }
                }
                Ok(None) => break,
                Err(malformed) => {
                    return Err(End::new(&format!("the reply is malformed: {}", malformed.0)));
                }
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
                now.since(due.sent) >= self.silence && now.since(pipe.heard_at) >= self.silence
            })
        };
        if silent {
            self.fail("the server did not answer");
        }
    }

    pub(super) fn pipe(&self) -> MutexGuard<'_, Pipe> {
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
        let answer = poll_fn(|context| {
            let polled = Pin::new(&mut self.answer).poll(context);
            if polled.is_pending() {
                self.conn.see_to();
            }
            polled
        })
        .await;
        self.done = true;
        answer.unwrap_or_else(|_| Err(lost(&End::new("it was given up"))))
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.done {
            self.conn.abandoned();
        }
    }
}

impl End {
    fn new(why: &str) -> Self {
        Self { kind: ErrorKind::StoreUnavailable, why: why.to_owned() }
    }

    fn of(cause: &io::Error) -> Self {
        // A link's word for a server that is not who it must be: see `Link::receive`.
        let kind = match cause.kind() {
            io::ErrorKind::PermissionDenied => ErrorKind::StoreFailed,
            _ => ErrorKind::StoreUnavailable,
        };
        Self { kind, why: cause.to_string() }
    }
}

fn lost(end: &End) -> Error {
    let what = match end.kind {
        ErrorKind::StoreFailed => "the Redis server is not trusted",
        _ => "the connection to Redis was lost",
    };
    Error::new(end.kind, format!("{what}: {}", end.why))
}
