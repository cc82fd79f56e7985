//! Exact first and second moments of RGB pixels, as whole numbers.
//!
//! Mean, covariance and PCA are functions of these sums alone, and whole numbers add up to the same total in any
//! order: that is what makes the statistics of a set independent of threads and shards. What is made of them is
//! `alexnet_pack::pca`'s business.

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

/// Bytes of a block that stays in the first cache while three loops pass over it; a multiple of [`LANES`] and 3.
const BLOCK: usize = 12 * 1024;
/// Byte positions that have their own accumulators; a multiple of 3, so that each position is always one component.
const LANES: usize = 48;

impl Moments {
    /// The moments of a record: RGB, one byte per component. The loops vectorise; a 256×256 record costs a few
    /// hundredths of what decoding its photo did.
    ///
    /// # Panics
    /// If the record is not a whole number of pixels.
    pub fn of(record: &[u8]) -> Self {
        assert!(record.len().is_multiple_of(3), "{} bytes are not whole RGB pixels", record.len());
        let mut total = Moments::default();
        let mut rest = record;
        // A block also reads two bytes past its end (the neighbours of its last byte), so the end of the record is
        // left to the slow path.
        while rest.len() >= LANES + 2 {
            let bytes = ((rest.len() - 2) / LANES * LANES).min(BLOCK);
            total.add_block(&rest[..bytes + 2]);
            rest = &rest[bytes..];
        }
        total.merge(&Moments::of_slow(rest))
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

    /// Adds the pixels of `block` without its last two bytes; they are only the last byte's neighbours.
    fn add_block(&mut self, block: &[u8]) {
        let bytes = block.len() - 2;
        let sum = lanes(block, bytes, |x, _, _| x);
        let square = lanes(block, bytes, |x, _, _| x * x);
        let next = lanes(block, bytes, |x, y, _| x * y);
        let after = lanes(block, bytes, |x, _, z| x * z);
        // Component at position p is p mod 3, so position 0 mod 3 has R·R, R·G (next), R·B (after), position 1 has
        // G·G, G·B, and position 2 has B·B; the other products cross two pixels and are dropped.
        let of = |lanes: &[u32; LANES], phase: usize| -> u64 {
            lanes.iter().skip(phase).step_by(3).map(|&lane| u64::from(lane)).sum()
        };
        self.pixels += bytes as u64 / 3;
        for (c, total) in self.sum.iter_mut().enumerate() {
            *total += of(&sum, c);
        }
        let products =
            [of(&square, 0), of(&next, 0), of(&after, 0), of(&square, 1), of(&next, 1), of(&square, 2)];
        for (total, product) in self.products.iter_mut().zip(products) {
            *total += product;
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

/// For each position modulo [`LANES`], Σ of `f` over each byte of the first `bytes` and its next two neighbours.
/// At most `BLOCK / LANES` = 256 values of at most 255² go into a lane.
#[inline(always)]
fn lanes(block: &[u8], bytes: usize, f: impl Fn(u32, u32, u32) -> u32) -> [u32; LANES] {
    let mut lanes = [0u32; LANES];
    let (x, y, z) = (&block[..bytes], &block[1..bytes + 1], &block[2..bytes + 2]);
    for ((x, y), z) in x.chunks_exact(LANES).zip(y.chunks_exact(LANES)).zip(z.chunks_exact(LANES)) {
        for i in 0..LANES {
            lanes[i] += f(x[i].into(), y[i].into(), z[i].into());
        }
    }
    lanes
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
