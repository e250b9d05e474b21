//! One connection through the proxy: a client's end, a server's end, and the two ways between.

use std::io::{ErrorKind, Read};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use leasehold::sys::BootTime;
use rustix::net::sockopt::set_socket_linger;

use super::fault::HEAD;
use super::pipe::{Pipe, Source};
use super::rules::Rules;
use super::{Action, Direction, Fault, Flow, LinkStats, Which};

#[derive(Debug)]
pub(super) struct Link {
    number: u64,
    /// By the direction that it is the sender of: the client's end, then the server's.
    ends: [Option<TcpStream>; 2],
    pipes: [Pipe; 2],
    /// The client's first bytes.
    head: Vec<u8>,
    /// The trap that wants the next answer dropped, and whether some of that came.
    dropping: Option<(u64, bool)>,
    /// A fault ended it.
    pub(super) cut: bool,
}

impl Link {
    pub(super) fn new(number: u64, client: TcpStream, server: TcpStream) -> Self {
        let ends = [Some(client), Some(server)];
        let pipes = [Pipe::new(), Pipe::new()];
        Self { number, ends, pipes, head: Vec::new(), dropping: None, cut: false }
    }

    /// The end that sends in this direction.
    pub(super) fn sender(&self, direction: Direction) -> Option<&TcpStream> {
        self.ends[direction.index()].as_ref()
    }

    pub(super) fn pipe(&self, direction: Direction) -> &Pipe {
        &self.pipes[direction.index()]
    }

    pub(super) fn is(&self, which: &Which) -> bool {
        which.has(self.number, &self.head)
    }

    pub(super) fn stats(&self) -> LinkStats {
        let [to_server, to_client] = [self.pipes[0].flow, self.pipes[1].flow];
        let is_there = |direction: Direction| {
            self.sender(direction).is_some() && self.pipe(direction).source == Source::Open
        };
        let (client, server) = (is_there(Direction::ToServer), is_there(Direction::ToClient));
        LinkStats { client, server, to_server, to_client }
    }

    /// Whether nothing more can come of it.
    pub(super) fn is_over(&self) -> bool {
        let over = |direction: Direction| {
            let pipe = self.pipe(direction);
            pipe.told || self.sender(direction.back()).is_none()
        };
        let none_left = self.ends.iter().all(Option::is_none);
        let over = none_left || Direction::BOTH.into_iter().all(over);
        // Held requests outlive both ends: they can still reach a server.
        over && self.pipes[0].held.is_empty()
    }

    /// Reads once what `direction`'s sender sent; whether that changed anything.
    pub(super) fn read(
        &mut self,
        direction: Direction,
        buffer: &mut [u8],
        rules: &mut Rules,
        now: BootTime,
    ) -> bool {
        let Some(end) = self.ends[direction.index()].as_mut() else { return false };
        match end.read(buffer) {
            Ok(0) => self.pipes[direction.index()].source = Source::Ended,
            Ok(count) => self.arrived(direction, buffer[..count].to_vec(), rules, now),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return false;
            }
            Err(_) => self.lose(direction),
        }
        true
    }

    fn arrived(&mut self, direction: Direction, bytes: Vec<u8>, rules: &mut Rules, now: BootTime) {
        let pipe = &mut self.pipes[direction.index()];
        pipe.flow.arrived += bytes.len() as u64;
        if direction == Direction::ToServer && self.head.len() < HEAD {
            self.head.extend(bytes.iter().take(HEAD - self.head.len()));
        }
        if direction == Direction::ToClient
            && let Some((_, some)) = &mut self.dropping
        {
            *some = true;
            pipe.swallow(bytes.len());
            // What the client asked goes on; then the server learns that it is gone, carries out
            // what it has, and closes.
            let request = &mut self.pipes[Direction::ToServer.index()];
            request.source = Source::Ended;
            return;
        }
        let old = pipe.tail.len();
        let mut seen = std::mem::take(&mut pipe.tail);
        seen.extend_from_slice(&bytes);
        let trap = rules.trap(direction, &seen, old);
        pipe.remember(&seen);
        if let Some((id, action)) = trap {
            let fault = match action {
                Action::Note => None,
                Action::Cut => {
                    pipe.swallow(bytes.len());
                    rules.done(id);
                    return self.reset();
                }
                Action::DropReply => {
                    self.dropping = Some((id, false));
                    return self.deliver(direction, bytes, rules, now);
                }
                Action::Hold => Some(Fault::Hold),
                Action::BlackHole => Some(Fault::BlackHole),
            };
            rules.done(id);
            if let Some(fault) = fault {
                rules.set(Which::Number(self.number), direction, fault);
            }
        }
        self.deliver(direction, bytes, rules, now);
    }

    /// Lets bytes meet the fault that is in force.
    fn deliver(&mut self, direction: Direction, mut bytes: Vec<u8>, rules: &Rules, now: BootTime) {
        let (rule, fault) = rules.fault(self.number, &self.head, direction);
        // What is held of a stream whose beginning was replayed elsewhere is of no use.
        let fault = if self.pipe(direction).torn { Fault::BlackHole } else { fault };
        let gone = self.sender(direction.back()).is_none();
        let pipe = &mut self.pipes[direction.index()];
        match fault {
            Fault::Hold => pipe.hold(&bytes),
            _ if gone => pipe.swallow(bytes.len()),
            Fault::BlackHole => {
                pipe.swallow(bytes.len());
                pipe.torn = true;
            }
            // Nothing overtakes what is held, also where the choice of connections falls another way
            // by now.
            _ if !pipe.held.is_empty() => pipe.hold(&bytes),
            Fault::Pass => pipe.send(bytes, None),
            Fault::Delay(span) => pipe.send(bytes, Some(now + span)),
            Fault::CutAfter(count) => {
                let left = match pipe.left {
                    Some((of, left)) if of == rule => left,
                    _ => count,
                };
                let pass = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                pipe.swallow(bytes.len() - pass);
                pipe.torn |= pass < bytes.len();
                bytes.truncate(pass);
                pipe.send(bytes, None);
                pipe.left = Some((rule, left - pass as u64));
            }
        }
    }

    /// Lets what is held go, where the faults no longer hold it. A stream never goes on without its
    /// middle: where the fault ends that took some of it, the connection is reset.
    pub(super) fn refault(&mut self, rules: &Rules, now: BootTime) {
        for direction in Direction::BOTH {
            let (rule, fault) = rules.fault(self.number, &self.head, direction);
            let cutting = self.pipe(direction).left == Some((rule, 0));
            if fault != Fault::BlackHole && !cutting && self.pipe(direction).torn {
                return self.reset();
            }
            if fault != Fault::Hold && !self.pipe(direction).held.is_empty() {
                let held = self.pipes[direction.index()].take_held();
                self.deliver(direction, held, rules, now);
            }
        }
    }

    /// Writes what is due and tells ends that came; whether that changed anything.
    pub(super) fn advance(&mut self, rules: &mut Rules, now: BootTime) -> bool {
        let mut changed = false;
        for direction in Direction::BOTH {
            let pipe = &mut self.pipes[direction.index()];
            if let Some(end) = self.ends[direction.back().index()].as_mut() {
                match pipe.flush(end, now) {
                    Ok(wrote) => changed |= wrote,
                    Err(()) => {
                        self.lose(direction.back());
                        changed = true;
                    }
                }
            }
        }
        for direction in Direction::BOTH {
            changed |= self.conclude(direction, rules);
        }
        changed
    }

    /// Tells the receiver that the sender is gone, once all that goes before has gone.
    fn conclude(&mut self, direction: Direction, rules: &mut Rules) -> bool {
        let pipe = &self.pipes[direction.index()];
        if !pipe.is_empty() || pipe.told {
            return false;
        }
        let (rule, fault) = rules.fault(self.number, &self.head, direction);
        if matches!(fault, Fault::CutAfter(_)) && pipe.left == Some((rule, 0)) {
            // In order for the receiver, who would otherwise lose bytes that it has not read.
            if let Some(end) = self.ends[direction.back().index()].take() {
                let _ = end.shutdown(Shutdown::Write);
            }
            self.reset();
            return true;
        }
        if let Some((trap, true)) = self.dropping
            && direction == Direction::ToClient
            && pipe.source != Source::Open
        {
            rules.done(trap);
            self.reset();
            return true;
        }
        let stuck = matches!(fault, Fault::Hold | Fault::BlackHole) || !pipe.held.is_empty();
        if pipe.source == Source::Open || stuck {
            return false;
        }
        let reset = pipe.source == Source::Reset;
        self.pipes[direction.index()].told = true;
        match &self.ends[direction.back().index()] {
            Some(_) if reset => {
                self.abort(direction.back());
            }
            Some(end) => {
                let _ = end.shutdown(Shutdown::Write);
            }
            None => {}
        }
        true
    }

    /// The end that sends in this direction is gone, by its own doing.
    fn lose(&mut self, direction: Direction) {
        self.ends[direction.index()] = None;
        self.pipes[direction.back().index()].discard();
        let pipe = &mut self.pipes[direction.index()];
        if pipe.source == Source::Open {
            // What it sent before goes first, which a reset could overtake.
            let clean = pipe.is_empty() && pipe.held.is_empty();
            pipe.source = if clean { Source::Reset } else { Source::Ended };
        }
    }

    /// Both ends see a reset; what is held for the server stays, for a replay.
    pub(super) fn reset(&mut self) {
        self.cut = true;
        for direction in Direction::BOTH {
            self.abort(direction);
            let pipe = &mut self.pipes[direction.index()];
            (pipe.source, pipe.told) = (Source::Ended, true);
        }
        let answers = &mut self.pipes[Direction::ToClient.index()];
        let held = answers.take_held().len();
        answers.swallow(held);
    }

    /// The client sees a reset, and the server nothing.
    pub(super) fn sever(&mut self, rules: &mut Rules) {
        self.cut = true;
        rules.set(Which::Number(self.number), Direction::ToServer, Fault::Hold);
        self.abort(Direction::ToServer);
        self.pipes[Direction::ToServer.index()].source = Source::Ended;
    }

    /// Closes the end that sends in this direction, so that who is there sees a reset.
    fn abort(&mut self, direction: Direction) {
        if let Some(end) = self.ends[direction.index()].take() {
            let _ = set_socket_linger(&end, Some(Duration::ZERO));
        }
        self.pipes[direction.back().index()].discard();
    }

    /// Takes what is held for the server.
    pub(super) fn take_held(&mut self) -> Vec<u8> {
        let pipe = &mut self.pipes[Direction::ToServer.index()];
        pipe.torn |= !pipe.held.is_empty();
        pipe.take_held()
    }

    pub(super) fn flow(&self, direction: Direction) -> Flow {
        self.pipe(direction).flow
    }
}
