//! Convolution as matrix products over lowered patches.
//!
//! Forward: a block is one group of one sample; it lowers a few output rows at a time, so that they stay in the
//! second cache, and multiplies. Input gradient: at stride 1 the forward product again, with the kernels turned
//! round and their two channel axes exchanged; otherwise a product and a sum over patches. Weight gradient: a block
//! is a range of one group's kernel places; it goes through the samples in order, lowering only its own places, so
//! nothing is lowered twice and the sum over the batch has one order.

use std::ops::Range;

use alexnet_net::Convolution;

use crate::elementwise::Sum;
use crate::gemm::{Matrix, MatrixMut, multiply};
use crate::lowering::{add_patches, patches};
use crate::winograd;
use crate::workers::Workers;

/// Values of a lowered block: 1 MiB.
const LOWERED: usize = 1 << 18;

/// Kernel places of a block of the weight gradient.
const PLACES: usize = 384;

/// Output rows lowered at a time.
fn rows_at_a_time(op: &Convolution) -> usize {
    let most = (LOWERED / (op.window() * op.out_width)).clamp(1, op.out_height);
    op.out_height.div_ceil(op.out_height.div_ceil(most))
}

/// Kernel places of a block of the weight gradient: equal shares of at most [`PLACES`].
fn places_at_a_time(op: &Convolution) -> usize {
    // At least two blocks, so that a net with one group still has work for several threads.
    let blocks = op.window().div_ceil(PLACES).max(2);
    op.window().div_ceil(blocks)
}

/// Whether the input gradient is taken by turned kernels. Lowering dy costs in proportion to the outputs, summing
/// patches in proportion to the inputs.
fn turns(op: &Convolution) -> bool {
    op.stride == 1 && op.outputs <= op.inputs
}

fn turned(op: &Convolution) -> Convolution {
    Convolution {
        inputs: op.outputs,
        outputs: op.inputs,
        height: op.out_height,
        width: op.out_width,
        padding: op.kernel - 1 - op.padding,
        out_height: op.height,
        out_width: op.width,
        rectify: false,
        ..*op
    }
}

/// Values a thread's workspace must hold.
pub fn scratch_len(op: &Convolution) -> usize {
    let lowered = |op: &Convolution| op.window() * rows_at_a_time(op) * op.out_width;
    let forward =
        |op: &Convolution| if winograd::takes(op) { winograd::scratch_len(op) } else { lowered(op) };
    let backward = if turns(op) || winograd::takes_back(op) { forward(&turned(op)) } else { lowered(op) };
    let weights = if winograd::takes(op) { 0 } else { places_at_a_time(op) * op.positions() };
    forward(op).max(backward).max(weights)
}

/// Values the shared workspace must hold for batches of `n`.
pub fn shared_len(op: &Convolution, n: usize) -> usize {
    if winograd::takes(op) { winograd::shared_len(op, n).max(op.weight_len()) } else { op.weight_len() }
}

/// y = w ∗ x + b, rectified if asked.
pub fn forward(
    workers: &Workers,
    op: &Convolution,
    n: usize,
    x: &[f32],
    (w, bias): (&[f32], &[f32]),
    y: &mut [f32],
    shared: &mut [f32],
) {
    if winograd::takes(op) {
        winograd::forward(workers, op, n, x, (w, false), Some(bias), y, shared);
    } else {
        lowered(workers, op, n, x, w, Some(bias), y);
    }
}

/// As [`forward`], by lowering; without `bias`, y = w ∗ x.
fn lowered(
    workers: &Workers,
    op: &Convolution,
    n: usize,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let (window, positions, outputs) = (op.window(), op.positions(), op.outputs / op.groups);
    let input = op.input_len() / op.groups;
    let step = rows_at_a_time(op);
    workers.blocks(&mut y[..n * op.output_len()], outputs * positions, |block, y, scratch| {
        let group = block % op.groups;
        let image = &x[block * input..][..input];
        let w = Matrix::rows_of(window, &w[group * outputs * window..][..outputs * window]);
        let mut row = 0;
        while row < op.out_height {
            let rows = row..(row + step).min(op.out_height);
            let columns = rows.len() * op.out_width;
            let lowered = &mut scratch[..window * columns];
            patches(op, image, 0..window, rows.clone(), lowered);
            let to = MatrixMut { values: &mut y[row * op.out_width..], row: positions, column: 1 };
            multiply(outputs, columns, window, w, Matrix::rows_of(columns, lowered), to, false);
            row = rows.end;
        }
        if let Some(bias) = bias {
            for (map, &b) in y.chunks_exact_mut(positions).zip(&bias[group * outputs..]) {
                finish(map, b, op.rectify);
            }
        }
    });
}

fn finish(map: &mut [f32], bias: f32, rectify: bool) {
    if rectify {
        for y in map {
            let value = *y + bias;
            *y = if value < 0.0 { 0.0 } else { value };
        }
    } else {
        map.iter_mut().for_each(|y| *y += bias);
    }
}

/// dx from dy. `shared` holds the turned or transposed kernels.
pub fn backward_input(
    workers: &Workers,
    op: &Convolution,
    n: usize,
    dy: &[f32],
    w: &[f32],
    dx: &mut [f32],
    shared: &mut [f32],
) {
    if winograd::takes_back(op) {
        return winograd::forward(workers, &turned(op), n, dy, (w, true), None, dx, shared);
    }
    if turns(op) {
        let turned_weights = &mut shared[..op.weight_len()];
        turn(workers, op, w, turned_weights);
        return lowered(workers, &turned(op), n, dy, turned_weights, None, dx);
    }
    let (window, positions, outputs) = (op.window(), op.positions(), op.outputs / op.groups);
    let output = outputs * positions;
    let transposed = &mut shared[..op.weight_len()];
    workers.blocks(transposed, outputs, |row, to, _| {
        let (group, place) = (row / window, row % window);
        for (o, to) in to.iter_mut().enumerate() {
            *to = w[(group * outputs + o) * window + place];
        }
    });
    let transposed = &shared[..op.weight_len()];
    let step = rows_at_a_time(op);
    workers.blocks(&mut dx[..n * op.input_len()], op.input_len() / op.groups, |block, dx, scratch| {
        let group = block % op.groups;
        let w = Matrix::rows_of(outputs, &transposed[group * outputs * window..][..outputs * window]);
        let dy = &dy[block * output..][..output];
        dx.fill(0.0);
        let mut row = 0;
        while row < op.out_height {
            let rows = row..(row + step).min(op.out_height);
            let columns = rows.len() * op.out_width;
            let dy = Matrix::rows_of(positions, &dy[row * op.out_width..]);
            let lowered = &mut scratch[..window * columns];
            let to = MatrixMut { values: &mut *lowered, row: columns, column: 1 };
            multiply(window, columns, outputs, w, dy, to, false);
            add_patches(op, lowered, rows.clone(), dx);
            row = rows.end;
        }
    });
}

/// Kernels for the input gradient: `[inputs, outputs / groups, kernel, kernel]`, each turned by half a circle.
fn turn(workers: &Workers, op: &Convolution, w: &[f32], to: &mut [f32]) {
    let square = op.kernel * op.kernel;
    let (inputs, outputs) = (op.inputs / op.groups, op.outputs / op.groups);
    workers.blocks(to, outputs * square, |input, to, _| {
        let (group, i) = (input / inputs, input % inputs);
        for (o, to) in to.chunks_exact_mut(square).enumerate() {
            let from = &w[((group * outputs + o) * inputs + i) * square..][..square];
            to.iter_mut().zip(from.iter().rev()).for_each(|(to, from)| *to = *from);
        }
    });
}

/// Gradient of the weights, summed over the batch, into `dw`; `shared` holds it block by block on the way.
pub fn backward_weights(
    workers: &Workers,
    op: &Convolution,
    n: usize,
    x: &[f32],
    dy: &[f32],
    dw: Sum,
    shared: &mut [f32],
) {
    if winograd::takes(op) {
        return winograd::backward_weights(workers, op, n, x, dy, dw, shared);
    }
    let (window, positions, outputs) = (op.window(), op.positions(), op.outputs / op.groups);
    let step = places_at_a_time(op);
    let blocks = window.div_ceil(step);
    let block_places = |block: usize| -> Range<usize> { block * step..((block + 1) * step).min(window) };
    let group_len = outputs * window;
    // Cut each group's share of the workspace into its blocks, [places, outputs] each.
    let mut parts = Vec::with_capacity(op.groups * blocks);
    let mut rest = &mut shared[..op.weight_len()];
    for block in 0..op.groups * blocks {
        let (part, after) = rest.split_at_mut(block_places(block % blocks).len() * outputs);
        parts.push(part);
        rest = after;
    }
    workers.blocks(&mut parts, 1, |block, part, scratch| {
        let (group, places) = (block / blocks, block_places(block % blocks));
        let lowered = &mut scratch[..places.len() * positions];
        for sample in 0..n {
            let image = &x[(sample * op.groups + group) * (op.input_len() / op.groups)..];
            patches(op, image, places.clone(), 0..op.out_height, lowered);
            let dy = &dy[(sample * op.groups + group) * outputs * positions..][..outputs * positions];
            let (dy, lowered) = (Matrix::rows_of(positions, dy), Matrix::rows_of(positions, lowered));
            let to = MatrixMut { values: &mut part[0][..], row: 1, column: outputs };
            multiply(outputs, places.len(), positions, dy, lowered.transposed(), to, sample > 0);
        }
    });
    let shared = &shared[..op.weight_len()];
    workers.blocks(&mut dw.values[..op.weight_len()], window, |row, to, _| {
        let (group, o) = (row / outputs, row % outputs);
        for (place, to) in to.iter_mut().enumerate() {
            // The blocks of a group follow each other, so place and output suffice to find a value.
            let value = shared[group * group_len + place * outputs + o];
            *to = if dw.accumulate { *to + value } else { value };
        }
    });
}

/// Gradient of the bias: each map's dy summed, pixels in sixteen interleaved sums, samples in order.
pub fn backward_bias(workers: &Workers, op: &Convolution, n: usize, dy: &[f32], db: Sum) {
    let positions = op.positions();
    workers.blocks(&mut db.values[..op.outputs], 1, |map, to, _| {
        let mut sum = 0.0f64;
        for sample in 0..n {
            let dy = &dy[(sample * op.outputs + map) * positions..][..positions];
            let mut lanes = [0.0f32; 16];
            let chunks = dy.chunks_exact(16);
            let rest: f64 = chunks.remainder().iter().map(|&x| f64::from(x)).sum();
            for chunk in chunks {
                lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane += x);
            }
            sum += lanes.iter().map(|&x| f64::from(x)).sum::<f64>() + rest;
        }
        to[0] = sum as f32 + if db.accumulate { to[0] } else { 0.0 };
    });
}
