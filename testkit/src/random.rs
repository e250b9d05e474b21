//! Randomness from a seed, so that a failing run can be played again.
//!
//! Not for secrets: the generator is SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), small and whole.

use std::sync::atomic::{AtomicU64, Ordering};

use leasehold::sys::Randomness;

/// A generator with a seed. Each call draws on: two tokens of one generator never agree.
#[derive(Debug)]
pub struct SeededRandom(AtomicU64);

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl SeededRandom {
    /// A generator that repeats itself for the same `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// The next 64 bits.
    pub fn next(&self) -> u64 {
        let mut z = self.0.fetch_add(GOLDEN, Ordering::Relaxed).wrapping_add(GOLDEN);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

impl Randomness for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let bits = self.next().to_le_bytes();
            chunk.copy_from_slice(&bits[..chunk.len()]);
        }
    }
}
