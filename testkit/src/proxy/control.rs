//! What a test does to the network.

use std::fmt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::engine::{Bell, Engine, Order, listen};
use super::rules::LONGEST;
use super::{Action, Direction, Fault, Stats, Which};
use crate::server::ports::free_port;

/// A wait that takes longer is for something that never comes.
const HANG: Duration = Duration::from_secs(60);
const TRIES: u32 = 20;

/// A proxy on a port of its own. Its connections end with it.
pub struct Proxy {
    port: u16,
    wake: UnixStream,
    orders: Sender<Order>,
    bell: Arc<Bell>,
    // In a mutex so that threads may share the proxy.
    ended: Mutex<Receiver<()>>,
}

impl Proxy {
    /// One in front of `target`.
    ///
    /// # Panics
    /// Where no port is to be had.
    #[must_use]
    pub fn start(target: SocketAddr) -> Self {
        let (listener, port) = (0..TRIES)
            .find_map(|_| {
                let port = free_port();
                listen(port).ok().map(|listener| (listener, port))
            })
            .expect("a free port");
        let (wake, woken) = UnixStream::pair().expect("a pair of sockets");
        for end in [&wake, &woken] {
            end.set_nonblocking(true).expect("a socket");
        }
        let (orders, received) = channel();
        let (alive, ended) = channel();
        let bell = Arc::<Bell>::default();
        let engine = Engine::new(listener, port, target, woken, received, Arc::clone(&bell));
        leasehold::sys::thread("proxy", move || {
            let _alive: Sender<()> = alive;
            engine.run();
        })
        .expect("a thread");
        Self { port, wake, orders, bell, ended: Mutex::new(ended) }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// `url` with its port in place of the server's.
    ///
    /// # Panics
    /// Where the URL has no port.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        let (front, _) = url.rsplit_once(':').expect("a URL that ends in a port");
        format!("{front}:{}", self.port)
    }

    /// Puts a fault into force, for connections that are and that come. Where several fit one, the
    /// last that was set is in force; one for [`Which::All`] takes the place of all before it, that
    /// way. What is held and no longer has to be, goes on.
    pub fn set(&self, which: Which, direction: Direction, fault: Fault) {
        self.order(move |engine| {
            engine.rules.set(which, direction, fault);
            engine.refault();
        });
    }

    /// Both ways, for all.
    pub fn set_all(&self, fault: Fault) {
        for direction in Direction::BOTH {
            self.set(Which::All, direction, fault);
        }
    }

    /// Ends all faults and traps; what is held goes on, what lost bytes is reset, and new connections
    /// are let in.
    ///
    /// # Panics
    /// Where its port was taken meanwhile.
    pub fn heal(&self) {
        self.order(|engine| engine.rules.disarm());
        self.admit();
        self.set_all(Fault::Pass);
    }

    /// Sets a trap: the next `times` that `pattern` passes in this direction, `action` happens. The
    /// trap's number is for [`Stats::sprung`].
    ///
    /// # Panics
    /// Where the pattern is empty or longer than 256 bytes, or the action doesn't fit the direction.
    #[must_use]
    pub fn trap(
        &self,
        direction: Direction,
        pattern: impl AsRef<[u8]>,
        action: Action,
        times: u64,
    ) -> u64 {
        let pattern = pattern.as_ref().to_owned();
        assert!(!pattern.is_empty() && pattern.len() <= LONGEST && times > 0, "not a trap");
        let fits = action != Action::DropReply || direction == Direction::ToServer;
        assert!(fits, "only a request has a reply");
        self.order(move |engine| engine.rules.set_trap(direction, pattern, action, times))
    }

    /// Ends connections at once: both sides see a reset. Requests that are held stay, for
    /// [`Self::replay`].
    pub fn reset(&self, which: Which) {
        self.order(move |engine| engine.each(&which, |link, _| link.reset()));
    }

    /// Leaves connections half open: the client sees a reset, and the server nothing at all until
    /// [`Self::heal`].
    pub fn sever(&self, which: Which) {
        self.order(move |engine| engine.each(&which, |link, rules| link.sever(rules)));
    }

    /// Refuses new connections: nobody listens.
    pub fn refuse(&self) {
        self.order(Engine::refuse);
    }

    /// Lets new connections in again.
    ///
    /// # Panics
    /// Where its port was taken meanwhile.
    pub fn admit(&self) {
        self.order(Engine::listen).expect("its port is free");
    }

    /// Leads new connections to another server.
    pub fn set_target(&self, target: SocketAddr) {
        self.order(move |engine| engine.set_target(target));
    }

    /// Sends what is held for the server over fresh connections, one for each that it came from,
    /// whether or not that still is; what the server answered to each.
    ///
    /// # Panics
    /// Where the server can't be reached or never ends its answer.
    #[must_use]
    pub fn replay(&self, which: Which) -> Vec<Vec<u8>> {
        let (target, all) = self.order(move |engine| {
            let mut all = Vec::new();
            engine.each(&which, |link, _| all.push(link.take_held()));
            (engine.target(), all)
        });
        let answer = |held: &Vec<u8>| -> std::io::Result<Vec<u8>> {
            let mut server = TcpStream::connect_timeout(&target, HANG)?;
            server.set_read_timeout(Some(HANG))?;
            server.write_all(held)?;
            // It answers all, and then sees our end.
            server.shutdown(Shutdown::Write)?;
            let mut answer = Vec::new();
            server.read_to_end(&mut answer)?;
            Ok(answer)
        };
        let held = all.iter().filter(|held| !held.is_empty());
        held.map(|held| answer(held).expect("an answer to the replay")).collect()
    }

    /// What it saw so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.order(|engine| engine.stats())
    }

    /// Waits until what it saw is such.
    ///
    /// # Panics
    /// Where that never comes.
    pub fn wait_for(&self, is_such: impl Fn(&Stats) -> bool) -> Stats {
        let rung = || self.bell.rung.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // Before the look: what happens after it rings again.
            let before = *rung();
            let stats = self.stats();
            if is_such(&stats) {
                return stats;
            }
            let waited = self.bell.condition.wait_timeout_while(rung(), HANG, |now| *now == before);
            let waited = waited.unwrap_or_else(PoisonError::into_inner).1;
            assert!(!waited.timed_out(), "this never came; the proxy saw {stats:#?}");
        }
    }

    /// Has the proxy's thread do it, and waits until it has.
    fn order<T: Send + 'static>(&self, body: impl FnOnce(&mut Engine) -> T + Send + 'static) -> T {
        let (done, answer) = channel();
        let order: Order = Box::new(move |engine| {
            let _ = done.send(body(engine));
        });
        self.orders.send(order).expect("the proxy's thread lives");
        // Full of earlier calls is as good.
        let _ = (&self.wake).write(&[0]);
        answer.recv().expect("the proxy's thread lives")
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Proxy({})", self.port)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let order: Order = Box::new(Engine::stop);
        if self.orders.send(order).is_ok() {
            let _ = (&self.wake).write(&[0]);
            // Until its port and connections are gone.
            let _ = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner).recv();
        }
    }
}
