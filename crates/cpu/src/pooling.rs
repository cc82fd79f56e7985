//! Overlapping max pooling. A block is one map; windows are clipped at the border.

use alexnet_net::MaxPool;
use rayon::prelude::*;

use crate::workers::Workers;

/// Maxima and the places they came from: the first of equal values, a NaN before all.
pub fn forward(workers: &Workers, op: &MaxPool, n: usize, x: &[f32], y: &mut [f32], places: &mut [u8]) {
    let (input, output) = (op.height * op.width, op.out_height * op.out_width);
    let maps = n * op.channels;
    workers.run(|| {
        y[..maps * output]
            .par_chunks_exact_mut(output)
            .zip(places[..maps * output].par_chunks_exact_mut(output))
            .zip(x[..maps * input].par_chunks_exact(input))
            .for_each(|((y, places), x)| match op.size {
                // The sizes of the paper, unrolled by the compiler.
                2 => pool(op, 2, x, y, places),
                3 => pool(op, 3, x, y, places),
                size => pool(op, size, x, y, places),
            });
    });
}

#[inline(always)]
fn pool(op: &MaxPool, size: usize, x: &[f32], y: &mut [f32], places: &mut [u8]) {
    let rows = y.chunks_exact_mut(op.out_width).zip(places.chunks_exact_mut(op.out_width));
    for (row, (y, places)) in rows.enumerate() {
        let top = row * op.stride;
        let height = size.min(op.height - top);
        for (column, (y, place)) in y.iter_mut().zip(places).enumerate() {
            let left = column * op.stride;
            let width = size.min(op.width - left);
            let mut best = x[top * op.width + left];
            let mut winner = 0;
            for ky in 0..height {
                let line = &x[(top + ky) * op.width + left..][..width];
                for (kx, &value) in line.iter().enumerate() {
                    if value > best || (value.is_nan() && !best.is_nan()) {
                        best = value;
                        winner = ky * size + kx;
                    }
                }
            }
            *y = best;
            *place = winner as u8;
        }
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
