//! Overlapping pooling. A block is one map; windows are clipped at the border.
//!
//! For the maximum a register of neighbouring outputs is taken place by place: all are compared with the same place of their
//! windows before the next place is looked at, which keeps the order in which places win. Values behind a line's end are −∞,
//! which never wins, so registers are always whole.

use alexnet_net::{AveragePool, MaxPool};
use pulp::{Simd, WithSimd};

use crate::workers::Workers;

/// Outputs of a strip: two of the widest registers.
const STRIP: usize = 32;

/// Values of a line that one place of a strip's windows reaches at stride 2, and seven more: windows are at most 15 wide.
const REACH: usize = STRIP + 8;

/// Lines that a window reaches at most.
const LINES: usize = 15;

/// Maxima and the places they came from: the first of equal values, a NaN before all.
pub fn forward(workers: &Workers, op: &MaxPool, n: usize, x: &[f32], y: &mut [f32], places: &mut [u8]) {
    let (input, output) = (op.height * op.width, op.out_height * op.out_width);
    let maps = n * op.channels;
    let results = (&mut y[..maps * output], &mut places[..maps * output]);
    workers.pairs(results, output, |map, (y, places), _| {
        let x = &x[map * input..][..input];
        workers.vectorised(Pool { op, rectify: false, x, y, places });
    });
}

/// Neighbouring rows of one map.
pub struct Pool<'a> {
    /// The operation, as high as these rows.
    pub op: &'a MaxPool,
    /// Whether y becomes max(y, 0).
    pub rectify: bool,
    /// The rows.
    pub x: &'a [f32],
    /// Their maxima.
    pub y: &'a mut [f32],
    /// Where in its window each was.
    pub places: &'a mut [u8],
}

impl WithSimd for Pool<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Pool { op, rectify, x, y, places } = self;
        let mut lines = [[[f32::NEG_INFINITY; REACH]; 2]; LINES];
        for first in (0..op.out_width).step_by(STRIP) {
            let count = STRIP.min(op.out_width - first);
            let left = first * op.stride;
            let mut next = 0;
            for row in 0..op.out_height {
                let top = row * op.stride;
                let rows = top..(top + op.size).min(op.height);
                let columns = op.size.min(op.width - left);
                let line = |row: usize| &x[row * op.width..][left..op.width];
                while op.stride == 2 && next < rows.end {
                    split_pairs(line(next), &mut lines[next % LINES]);
                    next += 1;
                }
                let (mut best, mut winner) = ([0.0f32; STRIP], [0u32; STRIP]);
                for vector in 0..count.div_ceil(S::F32_LANES) {
                    let mut held = (simd.splat_f32s(0.0), simd.splat_u32s(0));
                    for (ky, row) in rows.clone().enumerate() {
                        for kx in 0..columns {
                            let value = match op.stride {
                                2 => load::<S>(&lines[row % LINES][kx % 2][kx / 2..], vector),
                                stride => load::<S>(&spread(&line(row)[kx..], stride), vector),
                            };
                            held = challenge(simd, held, value, (ky * op.size + kx) as u32);
                        }
                    }
                    S::as_mut_simd_f32s(&mut best).0[vector] = held.0;
                    S::as_mut_simd_u32s(&mut winner).0[vector] = held.1;
                }
                if rectify {
                    best.iter_mut().for_each(|y| *y = if *y < 0.0 { 0.0 } else { *y });
                }
                let own = row * op.out_width + first..row * op.out_width + first + count;
                y[own.clone()].copy_from_slice(&best[..count]);
                let places = places[own].iter_mut().zip(&winner);
                places.for_each(|(place, &winner)| *place = winner as u8);
            }
        }
    }
}

#[inline(always)]
fn load<S: Simd>(values: &[f32], vector: usize) -> S::f32s {
    S::as_simd_f32s(values).0[vector]
}

/// Even and odd values of the part of a line that a strip's windows can reach.
#[inline(always)]
fn split_pairs(line: &[f32], [even, odd]: &mut [[f32; REACH]; 2]) {
    let mut reached = [f32::NEG_INFINITY; 2 * REACH];
    let len = line.len().min(2 * REACH);
    reached[..len].copy_from_slice(&line[..len]);
    for i in 0..REACH {
        even[i] = reached[2 * i];
        odd[i] = reached[2 * i + 1];
    }
}

/// Every `stride`-th value.
#[inline(always)]
fn spread(line: &[f32], stride: usize) -> [f32; STRIP] {
    let mut values = [f32::NEG_INFINITY; STRIP];
    values.iter_mut().zip(line.iter().step_by(stride)).for_each(|(to, x)| *to = *x);
    values
}

/// Lets `place` of each window challenge the best so far and its place; place 0 is in every window and comes first.
#[inline(always)]
fn challenge<S: Simd>(
    simd: S,
    (best, winner): (S::f32s, S::u32s),
    value: S::f32s,
    place: u32,
) -> (S::f32s, S::u32s) {
    let number = simd.splat_u32s(place);
    if place == 0 {
        return (value, number);
    }
    // A NaN is not below or equal to anything, and gives way to nothing.
    let is_nan = simd.not_m32s(simd.equal_f32s(best, best));
    let keeps = simd.or_m32s(simd.less_than_or_equal_f32s(value, best), is_nan);
    (simd.select_f32s(keeps, best, value), simd.select_u32s(keeps, winner, number))
}

/// Each dy goes to its window's winner, windows in order; with `y`, of maps that were rectified before, only where the
/// winner is above 0.
pub fn backward(
    workers: &Workers,
    op: &MaxPool,
    n: usize,
    (places, y): (&[u8], Option<&[f32]>),
    dy: &[f32],
    dx: &mut [f32],
) {
    let (input, output) = (op.height * op.width, op.out_height * op.out_width);
    workers.blocks(&mut dx[..n * op.channels * input], input, |map, dx, _| {
        let own = map * output..(map + 1) * output;
        give_back(op, (&places[own.clone()], y.map(|y| &y[own.clone()])), &dy[own], dx);
    });
}

/// As [`backward`], of one map or several.
pub fn give_back(op: &MaxPool, (places, y): (&[u8], Option<&[f32]>), dy: &[f32], dx: &mut [f32]) {
    // Where a place lies from its window's corner.
    let mut offsets = [0; 256];
    for (place, offset) in offsets.iter_mut().take(op.size * op.size).enumerate() {
        *offset = place / op.size * op.width + place % op.size;
    }
    dx.fill(0.0);
    let maps = dx.chunks_exact_mut(op.height * op.width);
    for (map, dx) in maps.enumerate() {
        for row in 0..op.out_height {
            let first = (map * op.out_height + row) * op.out_width;
            let own = first..first + op.out_width;
            let dx = &mut dx[row * op.stride * op.width..];
            for (column, (dy, &place)) in dy[own.clone()].iter().zip(&places[own.clone()]).enumerate() {
                if !y.is_some_and(|y| y[first + column] <= 0.0) {
                    dx[column * op.stride + offsets[usize::from(place)]] += dy;
                }
            }
        }
    }
}

/// Means of the windows.
pub fn average_forward(workers: &Workers, op: &AveragePool, n: usize, x: &[f32], y: &mut [f32]) {
    let (input, output) = (op.height * op.width, op.out_height * op.out_width);
    workers.blocks(&mut y[..n * op.channels * output], output, |map, y, _| {
        let x = &x[map * input..][..input];
        for (i, y) in y.iter_mut().enumerate() {
            let [rows, columns] = op.window(i / op.out_width, i % op.out_width);
            let values = (rows.len() * columns.len()) as f32;
            let sum: f32 = rows.map(|row| x[row * op.width..][columns.clone()].iter().sum::<f32>()).sum();
            *y = sum / values;
        }
    });
}

/// Each dy goes to its window in equal shares, windows in order.
pub fn average_backward(workers: &Workers, op: &AveragePool, n: usize, dy: &[f32], dx: &mut [f32]) {
    let (input, output) = (op.height * op.width, op.out_height * op.out_width);
    workers.blocks(&mut dx[..n * op.channels * input], input, |map, dx, _| {
        dx.fill(0.0);
        for (i, dy) in dy[map * output..][..output].iter().enumerate() {
            let [rows, columns] = op.window(i / op.out_width, i % op.out_width);
            let share = dy / (rows.len() * columns.len()) as f32;
            for row in rows {
                dx[row * op.width..][columns.clone()].iter_mut().for_each(|dx| *dx += share);
            }
        }
    });
}
