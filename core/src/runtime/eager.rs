//! Whether a thread that waits for a server looks again and again for a moment, or sleeps at once.
//!
//! To be woken costs as much as a server on the same host takes to answer, so a thread that would be woken
//! at once had better not sleep (competitive spinning: Karlin, Li, Manasse and Owicki, SOSP 1991). The
//! traps: a server across a network never answers in that time, and on a busy machine or one processor
//! the one who looks keeps the server from running. So it is learnt from how long answers take, and a
//! processor is needed for each side.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::sys::{BootClock, BootTime, Clock};

/// For how long a thread looks: about what it takes to be woken.
const GLANCE: Duration = Duration::from_micros(50);
/// An answer that came so soon, the waking of who slept included, would have been seen.
const SOON: Duration = Duration::from_micros(90);
/// So many answers in a row must have come soon before a thread looks for the next; one look in vain, and
/// it sleeps at once until so many have again.
const IN_A_ROW: u32 = 4;

/// What one thread has learnt, or was learnt of one server.
#[derive(Debug, Default)]
pub(crate) struct Eager(AtomicU32);

impl Eager {
    /// Whether it would look before it sleeps.
    pub(crate) fn looks(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= IN_A_ROW && several_processors()
    }

    /// Looks for a moment, at most until `until`, where that is likely to be enough; whether it was.
    pub(crate) fn look(&self, until: BootTime, mut came: impl FnMut() -> bool) -> bool {
        if !self.looks() {
            return false;
        }
        let end = until.min(BootClock.now() + GLANCE);
        let mut seen = came();
        while !seen && BootClock.now() < end {
            seen = came();
        }
        if !seen {
            self.0.store(0, Ordering::Relaxed);
        }
        seen
    }

    /// An answer took so long, or the sleep until it.
    pub(crate) fn took(&self, span: Duration) {
        let in_a_row = if span < SOON { self.0.load(Ordering::Relaxed) + 1 } else { 0 };
        self.0.store(in_a_row.min(IN_A_ROW), Ordering::Relaxed);
    }
}

fn several_processors() -> bool {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from)) > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_where_answers_come_soon() {
        let eager = Eager::default();
        let looks = || eager.looks();
        let soon = |times| (0..times).for_each(|_| eager.took(Duration::from_micros(40)));
        assert!(!looks(), "nothing is known yet");
        soon(IN_A_ROW - 1);
        assert!(!looks(), "too little is known");
        eager.took(Duration::from_millis(2));
        soon(1);
        assert!(!looks(), "a server far away, or a busy machine");
        soon(IN_A_ROW);
        assert_eq!(eager.look(BootTime::NEVER, || true), several_processors());
        assert_eq!(looks(), several_processors());
        assert!(!eager.look(BootTime::NEVER, || false));
        assert!(!looks(), "it looked in vain");
    }
}
