//! Normalisation, pooling and rectifier in one go: what lies between is never a tensor, only some rows in the cache.
//!
//! A block is one column of one sample. Every value is computed by the separate operations' own code, in the same order, so the
//! bits are theirs.

use std::ops::Range;

use alexnet_net::{MaxPool, ResponsePool};

use crate::normalisation::{self, Across, AcrossBack};
use crate::pooling::{Pool, give_back};
use crate::workers::Workers;

/// Normalised values of a band of rows: 256 KiB, which leaves room in the second cache for those they are made of.
const BAND: usize = 1 << 16;

/// Rows of outputs of a band: equal shares.
fn rows_at_a_time(op: &MaxPool, width: usize) -> usize {
    let fit = BAND / (width * op.width);
    let most = (fit.saturating_sub(op.size) / op.stride + 1).min(op.out_height);
    op.out_height.div_ceil(op.out_height.div_ceil(most))
}

/// Rows that some rows of outputs read.
fn read_by(op: &MaxPool, rows: &Range<usize>) -> Range<usize> {
    rows.start * op.stride..((rows.end - 1) * op.stride + op.size).min(op.height)
}

/// Values a thread's workspace must hold.
pub fn scratch_len(op: &ResponsePool) -> usize {
    let width = op.pool.channels / op.response.columns;
    let rows = read_by(&op.pool, &(0..rows_at_a_time(&op.pool, width))).len();
    width * rows * op.pool.width + normalisation::scratch_len(&op.response)
}

/// Normalises, pools, and rectifies if `op.rectify`.
pub fn forward(workers: &Workers, op: &ResponsePool, n: usize, x: &[f32], y: &mut [f32], places: &mut [u8]) {
    let ResponsePool { response, pool, rectify, .. } = op;
    let width = pool.channels / response.columns;
    let (input, map) = (width * response.pixels, pool.out_height * pool.out_width);
    let len = n * pool.output_len();
    let step = rows_at_a_time(pool, width);
    workers.pairs((&mut y[..len], &mut places[..len]), width * map, |block, (y, places), scratch| {
        let x = &x[block * input..][..input];
        for first in (0..pool.out_height).step_by(step) {
            let rows = first..(first + step).min(pool.out_height);
            let read = read_by(pool, &rows);
            let pixels = read.start * pool.width..read.end * pool.width;
            let (between, scratch) = scratch.split_at_mut(width * pixels.len());
            workers.vectorised(Across { op: response, x, pixels, y: between, scratch });
            let band = MaxPool { height: read.len(), out_height: rows.len(), ..*pool };
            let own = rows.start * pool.out_width..rows.end * pool.out_width;
            let maps = y.chunks_exact_mut(map).zip(places.chunks_exact_mut(map));
            for ((y, places), x) in maps.zip(between.chunks_exact(read.len() * pool.width)) {
                let (y, places) = (&mut y[own.clone()], &mut places[own.clone()]);
                workers.vectorised(Pool { op: &band, rectify: *rectify, x, y, places });
            }
        }
    });
}

/// dx from x, the places of the maxima and their gradient.
pub fn backward(
    workers: &Workers,
    op: &ResponsePool,
    n: usize,
    x: &[f32],
    (places, dy): (&[u8], &[f32]),
    dx: &mut [f32],
) {
    let ResponsePool { response, pool, rectified, .. } = op;
    let width = pool.channels / response.columns;
    let (input, output) = (width * response.pixels, width * pool.out_height * pool.out_width);
    workers.blocks(&mut dx[..n * pool.input_len()], input, |block, dx, scratch| {
        let own = block * output..(block + 1) * output;
        give_back(pool, (&places[own.clone()], None), &dy[own], dx);
        let x = &x[block * input..][..input];
        workers.vectorised(AcrossBack { op: response, rectified: *rectified, x, dy: None, dx, scratch });
    });
}

#[cfg(test)]
mod tests;
