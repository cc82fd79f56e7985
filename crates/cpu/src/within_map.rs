//! Normalisation over a square of neighbouring pixels of the same map.
//!
//! Maps are small (27×27), so each is copied into a frame of zeros as wide as half a window: then both sums, along
//! rows and along columns, are long additions of shifted vectors without borders. Values between the rows of a map
//! are computed and ignored. A block is one map; the formulas are those of `normalisation.rs`.

use alexnet_net::WithinMap;

use crate::normalisation::powers;
use crate::workers::Workers;

/// Pixels of a framed row, and of all framed rows.
fn frame(op: &WithinMap) -> (usize, usize) {
    let width = op.width + op.size - 1;
    (width, width * (op.height + op.size - 1))
}

/// Values a thread's workspace must hold.
pub fn scratch_len(op: &WithinMap) -> usize {
    3 * frame(op).1
}

/// Writes the squares of a map into a frame of zeros.
#[inline(always)]
fn framed_squares(op: &WithinMap, frame_width: usize, x: &[f32], to: &mut [f32]) {
    to.fill(0.0);
    let half = op.size / 2;
    for (to, x) in to.chunks_exact_mut(frame_width).skip(half).zip(x.chunks_exact(op.width)) {
        to[half..][..op.width].iter_mut().zip(x).for_each(|(to, x)| *to = x * x);
    }
}

/// Sums over the window of every pixel, row after row at the frame's width; `rows` is room for the sums along rows.
#[inline(always)]
fn box_sums(op: &WithinMap, frame_width: usize, values: &[f32], rows: &mut [f32], sums: &mut [f32]) {
    add_shifted(op.size, 1, values, rows);
    add_shifted(op.size, frame_width, rows, sums);
}

/// `to[i] = from[i] + from[i + step] + …` of `count` terms, as far as they reach.
#[inline(always)]
fn add_shifted(count: usize, step: usize, from: &[f32], to: &mut [f32]) {
    let len = from.len().saturating_sub((count - 1) * step);
    to.fill(0.0);
    to[..len].copy_from_slice(&from[..len]);
    for shift in 1..count {
        to[..len].iter_mut().zip(&from[shift * step..]).for_each(|(to, from)| *to += from);
    }
}

#[inline(always)]
fn thirds(scratch: &mut [f32], len: usize) -> [&mut [f32]; 3] {
    let (a, rest) = scratch.split_at_mut(len);
    let (b, rest) = rest.split_at_mut(len);
    [a, b, &mut rest[..len]]
}

/// y = x · d^−β.
pub fn forward(workers: &Workers, op: &WithinMap, n: usize, x: &[f32], y: &mut [f32]) {
    let pixels = op.height * op.width;
    workers.blocks(&mut y[..n * op.channels * pixels], pixels, |map, y, scratch| {
        workers.wide(Forward { op, x: &x[map * pixels..][..pixels], y, scratch });
    });
}

struct Forward<'a> {
    op: &'a WithinMap,
    x: &'a [f32],
    y: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl pulp::NullaryFnOnce for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Forward { op, x, y, scratch } = self;
        let (width, len) = frame(op);
        let [squares, rows, sums] = thirds(scratch, len);
        framed_squares(op, width, x, squares);
        box_sums(op, width, squares, rows, sums);
        let sums = &mut sums[..op.height * width];
        sums.iter_mut().for_each(|d| *d = op.k + op.alpha * *d);
        powers(op.beta, sums, rows);
        let lines = y.chunks_exact_mut(op.width).zip(x.chunks_exact(op.width)).zip(rows.chunks_exact(width));
        for ((y, x), p) in lines {
            y.iter_mut().zip(x).zip(p).for_each(|((y, x), p)| *y = x * p);
        }
    }
}

/// dx from x and dy.
pub fn backward(workers: &Workers, op: &WithinMap, n: usize, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    let pixels = op.height * op.width;
    workers.blocks(&mut dx[..n * op.channels * pixels], pixels, |map, dx, scratch| {
        let (x, dy) = (&x[map * pixels..][..pixels], &dy[map * pixels..][..pixels]);
        workers.wide(Backward { op, x, dy, dx, scratch });
    });
}

struct Backward<'a> {
    op: &'a WithinMap,
    x: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl pulp::NullaryFnOnce for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Backward { op, x, dy, dx, scratch } = self;
        let factor = 2.0 * op.alpha * op.beta;
        let (width, len) = frame(op);
        let half = op.size / 2;
        let [values, rows, sums] = thirds(scratch, len);
        framed_squares(op, width, x, values);
        box_sums(op, width, values, rows, sums);
        let d = &mut sums[..op.height * width];
        d.iter_mut().for_each(|d| *d = op.k + op.alpha * *d);
        powers(op.beta, d, rows);
        // dx = dy·d^−β, and into the frame dy·x·d^(−β−1).
        let lines =
            dx.chunks_exact_mut(op.width).zip(dy.chunks_exact(op.width)).zip(rows.chunks_exact(width));
        for ((dx, dy), p) in lines {
            dx.iter_mut().zip(dy).zip(p).for_each(|((dx, dy), p)| *dx = dy * p);
        }
        let inner = values.chunks_exact_mut(width).skip(half);
        let lines =
            inner.zip(dx.chunks_exact(op.width)).zip(x.chunks_exact(op.width)).zip(d.chunks_exact(width));
        for (((ratio, dx), x), d) in lines {
            let ratio = &mut ratio[half..][..op.width];
            ratio.iter_mut().zip(dx).zip(d).for_each(|((ratio, dx), d)| *ratio = dx / d);
            ratio.iter_mut().zip(x).for_each(|(ratio, x)| *ratio *= x);
        }
        box_sums(op, width, values, rows, sums);
        let lines = dx.chunks_exact_mut(op.width).zip(x.chunks_exact(op.width)).zip(sums.chunks_exact(width));
        for ((dx, x), sum) in lines {
            dx.iter_mut().zip(x).zip(sum).for_each(|((dx, x), sum)| *dx -= factor * x * *sum);
        }
    }
}
