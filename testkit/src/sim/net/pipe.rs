//! One direction of a connection: what is under way in it, in order.

use std::collections::VecDeque;

/// Something under way.
#[derive(Debug)]
pub(super) enum Item {
    /// Bytes, and when they were sent.
    Bytes(Vec<u8>, u64),
    /// The sender closed.
    Close,
    /// The connection was reset.
    Reset,
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    items: VecDeque<(u64, Item)>,
    last: u64,
    stalled_until: u64,
}

impl Pipe {
    /// Puts `item` in, to arrive at `at` but after all before it. When it will.
    pub(super) fn put(&mut self, at: u64, item: Item) -> u64 {
        self.last = self.last.max(at);
        self.items.push_back((self.last, item));
        self.last.max(self.stalled_until)
    }

    /// Lets nothing arrive until then.
    pub(super) fn stall(&mut self, until: u64) {
        self.stalled_until = self.stalled_until.max(until);
    }

    /// Lets everything arrive in its time again.
    pub(super) fn heal(&mut self) {
        self.stalled_until = 0;
    }

    /// Loses what is under way.
    pub(super) fn clear(&mut self) {
        self.items.clear();
    }

    /// What has arrived at `now`.
    pub(super) fn take(&mut self, now: u64) -> Option<Item> {
        if self.next()? > now {
            return None;
        }
        self.items.pop_front().map(|(_, item)| item)
    }

    /// When the next thing arrives.
    pub(super) fn next(&self) -> Option<u64> {
        self.items.front().map(|(at, _)| (*at).max(self.stalled_until))
    }

    /// The bytes under way.
    pub(super) fn bytes(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.items.iter().filter_map(|(_, item)| match item {
            Item::Bytes(bytes, _) => Some(bytes),
            _ => None,
        })
    }
}
