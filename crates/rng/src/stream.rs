//! Named streams of words, and the uniform and normal values made of them.
//!
//! Layout of the 128-bit counter: word 0 is the block number, word 1 the low half of the index, word 2 the epoch,
//! word 3 the purpose (high 8 bits) and index bits 32..56. The key is the seed. The layout is frozen: a change
//! would change every batch, mask and weight ever drawn; the known answers below hold it.

use crate::normal::standard_normal_quantile;
use crate::philox::philox4x32_10;

/// What a stream is for. The numbers are part of the stream's name and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Purpose {
    /// Order of the samples of an epoch; index 0.
    Order = 1,
    /// Offsets of the training crop; index = position in the epoch.
    Crop = 2,
    /// Horizontal mirror; index = position in the epoch.
    Mirror = 3,
    /// The three normal values of PCA lighting; index = position in the epoch.
    Lighting = 4,
    /// Dropout mask of fc6: index = position in the epoch, word = unit.
    DropoutFc6 = 5,
    /// Dropout mask of fc7: index = position in the epoch, word = unit.
    DropoutFc7 = 6,
    /// Initial weights: epoch 0, index = number of the parameter, value = element.
    Weights = 7,
    /// Which training samples are held out for validation; index 0.
    HeldOut = 8,
    /// The generated sample data set; index = photo.
    Sample = 9,
    /// Order of the entries when packing with a shuffle seed; index 0.
    PackOrder = 10,
    /// Order of the blocks of an epoch; index 0.
    Blocks = 11,
    /// Order within a window of blocks; index = window.
    Window = 12,
    /// Where the first block of an epoch begins; index 0.
    Rotation = 13,
    /// Place, area and ratio of a resized crop; index = position in the epoch.
    Area = 14,
    /// Brightness, contrast, saturation and their order; index = position in the epoch.
    Jitter = 15,
    /// Whether and where a rectangle is erased; index = position in the epoch.
    Erase = 16,
}

/// A stream of random words, addressed by position. Copying it is free; it has no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    key: [u32; 2],
    name: [u32; 3],
}

impl Stream {
    /// The stream named by `(seed, epoch, index, purpose)`.
    ///
    /// `index` has 56 bits; higher bits are a bug of the caller and panic in debug builds.
    #[inline]
    pub fn new(seed: u64, epoch: u32, index: u64, purpose: Purpose) -> Self {
        debug_assert!(index < 1 << 56, "stream index {index} needs more than 56 bits");
        let high = (u32::from(purpose as u8) << 24) | ((index >> 32) as u32 & 0x00FF_FFFF);
        Stream { key: [seed as u32, (seed >> 32) as u32], name: [index as u32, epoch, high] }
    }

    /// Words `4·block .. 4·block + 4`.
    #[inline]
    pub fn block(&self, block: u32) -> [u32; 4] {
        philox4x32_10([block, self.name[0], self.name[1], self.name[2]], self.key)
    }

    /// One word for a (round, value) pair: what a keyed function of the stream needs, apart from its own words.
    #[inline]
    pub(crate) fn keyed(&self, round: u32, value: u32) -> u32 {
        let [low, epoch, high] = self.name;
        philox4x32_10([value, low, epoch, high ^ (round << 16)], self.key)[0]
    }

    /// Word `i` (`i < 2³⁴`).
    #[inline]
    pub fn word(&self, i: u64) -> u32 {
        self.block((i / 4) as u32)[(i % 4) as usize]
    }

    /// A whole number in `0 .. n` from word `i`, by multiply and shift: `⌊word · n / 2³²⌋`.
    /// A value's probability is off by less than `n / 2³²` of itself.
    #[inline]
    pub fn below(&self, i: u64, n: u32) -> u32 {
        ((u64::from(self.word(i)) * u64::from(n)) >> 32) as u32
    }

    /// True with probability one half: the top bit of word `i`.
    #[inline]
    pub fn coin(&self, i: u64) -> bool {
        self.word(i) >> 31 == 1
    }

    /// Value `i` of a uniform distribution on the open interval (0, 1): the middle of one of 2⁵³ equal cells,
    /// from words `2i` and `2i + 1`.
    #[inline]
    pub fn uniform(&self, i: u64) -> f64 {
        let block = self.block((i / 2) as u32);
        let at = (i % 2) as usize * 2;
        let bits = (u64::from(block[at]) << 32 | u64::from(block[at + 1])) >> 11;
        (bits as f64 + 0.5) * (1.0 / (1u64 << 53) as f64)
    }

    /// Value `i` of a standard normal distribution, from words `2i` and `2i + 1`.
    #[inline]
    pub fn normal(&self, i: u64) -> f64 {
        standard_normal_quantile(self.uniform(i))
    }

    /// Fills `out` with `sigma · normal(i)`, computed in float64 and rounded once.
    pub fn fill_normal(&self, sigma: f64, out: &mut [f32]) {
        for (i, value) in out.iter_mut().enumerate() {
            *value = (sigma * self.normal(i as u64)) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let s = Stream::new(2012, 7, 0x1_2345_6789, Purpose::Lighting);
        assert_eq!(s.block(3), philox4x32_10([3, 0x2345_6789, 7, 0x0400_0001], [2012, 0]));
        let words: Vec<u32> = (0..5).map(|i| s.word(i)).collect();
        assert_eq!(words, KNOWN_WORDS);
        let normals: Vec<u64> = (0..4).map(|i| s.normal(i).to_bits()).collect();
        assert_eq!(normals, KNOWN_NORMALS, "{:?}", (0..4).map(|i| s.normal(i)).collect::<Vec<_>>());
    }

    /// From an independent Philox in Python; the normals are those of `statistics.NormalDist().inv_cdf`, bit for bit.
    const KNOWN_WORDS: [u32; 5] = [4291617729, 1029002197, 4227634833, 3464026386, 3833063782];
    const KNOWN_NORMALS: [u64; 4] =
        [0x40094e7f0a298015, 0x4001386bbd32ed45, 0x3ff3d5c3be4dd9dd, 0xbff6cfcb02b3075a];

    #[test]
    fn names_differ_in_every_part() {
        let base = Stream::new(1, 1, 1, Purpose::Crop);
        for other in [
            Stream::new(2, 1, 1, Purpose::Crop),
            Stream::new(1 << 32 | 1, 1, 1, Purpose::Crop),
            Stream::new(1, 2, 1, Purpose::Crop),
            Stream::new(1, 1, 2, Purpose::Crop),
            Stream::new(1, 1, 1 << 32 | 1, Purpose::Crop),
            Stream::new(1, 1, 1, Purpose::Mirror),
        ] {
            assert_ne!(base.block(0), other.block(0));
        }
    }

    #[test]
    fn moments_of_uniform_and_normal() {
        let s = Stream::new(3, 0, 0, Purpose::Weights);
        let n = 200_000;
        let (mut mean, mut square, mut fourth, mut uniform) = (0.0, 0.0, 0.0, 0.0);
        for i in 0..n {
            let z = s.normal(i);
            mean += z;
            square += z * z;
            fourth += z.powi(4);
            uniform += s.uniform(i);
        }
        let n = n as f64;
        assert!((mean / n).abs() < 0.01, "mean {}", mean / n);
        assert!((square / n - 1.0).abs() < 0.015, "variance {}", square / n);
        assert!((fourth / n - 3.0).abs() < 0.1, "fourth moment {}", fourth / n);
        assert!((uniform / n - 0.5).abs() < 0.003, "uniform mean {}", uniform / n);
    }

    #[test]
    fn below_reaches_both_ends_evenly() {
        let s = Stream::new(3, 0, 0, Purpose::Crop);
        let mut counts = [0u32; 33];
        for i in 0..33_000 {
            counts[s.below(i, 33) as usize] += 1;
        }
        assert!(counts.iter().all(|&c| (850..1150).contains(&c)), "{counts:?}");
    }
}
