//! Both normalisations, pixels innermost so that the compiler can use the whole width of the registers.
//!
//! Denominators are recomputed in the backward pass: that costs a few additions a pixel and saves a tensor. Sums over
//! windows run from the first neighbour to the last, for every pixel alike. d^−0.75 is 1 / (√d · √√d): two square
//! roots and a division, each rounded once, the same on every machine; other exponents go through `powf`.

use alexnet_net::{LocalResponse, WithinMap};

use crate::workers::Workers;

/// Pixels of a strip: the channels of a strip of conv1 (48 or 96) stay in the first or second cache.
const STRIP: usize = 128;

#[inline(always)]
fn inverse_power<const THREE_QUARTERS: bool>(d: f32, beta: f32) -> f32 {
    if THREE_QUARTERS {
        let root = d.sqrt();
        1.0 / (root * root.sqrt())
    } else {
        d.powf(-beta)
    }
}

/// d^−β of each value.
fn powers(beta: f32, d: &[f32], to: &mut [f32]) {
    if beta == 0.75 {
        to.iter_mut().zip(d).for_each(|(to, &d)| *to = inverse_power::<true>(d, beta));
    } else {
        to.iter_mut().zip(d).for_each(|(to, &d)| *to = inverse_power::<false>(d, beta));
    }
}

/// Values a thread's workspace must hold.
pub fn scratch_len(channels: usize) -> usize {
    (channels + 2) * STRIP
}

/// k + alpha · Σ x² of channel `i`'s window at `pixels` neighbouring pixels from `at`, into `d`.
fn denominators(op: &LocalResponse, width: usize, i: usize, x: &[f32], at: usize, d: &mut [f32]) {
    d.fill(0.0);
    for j in window(op, width, i) {
        for (d, &x) in d.iter_mut().zip(&x[j * op.pixels + at..]) {
            *d += x * x;
        }
    }
    d.iter_mut().for_each(|d| *d = op.k + op.alpha * *d);
}

fn window(op: &LocalResponse, width: usize, i: usize) -> std::ops::Range<usize> {
    i.saturating_sub(op.size / 2)..(i + op.size / 2 + 1).min(width)
}

/// Over neighbouring maps. A block is one column of one sample.
pub fn local_response_forward(workers: &Workers, op: &LocalResponse, n: usize, x: &[f32], y: &mut [f32]) {
    let width = op.channels / op.columns;
    let len = width * op.pixels;
    workers.blocks(&mut y[..n * op.channels * op.pixels], len, |block, y, _| {
        let x = &x[block * len..][..len];
        let (mut d, mut p) = ([0.0f32; STRIP], [0.0f32; STRIP]);
        for at in (0..op.pixels).step_by(STRIP) {
            let strip = STRIP.min(op.pixels - at);
            for i in 0..width {
                denominators(op, width, i, x, at, &mut d[..strip]);
                powers(op.beta, &d[..strip], &mut p[..strip]);
                let (x, y) = (&x[i * op.pixels + at..][..strip], &mut y[i * op.pixels + at..][..strip]);
                for ((y, x), p) in y.iter_mut().zip(x).zip(&p) {
                    *y = x * p;
                }
            }
        }
    });
}

/// dx = dy·d^−β − 2αβ·x·Σ dy·x·d^(−β−1) over the window.
pub fn local_response_backward(
    workers: &Workers,
    op: &LocalResponse,
    n: usize,
    x: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let width = op.channels / op.columns;
    let len = width * op.pixels;
    let factor = 2.0 * op.alpha * op.beta;
    workers.blocks(&mut dx[..n * op.channels * op.pixels], len, |block, dx, scratch| {
        let (x, dy) = (&x[block * len..][..len], &dy[block * len..][..len]);
        let (d, rest) = scratch.split_at_mut(STRIP);
        let (p, ratios) = rest.split_at_mut(STRIP);
        for at in (0..op.pixels).step_by(STRIP) {
            let strip = STRIP.min(op.pixels - at);
            let (d, p) = (&mut d[..strip], &mut p[..strip]);
            // First dy·d^−β into dx and dy·x·d^(−β−1) into the workspace, channel by channel; then the windows.
            for i in 0..width {
                denominators(op, width, i, x, at, d);
                powers(op.beta, d, p);
                let from = i * op.pixels + at;
                let (x, dy, dx) = (&x[from..][..strip], &dy[from..][..strip], &mut dx[from..][..strip]);
                let ratio = &mut ratios[i * STRIP..][..strip];
                for j in 0..strip {
                    dx[j] = dy[j] * p[j];
                    ratio[j] = dx[j] * x[j] / d[j];
                }
            }
            for i in 0..width {
                let sum = &mut *d;
                sum.fill(0.0);
                for j in window(op, width, i) {
                    sum.iter_mut().zip(&ratios[j * STRIP..]).for_each(|(sum, ratio)| *sum += ratio);
                }
                let from = i * op.pixels + at;
                for ((dx, x), sum) in dx[from..][..strip].iter_mut().zip(&x[from..]).zip(sum) {
                    *dx -= factor * x * *sum;
                }
            }
        }
    });
}

/// Sums of `values` over the window of every pixel of a map, rows first: `sums` and `rows` are maps as well.
fn box_sums(op: &WithinMap, values: &[f32], rows: &mut [f32], sums: &mut [f32]) {
    let (half, width) = (op.size / 2, op.width);
    for (values, rows) in values.chunks_exact(width).zip(rows.chunks_exact_mut(width)) {
        rows.fill(0.0);
        // Offset o adds value c + o − half to the sum of pixel c.
        for offset in 0..op.size {
            let (from, to) = (offset.saturating_sub(half), half.saturating_sub(offset));
            if from < width && to < width {
                rows[to..].iter_mut().zip(&values[from..]).for_each(|(sum, value)| *sum += value);
            }
        }
    }
    for (y, sums) in sums.chunks_exact_mut(width).enumerate() {
        sums.fill(0.0);
        for near in y.saturating_sub(half)..(y + half + 1).min(op.height) {
            sums.iter_mut().zip(&rows[near * width..]).for_each(|(sum, row)| *sum += row);
        }
    }
}

/// Values a thread's workspace must hold for a map of `pixels`.
pub fn within_scratch_len(pixels: usize) -> usize {
    4 * pixels
}

/// Over neighbouring pixels. A block is one map.
pub fn within_map_forward(workers: &Workers, op: &WithinMap, n: usize, x: &[f32], y: &mut [f32]) {
    let pixels = op.height * op.width;
    workers.blocks(&mut y[..n * op.channels * pixels], pixels, |map, y, scratch| {
        let x = &x[map * pixels..][..pixels];
        let [squares, rows, sums] = maps(scratch, pixels);
        squares.iter_mut().zip(x).for_each(|(square, x)| *square = x * x);
        box_sums(op, squares, rows, sums);
        sums.iter_mut().for_each(|d| *d = op.k + op.alpha * *d);
        powers(op.beta, sums, rows);
        for ((y, x), p) in y.iter_mut().zip(x).zip(rows) {
            *y = x * *p;
        }
    });
}

/// dx from x and dy, by the formula of [`local_response_backward`].
pub fn within_map_backward(
    workers: &Workers,
    op: &WithinMap,
    n: usize,
    x: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let pixels = op.height * op.width;
    let factor = 2.0 * op.alpha * op.beta;
    workers.blocks(&mut dx[..n * op.channels * pixels], pixels, |map, dx, scratch| {
        let (x, dy) = (&x[map * pixels..][..pixels], &dy[map * pixels..][..pixels]);
        let [ratios, rows, sums] = maps(scratch, pixels);
        ratios.iter_mut().zip(x).for_each(|(square, x)| *square = x * x);
        box_sums(op, ratios, rows, sums);
        sums.iter_mut().for_each(|d| *d = op.k + op.alpha * *d);
        powers(op.beta, sums, rows);
        for j in 0..pixels {
            dx[j] = dy[j] * rows[j];
            ratios[j] = dx[j] * x[j] / sums[j];
        }
        box_sums(op, ratios, rows, sums);
        for ((dx, x), sum) in dx.iter_mut().zip(x).zip(sums) {
            *dx -= factor * x * *sum;
        }
    });
}

fn maps(scratch: &mut [f32], pixels: usize) -> [&mut [f32]; 3] {
    let (a, rest) = scratch.split_at_mut(pixels);
    let (b, rest) = rest.split_at_mut(pixels);
    [a, b, &mut rest[..pixels]]
}
