//! Exact first and second moments of RGB pixels, as whole numbers.
//!
//! Mean, covariance and PCA are functions of these sums alone, and whole numbers add up to the same total in any
//! order: that is what makes the statistics of a set independent of threads and shards. What is made of them is
//! `alexnet_pack::pca`'s business.

#[cfg(target_arch = "x86_64")]
mod vnni;

use pulp::{Arch, Simd, WithSimd};

/// Sums over pixels x = (R, G, B), components 0..=255.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moments {
    /// How many pixels.
    pub pixels: u64,
    /// Σ of R, G, B.
    pub sum: [u64; 3],
    /// Σ of the products RR, RG, RB, GG, GB, BB.
    pub products: [u64; 6],
}

/// Pixels whose components are taken apart at a time: they stay in the first cache, and no sum of theirs leaves u32.
const BLOCK: usize = 1024;

impl Moments {
    /// The moments of a record: RGB, one byte per component, by the widest registers that this machine has; a 256×256
    /// record costs about a hundredth of what decoding its photo did.
    ///
    /// # Panics
    /// If the record is not a whole number of pixels.
    pub fn of(record: &[u8]) -> Self {
        assert!(record.len().is_multiple_of(3), "{} bytes are not whole RGB pixels", record.len());
        #[cfg(target_arch = "x86_64")]
        if let Some(vnni) = vnni::Vnni::new() {
            return vnni.of(record);
        }
        Self::by_planes(record)
    }

    /// The same by loops that vectorise.
    fn by_planes(record: &[u8]) -> Self {
        Arch::new().dispatch(Whole(record))
    }

    /// The same, pixel by pixel: the oracle of [`of`](Self::of).
    pub fn of_slow(record: &[u8]) -> Self {
        let mut moments = Moments::default();
        for pixel in record.chunks_exact(3) {
            let [r, g, b] = [0, 1, 2].map(|c| u64::from(pixel[c]));
            moments.pixels += 1;
            for (sum, x) in moments.sum.iter_mut().zip([r, g, b]) {
                *sum += x;
            }
            for (sum, x) in moments.products.iter_mut().zip([r * r, r * g, r * b, g * g, g * b, b * b]) {
                *sum += x;
            }
        }
        moments
    }

    /// Adds [`BLOCK`] pixels.
    #[inline(always)]
    fn add_block(&mut self, block: &[u8]) {
        let (mut r, mut g, mut b) = ([0i16; BLOCK], [0i16; BLOCK], [0i16; BLOCK]);
        for (i, pixel) in block.as_chunks::<3>().0.iter().enumerate().take(BLOCK) {
            (r[i], g[i], b[i]) = (pixel[0].into(), pixel[1].into(), pixel[2].into());
        }
        self.pixels += BLOCK as u64;
        for (total, x) in self.sum.iter_mut().zip([&r, &g, &b]) {
            *total += u64::from(x.iter().map(|&x| x.cast_unsigned() as u32).sum::<u32>());
        }
        let pairs = [(&r, &r), (&r, &g), (&r, &b), (&g, &g), (&g, &b), (&b, &b)];
        for (total, (x, y)) in self.products.iter_mut().zip(pairs) {
            // Signed 16-bit factors and a 32-bit sum are one instruction; 1,024 · 255² stays positive.
            let product: i32 = x.iter().zip(y).map(|(&x, &y)| i32::from(x) * i32::from(y)).sum();
            *total += u64::from(product.cast_unsigned());
        }
    }

    /// The moments of both; `None` if a sum leaves u64.
    pub fn checked_merge(&self, other: &Self) -> Option<Self> {
        let mut both = *self;
        both.pixels = both.pixels.checked_add(other.pixels)?;
        for (total, x) in both.sum.iter_mut().zip(other.sum) {
            *total = total.checked_add(x)?;
        }
        for (total, x) in both.products.iter_mut().zip(other.products) {
            *total = total.checked_add(x)?;
        }
        Some(both)
    }

    /// The moments of both.
    ///
    /// # Panics
    /// If a sum leaves u64; four thousand million records of 256×256 do not.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        self.checked_merge(other).expect("sums of fewer than 2.8e14 pixels fit in u64")
    }

    /// As stored in a shard: ten u64.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let values = std::iter::once(self.pixels).chain(self.sum).chain(self.products);
        values.flat_map(u64::to_le_bytes).collect()
    }

    /// From the 80 bytes stored in a shard.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let at = |i: usize| crate::index::u64_at(bytes, i * 8);
        Moments {
            pixels: at(0),
            sum: [at(1), at(2), at(3)],
            products: [at(4), at(5), at(6), at(7), at(8), at(9)],
        }
    }

    /// Why these cannot be the moments of `pixels` pixels, if they cannot.
    pub(crate) fn problem(&self, pixels: u64) -> Option<String> {
        if self.pixels != pixels {
            return Some(format!("of {} pixels where there are {pixels}", self.pixels));
        }
        let [r, g, b] = self.sum.map(u128::from);
        let limits = [r, r.min(g), r.min(b), g, g.min(b), b].map(|sum| sum * 255);
        let possible = self.sum.iter().all(|&sum| u128::from(sum) <= u128::from(pixels) * 255)
            && self.products.iter().zip(limits).all(|(&product, limit)| u128::from(product) <= limit);
        (!possible)
            .then(|| format!("no {pixels} pixels have the sums {:?} and {:?}", self.sum, self.products))
    }
}

/// A record on its way to the widest registers. A type and not a closure, since only this is sure to be inlined where
/// those registers may be used.
struct Whole<'a>(&'a [u8]);

impl WithSimd for Whole<'_> {
    type Output = Moments;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Moments {
        let mut total = Moments::default();
        let mut blocks = self.0.chunks_exact(3 * BLOCK);
        for block in &mut blocks {
            total.add_block(block);
        }
        total.merge(&Moments::of_slow(blocks.remainder()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alexnet_rng::{Purpose, Stream};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fast_is_slow(pixels in 0usize..9000, seed: u64, shift in 0u32..8) {
            let stream = Stream::new(seed, 0, 0, Purpose::Sample);
            let record: Vec<u8> = (0..pixels * 3).map(|i| (stream.word(i as u64) >> 24 >> shift) as u8).collect();
            prop_assert_eq!(Moments::of(&record), Moments::of_slow(&record));
            prop_assert_eq!(Moments::by_planes(&record), Moments::of_slow(&record));
        }
    }

    /// As many groups as one sum of 32 bits takes, and more: all of the sizes that could overflow it.
    #[test]
    fn long_runs_do_not_overflow() {
        for byte in [0, 1, 127, 128, 255] {
            let record = vec![byte; 192 * 6000 + 3];
            assert_eq!(Moments::of(&record), Moments::of_slow(&record), "{byte}");
        }
    }

    #[test]
    fn white_does_not_overflow() {
        let record = vec![255; 256 * 256 * 3];
        let (n, white) = (65536, 255);
        let expected = Moments { pixels: n, sum: [n * white; 3], products: [n * white * white; 6] };
        assert_eq!(Moments::of(&record), expected);
        assert_eq!(expected.problem(n), None);
        assert!(expected.problem(n + 1).is_some());
        for c in 0..6 {
            let mut bad = expected;
            bad.products[c] += 1;
            assert!(bad.problem(n).is_some());
        }
        assert_eq!(Moments::from_bytes(&expected.to_bytes()), expected);
        let huge = Moments { pixels: u64::MAX, ..expected };
        assert_eq!(huge.checked_merge(&expected), None);
    }
}
