//! The weight gradient: the transposes of the forward pass' steps, summed over tiles.

use alexnet_net::Convolution;
use pulp::{Simd, WithSimd};

use super::forward::Inputs;
use super::panels::{Maps, PANEL, bring};
use super::transform::{self, POINTS, square};
use super::{SQUARE, Tiling, aligned, product};
use crate::elementwise::Sum;
use crate::workers::Workers;

/// Gradient of the weights, summed over the batch, into `dw`. `shared` holds the sums at the points.
pub fn backward_weights<const M: usize, const K: usize>(
    workers: &Workers,
    op: &Convolution,
    n: usize,
    x: &[f32],
    dy: &[f32],
    dw: Sum,
    shared: &mut [f32],
) {
    let tiling = Tiling::new(op);
    let (shares, len) = (tiling.shares(n), tiling.kernels());
    let sums = &mut aligned(shared)[..shares * op.groups * len];
    let (input, output) = (op.input_len(), op.output_len());
    let panels = tiling.cut_panels(shares * op.groups, workers.threads());
    let mut parts: Vec<_> = sums
        .chunks_exact_mut(len)
        .flat_map(|group| group.chunks_mut(panels * tiling.panel_of_kernels()))
        .collect();
    let cuts = parts.len() / (shares * op.groups);
    workers.blocks(&mut parts, 1, |task, u, scratch| {
        let (share, group, cut) = (task / cuts / op.groups, task / cuts % op.groups, task % cuts);
        let samples = share * n / shares..(share + 1) * n / shares;
        let x = &x[samples.start * input..samples.end * input];
        let dy = &dy[samples.start * output..samples.end * output];
        let u = &mut u[0][..];
        let first = cut * panels;
        let tiling = Tiling { outputs: u.len() / tiling.panel_of_kernels(), ..tiling };
        workers.vectorised(Task::<M> { op, tiling, group, first, x, dy, u, scratch });
    });
    let (first, others) = sums.split_at_mut(op.groups * len);
    let others = &*others;
    workers.blocks(first, tiling.panel_of_kernels(), |block, to, scratch| {
        let sum = &mut aligned(scratch)[..to.len()];
        sum.copy_from_slice(to);
        for share in others.chunks_exact(op.groups * len) {
            let share = &share[block * to.len()..][..to.len()];
            sum.iter_mut().zip(share).for_each(|(sum, share)| *sum += share);
        }
        workers.vectorised(Kernels::<K> { inputs: tiling.inputs * PANEL, sum, to });
    });
    let first = &*first;
    let (window, outputs) = (op.window(), op.outputs / op.groups);
    workers.blocks(&mut dw.values[..op.weight_len()], window, |row, to, _| {
        let (group, o) = (row / outputs, row % outputs);
        let block = group * tiling.outputs + o / PANEL;
        let from = &first[block * tiling.panel_of_kernels()..][..tiling.panel_of_kernels()];
        let (kernel, fold) = (op.kernel, op.stride);
        for (i, to) in to.iter_mut().enumerate() {
            let (input, ky, kx) = (i / (kernel * kernel), i / kernel % kernel, i % kernel);
            let folded = (input * fold + ky % fold) * fold + kx % fold;
            let value = from[((folded * K + ky / fold) * K + kx / fold) * PANEL + o % PANEL];
            *to = if dw.accumulate { *to + value } else { value };
        }
    });
}

/// Some panels of outputs of one group, from panel `first` on, and one share of the batch.
struct Task<'a, const M: usize> {
    op: &'a Convolution,
    tiling: Tiling,
    group: usize,
    first: usize,
    x: &'a [f32],
    dy: &'a [f32],
    u: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl<const M: usize> WithSimd for Task<'_, M> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Task { op, tiling, group, first, x, dy, u, scratch } = self;
        u.fill(0.0);
        let (input, output) = (op.input_len(), op.output_len());
        let (inputs, outputs) = (input / op.groups, output / op.groups);
        let [frame, gradients, v, d] = tiling.cut(scratch);
        let lines = dy.len() / output * tiling.rows;
        let own =
            first * PANEL * op.positions()..outputs.min((first + tiling.outputs) * PANEL * op.positions());
        for first in (0..lines).step_by(tiling.block) {
            let count = tiling.block.min(lines - first);
            for line in first..first + count {
                let (sample, row) = (line / tiling.rows, line % tiling.rows);
                if row == 0 {
                    let maps = Maps::read(op, &x[sample * input + group * inputs..][..inputs]);
                    bring(maps, tiling.input_frame(), frame);
                    let maps = Maps::written(op, &dy[sample * output + group * outputs..][own.clone()]);
                    bring(maps, tiling.output_frame(), gradients);
                }
                let tile = (line - first) * tiling.columns;
                simd.vectorize(Inputs { tiling, frame, row, tile, v });
                simd.vectorize(Gradients::<M> { tiling, frame: gradients, row, tile, d });
            }
            let sizes = tiling.sizes(count * tiling.columns);
            simd.vectorize(product::Backward { sizes, v, d, u });
        }
    }
}

/// Transforms the output gradients of one row of tiles.
struct Gradients<'a, const M: usize> {
    tiling: Tiling,
    frame: &'a [f32],
    row: usize,
    tile: usize,
    d: &'a mut [f32],
}

impl<const M: usize> WithSimd for Gradients<'_, M> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Gradients { tiling, frame, row, tile, d } = self;
        let size = tiling.output_frame();
        let parts = PANEL / S::F32_LANES;
        let (frame, d) = (S::as_simd_f32s(frame).0, S::as_mut_simd_f32s(d).0);
        let tiles = tiling.tiles();
        let step = tiling.sizes(0).apart(tiling.outputs) / S::F32_LANES;
        for panel in 0..tiling.outputs {
            for column in 0..tiling.columns {
                let corner = panel * size.pixels() + row * M * size.columns + column * M;
                for part in 0..parts {
                    let mut dy = [[simd.splat_f32s(0.0); M]; M];
                    for (i, dy) in dy.iter_mut().enumerate() {
                        let from = &frame[(corner + i * size.columns) * parts..][..M * parts];
                        dy.iter_mut().enumerate().for_each(|(j, dy)| *dy = from[j * parts + part]);
                    }
                    let points = square(
                        dy,
                        #[inline(always)]
                        |line| transform::output_back::<S, M>(simd, line),
                    );
                    let at = (panel * tiles + tile + column) * parts + part;
                    let to = &mut d[at..][..(SQUARE - 1) * step + 1];
                    for (i, value) in points.into_iter().flatten().enumerate() {
                        to[i * step] = value;
                    }
                }
            }
        }
    }
}

/// Transforms one panel's sums `[36, inputs, 16]` back, into `to` `[inputs, K², 16]`.
struct Kernels<'a, const K: usize> {
    inputs: usize,
    sum: &'a [f32],
    to: &'a mut [f32],
}

impl<const K: usize> WithSimd for Kernels<'_, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Kernels { inputs, sum, to } = self;
        let parts = PANEL / S::F32_LANES;
        let (sum, to) = (S::as_simd_f32s(sum).0, S::as_mut_simd_f32s(to).0);
        for input in 0..inputs {
            for part in 0..parts {
                let mut m = [[simd.splat_f32s(0.0); POINTS]; POINTS];
                for (i, m) in m.iter_mut().enumerate() {
                    let at = |j: usize| ((i * POINTS + j) * inputs + input) * parts + part;
                    m.iter_mut().enumerate().for_each(|(j, m)| *m = sum[at(j)]);
                }
                let g = square(
                    m,
                    #[inline(always)]
                    |line| transform::kernel_back::<S, K>(simd, line),
                );
                for (i, value) in g.into_iter().flatten().enumerate() {
                    to[(input * K * K + i) * parts + part] = value;
                }
            }
        }
    }
}
