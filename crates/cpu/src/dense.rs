//! Dense layers as matrix products that read every weight once and in order.
//!
//! Blocks are ranges of outputs (forward, weight gradient) or of inputs (input gradient), a fixed number of them
//! wide.

use alexnet_net::{Dense, DenseUpdate};

use crate::elementwise::{Sum, advance};
use crate::gemm::{Matrix, MatrixMut, multiply};
use crate::workers::Workers;

/// Outputs or inputs of a block.
const WIDTH: usize = 256;

/// Outputs whose weights are brought together at a time for the input gradient: 512 KiB with [`WIDTH`] inputs.
const DEPTH: usize = 512;

/// Outputs and inputs of a tile whose gradient is used as it is made: 256 KiB.
const ROWS: usize = 16;
const ACROSS: usize = 4096;

/// Values a thread's workspace must hold.
pub fn scratch_len() -> usize {
    (WIDTH * DEPTH).max(ROWS * ACROSS)
}

/// Values the shared workspace must hold for batches of `n`.
pub fn shared_len(op: &Dense, n: usize) -> usize {
    n * op.inputs.max(op.outputs)
}

/// y = x·wᵀ + b, rectified if asked.
pub fn forward(
    workers: &Workers,
    op: &Dense,
    n: usize,
    x: &[f32],
    (w, bias): (&[f32], &[f32]),
    y: &mut [f32],
    shared: &mut [f32],
) {
    let (inputs, outputs) = (op.inputs / op.groups, op.outputs / op.groups);
    // Blocks are contiguous if the result is laid out [block of outputs, n, outputs of the block].
    let part = width(op, outputs, WIDTH);
    workers.blocks(&mut shared[..n * op.outputs], n * part, |block, to, _| {
        let first = block * part;
        let (group, count) = (first / outputs, to.len() / n);
        let x = Matrix { values: &x[group * inputs..n * op.inputs], row: op.inputs, column: 1 };
        let w = Matrix::rows_of(inputs, &w[first * inputs..][..count * inputs]);
        let to = MatrixMut { values: to, row: 1, column: n };
        multiply(n, count, inputs, x, w.transposed(), to, false);
    });
    let shared = &shared[..n * op.outputs];
    workers.blocks(&mut y[..n * op.outputs], op.outputs, |sample, y, _| {
        for (o, y) in y.iter_mut().enumerate() {
            let value = shared[o * n + sample] + bias[o];
            *y = if op.rectify && value < 0.0 { 0.0 } else { value };
        }
    });
}

/// The width of the blocks of `len` values a group, at most `most`; with several groups it divides them, so that none is
/// straddled.
fn width(op: &Dense, len: usize, most: usize) -> usize {
    let most = most.min(len);
    if op.groups == 1 {
        return most;
    }
    (1..=most).rev().find(|width| len.is_multiple_of(*width)).unwrap_or(1)
}

/// dx from dy.
pub fn backward_input(
    workers: &Workers,
    op: &Dense,
    n: usize,
    dy: &[f32],
    w: &[f32],
    dx: &mut [f32],
    shared: &mut [f32],
) {
    let (inputs, outputs) = (op.inputs / op.groups, op.outputs / op.groups);
    let part = width(op, inputs, WIDTH);
    workers.blocks(&mut shared[..n * op.inputs], n * part, |block, to, scratch| {
        let first = block * part;
        let (group, count) = (first / inputs, to.len() / n);
        let w = &w[group * outputs * inputs..(group + 1) * outputs * inputs];
        for o in (0..outputs).step_by(DEPTH) {
            // Rows of weights are far apart; each is read from memory once, here, and several times from the cache.
            let depth = DEPTH.min(outputs - o);
            let near = &mut scratch[..depth * count];
            for (near, w) in near.chunks_exact_mut(count).zip(w[o * inputs..].chunks_exact(inputs)) {
                near.copy_from_slice(&w[first % inputs..][..count]);
            }
            let near = Matrix { values: near, row: 1, column: count };
            let dy = &dy[group * outputs + o..n * op.outputs];
            let dy = Matrix { values: dy, row: 1, column: op.outputs };
            let to = MatrixMut { values: &mut *to, row: 1, column: count };
            multiply(count, n, depth, near, dy, to, o > 0);
        }
    });
    // [block, n, inputs of the block] to [n, inputs].
    let shared = &shared[..n * op.inputs];
    workers.blocks(&mut dx[..n * op.inputs], op.inputs, |sample, dx, _| {
        for (block, dx) in dx.chunks_mut(part).enumerate() {
            // The last block may be narrower.
            let from = block * part * n + sample * dx.len();
            dx.copy_from_slice(&shared[from..][..dx.len()]);
        }
    });
}

/// Gradient of the weights, summed over the batch.
pub fn backward_weights(workers: &Workers, op: &Dense, n: usize, x: &[f32], dy: &[f32], dw: Sum) {
    let (inputs, outputs) = (op.inputs / op.groups, op.outputs / op.groups);
    let part = width(op, outputs, WIDTH);
    workers.blocks(&mut dw.values[..op.weight_len()], part * inputs, |block, to, _| {
        let first = block * part;
        let (group, count) = (first / outputs, to.len() / inputs);
        let x = Matrix { values: &x[group * inputs..n * op.inputs], row: 1, column: op.inputs };
        let dy = Matrix { values: &dy[first..n * op.outputs], row: op.outputs, column: 1 };
        let to = MatrixMut { values: to, row: 1, column: inputs };
        multiply(inputs, count, n, x, dy, to, dw.accumulate);
    });
}

/// [`backward_weights`] and [`backward_bias`], and the update by what they give, some rows of weights at a time: the gradient
/// stays in the second cache.
pub fn backward_update(
    workers: &Workers,
    op: &Dense,
    n: usize,
    (x, dy): (&[f32], &[f32]),
    update: &DenseUpdate,
    (w, v): (&mut [f32], &mut [f32]),
) {
    let (inputs, outputs) = (op.inputs / op.groups, op.outputs / op.groups);
    let part = width(op, outputs, ROWS);
    let DenseUpdate { momentum, weight, bias } = update;
    let both = (&mut w[weight.range.clone()], &mut v[weight.range.clone()]);
    workers.pairs(both, part * inputs, |block, (w, v), scratch| {
        let first = block * part;
        let (group, rows) = (first / outputs, w.len() / inputs);
        let dy = Matrix { values: &dy[first..n * op.outputs], row: op.outputs, column: 1 };
        for at in (0..inputs).step_by(ACROSS) {
            let count = ACROSS.min(inputs - at);
            let g = &mut scratch[..rows * count];
            let x = Matrix { values: &x[group * inputs + at..n * op.inputs], row: 1, column: op.inputs };
            let to = MatrixMut { values: &mut *g, row: 1, column: count };
            multiply(count, rows, n, x, dy, to, false);
            let lines = w.chunks_exact_mut(inputs).zip(v.chunks_exact_mut(inputs));
            for ((w, v), g) in lines.zip(g.chunks_exact(count)) {
                advance(weight, *momentum, &mut w[at..][..count], &mut v[at..][..count], g);
            }
        }
    });
    if let Some(bias) = bias {
        let mut db = vec![0.0; op.outputs];
        backward_bias(op, n, dy, Sum { values: &mut db, accumulate: false });
        advance(bias, *momentum, &mut w[bias.range.clone()], &mut v[bias.range.clone()], &db);
    }
}

/// Gradient of the bias, samples in order.
pub fn backward_bias(op: &Dense, n: usize, dy: &[f32], db: Sum) {
    let Sum { values: db, accumulate } = db;
    if !accumulate {
        db.fill(0.0);
    }
    for dy in dy[..n * op.outputs].chunks_exact(op.outputs) {
        db.iter_mut().zip(dy).for_each(|(db, dy)| *db += dy);
    }
}
