//! One direction of one connection: what is on its way, what is held, and how it ended.

use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::net::TcpStream;

use leasehold::sys::BootTime;

use super::Flow;
use super::rules::LONGEST;

/// No more is read from a sender whose receiver lags so far behind.
const FULL: usize = 4 * 1024 * 1024;

/// How the sender left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Open,
    Ended,
    Reset,
}

#[derive(Debug)]
pub(super) struct Pipe {
    queue: VecDeque<Chunk>,
    queued: usize,
    pub(super) held: Vec<u8>,
    /// The last bytes that were looked at for a pattern.
    pub(super) tail: Vec<u8>,
    pub(super) source: Source,
    /// The receiver was told the end.
    pub(super) told: bool,
    /// Of the rule so named, so many bytes are left until the cut.
    pub(super) left: Option<(u64, u64)>,
    /// Bytes vanished in a black hole.
    pub(super) torn: bool,
    pub(super) flow: Flow,
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    written: usize,
    due: Option<BootTime>,
}

impl Pipe {
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            queued: 0,
            held: Vec::new(),
            tail: Vec::new(),
            source: Source::Open,
            told: false,
            left: None,
            torn: false,
            flow: Flow::default(),
        }
    }

    /// Puts bytes on their way.
    pub(super) fn send(&mut self, bytes: Vec<u8>, due: Option<BootTime>) {
        if !bytes.is_empty() {
            self.queued += bytes.len();
            self.queue.push_back(Chunk { bytes, written: 0, due });
        }
    }

    pub(super) fn hold(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        self.flow.held = self.held.len() as u64;
    }

    pub(super) fn take_held(&mut self) -> Vec<u8> {
        self.flow.held = 0;
        std::mem::take(&mut self.held)
    }

    pub(super) fn swallow(&mut self, count: usize) {
        self.flow.swallowed += count as u64;
    }

    /// The receiver is gone: what was on its way vanishes.
    pub(super) fn discard(&mut self) {
        self.swallow(self.queued);
        self.queue.clear();
        self.queued = 0;
    }

    /// Keeps the end of what passed.
    pub(super) fn remember(&mut self, seen: &[u8]) {
        self.tail = seen[seen.len().saturating_sub(LONGEST)..].to_vec();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn takes_more(&self) -> bool {
        self.source == Source::Open && self.queued < FULL
    }

    /// When the next bytes go on, if any wait; `None` within for at once.
    pub(super) fn due(&self) -> Option<Option<BootTime>> {
        self.queue.front().map(|chunk| chunk.due)
    }

    pub(super) fn is_due(&self, now: BootTime) -> bool {
        self.due().is_some_and(|due| due.is_none_or(|due| due <= now))
    }

    /// Writes what is due, as far as the receiver takes it; whether anything was written.
    ///
    /// # Errors
    /// Where the receiver is gone.
    pub(super) fn flush(&mut self, to: &mut TcpStream, now: BootTime) -> Result<bool, ()> {
        let mut wrote = false;
        while self.is_due(now) {
            let chunk = self.queue.front_mut().expect("it is due");
            match to.write(&chunk.bytes[chunk.written..]) {
                Ok(0) => return Err(()),
                Ok(count) => {
                    wrote = true;
                    chunk.written += count;
                    self.flow.delivered += count as u64;
                    self.queued -= count;
                    if chunk.written == chunk.bytes.len() {
                        self.queue.pop_front();
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(()),
            }
        }
        Ok(wrote)
    }
}
