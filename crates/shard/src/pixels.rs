//! The per-pixel sum image: the sum of each component of each pixel over records, exact. Divided by the number of
//! records it is the mean image; that division is left to its users.

use pulp::{Arch, Simd, WithSimd};

/// Sums over records, one per byte of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PixelSums {
    /// Sums of up to [`RUN`] records not yet in `sums`: half the memory traffic of adding to u32 each time.
    run: Vec<u16>,
    in_run: u32,
    records: u64,
    sums: Vec<u32>,
}

/// 257 · 255 = 65535: this many bytes add up in u16.
const RUN: u32 = 257;

impl PixelSums {
    /// No records yet, of `record_bytes` bytes each.
    pub fn new(record_bytes: usize) -> Self {
        PixelSums { run: vec![0; record_bytes], in_run: 0, records: 0, sums: vec![0; record_bytes] }
    }

    /// Adds a record.
    ///
    /// # Panics
    /// If the record has another length, or is the 2²⁴th: the sums would no longer be sure to fit.
    pub fn add(&mut self, record: &[u8]) {
        assert_eq!(record.len(), self.run.len(), "bytes of a record");
        assert!(self.records < 1 << 24, "255 · 2²⁴ is the most that u32 holds");
        Arch::new().dispatch(Add { run: &mut self.run, record });
        self.records += 1;
        self.in_run += 1;
        if self.in_run == RUN {
            self.settle();
        }
    }

    /// Adds the records of other sums.
    ///
    /// # Panics
    /// If their records have another length, or there would be more than 2²⁴ of both.
    pub fn merge(&mut self, mut other: PixelSums) {
        assert_eq!(other.sums.len(), self.sums.len(), "bytes of a record");
        self.records += other.records;
        assert!(self.records <= 1 << 24, "255 · 2²⁴ is the most that u32 holds");
        for (sum, &more) in self.sums.iter_mut().zip(other.sums()) {
            *sum += more;
        }
    }

    /// The sums, component by component, in the order of a record's bytes.
    pub fn sums(&mut self) -> &[u32] {
        self.settle();
        &self.sums
    }

    fn settle(&mut self) {
        for (sum, run) in self.sums.iter_mut().zip(&mut self.run) {
            *sum += u32::from(std::mem::take(run));
        }
        self.in_run = 0;
    }
}

/// One record's bytes on their way to the widest registers, as in [`crate::moments`].
struct Add<'a> {
    run: &'a mut [u16],
    record: &'a [u8],
}

impl WithSimd for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (sum, &byte) in self.run.iter_mut().zip(self.record) {
            *sum += u16::from(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_survive_the_longest_run() {
        let mut sums = PixelSums::new(3);
        for n in 1..=1000u32 {
            sums.add(&[255, 1, 0]);
            if n % 300 == 0 || n == 257 || n == 1000 {
                assert_eq!(sums.sums(), [255 * n, n, 0]);
            }
        }
        let mut others = PixelSums::new(3);
        others.add(&[1, 2, 3]);
        sums.merge(others);
        assert_eq!(sums.sums(), [255_001, 1002, 3]);
    }
}
