//! Who reads a connection's answers: its driver, the one thread that waits for one, or an event loop.
//!
//! Whoever wants an answer and waits anyway saves a wake-up by reading it. The traps: two who want
//! answers can't both read, so the one who may be busy with other things gives way; and an event loop
//! that its program blocks, or that is gone, reads nothing and says nothing, so it is overseen.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::futures::Notified;

use super::conn::{Conn, Pipe};
use crate::runtime;
use crate::sys::BootTime;

/// How long after a waiter was queued its grant may come, without another word from it.
const LISTENING: Duration = Duration::from_secs(3);

/// An event loop that did not read for this long, though it leads, is blocked or has nothing to do:
/// the driver reads on.
const LOOP_PATIENCE: Duration = Duration::from_millis(50);
/// Where others use a connection, too, an event loop does not lead it for so long.
const LOOP_PAUSE: Duration = Duration::from_millis(200);

/// How soon answers come.
pub(super) type Near = runtime::Eager;

/// Who reads, and who else wants to.
#[derive(Default)]
pub(super) struct Reading {
    by: Reader,
    /// When a waiter of ours was last told that it is queued.
    queued_at: Option<BootTime>,
    /// The same of waiters of no event loop.
    queued_elsewhere_at: Option<BootTime>,
    /// How often an event loop read.
    turns: u64,
    /// When an event loop may lead again.
    loops_from: BootTime,
}

/// Who reads.
#[derive(Default)]
enum Reader {
    /// The driver.
    #[default]
    Driver,
    /// A thread that waits for a reply.
    Leader,
    /// An event loop.
    Loop(runtime::Lead),
    /// Nobody: nothing is due.
    Nobody,
}

impl Reading {
    /// Whether the driver does.
    pub(super) fn driven(&self) -> bool {
        matches!(self.by, Reader::Driver)
    }

    /// There is nothing to be read any more. An event loop that leads watches a copy of the socket,
    /// which goes with its lead.
    pub(super) fn ended(&mut self) {
        self.by = Reader::Driver;
    }

    /// Whether this thread makes one call at a time: it waits for the answer before the next.
    pub(super) fn alone(&self) -> bool {
        match runtime::mode() {
            runtime::Mode::Async => false,
            // The other callbacks of a turn have calls, too, and what comes of the turn is sent at
            // its end.
            runtime::Mode::Blocking | runtime::Mode::Loop => {
                !matches!(&self.by, Reader::Loop(lead) if lead.in_turn())
            }
        }
    }

    fn listening(&self, now: BootTime) -> bool {
        self.queued_at.is_some_and(|at| now.since(at) < LISTENING)
    }

    fn listening_elsewhere(&self, now: BootTime) -> bool {
        self.queued_elsewhere_at.is_some_and(|at| now.since(at) < LISTENING)
    }
}

impl Conn {
    /// Sees to it that what is due is read, where this thread goes on to other things.
    pub(super) fn see_to(self: &Arc<Self>) {
        match runtime::mode() {
            runtime::Mode::Blocking => {
                let this: Weak<dyn runtime::Source> = Arc::downgrade(self) as _;
                return runtime::offer(this);
            }
            runtime::Mode::Loop if self.attend() => return,
            runtime::Mode::Loop | runtime::Mode::Async => {}
        }
        let mut pipe = self.pipe();
        match pipe.reading.by {
            Reader::Nobody => self.to_driver(&mut pipe),
            Reader::Loop(_) => {
                // It may be busy with anything, and is not to keep others waiting.
                pipe.reading.loops_from = self.sys.now() + LOOP_PAUSE;
                self.to_driver(&mut pipe);
            }
            Reader::Driver | Reader::Leader => {}
        }
    }

    /// Gives those their turn who have just been answered, where the driver would look for the next answer
    /// instead of sleeping: the thread is theirs, too, and that of all else that the runtime has to do.
    pub(super) async fn let_others_go_first(&self) {
        // A simulator's link has no socket, and its runs are the same on every machine.
        if self.near.looks() && self.link.descriptor().is_some() {
            tokio::task::yield_now().await;
        }
    }

    /// Has the driver look for the next answer for a moment, where one is due and likely to come (see
    /// `runtime/eager.rs`): `Ok` where it did, an error where `nudged` came first, none where neither did.
    pub(super) fn look_on(&self, mut nudged: Pin<&mut Notified<'_>>) -> Option<Result<(), ()>> {
        let socket = self.link.descriptor()?;
        {
            let (now, pipe) = (self.sys.now(), self.pipe());
            // Whom waiters of ours wait for may need this processor.
            if pipe.due.is_empty() || pipe.reading.listening(now) {
                return None;
            }
        }
        let mut context = Context::from_waker(Waker::noop());
        let mut wanted = false;
        let seen = self.near.look(BootTime::NEVER, || {
            wanted = nudged.as_mut().poll(&mut context).is_ready();
            wanted || runtime::readable(socket)
        });
        seen.then_some(if wanted { Err(()) } else { Ok(()) })
    }

    /// Has this thread read for a moment, where the one answer due is its own; whether it may.
    fn begin_to_look(&self) -> bool {
        let now = self.sys.now();
        let mut pipe = self.pipe();
        if pipe.due.len() != 1 || pipe.reading.listening(now) || pipe.dead.is_some() {
            return false;
        }
        match &pipe.reading.by {
            Reader::Leader => return false,
            Reader::Loop(lead) if lead.is_home() => {
                pipe.reading.turns += 1;
                return true;
            }
            Reader::Driver => self.nudge.notify_one(),
            Reader::Nobody | Reader::Loop(_) => {}
        }
        pipe.reading.by = Reader::Leader;
        true
    }

    /// Has the event loop of this thread read, if nobody else waits for anything; whether it does.
    fn attend(self: &Arc<Self>) -> bool {
        let Some(here) = runtime::event_loop() else { return false };
        let now = self.sys.now();
        let socket = self.link.descriptor();
        let mut pipe = self.pipe();
        match &pipe.reading.by {
            Reader::Loop(lead) => return lead.is_of(&here),
            Reader::Leader => return false,
            Reader::Driver | Reader::Nobody => {}
        }
        let mine = pipe.due.len() <= 1 && !pipe.reading.listening_elsewhere(now);
        if !mine || now < pipe.reading.loops_from || pipe.dead.is_some() {
            return false;
        }
        let this: Weak<dyn runtime::Attended> = Arc::downgrade(self) as _;
        let Some(lead) = socket.and_then(|socket| here.lead(socket, this)) else { return false };
        let (driven, turns) = (pipe.reading.driven(), pipe.reading.turns);
        pipe.reading.by = Reader::Loop(lead);
        drop(pipe);
        if driven {
            self.nudge.notify_one();
        }
        self.sys.spawn(Box::pin(Arc::clone(self).oversee(here, turns)));
        true
    }

    /// Has the driver read on as soon as `here` does not any more.
    async fn oversee(self: Arc<Self>, here: Arc<runtime::EventLoop>, mut turns: u64) {
        loop {
            self.sys.sleep_until(self.sys.now() + LOOP_PATIENCE).await;
            let mut pipe = self.pipe();
            match &pipe.reading.by {
                Reader::Loop(lead) if lead.is_of(&here) => {}
                _ => return,
            }
            if pipe.reading.turns == turns {
                return self.to_driver(&mut pipe);
            }
            turns = pipe.reading.turns;
        }
    }

    /// Has the driver read.
    fn to_driver(&self, pipe: &mut Pipe) {
        pipe.reading.by = Reader::Driver;
        self.nudge.notify_one();
    }

    /// A waiter was told that it is queued: its grant will come without a request.
    pub(super) fn expect_push(self: &Arc<Self>) {
        let now = self.sys.now();
        {
            let mut pipe = self.pipe();
            pipe.reading.queued_at = Some(now);
            if runtime::mode() != runtime::Mode::Loop {
                pipe.reading.queued_elsewhere_at = Some(now);
            }
        }
        self.see_to();
    }

    /// What was written may have been too much for the socket.
    pub(super) fn after_write(&self, pipe: &mut Pipe) {
        if matches!(pipe.reading.by, Reader::Loop(_)) && self.link.descriptor().is_none() {
            // The rest is still to be written, which a loop does not look after.
            self.to_driver(pipe);
        }
    }
}

impl runtime::Source for Conn {
    fn lead(&self, parked: &runtime::Parked, until: BootTime) -> bool {
        let Some(socket) = self.link.descriptor() else { return false };
        {
            let now = self.sys.now();
            let mut pipe = self.pipe();
            if let Reader::Loop(_) = pipe.reading.by {
                // It may be busy with anything, also with waiting in this very thread.
                pipe.reading.loops_from = now + LOOP_PAUSE;
                self.to_driver(&mut pipe);
            }
            let mine = match pipe.reading.by {
                Reader::Nobody => true,
                Reader::Leader | Reader::Loop(_) => false,
                // Taken over from the driver only where the one due reply is this thread's.
                Reader::Driver => pipe.due.len() == 1 && !pipe.reading.listening(now),
            };
            if !mine || pipe.dead.is_some() {
                return false;
            }
            let driven = pipe.reading.driven();
            pipe.reading.by = Reader::Leader;
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
        self.pipe().reading.by = Reader::Nobody;
        true
    }

    fn is_near(&self) -> bool {
        self.near.looks()
    }

    fn glance(&self, parked: &runtime::Parked) -> bool {
        let Some(socket) = self.link.descriptor() else { return false };
        if !self.begin_to_look() {
            return false;
        }
        let seen = self.near.look(BootTime::NEVER, || {
            if runtime::readable(socket)
                && let Err(why) = self.pump()
            {
                self.end(why);
            }
            parked.is_woken()
        });
        let mut pipe = self.pipe();
        if let Reader::Leader = pipe.reading.by {
            pipe.reading.by = Reader::Nobody;
            // Of one that is still this thread's it says itself who reads it, when it is polled again.
            if pipe.due.len() > usize::from(!seen) {
                self.to_driver(&mut pipe);
            }
        }
        seen
    }

    fn leave(&self) {
        let more = {
            let now = self.sys.now();
            let mut pipe = self.pipe();
            let due = !pipe.due.is_empty() || pipe.reading.listening(now);
            let more = due && matches!(pipe.reading.by, Reader::Nobody);
            if more {
                pipe.reading.by = Reader::Driver;
            }
            more
        };
        if more {
            self.nudge.notify_one();
        }
    }
}

impl runtime::Attended for Conn {
    fn serve(&self) {
        self.pipe().reading.turns += 1;
        if let Err(why) = self.pump() {
            self.end(why);
        }
    }

    fn flush(&self) -> bool {
        self.send_gathered();
        !self.pipe().due.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, ready};
    use std::io::{self, Read, Write};
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::net::UnixStream;
    use std::pin::pin;
    use std::sync::mpsc::channel;
    use std::sync::{Barrier, Mutex};
    use std::task::{Context, Waker};

    use super::*;
    use crate::store::redis::link::{Link, Purpose};
    use crate::store::redis::resp::Value;
    use crate::sys::BoxFuture;

    /// A server that has answered already; something happens while its answer is read.
    struct Answered {
        socket: UnixStream,
        meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    }

    impl Link for Answered {
        fn send(&self, _: &[u8]) -> io::Result<()> {
            Ok(())
        }

        fn receive(&self, into: &mut Vec<u8>) -> io::Result<usize> {
            if let Some(meanwhile) = self.meanwhile.lock().unwrap().take() {
                meanwhile();
            }
            let mut bytes = [0; 64];
            let count = (&self.socket).read(&mut bytes)?;
            into.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn ready(&self) -> BoxFuture<'_, io::Result<()>> {
            Box::pin(ready(Ok(())))
        }

        fn descriptor(&self) -> Option<BorrowedFd<'_>> {
            Some(self.socket.as_fd())
        }

        fn close(&self) {}
    }

    /// A link, its other end, and a connection over it that knows that answers come soon.
    fn near_server() -> (Arc<Answered>, UnixStream, Arc<Conn>) {
        let (socket, server) = UnixStream::pair().unwrap();
        let link = Arc::new(Answered { socket, meanwhile: Mutex::default() });
        let sys = runtime::native_sys().unwrap();
        let conn = Arc::new(Conn::new(Arc::clone(&link) as _, Purpose::Requests, sys, None));
        (0..10).for_each(|_| conn.near.took(Duration::from_micros(1)));
        (link, server, conn)
    }

    #[test]
    fn the_driver_looks_for_what_is_due_unless_it_is_wanted_elsewhere() {
        let (_link, mut server, conn) = near_server();
        if !conn.near.looks() {
            // One processor.
            return;
        }
        let look = || conn.look_on(pin!(conn.nudge.notified()));
        server.write_all(b"+own\r\n").unwrap();
        assert_eq!(look(), None, "nothing is due");
        let mut reply = Box::pin(conn.request(b"own").value());
        assert_eq!(look(), Some(Ok(())));
        conn.nudge.notify_one();
        assert_eq!(look(), Some(Err(())));
        assert_eq!(look(), Some(Ok(())), "the nudge was taken");

        assert!(conn.pump().is_ok());
        assert!(reply.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        let soon = || (0..10).for_each(|_| conn.near.took(Duration::from_micros(1)));
        soon();
        drop(conn.request(b"next"));
        assert_eq!(look(), None, "nothing comes");
        assert!(!conn.near.looks(), "so it sleeps from now on");
        soon();
        server.write_all(b"+next\r\n").unwrap();
        assert_eq!(look(), Some(Ok(())));
        conn.expect_push();
        assert_eq!(look(), None, "who holds what a waiter of ours wants may need the processor");
    }

    #[test]
    fn who_looked_leaves_the_answers_of_others_to_the_driver() {
        let (link, mut server, conn) = near_server();
        server.write_all(b"+own\r\n").unwrap();
        if !conn.near.looks() {
            // One processor.
            return;
        }

        let (to, others) = channel();
        let (asks, asked) = (Arc::clone(&conn), Arc::new(Barrier::new(2)));
        *link.meanwhile.lock().unwrap() = Some(Box::new(move || {
            let asks_now = Arc::clone(&asked);
            let thread = crate::sys::thread("asks", move || {
                let mut reply = Box::pin(asks.request(b"other").value());
                let polled = reply.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                to.send((polled.is_pending(), reply)).unwrap();
                asks_now.wait();
            });
            thread.unwrap();
            asked.wait();
        }));

        let mut own = pin!(conn.request(b"own").value());
        assert!(runtime::poll_undecided(&mut own).is_pending());
        let came = runtime::glance(&mut own).expect("its answer was there").unwrap();
        assert_eq!(came, Value::Text(b"own".to_vec()));
        let (waits, _reply) = others.try_recv().expect("another asked meanwhile");
        assert!(waits);
        assert!(conn.pipe().reading.driven(), "or nobody reads what it is answered");
    }
}
