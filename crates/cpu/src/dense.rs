//! Dense layers as matrix products that read every weight once and in order.
//!
//! Blocks are ranges of outputs (forward, weight gradient) or of inputs (input gradient), a fixed number of them
//! wide.

use alexnet_net::Dense;

use crate::gemm::{Matrix, MatrixMut, multiply};
use crate::workers::Workers;

/// Outputs or inputs of a block.
const WIDTH: usize = 256;

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
    w: &[f32],
    bias: &[f32],
    y: &mut [f32],
    shared: &mut [f32],
) {
    let (inputs, outputs) = (op.inputs / op.groups, op.outputs / op.groups);
    // Blocks are contiguous if the result is laid out [block of outputs, n, outputs of the block].
    let part = width(op, outputs);
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

/// The width of the blocks of `len` values a group; with several groups it divides them, so that none is straddled.
fn width(op: &Dense, len: usize) -> usize {
    let most = WIDTH.min(len);
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
    let part = width(op, inputs);
    workers.blocks(&mut shared[..n * op.inputs], n * part, |block, to, _| {
        let first = block * part;
        let (group, count) = (first / inputs, to.len() / n);
        let w = &w[group * outputs * inputs + first % inputs..(group + 1) * outputs * inputs];
        let w = Matrix { values: w, row: 1, column: inputs };
        let dy = Matrix { values: &dy[group * outputs..n * op.outputs], row: 1, column: op.outputs };
        let to = MatrixMut { values: to, row: 1, column: count };
        multiply(count, n, outputs, w, dy, to, false);
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
pub fn backward_weights(
    workers: &Workers,
    op: &Dense,
    n: usize,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    accumulate: bool,
) {
    let (inputs, outputs) = (op.inputs / op.groups, op.outputs / op.groups);
    let part = width(op, outputs);
    workers.blocks(&mut dw[..op.weight_len()], part * inputs, |block, dw, _| {
        let first = block * part;
        let (group, count) = (first / outputs, dw.len() / inputs);
        let x = Matrix { values: &x[group * inputs..n * op.inputs], row: 1, column: op.inputs };
        let dy = Matrix { values: &dy[first..n * op.outputs], row: op.outputs, column: 1 };
        let to = MatrixMut { values: dw, row: 1, column: inputs };
        multiply(inputs, count, n, x, dy, to, accumulate);
    });
}

/// Gradient of the bias, samples in order.
pub fn backward_bias(op: &Dense, n: usize, dy: &[f32], db: &mut [f32], accumulate: bool) {
    if !accumulate {
        db.fill(0.0);
    }
    for dy in dy[..n * op.outputs].chunks_exact(op.outputs) {
        db.iter_mut().zip(dy).for_each(|(db, dy)| *db += dy);
    }
}
