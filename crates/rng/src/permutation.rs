//! A seeded permutation of `0 .. n` without a table.
//!
//! A balanced Feistel network of six rounds permutes the smallest square of a power of two that holds `n`; values
//! outside `0 .. n` are walked on until they fall inside (cycle walking), which keeps it a bijection. Each round's
//! function is one Philox block of the stream, so memory is constant for any `n`, and position `i` costs at most a
//! few dozen multiplications.

use crate::stream::{Purpose, Stream};

const ROUNDS: u32 = 6;

/// A permutation of `0 .. len`, a pure function of its stream and length.
#[derive(Clone, Copy, Debug)]
pub struct Permutation {
    stream: Stream,
    len: u64,
    half_bits: u32,
}

impl Permutation {
    /// The permutation of `0 .. len` that `(seed, epoch, purpose)` names.
    pub fn new(seed: u64, epoch: u32, purpose: Purpose, len: u64) -> Self {
        let bits = u64::BITS - len.saturating_sub(1).leading_zeros();
        Permutation {
            stream: Stream::new(seed, epoch, len, purpose),
            len,
            half_bits: bits.div_ceil(2).max(1),
        }
    }

    /// The permutation of `0 .. len` that `(seed, epoch, part, purpose)` names: one of many in an epoch.
    pub fn part(seed: u64, epoch: u32, purpose: Purpose, part: u64, len: u64) -> Self {
        Permutation {
            stream: Stream::new(seed, epoch, part, purpose),
            ..Permutation::new(seed, epoch, purpose, len)
        }
    }

    /// How many values are permuted.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing to permute.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where position `i` goes.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len).
    pub fn at(&self, i: u64) -> u64 {
        assert!(i < self.len, "position {i} of a permutation of {}", self.len);
        let mut value = self.walk(i);
        while value >= self.len {
            value = self.walk(value);
        }
        value
    }

    fn walk(&self, value: u64) -> u64 {
        let mask = (1u64 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & mask);
        for round in 0..ROUNDS {
            let mixed = self.round(round, right);
            (left, right) = (right, left ^ (mixed & mask));
        }
        left << self.half_bits | right
    }

    fn round(&self, round: u32, right: u64) -> u64 {
        // Half a block of 2⁶⁴ values is at most 32 bits wide; the round number keeps the rounds apart.
        let words = self.stream.keyed(round, right as u32);
        u64::from(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_a_bijection(len in 1u64..3000, seed: u64, epoch in 0u32..5) {
            let p = Permutation::new(seed, epoch, Purpose::Order, len);
            let mut seen = vec![false; len as usize];
            for i in 0..len {
                prop_assert!(!std::mem::replace(&mut seen[p.at(i) as usize], true));
            }
        }
    }

    #[test]
    fn large_lengths_stay_inside() {
        let p = Permutation::new(1, 2, Purpose::Order, 14_197_122);
        for i in (0..14_197_122).step_by(99_991) {
            assert!(p.at(i) < 14_197_122);
        }
    }

    /// Neighbours must not stay neighbours, and low positions must not stay low.
    #[test]
    fn mixes() {
        let n = 10_000u64;
        let p = Permutation::new(5, 0, Purpose::Order, n);
        let near = (0..n - 1).filter(|&i| p.at(i).abs_diff(p.at(i + 1)) < n / 100).count();
        let expected = (n as f64) * 0.02;
        assert!((near as f64 - expected).abs() < 60.0, "{near} near pairs, about {expected} expected");
        let low = (0..n / 10).filter(|&i| p.at(i) < n / 10).count() as f64;
        assert!((low - n as f64 / 100.0).abs() < 35.0, "{low} low values stay low");
    }
}
