//! Operations that touch each value once: rectifier, masks, the update, and copies between devices.

use alexnet_net::{Exchange, Segment};

use crate::workers::{BLOCK, Workers};

/// Where a gradient goes: over what is there, or on top of it.
pub struct Sum<'a> {
    pub values: &'a mut [f32],
    pub accumulate: bool,
}

/// max(y, 0); a NaN stays.
pub fn rectify(workers: &Workers, y: &mut [f32]) {
    workers.blocks(y, BLOCK, |_, y, _| y.iter_mut().for_each(|y| *y = if *y < 0.0 { 0.0 } else { *y }));
}

/// dy becomes 0 where y is not above 0.
pub fn rectify_backward(workers: &Workers, y: &[f32], dy: &mut [f32]) {
    workers.blocks(dy, BLOCK, |block, dy, _| {
        for (dy, y) in dy.iter_mut().zip(&y[block * BLOCK..]) {
            *dy = if *y <= 0.0 { 0.0 } else { *dy };
        }
    });
}

/// tanh of each value.
pub fn tanh(workers: &Workers, x: &[f32], y: &mut [f32]) {
    workers.blocks(y, BLOCK, |block, y, _| {
        y.iter_mut().zip(&x[block * BLOCK..]).for_each(|(y, x)| *y = x.tanh());
    });
}

/// dy · (1 − tanh²(x)).
pub fn tanh_backward(workers: &Workers, x: &[f32], dy: &mut [f32]) {
    workers.blocks(dy, BLOCK, |block, dy, _| {
        for (dy, x) in dy.iter_mut().zip(&x[block * BLOCK..]) {
            let y = x.tanh();
            *dy *= (1.0 - y) * (1.0 + y);
        }
    });
}

/// y · mask.
pub fn multiply(workers: &Workers, mask: &[f32], y: &mut [f32]) {
    workers.blocks(y, BLOCK, |block, y, _| {
        y.iter_mut().zip(&mask[block * BLOCK..]).for_each(|(y, mask)| *y *= mask);
    });
}

/// y · factor.
pub fn scale(workers: &Workers, factor: f32, y: &mut [f32]) {
    workers.blocks(y, BLOCK, |_, y, _| y.iter_mut().for_each(|y| *y *= factor));
}

/// v ← momentum·v − decay·w − rate·g; w ← w + v.
pub fn update(
    workers: &Workers,
    segments: &[Segment],
    momentum: f32,
    w: &mut [f32],
    v: &mut [f32],
    g: &[f32],
) {
    for segment in segments {
        let range = segment.range.clone();
        let g = &g[range.clone()];
        workers.pairs((&mut w[range.clone()], &mut v[range]), BLOCK, |block, (w, v), _| {
            advance(segment, momentum, w, v, &g[block * BLOCK..]);
        });
    }
}

/// [`update`] of neighbouring values of one segment.
#[inline(always)]
pub fn advance(segment: &Segment, momentum: f32, w: &mut [f32], v: &mut [f32], g: &[f32]) {
    let Segment { rate, decay, .. } = *segment;
    for ((w, v), g) in w.iter_mut().zip(v).zip(g) {
        *v = momentum * *v - decay * *w - rate * g;
        *w += *v;
    }
}

/// Every device gets all parts.
pub fn gather(exchange: &Exchange, n: usize, parts: &[Vec<f32>], whole: &mut [Vec<f32>]) {
    let width = exchange.whole();
    for (device, &len) in exchange.parts.iter().enumerate() {
        let offset = exchange.offset(device);
        for whole in whole.iter_mut() {
            let rows = whole.chunks_exact_mut(width).zip(parts[device].chunks_exact(len)).take(n);
            rows.for_each(|(whole, part)| whole[offset..][..len].copy_from_slice(part));
        }
    }
}

/// Each owner sums its part over all devices, in their order.
pub fn reduce(exchange: &Exchange, n: usize, whole: &[Vec<f32>], parts: &mut [Vec<f32>]) {
    let width = exchange.whole();
    for (device, &len) in exchange.parts.iter().enumerate() {
        let offset = exchange.offset(device);
        for sample in 0..n {
            let part = &mut parts[device][sample * len..][..len];
            for (reader, whole) in whole.iter().enumerate() {
                let from = &whole[sample * width + offset..][..len];
                if reader == 0 {
                    part.copy_from_slice(from);
                } else {
                    part.iter_mut().zip(from).for_each(|(sum, x)| *sum += x);
                }
            }
        }
    }
}
