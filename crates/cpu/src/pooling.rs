//! Overlapping pooling. A block is one map; windows are clipped at the border.
//!
//! For the maximum a row of outputs is taken a strip at a time, place by place: every output of the strip is compared with the same
//! place of its window before the next place is looked at. That keeps the order in which places win and lets the
//! compiler compare many outputs at once.

use alexnet_net::{AveragePool, MaxPool};
use rayon::prelude::*;

use crate::workers::Workers;

/// Outputs of a strip.
const STRIP: usize = 64;

/// Pairs of values that a strip's windows reach at stride 2: windows are at most 15 wide.
const PAIRS: usize = STRIP + 8;

/// Maxima and the places they came from: the first of equal values, a NaN before all.
pub fn forward(workers: &Workers, op: &MaxPool, n: usize, x: &[f32], y: &mut [f32], places: &mut [u8]) {
    let (input, output) = (op.height * op.width, op.out_height * op.out_width);
    let maps = n * op.channels;
    workers.run(|| {
        y[..maps * output]
            .par_chunks_exact_mut(output)
            .zip(places[..maps * output].par_chunks_exact_mut(output))
            .zip(x[..maps * input].par_chunks_exact(input))
            .for_each(|((y, places), x)| workers.wide(Pool { op, x, y, places }));
    });
}

struct Pool<'a> {
    op: &'a MaxPool,
    x: &'a [f32],
    y: &'a mut [f32],
    places: &'a mut [u8],
}

impl pulp::NullaryFnOnce for Pool<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Pool { op, x, y, places } = self;
        let rows = y.chunks_exact_mut(op.out_width).zip(places.chunks_exact_mut(op.out_width));
        for (row, (y, places)) in rows.enumerate() {
            let top = row * op.stride;
            let strips = y.chunks_mut(STRIP).zip(places.chunks_mut(STRIP));
            for (strip, (y, places)) in strips.enumerate() {
                let left = strip * STRIP * op.stride;
                let (mut best, mut winner) = ([0.0f32; STRIP], [0u32; STRIP]);
                for ky in 0..op.size.min(op.height - top) {
                    let line = &x[(top + ky) * op.width..][..op.width][left..];
                    let pairs = if op.stride == 2 { split_pairs(line) } else { [[0.0; PAIRS]; 2] };
                    for kx in 0..op.size.min(line.len()) {
                        let place = (ky * op.size + kx) as u32;
                        let count = (line.len() - kx).div_ceil(op.stride).min(y.len());
                        let (best, winner) = (&mut best[..count], &mut winner[..count]);
                        match op.stride {
                            1 => compare(line[kx..].iter(), place, best, winner),
                            2 => compare(pairs[kx % 2][kx / 2..].iter(), place, best, winner),
                            stride => compare(line[kx..].iter().step_by(stride), place, best, winner),
                        }
                    }
                }
                y.copy_from_slice(&best[..y.len()]);
                places.iter_mut().zip(&winner).for_each(|(place, &winner)| *place = winner as u8);
            }
        }
    }
}

/// Even and odd values of the part of a line that a strip's windows can reach.
#[inline(always)]
fn split_pairs(line: &[f32]) -> [[f32; PAIRS]; 2] {
    let mut split = [[0.0; PAIRS]; 2];
    let [even, odd] = &mut split;
    let pairs = line.chunks_exact(2);
    // A line of odd length ends in half a pair.
    if let ([last], Some(even)) = (pairs.remainder(), even.get_mut(line.len() / 2)) {
        *even = *last;
    }
    for ((pair, even), odd) in pairs.zip(even).zip(odd) {
        *even = pair[0];
        *odd = pair[1];
    }
    split
}

/// Lets `place` of each window challenge the best so far; place 0 is in every window and comes first.
#[inline(always)]
fn compare<'a>(values: impl Iterator<Item = &'a f32>, place: u32, best: &mut [f32], winner: &mut [u32]) {
    for ((&value, best), winner) in values.zip(best).zip(winner) {
        let wins = (value > *best) | (value.is_nan() & !best.is_nan()) | (place == 0);
        *best = if wins { value } else { *best };
        *winner = if wins { place } else { *winner };
    }
}

/// Each dy goes to its window's winner, windows in order.
pub fn backward(workers: &Workers, op: &MaxPool, n: usize, places: &[u8], dy: &[f32], dx: &mut [f32]) {
    let (input, output) = (op.height * op.width, op.out_height * op.out_width);
    workers.blocks(&mut dx[..n * op.channels * input], input, |map, dx, _| {
        dx.fill(0.0);
        let (dy, places) = (&dy[map * output..][..output], &places[map * output..][..output]);
        for (i, (&dy, &place)) in dy.iter().zip(places).enumerate() {
            let (row, column) = (i / op.out_width, i % op.out_width);
            let (ky, kx) = (usize::from(place) / op.size, usize::from(place) % op.size);
            dx[(row * op.stride + ky) * op.width + column * op.stride + kx] += dy;
        }
    });
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
