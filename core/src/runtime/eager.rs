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
/// So many looks in vain, and it sleeps at once until answers come soon again.
const CREDIT: u32 = 4;

/// What one thread has learnt.
#[derive(Debug, Default)]
pub(super) struct Eager(AtomicU32);

impl Eager {
    /// For how long to look before sleeping.
    pub(super) fn glance(&self) -> Option<Duration> {
        (self.0.load(Ordering::Relaxed) > 0 && several_processors()).then_some(GLANCE)
    }

    /// Something came while it looked, or nothing did.
    pub(super) fn looked(&self, seen: bool) {
        let credit = self.0.load(Ordering::Relaxed);
        self.0.store(if seen { CREDIT } else { credit.saturating_sub(1) }, Ordering::Relaxed);
    }

    /// It slept for so long.
    pub(super) fn slept(&self, span: Duration) {
        if span < SOON {
            let credit = self.0.load(Ordering::Relaxed);
            self.0.store((credit + 1).min(CREDIT), Ordering::Relaxed);
        }
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
        assert!(!looks(), "nothing is known yet");
        eager.slept(Duration::from_millis(2));
        assert!(!looks(), "a server far away");
        eager.slept(Duration::from_micros(40));
        assert_eq!(looks(), several_processors());
        eager.looked(true);
        for _ in 0..CREDIT {
            assert_eq!(looks(), several_processors());
            eager.looked(false);
        }
        assert!(!looks(), "it looked in vain");
    }
}
