//! A part of a record, resized to the crop: bilinear with antialias, in fixed point, bit for bit as Pillow does it.
//!
//! Two passes, across and then down. Each output pixel is a sum of input pixels weighted by a triangle as wide as the
//! step between outputs (at least one pixel); weights are computed in float64, rounded to 22 bits, and sums are exact,
//! rounded half up and clipped after each pass. What lies outside the part does not count, as if it had been cut out.

use crate::vary::Rect;

/// Bits of a weight after the point: 8 of a pixel, 2 to spare for sums that overshoot, 22 of 32.
const BITS: u32 = 22;

/// Room for one resize, kept by each thread.
#[derive(Default)]
pub(super) struct Resizer {
    across: Weights,
    down: Weights,
    /// Rows that are as wide as the result already.
    rows: Vec<u8>,
}

#[derive(Default)]
struct Weights {
    /// For each output: first input, number of inputs.
    windows: Vec<(usize, usize)>,
    /// `taps` weights for each output.
    weights: Vec<i32>,
    taps: usize,
}

impl Weights {
    /// Room for `to` outputs of at most `from` inputs.
    fn reserve(&mut self, from: usize, to: usize) {
        self.windows.reserve(to);
        self.weights.reserve(to * taps(from, to));
    }

    fn compute(&mut self, from: usize, to: usize) {
        let scale = from as f64 / to as f64;
        let width = scale.max(1.0);
        self.taps = taps(from, to);
        self.windows.clear();
        self.weights.clear();
        self.weights.resize(to * self.taps, 0);
        for (at, weights) in self.weights.chunks_exact_mut(self.taps).enumerate() {
            let centre = (at as f64 + 0.5) * scale;
            // Truncation is what rounds here: both are positive once clipped.
            let first = (centre - width + 0.5).max(0.0) as usize;
            let end = ((centre + width + 0.5) as usize).min(from);
            let triangle = |i: usize| {
                let distance = ((i as f64 - centre + 0.5) * (1.0 / width)).abs();
                if distance < 1.0 { 1.0 - distance } else { 0.0 }
            };
            let sum: f64 = (first..end).map(triangle).sum();
            for (weight, i) in weights.iter_mut().zip(first..end) {
                *weight = (0.5 + triangle(i) / sum * f64::from(1 << BITS)) as i32;
            }
            self.windows.push((first, end - first));
        }
    }

    /// Each output: first input, and the weights from it on.
    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let weights = self.weights.chunks_exact(self.taps.max(1));
        self.windows.iter().zip(weights).map(|(&(first, count), weights)| (first, &weights[..count]))
    }
}

/// Inputs of one output at most.
fn taps(from: usize, to: usize) -> usize {
    (from as f64 / to as f64).max(1.0).ceil() as usize * 2 + 1
}

/// A sum of weighted pixels as a pixel.
fn round(sum: i32) -> u8 {
    ((sum + (1 << (BITS - 1))) >> BITS).clamp(0, 255) as u8
}

impl Resizer {
    /// With room for any part of a record, so that resizing allocates nothing.
    pub fn new([width, height]: [usize; 2], [to_width, to_height]: [usize; 2]) -> Self {
        let mut resizer = Resizer::default();
        resizer.across.reserve(width, to_width);
        resizer.down.reserve(height, to_height);
        resizer.rows.reserve(height * to_width * 3);
        resizer
    }

    /// Resizes `part` of `record`, which is `width` pixels wide, to `to`, which is `to_width` pixels wide.
    ///
    /// # Panics
    /// If the part leaves the record, or `to` is no whole number of rows.
    pub fn run(&mut self, record: &[u8], width: usize, part: Rect, to: &mut [u8], to_width: usize) {
        let [left, top] = [part.left as usize, part.top as usize];
        let [part_width, part_height] = [part.width as usize, part.height as usize];
        let row_bytes = to_width * 3;
        assert!(to.len().is_multiple_of(row_bytes));
        self.across.compute(part_width, to_width);
        self.down.compute(part_height, to.len() / row_bytes);
        self.rows.clear();
        self.rows.resize(part_height * row_bytes, 0);
        for (y, out) in self.rows.chunks_exact_mut(row_bytes).enumerate() {
            let start = ((top + y) * width + left) * 3;
            let row = &record[start..start + part_width * 3];
            for ((first, weights), out) in self.across.iter().zip(out.chunks_exact_mut(3)) {
                let mut sums = [0i32; 3];
                for (pixel, weight) in row[first * 3..].chunks_exact(3).zip(weights) {
                    for c in 0..3 {
                        sums[c] += i32::from(pixel[c]) * weight;
                    }
                }
                for c in 0..3 {
                    out[c] = round(sums[c]);
                }
            }
        }
        for ((first, weights), out) in self.down.iter().zip(to.chunks_exact_mut(row_bytes)) {
            // In runs that stay in registers.
            for start in (0..row_bytes).step_by(48) {
                let end = (start + 48).min(row_bytes);
                let mut sums = [0i32; 48];
                for (y, weight) in weights.iter().enumerate() {
                    let row = (first + y) * row_bytes;
                    for (sum, byte) in sums.iter_mut().zip(&self.rows[row + start..row + end]) {
                        *sum += i32::from(*byte) * weight;
                    }
                }
                for (out, sum) in out[start..end].iter_mut().zip(sums) {
                    *out = round(sum);
                }
            }
        }
    }
}
