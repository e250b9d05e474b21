//! A hash map for keys that this process made: numbers that it counted and tokens that it drew.
//!
//! The standard map hashes so that nobody who chooses keys can have them collide, and each call looks
//! into half a dozen maps. These keys nobody chooses: a multiplication spreads them. The trap is a key that
//! comes from outside, such as a name; that belongs in a standard map.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map by keys of our own.
pub type OwnMap<K, V> = HashMap<K, V, BuildHasherDefault<OwnHasher>>;

/// Multiplies (Fibonacci hashing; Knuth, The Art of Computer Programming 3, 6.4).
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnHasher(u64);

impl Hasher for OwnHasher {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        // Turned, so that each word moves all bits of those before it.
        self.0 = (self.0.rotate_left(26) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        // The map takes the lowest bits for the place, which a multiplication mixes least.
        self.0.rotate_left(26)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;
    use crate::sys::Token;

    /// Keys that differ little must not share places.
    #[test]
    fn keys_are_spread() {
        let build = BuildHasherDefault::<OwnHasher>::default();
        let crowded = |hashes: Vec<u64>| {
            let mut places = vec![0_u32; 4096];
            hashes.iter().for_each(|hash| places[*hash as usize % 4096] += 1);
            places.into_iter().max()
        };
        let counted = (0..4096_u64).map(|id| build.hash_one(id)).collect();
        let apart = (0..4096_u64).map(|id| build.hash_one(id << 32)).collect();
        let tokens = (0..4096_u128).map(|id| build.hash_one(Token::from_bytes(id.to_le_bytes())));
        for hashes in [counted, apart, tokens.collect()] {
            // Drawn at random, the fullest of so many places holds seven or eight.
            assert!(crowded(hashes) <= Some(12));
        }
    }
}
