//! The proxy's thread: it alone owns listener and connections, waits for all of them at once, and
//! carries out what the test orders in between.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use leasehold::sys::{BootClock, BootTime, Clock};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_linger;

use super::link::Link;
use super::rules::Rules;
use super::{Direction, Flow, Stats, Which};

/// On loopback a connection takes no time, unless the server's queue of them is full.
const CONNECT: Duration = Duration::from_secs(5);

/// What one read takes at most.
const READ: usize = 64 * 1024;

pub(super) type Order = Box<dyn FnOnce(&mut Engine) + Send>;

/// Rings when something happened; the number tells whether it rang meanwhile.
#[derive(Debug, Default)]
pub(super) struct Bell {
    pub(super) rung: Mutex<u64>,
    pub(super) condition: Condvar,
}

pub(super) struct Engine {
    port: u16,
    target: SocketAddr,
    listener: Option<TcpListener>,
    wake: UnixStream,
    orders: Receiver<Order>,
    bell: Arc<Bell>,
    pub(super) rules: Rules,
    links: BTreeMap<u64, Link>,
    accepted: u64,
    unreachable: u64,
    cut: u64,
    /// Of connections that are no more.
    past: [Flow; 2],
    changed: bool,
    stopped: bool,
}

/// What a socket was waited for.
#[derive(Clone, Copy)]
enum Token {
    Wake,
    Listener,
    /// The end of that link that sends in that direction.
    End(u64, Direction),
}

impl Engine {
    pub(super) fn new(
        listener: TcpListener,
        port: u16,
        target: SocketAddr,
        wake: UnixStream,
        orders: Receiver<Order>,
        bell: Arc<Bell>,
    ) -> Self {
        Self {
            port,
            target,
            listener: Some(listener),
            wake,
            orders,
            bell,
            rules: Rules::default(),
            links: BTreeMap::new(),
            accepted: 0,
            unreachable: 0,
            cut: 0,
            past: [Flow::default(); 2],
            changed: false,
            stopped: false,
        }
    }

    /// Works until it is told to stop.
    pub(super) fn run(mut self) {
        let mut buffer = vec![0; READ];
        while !self.stopped {
            for token in self.wait() {
                match token {
                    Token::Wake => self.obey(),
                    Token::Listener => self.accept(),
                    Token::End(number, direction) => {
                        let link = self.links.get_mut(&number).expect("it was waited for");
                        let now = BootClock.now();
                        self.changed |= link.read(direction, &mut buffer, &mut self.rules, now);
                    }
                }
            }
            self.advance();
            if std::mem::take(&mut self.changed) {
                *self.bell.rung.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                self.bell.condition.notify_all();
            }
        }
    }

    /// Waits until something can be read, or something that waits can go on.
    fn wait(&self) -> Vec<Token> {
        let now = BootClock.now();
        let mut tokens = vec![Token::Wake];
        let mut sockets = vec![PollFd::new(&self.wake, PollFlags::IN)];
        if let Some(listener) = &self.listener {
            tokens.push(Token::Listener);
            sockets.push(PollFd::new(listener, PollFlags::IN));
        }
        let mut soonest: Option<BootTime> = None;
        for (number, link) in &self.links {
            for direction in Direction::BOTH {
                if let Some(Some(due)) = link.pipe(direction).due()
                    && due > now
                {
                    soonest = Some(soonest.map_or(due, |soonest| soonest.min(due)));
                }
                let Some(end) = link.sender(direction) else { continue };
                let mut flags = PollFlags::empty();
                if link.pipe(direction).takes_more() {
                    flags |= PollFlags::IN;
                }
                if link.pipe(direction.back()).is_due(now) {
                    flags |= PollFlags::OUT;
                }
                // One that wants nothing is left out: its end would be reported again and again.
                if !flags.is_empty() {
                    tokens.push(Token::End(*number, direction));
                    sockets.push(PollFd::new(end, flags));
                }
            }
        }
        let span =
            soonest.map(|soonest| Timespec::try_from(soonest - now).expect("a span of seconds"));
        match poll(&mut sockets, span.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("the proxy can't wait: {error}"),
        }
        // Who can only be written to now is served by `advance`.
        let readable = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        let ready = |(token, socket): (Token, &PollFd<'_>)| {
            socket.revents().intersects(readable).then_some(token)
        };
        tokens.into_iter().zip(&sockets).filter_map(ready).collect()
    }

    fn obey(&mut self) {
        // Emptied before the orders are taken: one that comes in between rings again.
        while matches!(self.wake.read(&mut [0; 64]), Ok(count) if count > 0) {}
        while let Ok(order) = self.orders.try_recv() {
            // Who is connected in the client's eyes has to be so in ours.
            self.accept();
            order(self);
        }
    }

    fn accept(&mut self) {
        while let Some(Ok((client, _))) = self.listener.as_ref().map(TcpListener::accept) {
            self.accepted += 1;
            self.changed = true;
            let server = TcpStream::connect_timeout(&self.target, CONNECT);
            let server = server.and_then(|server| {
                server.set_nonblocking(true)?;
                server.set_nodelay(true)?;
                Ok(server)
            });
            let Ok(server) = server else {
                self.unreachable += 1;
                let _ = set_socket_linger(&client, Some(Duration::ZERO));
                continue;
            };
            let set = client.set_nonblocking(true).and_then(|()| client.set_nodelay(true));
            set.expect("an accepted connection");
            self.links.insert(self.accepted, Link::new(self.accepted, client, server));
        }
    }

    fn advance(&mut self) {
        let now = BootClock.now();
        for link in self.links.values_mut() {
            while link.advance(&mut self.rules, now) {
                self.changed = true;
            }
        }
        for (_, link) in self.links.extract_if(.., |_, link| link.is_over()) {
            self.changed = true;
            self.cut += u64::from(link.cut);
            for direction in Direction::BOTH {
                self.past[direction.index()] += link.flow(direction);
            }
        }
    }

    /// Lets a change of the rules work on what is held.
    pub(super) fn refault(&mut self) {
        let now = BootClock.now();
        for link in self.links.values_mut() {
            link.refault(&self.rules, now);
        }
        self.changed = true;
    }

    /// Does something to the connections that are meant.
    pub(super) fn each(&mut self, which: &Which, mut body: impl FnMut(&mut Link, &mut Rules)) {
        for link in self.links.values_mut().filter(|link| link.is(which)) {
            body(link, &mut self.rules);
        }
        self.changed = true;
    }

    pub(super) fn set_target(&mut self, target: SocketAddr) {
        self.target = target;
    }

    pub(super) fn target(&self) -> SocketAddr {
        self.target
    }

    pub(super) fn refuse(&mut self) {
        self.listener = None;
    }

    pub(super) fn listen(&mut self) -> std::io::Result<()> {
        if self.listener.is_none() {
            self.listener = Some(listen(self.port)?);
        }
        Ok(())
    }

    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    pub(super) fn stats(&self) -> Stats {
        let links = self.links.iter().map(|(number, link)| (*number, link.stats())).collect();
        let cut = self.cut + self.links.values().map(|link| u64::from(link.cut)).sum::<u64>();
        let [mut to_server, mut to_client] = self.past;
        for link in self.links.values() {
            to_server += link.flow(Direction::ToServer);
            to_client += link.flow(Direction::ToClient);
        }
        let (accepted, unreachable) = (self.accepted, self.unreachable);
        let sprung = self.rules.sprung();
        Stats { accepted, unreachable, cut, to_server, to_client, links, sprung }
    }
}

pub(super) fn listen(port: u16) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
