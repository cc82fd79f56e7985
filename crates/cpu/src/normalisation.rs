//! Normalisation over neighbouring maps, pixels innermost so that the compiler can use the whole width of the
//! registers.
//!
//! Denominators are recomputed in the backward pass: that costs a few additions a pixel and saves a tensor. Sums over
//! windows run from the first neighbour to the last, for every pixel alike. d^−0.75 is 1 / (√d · √√d): two square
//! roots and a division, each rounded once, the same on every machine; other exponents go through `powf`.

use std::ops::Range;

use alexnet_net::LocalResponse;
use pulp::{Simd, WithSimd};

use crate::workers::Workers;

/// Pixels of a strip: the squares of a strip of conv1 (48 or 96 channels) stay in the first cache.
const STRIP: usize = 64;

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
#[inline(always)]
pub fn powers(beta: f32, d: &[f32], to: &mut [f32]) {
    if beta == 0.75 {
        to.iter_mut().zip(d).for_each(|(to, &d)| *to = inverse_power::<true>(d, beta));
    } else {
        to.iter_mut().zip(d).for_each(|(to, &d)| *to = inverse_power::<false>(d, beta));
    }
}

/// Values a thread's workspace must hold.
pub fn scratch_len(op: &LocalResponse) -> usize {
    2 * op.channels / op.columns * STRIP
}

/// The squares of `strip` pixels from `at`, channel by channel; what lies behind them in `to` means nothing.
#[inline(always)]
fn square(op: &LocalResponse, x: &[f32], at: usize, strip: usize, to: &mut [f32]) {
    for (to, x) in to.chunks_exact_mut(STRIP).zip(x.chunks_exact(op.pixels)) {
        to.iter_mut().zip(&x[at..][..strip]).for_each(|(to, x)| *to = x * x);
    }
}

/// The sums of `rows`, the first of them first.
#[inline(always)]
fn sum<S: Simd>(simd: S, rows: &[f32], to: &mut [f32; STRIP]) {
    for (i, to) in S::as_mut_simd_f32s(to).0.iter_mut().enumerate() {
        let mut sum = simd.splat_f32s(0.0);
        for row in rows.chunks_exact(STRIP) {
            sum = simd.add_f32s(sum, S::as_simd_f32s(row).0[i]);
        }
        *to = sum;
    }
}

/// k + alpha · Σ x² of channel `i`'s window, from the squares.
#[inline(always)]
fn denominators<S: Simd>(simd: S, op: &LocalResponse, squares: &[f32], i: usize, d: &mut [f32; STRIP]) {
    sum(simd, &squares[window(op, i)], d);
    d.iter_mut().for_each(|d| *d = op.k + op.alpha * *d);
}

/// Where the rows of channel `i`'s window lie in a strip.
#[inline(always)]
fn window(op: &LocalResponse, i: usize) -> Range<usize> {
    let width = op.channels / op.columns;
    i.saturating_sub(op.size / 2) * STRIP..(i + op.size / 2 + 1).min(width) * STRIP
}

/// Over neighbouring maps. A block is one column of one sample.
pub fn local_response_forward(workers: &Workers, op: &LocalResponse, n: usize, x: &[f32], y: &mut [f32]) {
    let len = op.channels / op.columns * op.pixels;
    workers.blocks(&mut y[..n * op.channels * op.pixels], len, |block, y, scratch| {
        workers.vectorised(Across { op, x: &x[block * len..][..len], pixels: 0..op.pixels, y, scratch });
    });
}

/// Some neighbouring pixels of one column of one sample.
pub struct Across<'a> {
    /// The operation.
    pub op: &'a LocalResponse,
    /// All pixels of the column.
    pub x: &'a [f32],
    /// Those that are wanted.
    pub pixels: Range<usize>,
    /// These alone, channel by channel.
    pub y: &'a mut [f32],
    /// [`scratch_len`] values.
    pub scratch: &'a mut [f32],
}

impl WithSimd for Across<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Across { op, x, pixels, y, scratch } = self;
        let (width, len) = (op.channels / op.columns, pixels.len());
        let squares = &mut scratch[..width * STRIP];
        let (mut d, mut p) = ([0.0f32; STRIP], [0.0f32; STRIP]);
        for from in (0..len).step_by(STRIP) {
            let (at, strip) = (pixels.start + from, STRIP.min(len - from));
            square(op, x, at, strip, squares);
            for i in 0..width {
                denominators(simd, op, squares, i, &mut d);
                powers(op.beta, &d, &mut p);
                let (x, y) = (&x[i * op.pixels + at..][..strip], &mut y[i * len + from..][..strip]);
                for ((y, x), p) in y.iter_mut().zip(x).zip(&p) {
                    *y = x * p;
                }
            }
        }
    }
}

/// dx = dy·d^−β − 2αβ·x·Σ dy·x·d^(−β−1) over the window, and 0 where x is not above 0 if x is a rectifier's output.
pub fn local_response_backward(
    workers: &Workers,
    op: &LocalResponse,
    rectified: bool,
    n: usize,
    (x, dy): (&[f32], &[f32]),
    dx: &mut [f32],
) {
    let len = op.channels / op.columns * op.pixels;
    workers.blocks(&mut dx[..n * op.channels * op.pixels], len, |block, dx, scratch| {
        let (x, dy) = (&x[block * len..][..len], Some(&dy[block * len..][..len]));
        workers.vectorised(AcrossBack { op, rectified, x, dy, dx, scratch });
    });
}

/// One column of one sample.
pub struct AcrossBack<'a> {
    /// The operation.
    pub op: &'a LocalResponse,
    /// Whether x is a rectifier's output.
    pub rectified: bool,
    /// What was normalised.
    pub x: &'a [f32],
    /// None: dy stands in dx.
    pub dy: Option<&'a [f32]>,
    /// The gradient.
    pub dx: &'a mut [f32],
    /// [`scratch_len`] values.
    pub scratch: &'a mut [f32],
}

impl WithSimd for AcrossBack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let AcrossBack { op, rectified, x, dy, dx, scratch } = self;
        let width = op.channels / op.columns;
        let factor = 2.0 * op.alpha * op.beta;
        let (squares, ratios) = scratch[..2 * width * STRIP].split_at_mut(width * STRIP);
        let (mut d, mut p) = ([0.0f32; STRIP], [0.0f32; STRIP]);
        for at in (0..op.pixels).step_by(STRIP) {
            let strip = STRIP.min(op.pixels - at);
            square(op, x, at, strip, squares);
            // First dy·d^−β into dx and dy·x·d^(−β−1) into the workspace, channel by channel; then the windows.
            for i in 0..width {
                denominators(simd, op, squares, i, &mut d);
                powers(op.beta, &d, &mut p);
                let from = i * op.pixels + at;
                let dy = dy.map_or(&dx[from..][..strip], |dy| &dy[from..][..strip]);
                p.iter_mut().zip(dy).for_each(|(p, dy)| *p *= dy);
                dx[from..][..strip].copy_from_slice(&p[..strip]);
                // Few slices a loop, or the compiler gives up proving that they lie apart.
                d.iter_mut().zip(&p).for_each(|(d, p)| *d = p / *d);
                let ratio = &mut ratios[i * STRIP..][..strip];
                ratio.iter_mut().zip(&x[from..]).zip(&d).for_each(|((ratio, x), d)| *ratio = x * d);
            }
            for i in 0..width {
                sum(simd, &ratios[window(op, i)], &mut d);
                let from = i * op.pixels + at;
                let dx = &mut dx[from..][..strip];
                for ((dx, x), sum) in dx.iter_mut().zip(&x[from..]).zip(&d) {
                    *dx -= factor * x * *sum;
                }
                if rectified {
                    dx.iter_mut().zip(&x[from..]).for_each(|(dx, x)| *dx = if *x <= 0.0 { 0.0 } else { *dx });
                }
            }
        }
    }
}
