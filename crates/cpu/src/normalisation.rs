//! Normalisation over neighbouring maps, pixels innermost so that the compiler can use the whole width of the
//! registers.
//!
//! Denominators are recomputed in the backward pass: that costs a few additions a pixel and saves a tensor. Sums over
//! windows run from the first neighbour to the last, for every pixel alike. d^−0.75 is 1 / (√d · √√d): two square
//! roots and a division, each rounded once, the same on every machine; other exponents go through `powf`.

use alexnet_net::LocalResponse;

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
#[inline(always)]
pub fn powers(beta: f32, d: &[f32], to: &mut [f32]) {
    if beta == 0.75 {
        to.iter_mut().zip(d).for_each(|(to, &d)| *to = inverse_power::<true>(d, beta));
    } else {
        to.iter_mut().zip(d).for_each(|(to, &d)| *to = inverse_power::<false>(d, beta));
    }
}

/// Values a thread's workspace must hold.
pub fn scratch_len(channels: usize) -> usize {
    channels * STRIP
}

/// k + alpha · Σ x² of channel `i`'s window at `pixels` neighbouring pixels from `at`, into `d`.
#[inline(always)]
fn denominators(op: &LocalResponse, width: usize, i: usize, x: &[f32], at: usize, d: &mut [f32]) {
    d.fill(0.0);
    for j in window(op, width, i) {
        for (d, &x) in d.iter_mut().zip(&x[j * op.pixels + at..]) {
            *d += x * x;
        }
    }
    d.iter_mut().for_each(|d| *d = op.k + op.alpha * *d);
}

#[inline(always)]
fn window(op: &LocalResponse, width: usize, i: usize) -> std::ops::Range<usize> {
    i.saturating_sub(op.size / 2)..(i + op.size / 2 + 1).min(width)
}

/// Over neighbouring maps. A block is one column of one sample.
pub fn local_response_forward(workers: &Workers, op: &LocalResponse, n: usize, x: &[f32], y: &mut [f32]) {
    let width = op.channels / op.columns;
    let len = width * op.pixels;
    workers.blocks(&mut y[..n * op.channels * op.pixels], len, |block, y, _| {
        workers.wide(Across { op, width, x: &x[block * len..][..len], y });
    });
}

struct Across<'a> {
    op: &'a LocalResponse,
    width: usize,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl pulp::NullaryFnOnce for Across<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Across { op, width, x, y } = self;
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
    }
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
    workers.blocks(&mut dx[..n * op.channels * op.pixels], len, |block, dx, scratch| {
        let (x, dy) = (&x[block * len..][..len], &dy[block * len..][..len]);
        workers.wide(AcrossBack { op, width, x, dy, dx, scratch });
    });
}

struct AcrossBack<'a> {
    op: &'a LocalResponse,
    width: usize,
    x: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl pulp::NullaryFnOnce for AcrossBack<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let AcrossBack { op, width, x, dy, dx, scratch: ratios } = self;
        let factor = 2.0 * op.alpha * op.beta;
        let (mut d, mut p) = ([0.0f32; STRIP], [0.0f32; STRIP]);
        for at in (0..op.pixels).step_by(STRIP) {
            let strip = STRIP.min(op.pixels - at);
            let (d, p) = (&mut d[..strip], &mut p[..strip]);
            // First dy·d^−β into dx and dy·x·d^(−β−1) into the workspace, channel by channel; then the windows.
            for i in 0..width {
                denominators(op, width, i, x, at, d);
                powers(op.beta, d, p);
                let from = i * op.pixels + at;
                p.iter_mut().zip(&dy[from..]).for_each(|(p, dy)| *p *= dy);
                dx[from..][..strip].copy_from_slice(p);
                // Few slices a loop, or the compiler gives up proving that they lie apart.
                d.iter_mut().zip(&*p).for_each(|(d, p)| *d = p / *d);
                let ratio = &mut ratios[i * STRIP..][..strip];
                ratio.iter_mut().zip(&x[from..]).zip(&*d).for_each(|((ratio, x), d)| *ratio = x * d);
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
    }
}
