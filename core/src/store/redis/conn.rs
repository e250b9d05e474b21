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
#[cfg(feature = "native")]
use std::sync::Weak;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::gather::{Asker, Gather, hand_out};
use super::link::{Link, Purpose};
use super::resp::{self, Value};
use super::script::{Call, Script};
#[cfg(feature = "native")]
use crate::runtime;
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

/// How long after a waiter was queued its grant may come, without another word from it.
#[cfg(feature = "native")]
const LISTENING: Duration = Duration::from_secs(3);

/// An event loop that did not read for this long, though it leads, is blocked or has nothing to do:
/// the driver reads on.
#[cfg(feature = "native")]
const LOOP_PATIENCE: Duration = Duration::from_millis(50);
/// Where others use a connection, too, an event loop does not lead it for so long.
#[cfg(feature = "native")]
const LOOP_PAUSE: Duration = Duration::from_millis(200);

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
    silence: Duration,
    nudge: Notify,
}

#[derive(Default)]
struct Pipe {
    due: VecDeque<Due>,
    gather: Gather,
    /// What is to be sent, and whether someone is about to.
    out: Vec<u8>,
    writing: bool,
    heard_at: BootTime,
    dead: Option<End>,
    reader: Reader,
    /// When a waiter of ours was last told that it is queued.
    #[cfg(feature = "native")]
    queued_at: Option<BootTime>,
    /// The same of waiters of no event loop.
    #[cfg(feature = "native")]
    queued_elsewhere_at: Option<BootTime>,
    /// How often an event loop read.
    #[cfg(feature = "native")]
    turns: u64,
    /// When an event loop may lead again.
    #[cfg(feature = "native")]
    loops_from: BootTime,
}

/// Who reads.
#[derive(Default)]
enum Reader {
    /// The driver.
    #[default]
    Driver,
    /// A thread that waits for a reply.
    #[cfg(feature = "native")]
    Leader,
    /// An event loop.
    #[cfg(feature = "native")]
    Loop(runtime::Lead),
    /// Nobody: nothing is due.
    #[cfg(feature = "native")]
    Nobody,
}

/// Why a connection can't be used any more.
#[derive(Clone)]
struct End {
    kind: ErrorKind,
    why: String,
}

struct Due {
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
        Self { link, sys, pipe, inbound, ear, silence, nudge }
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
                if pipe.driven() && pipe.due.len() > DIRECT {
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
            } else if pipe.gather.full(pipe.alone()) {
                let first = pipe.gather.add(script, call, asker);
                // By the driver, whose turn comes after those of all who can run now; where another
                // reads, at the next answer.
                if first && pipe.gather.may_go() && pipe.driven() {
                    drop(pipe);
                    self.nudge.notify_one();
                } else if pipe.gather.worth_going() && !pipe.driven() {
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
    fn send_gathered(&self) {
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
            #[cfg(feature = "native")]
            if matches!(pipe.reader, Reader::Loop(_)) && self.link.descriptor().is_none() {
                // Something is left to be written, which a loop does not look after.
                self.to_driver(&mut pipe);
            }
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

    fn end(&self, why: End) {
        let (due, waiting) = {
            let mut pipe = self.pipe();
            if pipe.dead.is_some() {
                return;
            }
            pipe.dead = Some(why.clone());
            #[cfg(feature = "native")]
            if let Reader::Loop(_) = pipe.reader {
                pipe.reader = Reader::Driver;
            }
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
        loop {
            let nudged = self.nudge.notified();
            let driving = {
                let pipe = self.pipe();
                if let Some(why) = &pipe.dead {
                    return why.why.clone();
                }
                let driving = pipe.driven();
                if !pipe.out.is_empty() && !pipe.writing {
                    self.write(pipe);
                }
                driving
            };
            self.send_gathered();
            if !driving {
                self.link.rest();
                nudged.await;
                continue;
            }
            let ready = self.link.ready();
            let Some(ready) = unless(ready, nudged).await else { continue };
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
    fn pump(&self) -> Result<(), End> {
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

    /// Sees to it that what is due is read, where this thread goes on to other things.
    #[cfg(feature = "native")]
    fn see_to(self: &Arc<Self>) {
        match runtime::mode() {
            runtime::Mode::Blocking => {
                let this: Weak<dyn runtime::Source> = Arc::downgrade(self) as _;
                return runtime::offer(this);
            }
            runtime::Mode::Loop if self.attend() => return,
            runtime::Mode::Loop | runtime::Mode::Async => {}
        }
        let mut pipe = self.pipe();
        match pipe.reader {
            Reader::Nobody => self.to_driver(&mut pipe),
            Reader::Loop(_) => {
                // It may be busy with anything, and is not to keep others waiting.
                pipe.loops_from = self.sys.now() + LOOP_PAUSE;
                self.to_driver(&mut pipe);
            }
            Reader::Driver | Reader::Leader => {}
        }
    }

    /// Has the event loop of this thread read, if nobody else waits for anything; whether it does.
    #[cfg(feature = "native")]
    fn attend(self: &Arc<Self>) -> bool {
        let Some(here) = runtime::event_loop() else { return false };
        let now = self.sys.now();
        let socket = self.link.descriptor();
        let mut pipe = self.pipe();
        match &pipe.reader {
            Reader::Loop(lead) => return lead.is_of(&here),
            Reader::Leader => return false,
            Reader::Driver | Reader::Nobody => {}
        }
        let mine = pipe.due.len() <= 1 && !pipe.listening_elsewhere(now);
        if !mine || now < pipe.loops_from || pipe.dead.is_some() {
            return false;
        }
        let this: Weak<dyn runtime::Attended> = Arc::downgrade(self) as _;
        let Some(lead) = socket.and_then(|socket| here.lead(socket, this)) else { return false };
        let (driven, turns) = (pipe.driven(), pipe.turns);
        pipe.reader = Reader::Loop(lead);
        drop(pipe);
        if driven {
            self.nudge.notify_one();
        }
        self.sys.spawn(Box::pin(Arc::clone(self).oversee(here, turns)));
        true
    }

    /// Has the driver read on as soon as `here` does not any more.
    #[cfg(feature = "native")]
    async fn oversee(self: Arc<Self>, here: Arc<runtime::EventLoop>, mut turns: u64) {
        loop {
            self.sys.sleep_until(self.sys.now() + LOOP_PATIENCE).await;
            let mut pipe = self.pipe();
            match &pipe.reader {
                Reader::Loop(lead) if lead.is_of(&here) => {}
                _ => return,
            }
            if pipe.turns == turns {
                return self.to_driver(&mut pipe);
            }
            turns = pipe.turns;
        }
    }

    /// Has the driver read.
    #[cfg(feature = "native")]
    fn to_driver(&self, pipe: &mut Pipe) {
        pipe.reader = Reader::Driver;
        self.nudge.notify_one();
    }

    #[cfg(not(feature = "native"))]
    fn see_to(self: &Arc<Self>) {}

    /// A waiter was told that it is queued: its grant will come without a request.
    pub(super) fn expect_push(self: &Arc<Self>) {
        #[cfg(feature = "native")]
        {
            let now = self.sys.now();
            let mut pipe = self.pipe();
            pipe.queued_at = Some(now);
            if runtime::mode() != runtime::Mode::Loop {
                pipe.queued_elsewhere_at = Some(now);
            }
        }
        self.see_to();
    }

    fn pipe(&self) -> MutexGuard<'_, Pipe> {
        self.pipe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pipe {
    fn driven(&self) -> bool {
        matches!(self.reader, Reader::Driver)
    }

    /// Whether this thread makes one call at a time: it waits for the answer before the next.
    #[cfg(feature = "native")]
    fn alone(&self) -> bool {
        match runtime::mode() {
            runtime::Mode::Async => false,
            // The other callbacks of a turn have calls, too, and what comes of the turn is sent at
            // its end.
            runtime::Mode::Blocking | runtime::Mode::Loop => {
                !matches!(&self.reader, Reader::Loop(lead) if lead.in_turn())
            }
        }
    }

    #[cfg(not(feature = "native"))]
    fn alone(&self) -> bool {
        false
    }

    #[cfg(feature = "native")]
    fn listening(&self, now: BootTime) -> bool {
        self.queued_at.is_some_and(|at| now.since(at) < LISTENING)
    }

    #[cfg(feature = "native")]
    fn listening_elsewhere(&self, now: BootTime) -> bool {
        self.queued_elsewhere_at.is_some_and(|at| now.since(at) < LISTENING)
    }
}

#[cfg(feature = "native")]
impl runtime::Source for Conn {
    fn lead(&self, parked: &runtime::Parked, until: BootTime) -> bool {
        let Some(socket) = self.link.descriptor() else { return false };
        {
            let now = self.sys.now();
            let mut pipe = self.pipe();
            if let Reader::Loop(_) = pipe.reader {
                // It may be busy with anything, also with waiting in this very thread.
                pipe.loops_from = now + LOOP_PAUSE;
                self.to_driver(&mut pipe);
            }
            let mine = match pipe.reader {
                Reader::Nobody => true,
                Reader::Leader | Reader::Loop(_) => false,
                // Taken over from the driver only where the one due reply is this thread's.
                Reader::Driver => pipe.due.len() == 1 && !pipe.listening(now),
            };
            if !mine || pipe.dead.is_some() {
                return false;
            }
            let driven = pipe.driven();
            pipe.reader = Reader::Leader;
            drop(pipe);
            if driven {
                self.nudge.notify_one();
            }
        }
        while self.alive() {
            match parked.readable(socket, until) {
                runtime::Came::End => break,
                runtime::Came::Nothing => {}
                runtime::Came::Bytes => {
                    if let Err(why) = self.pump() {
                        self.end(why);
                    }
                }
            }
        }
        self.pipe().reader = Reader::Nobody;
        true
    }

    fn leave(&self) {
        let more = {
            let now = self.sys.now();
            let mut pipe = self.pipe();
            let due = !pipe.due.is_empty() || pipe.listening(now);
            let more = due && matches!(pipe.reader, Reader::Nobody);
            if more {
                pipe.reader = Reader::Driver;
            }
            more
        };
        if more {
            self.nudge.notify_one();
        }
    }
}

#[cfg(feature = "native")]
impl runtime::Attended for Conn {
    fn serve(&self) {
        self.pipe().turns += 1;
        if let Err(why) = self.pump() {
            self.end(why);
        }
    }

    fn flush(&self) {
        self.send_gathered();
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

/// The result of `work`, or none where `stop` came first.
async fn unless<T>(work: impl Future<Output = T>, stop: impl Future<Output = ()>) -> Option<T> {
    let (mut work, mut stop) = (pin!(work), pin!(stop));
    poll_fn(|context| {
        if stop.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        work.as_mut().poll(context).map(Some)
    })
    .await
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
