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

/// For how long a thread looks: about what it takes to be woken.
const GLANCE: Duration = Duration::from_micros(50);
/// An answer that woke a thread so soon would have been seen.
const SOON: Duration = Duration::from_micros(90);
/// So many answers in a row must have come soon before a thread looks for the next; one look in vain, and
/// it sleeps at once until so many have again.
const IN_A_ROW: u32 = 4;

/// What one thread has learnt.
#[derive(Debug, Default)]
pub(super) struct Eager(AtomicU32);

impl Eager {
    /// For how long to look before sleeping.
    pub(super) fn glance(&self) -> Option<Duration> {
        (self.0.load(Ordering::Relaxed) >= IN_A_ROW && several_processors()).then_some(GLANCE)
    }

    /// Something came while it looked, or nothing did.
    pub(super) fn looked(&self, seen: bool) {
        if !seen {
            self.0.store(0, Ordering::Relaxed);
        }
    }

    /// It slept for so long.
    pub(super) fn slept(&self, span: Duration) {
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
        let looks = || eager.glance().is_some();
        let soon = |times| (0..times).for_each(|_| eager.slept(Duration::from_micros(40)));
        assert!(!looks(), "nothing is known yet");
        soon(IN_A_ROW - 1);
        assert!(!looks(), "too little is known");
        eager.slept(Duration::from_millis(2));
        soon(1);
        assert!(!looks(), "a server far away, or a busy machine");
        soon(IN_A_ROW);
        eager.looked(true);
        assert_eq!(looks(), several_processors());
        eager.looked(false);
        assert!(!looks(), "it looked in vain");
    }
}
