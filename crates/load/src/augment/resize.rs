//! A part of a record, resized to the crop: bilinear with antialias, in fixed point, bit for bit as Pillow does it.
//!
//! Two passes, across and then down. Each output pixel is a sum of input pixels weighted by a triangle as wide as the
//! step between outputs (at least one pixel); weights are computed in float64, rounded to 22 bits, and sums are exact,
//! rounded half up and clipped after each pass. What lies outside the part does not count, as if it had been cut out.
//!
//! Sums are made plainly on [`Path::Scalar`], the oracle, and 16 at a time on the others, which leave it what is left
//! of a row; all give the same bits.

use super::job::GROUP;
use super::pass::Path;
use crate::vary::Rect;

/// Bits of a weight after the point: 8 of a pixel, 2 to spare for sums that overshoot, 22 of 32.
pub(super) const BITS: u32 = 22;

/// Room for one resize, kept by each thread.
pub(super) struct Resizer {
    path: Path,
    across: Weights,
    down: Weights,
    /// Rows that are as wide as the result already.
    rows: Vec<u8>,
    /// A row of the part and a byte more, where the record ends with the row.
    last: Vec<u8>,
}

/// Which inputs make an output, and how much of each.
#[derive(Default)]
pub(super) struct Weights {
    /// Inputs.
    from: usize,
    /// For each output: first input, number of inputs.
    windows: Vec<(usize, usize)>,
    /// `taps` weights for each output.
    weights: Vec<i32>,
    taps: usize,
    /// For each tap, then each output: three times the input (of the last, if there is none), and its weight.
    places: Vec<i32>,
    factors: Vec<i32>,
    triangles: Vec<f64>,
}

impl Weights {
    /// Room for `to` outputs of at most `from` inputs.
    fn reserve(&mut self, from: usize, to: usize) {
        self.windows.reserve(to);
        self.triangles.reserve(taps(from, to));
        for numbers in [&mut self.weights, &mut self.places, &mut self.factors] {
            numbers.reserve(to * taps(from, to));
        }
    }

    fn compute(&mut self, from: usize, to: usize) {
        let scale = from as f64 / to as f64;
        let width = scale.max(1.0);
        self.from = from;
        self.windows.clear();
        let window = |at| {
            let centre = (at as f64 + 0.5) * scale;
            // Truncation is what rounds here: both are positive once clipped.
            let first = (centre - width + 0.5).max(0.0) as usize;
            let end = ((centre + width + 0.5) as usize).min(from);
            (first, end - first)
        };
        self.windows.extend((0..to).map(window));
        self.taps = self.windows.iter().map(|(_, count)| *count).max().unwrap_or(0);
        self.weights.clear();
        self.weights.resize(to * self.taps, 0);
        for (at, weights) in self.weights.chunks_exact_mut(self.taps.max(1)).enumerate() {
            let (centre, (first, count)) = ((at as f64 + 0.5) * scale, self.windows[at]);
            let triangle = |i: usize| {
                let distance = ((i as f64 - centre + 0.5) * (1.0 / width)).abs();
                if distance < 1.0 { 1.0 - distance } else { 0.0 }
            };
            self.triangles.clear();
            self.triangles.extend((first..first + count).map(triangle));
            let sum: f64 = self.triangles.iter().sum();
            for (weight, triangle) in weights.iter_mut().zip(&self.triangles) {
                *weight = (0.5 + triangle / sum * f64::from(1 << BITS)) as i32;
            }
        }
    }

    /// Lays weights out for [`column`](Self::column).
    fn lay_out(&mut self) {
        self.places.clear();
        self.factors.clear();
        for tap in 0..self.taps {
            let place = |(first, _): &(usize, usize)| 3 * (first + tap).min(self.from - 1) as i32;
            self.places.extend(self.windows.iter().map(place));
            self.factors.extend(self.weights.iter().skip(tap).step_by(self.taps));
        }
    }

    /// Each output: first input, and the weights from it on.
    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let weights = self.weights.chunks_exact(self.taps.max(1));
        self.windows.iter().zip(weights).map(|(&(first, count), weights)| (first, &weights[..count]))
    }

    /// Inputs.
    pub fn from(&self) -> usize {
        self.from
    }

    /// Inputs of one output at most.
    pub fn taps(&self) -> usize {
        self.taps
    }

    /// Byte offset and weight of input `tap` of 16 outputs from `at` on; every offset is that of a pixel below
    /// [`from`](Self::from).
    ///
    /// # Panics
    /// If there are not so many outputs.
    #[inline(always)]
    pub fn column(&self, tap: usize, at: usize) -> (&[i32; GROUP], &[i32; GROUP]) {
        let start = tap * self.windows.len() + at;
        let sixteen = |numbers| <&[i32; GROUP]>::try_from(numbers).expect("sixteen of them");
        (sixteen(&self.places[start..start + GROUP]), sixteen(&self.factors[start..start + GROUP]))
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
    pub fn new(path: Path, [width, height]: [usize; 2], [to_width, to_height]: [usize; 2]) -> Self {
        let (mut across, mut down) = (Weights::default(), Weights::default());
        across.reserve(width, to_width);
        down.reserve(height, to_height);
        let (rows, last) = (Vec::with_capacity(height * to_width * 3), Vec::with_capacity(width * 3 + 1));
        Resizer { path, across, down, rows, last }
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
        self.across.lay_out();
        self.down.compute(part_height, to.len() / row_bytes);
        self.rows.resize(part_height * row_bytes, 0);
        for (y, out) in self.rows.chunks_exact_mut(row_bytes).enumerate() {
            let start = ((top + y) * width + left) * 3;
            let end = start + part_width * 3;
            let row = record.get(start..end + 1).unwrap_or_else(|| {
                self.last.clear();
                self.last.extend(&record[start..end]);
                self.last.push(0);
                &self.last
            });
            across(self.path, &self.across, row, out);
        }
        for ((first, weights), out) in self.down.iter().zip(to.chunks_exact_mut(row_bytes)) {
            down(self.path, weights, &self.rows[first * row_bytes..], out);
        }
    }
}

/// One row of outputs from a row of the part and a byte more.
fn across(path: Path, weights: &Weights, row: &[u8], out: &mut [u8]) {
    let done = match path {
        Path::Scalar => 0,
        #[cfg(target_arch = "x86_64")]
        Path::Avx2(path) => path.across(weights, row, out),
        #[cfg(target_arch = "x86_64")]
        Path::Avx512(path) => path.across(weights, row, out),
    };
    for ((first, weights), out) in weights.iter().zip(out.chunks_exact_mut(3)).skip(done) {
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

/// One row of the result from as many rows as there are weights.
fn down(path: Path, weights: &[i32], rows: &[u8], out: &mut [u8]) {
    let row_bytes = out.len();
    let done = match path {
        Path::Scalar => 0,
        #[cfg(target_arch = "x86_64")]
        Path::Avx2(path) => path.down(weights, rows, out),
        #[cfg(target_arch = "x86_64")]
        Path::Avx512(path) => path.down(weights, rows, out),
    };
    // In runs that stay in registers.
    for start in (done..row_bytes).step_by(48) {
        let end = (start + 48).min(row_bytes);
        let mut sums = [0i32; 48];
        for (y, weight) in weights.iter().enumerate() {
            let row = y * row_bytes;
            for (sum, byte) in sums.iter_mut().zip(&rows[row + start..row + end]) {
                *sum += i32::from(*byte) * weight;
            }
        }
        for (out, sum) in out[start..end].iter_mut().zip(sums) {
            *out = round(sum);
        }
    }
}
