//! Resampling as the 2012 code had it done (OpenCV's INTER_AREA down, INTER_CUBIC up), at exact positions.
//!
//! Both are separable: each output pixel of an axis is a weighted sum of a few source pixels (its taps). Area
//! weights are the overlaps of source and output pixels, whole numbers over a common denominator. Cubic weights are
//! those of Keys' kernel with A = −0.75, the border repeated outwards. Sums are in f32, in a fixed order, rounded
//! once at the end to the nearest, halves to even.

use crate::geometry::Geometry;

/// Weights of one axis: output pixel `i` is `Σ weight · source[index]` over `starts[i] .. starts[i + 1]`.
#[derive(Debug, Default)]
struct Taps {
    starts: Vec<usize>,
    taps: Vec<(usize, f32)>,
}

impl Taps {
    fn clear(&mut self) {
        self.starts.clear();
        self.starts.push(0);
        self.taps.clear();
    }

    fn of(&self, i: usize) -> &[(usize, f32)] {
        &self.taps[self.starts[i]..self.starts[i + 1]]
    }

    /// Output pixels `first .. first + count` of `out` made of `source` pixels, `source >= out`.
    fn area(&mut self, source: u32, out: u32, first: u32, count: u32) {
        self.clear();
        // In units of 1/out source pixels, output pixel i covers i·source .. (i + 1)·source, source pixel j covers
        // j·out .. (j + 1)·out.
        let (source, out) = (u64::from(source), u64::from(out));
        for i in u64::from(first)..u64::from(first + count) {
            let (from, to) = (i * source, (i + 1) * source);
            for j in from / out..to.div_ceil(out) {
                let overlap = to.min((j + 1) * out) - from.max(j * out);
                self.taps.push((j as usize, overlap as f32 / source as f32));
            }
            self.starts.push(self.taps.len());
        }
    }

    /// Output pixels `first .. first + count` of `out` made of `source` pixels by cubic interpolation.
    fn cubic(&mut self, source: u32, out: u32, first: u32, count: u32) {
        self.clear();
        let last = i64::from(source) - 1;
        for i in first..first + count {
            // The centre (i + ½)·source/out − ½, over the denominator 2·out, exactly.
            let (numerator, denominator) =
                ((2 * i64::from(i) + 1) * i64::from(source) - i64::from(out), 2 * i64::from(out));
            let base = numerator.div_euclid(denominator);
            let fraction = numerator.rem_euclid(denominator) as f32 / denominator as f32;
            for (offset, weight) in (-1..=2).zip(cubic_weights(fraction)) {
                self.taps.push(((base + offset).clamp(0, last) as usize, weight));
            }
            self.starts.push(self.taps.len());
        }
    }
}

/// Weights of the pixels at −1, 0, 1, 2 for a position `t` in 0..1 between pixels 0 and 1; they sum to 1.
fn cubic_weights(t: f32) -> [f32; 4] {
    const A: f32 = -0.75;
    let near = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f32| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    let (w0, w1, w2) = (far(t + 1.0), near(t), near(1.0 - t));
    [w0, w1, w2, 1.0 - w0 - w1 - w2]
}

/// Resizes with buffers it keeps.
#[derive(Debug, Default)]
pub struct Resampler {
    columns: Taps,
    rows: Taps,
    /// One source row, resized to the record's width.
    line: Vec<f32>,
    /// The record as sums.
    sums: Vec<f32>,
}

impl Resampler {
    /// Resizes `rgb` of `sides` (width, height) to the geometry's sides and writes the crop into `record`
    /// (`size · size · 3` bytes). Shrinks by area, enlarges by cubic interpolation.
    pub fn resize(&mut self, rgb: &[u8], sides: (u32, u32), g: &Geometry, size: u32, record: &mut [u8]) {
        let (width, height) = sides;
        if width.min(height) >= size {
            self.columns.area(width, g.width, g.left, size);
            self.rows.area(height, g.height, g.top, size);
        } else {
            self.columns.cubic(width, g.width, g.left, size);
            self.rows.cubic(height, g.height, g.top, size);
        }
        let row = size as usize * 3;
        self.sums.clear();
        self.sums.resize(row * size as usize, 0.0);
        self.line.resize(row, 0.0);
        let bytes = width as usize * 3;
        // Neighbouring output rows share source rows, in order; the last one made is kept.
        let mut made = None;
        for (y, sums) in self.sums.chunks_exact_mut(row).enumerate() {
            for &(source, weight) in self.rows.of(y) {
                if made != Some(source) {
                    line(&rgb[source * bytes..][..bytes], &self.columns, &mut self.line);
                    made = Some(source);
                }
                for (sum, value) in sums.iter_mut().zip(&self.line) {
                    *sum += weight * value;
                }
            }
        }
        for (to, sum) in record.iter_mut().zip(&self.sums) {
            *to = sum.round_ties_even() as u8; // `as` saturates
        }
    }
}

fn line(source: &[u8], columns: &Taps, out: &mut [f32]) {
    for (x, to) in out.chunks_exact_mut(3).enumerate() {
        let mut sum = [0f32; 3];
        for &(column, weight) in columns.of(x) {
            for (sum, &value) in sum.iter_mut().zip(&source[column * 3..column * 3 + 3]) {
                *sum += weight * f32::from(value);
            }
        }
        to.copy_from_slice(&sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_stay_inside() {
        for (source, out) in [(512, 256), (500, 341), (257, 256), (256, 256), (100, 256), (1, 7)] {
            let mut taps = Taps::default();
            if source >= out {
                taps.area(source, out, 0, out)
            } else {
                taps.cubic(source, out, 0, out)
            }
            for i in 0..out as usize {
                let sum: f32 = taps.of(i).iter().map(|t| t.1).sum();
                assert!((sum - 1.0).abs() < 1e-5, "{source} to {out}, pixel {i}: {sum}");
                assert!(taps.of(i).iter().all(|t| t.0 < source as usize));
            }
        }
    }

    #[test]
    fn halving_averages_pairs() {
        let rgb: Vec<u8> = (0..4u8 * 4).flat_map(|i| [i * 10, i, 255 - i]).collect();
        let g = Geometry::new(4, 4, 2);
        let mut record = [0; 12];
        Resampler::default().resize(&rgb, (4, 4), &g, 2, &mut record);
        // Pixels 0, 1, 4, 5: 25, 2.5 (halves to even: 2), 252.5 (252).
        assert_eq!(record[..3], [25, 2, 252]);
    }
}
