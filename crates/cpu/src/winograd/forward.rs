//! Forward, and the input gradient, which is the forward pass of turned kernels.

use alexnet_net::Convolution;
use pulp::{Simd, WithSimd};

use super::panels::{Maps, PANEL, bring, take};
use super::transform::{self, POINTS, square};
use super::{SAMPLES, SQUARE, Tiling, aligned, product};
use crate::workers::Workers;

/// The kernels of a convolution and how they are to be read.
#[derive(Clone, Copy)]
pub struct Kernels<'a> {
    /// `[outputs, inputs / groups, kernel, kernel]` of the convolution, or of the one whose input gradient it is.
    pub values: &'a [f32],
    /// The latter: half a circle round, channel axes exchanged.
    pub turned: bool,
}

/// y = w ∗ x + b, rectified if asked; without `bias`, y = w ∗ x. `shared` holds the transformed kernels.
#[expect(clippy::too_many_arguments, reason = "an operation of the backend with its workspace")]
pub fn forward<const M: usize, const K: usize>(
    workers: &Workers,
    op: &Convolution,
    n: usize,
    x: &[f32],
    w: Kernels,
    bias: Option<&[f32]>,
    y: &mut [f32],
    shared: &mut [f32],
) {
    let tiling = Tiling::new(op);
    let kernels = &mut aligned(shared)[..op.groups * tiling.kernels()];
    workers.blocks(kernels, tiling.panel_of_kernels(), |block, to, _| {
        workers.vectorised(TransformKernels::<K> { op, w, tiling, block, to });
    });
    let kernels = &*kernels;
    // Cut for the threads at hand: tiles do not know which task they are in.
    let samples = n.div_ceil(2 * workers.threads()).clamp(1, SAMPLES);
    let (input, output) = (op.input_len(), op.output_len());
    workers.blocks(&mut y[..n * output], samples * output, |task, y, scratch| {
        let x = &x[task * samples * input..][..y.len() / output * input];
        for group in 0..op.groups {
            workers.vectorised(Task::<M> { op, tiling, group, x, bias, y, scratch, kernels });
        }
    });
}

/// One panel of one group's outputs.
struct TransformKernels<'a, const K: usize> {
    op: &'a Convolution,
    w: Kernels<'a>,
    tiling: Tiling,
    block: usize,
    to: &'a mut [f32],
}

impl<const K: usize> WithSimd for TransformKernels<'_, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let TransformKernels { op, w, tiling, block, to } = self;
        let (inputs, outputs) = (op.inputs / op.groups, op.outputs / op.groups);
        let (group, panel) = (block / tiling.outputs, block % tiling.outputs);
        let (kernel, fold) = (op.kernel, op.stride);
        let values = kernel * kernel;
        // Distance of neighbouring outputs and inputs.
        let (apart, deep) = if w.turned { (values, outputs * values) } else { (inputs * values, values) };
        let w_group = &w.values[group * inputs * outputs * values..][..inputs * outputs * values];
        let lanes = PANEL.min(outputs - panel * PANEL);
        let room = tiling.inputs * PANEL;
        let to = S::as_mut_simd_f32s(to).0;
        let parts = PANEL / S::F32_LANES;
        for folded in 0..room {
            let mut g = [[[0.0f32; PANEL]; K]; K];
            let (input, above, before) = (folded / (fold * fold), folded / fold % fold, folded % fold);
            // Places of the kernel that fall on this folded channel.
            for ky in (above..kernel).step_by(fold).take_while(|_| input < inputs) {
                for kx in (before..kernel).step_by(fold) {
                    let place = if w.turned { values - 1 - (ky * kernel + kx) } else { ky * kernel + kx };
                    let from = &w_group[panel * PANEL * apart + input * deep + place..];
                    let to = g[ky / fold][kx / fold][..lanes].iter_mut();
                    to.zip(from.iter().step_by(apart)).for_each(|(to, from)| *to = *from);
                }
            }
            for part in 0..parts {
                let lines = g.each_ref().map(|row| row.each_ref().map(|v| S::as_simd_f32s(v).0[part]));
                let points = square(
                    lines,
                    #[inline(always)]
                    |line| transform::kernel::<S, K>(simd, line),
                );
                for (point, value) in points.into_iter().flatten().enumerate() {
                    to[(point * room + folded) * parts + part] = value;
                }
            }
        }
    }
}

/// One group of some samples.
struct Task<'a, const M: usize> {
    op: &'a Convolution,
    tiling: Tiling,
    group: usize,
    x: &'a [f32],
    bias: Option<&'a [f32]>,
    y: &'a mut [f32],
    scratch: &'a mut [f32],
    kernels: &'a [f32],
}

impl<const M: usize> WithSimd for Task<'_, M> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Task { op, tiling, group, x, bias, y, scratch, kernels } = self;
        let (input, output) = (op.input_len(), op.output_len());
        let (inputs, outputs) = (input / op.groups, output / op.groups);
        let u = &kernels[group * tiling.kernels()..][..tiling.kernels()];
        let [frame, strip, v, m] = tiling.cut(scratch);
        let lines = y.len() / output * tiling.rows;
        let size = [op.out_height, op.out_width];
        let channels = op.outputs / op.groups;
        for first in (0..lines).step_by(tiling.block) {
            let count = tiling.block.min(lines - first);
            for line in first..first + count {
                let (sample, row) = (line / tiling.rows, line % tiling.rows);
                // A block may begin inside a sample; its frame is then still there.
                if row == 0 {
                    let maps = Maps::read(op, &x[sample * input + group * inputs..][..inputs]);
                    bring(maps, tiling.input_frame(), frame);
                }
                simd.vectorize(Inputs { tiling, frame, row, tile: (line - first) * tiling.columns, v });
            }
            let sizes = tiling.sizes(count * tiling.columns);
            simd.vectorize(product::Forward { sizes, v, u, m });
            for panel in 0..tiling.outputs {
                let mut biases = [0.0; PANEL];
                if let Some(bias) = bias {
                    let bias = &bias[group * channels..][..channels][panel * PANEL..];
                    biases.iter_mut().zip(bias).for_each(|(to, bias)| *to = *bias);
                }
                for line in first..first + count {
                    let (sample, row) = (line / tiling.rows, line % tiling.rows);
                    let tile = (line - first) * tiling.columns;
                    let strip = &mut strip[..M * M * tiling.columns * PANEL];
                    let rectify = op.rectify && bias.is_some();
                    simd.vectorize(Outputs::<M> { tiling, m, panel, tile, biases, rectify, strip });
                    let maps = &mut y[sample * output + group * outputs..][..outputs];
                    let maps = &mut maps[panel * PANEL * op.positions()..];
                    take(strip, M * tiling.columns, row * M..(row + 1) * M, size, maps);
                }
            }
        }
    }
}

/// Transforms the inputs of one row of tiles; the first of them is tile `tile` of the block.
pub struct Inputs<'a> {
    pub tiling: Tiling,
    pub frame: &'a [f32],
    pub row: usize,
    pub tile: usize,
    pub v: &'a mut [f32],
}

impl WithSimd for Inputs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Inputs { tiling, frame, row, tile, v } = self;
        let size = tiling.input_frame();
        let parts = PANEL / S::F32_LANES;
        let (frame, v) = (S::as_simd_f32s(frame).0, S::as_mut_simd_f32s(v).0);
        let tiles = tiling.tiles();
        for panel in 0..tiling.inputs {
            for column in 0..tiling.columns {
                let corner = panel * size.pixels() + row * tiling.side * size.columns + column * tiling.side;
                for part in 0..parts {
                    let mut d = [[simd.splat_f32s(0.0); POINTS]; POINTS];
                    for (i, d) in d.iter_mut().enumerate() {
                        let from = &frame[(corner + i * size.columns) * parts..][..POINTS * parts];
                        d.iter_mut().enumerate().for_each(|(j, d)| *d = from[j * parts + part]);
                    }
                    let points = square(
                        d,
                        #[inline(always)]
                        |line| transform::input(simd, line),
                    );
                    let step = tiling.sizes(0).apart(tiling.inputs) / S::F32_LANES;
                    let at = (panel * tiles + tile + column) * parts + part;
                    let to = &mut v[at..][..(SQUARE - 1) * step + 1];
                    for (i, value) in points.into_iter().flatten().enumerate() {
                        to[i * step] = value;
                    }
                }
            }
        }
    }
}

/// Transforms one panel of one row of tiles back, into `strip` `[M, M · columns, 16]`.
struct Outputs<'a, const M: usize> {
    tiling: Tiling,
    m: &'a [f32],
    panel: usize,
    tile: usize,
    biases: [f32; PANEL],
    rectify: bool,
    strip: &'a mut [f32],
}

impl<const M: usize> WithSimd for Outputs<'_, M> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Outputs { tiling, m, panel, tile, biases, rectify, strip } = self;
        let parts = PANEL / S::F32_LANES;
        let (m, strip) = (S::as_simd_f32s(m).0, S::as_mut_simd_f32s(strip).0);
        let (zero, biases) = (simd.splat_f32s(0.0), S::as_simd_f32s(&biases).0);
        let tiles = tiling.tiles();
        let step = tiling.sizes(0).apart(tiling.outputs) / S::F32_LANES;
        for column in 0..tiling.columns {
            for part in 0..parts {
                let at = (panel * tiles + tile + column) * parts + part;
                let from = &m[at..][..(SQUARE - 1) * step + 1];
                let mut points = [[zero; POINTS]; POINTS];
                for (i, points) in points.iter_mut().enumerate() {
                    points.iter_mut().enumerate().for_each(|(j, p)| *p = from[(i * POINTS + j) * step]);
                }
                let y = square(
                    points,
                    #[inline(always)]
                    |line| transform::output::<S, M>(simd, line),
                );
                for (i, y) in y.into_iter().enumerate() {
                    for (j, y) in y.into_iter().enumerate() {
                        let y = simd.add_f32s(y, biases[part]);
                        // A NaN stays.
                        let y =
                            if rectify { simd.select_f32s(simd.less_than_f32s(y, zero), zero, y) } else { y };
                        strip[((i * tiling.columns + column) * M + j) * parts + part] = y;
                    }
                }
            }
        }
    }
}
