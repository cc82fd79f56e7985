//! Convolutions without columns in memory, in bfloat16, against the definition in float64: [`crate::im2col`] says where
//! each tap comes from.
use crate::im2col::{Shape, Window};
use crate::operand::filters_turned;
use crate::{
    Grid, channels_last, close, elements, grid, in_every_order, rounded, same_bits, unwritten, values, wide,
};
use alexnet_shim::Arg;
use half::bf16;

/// `ConvolveShape` of convolve.cu.
#[repr(C)]
#[derive(Clone, Copy)]
struct Plain {
    batch: i32,
    groups: i32,
    channels: i32,
    maps: i32,
    height: i32,
    width: i32,
    out_height: i32,
    out_width: i32,
    kernel: i32,
    stride: i32,
    pad: i32,
    row: i32,
    relu: i32,
}

#[derive(Clone, Copy)]
struct Case {
    columns: Shape,
    maps: usize,
}

impl Case {
    fn new(batch: usize, group: [usize; 3], from: [usize; 2], to: [usize; 2], window: Window) -> Case {
        let [groups, channels, maps] = group;
        Case { columns: Shape::new::<bf16>(batch, [groups, channels], from, to, window), maps }
    }

    fn plain(self, relu: bool) -> Plain {
        let c = self.columns;
        Plain {
            batch: c.batch,
            groups: c.groups,
            channels: c.channels,
            maps: self.maps as i32,
            height: c.height,
            width: c.width,
            out_height: c.out_height,
            out_width: c.out_width,
            kernel: c.kernel,
            stride: c.stride,
            pad: c.pad,
            row: c.row,
            relu: relu.into(),
        }
    }

    fn groups(self) -> usize {
        self.columns.groups as usize
    }

    fn row(self) -> usize {
        self.columns.row as usize
    }

    /// Output channels of all groups.
    fn outputs(self) -> usize {
        self.groups() * self.maps
    }

    /// Calls `f` for each product of the convolution, with where its three values stand: in y, in w `[outputs][row]`, in x.
    fn each(self, mut f: impl FnMut(usize, usize, usize)) {
        for entry in 0..self.columns.entries() {
            let Some(pixel) = self.columns.source(entry) else { continue };
            let (k, group, place) =
                (entry % self.row(), entry / self.row() % self.groups(), entry / self.row() / self.groups());
            for map in group * self.maps..(group + 1) * self.maps {
                f(place * self.outputs() + map, map * self.row() + k, pixel);
            }
        }
    }

    /// By blocks of 128 positions and `n` maps.
    fn forward(self, n: usize, x: &[bf16], w: &[bf16], bias: Option<&[f32]>, relu: bool) -> Vec<bf16> {
        self.gated(n, (x, w), bias, None, relu)
    }

    fn gated(
        self,
        n: usize,
        (x, w): (&[bf16], &[bf16]),
        bias: Option<&[f32]>,
        gate: Option<&[bf16]>,
        relu: bool,
    ) -> Vec<bf16> {
        let places = self.columns.places();
        let blocks = places.div_ceil(128) * self.groups() * self.maps.div_ceil(n);
        let out = unwritten::<bf16>(places * self.outputs());
        in_every_order(&format!("convolve_{n}"), Grid(blocks, 256, 0), &out, |y| {
            let bias = bias.map_or_else(Arg::null, Arg::from);
            let gate = gate.map_or_else(Arg::null, Arg::from);
            vec![x.into(), w.into(), bias, gate, y.into(), Arg::plain(&self.plain(relu))]
        })
    }

    /// Start of each output's patch in an image, and the taps of it inside: rows from bit 0, columns from bit 16.
    fn spots(self) -> Vec<u64> {
        let n = (self.columns.out_height * self.columns.out_width) as usize;
        let one = std::cell::RefCell::new(unwritten::<bf16>(8)); // lives through the launches
        in_every_order("convolve_spots", grid(n), &vec![u64::MAX; n], |spots| {
            vec![spots.into(), (&mut *one.borrow_mut()).into(), Arg::plain(&self.plain(false))]
        })
    }

    /// What the bias multiplies.
    fn one(self) -> Vec<bf16> {
        let n = (self.columns.out_height * self.columns.out_width) as usize;
        let spots = std::cell::RefCell::new(vec![0u64; n]);
        in_every_order("convolve_spots", grid(n), &unwritten::<bf16>(8), |one| {
            vec![(&mut *spots.borrow_mut()).into(), one.into(), Arg::plain(&self.plain(false))]
        })
    }

    /// The weights' gradient from each `share` of the positions, by blocks of `m` maps; with that of the bias in a vector
    /// behind each filter's if asked.
    fn weights(self, m: usize, x: &[bf16], dy: &[bf16], share: usize, bias: bool) -> Vec<f32> {
        let (parts, spots, one) = (self.columns.places().div_ceil(share), self.spots(), self.one());
        let width = self.row() + if bias { 8 } else { 0 };
        let blocks = parts * self.groups() * width.div_ceil(128) * self.maps.div_ceil(m);
        let out = unwritten::<f32>(parts * self.outputs() * width);
        in_every_order(&format!("convolve_weights_{m}"), Grid(blocks, 256, 0), &out, |parts| {
            let buffers: Vec<Arg> = vec![x.into(), dy.into(), (&spots).into(), (&one).into(), parts.into()];
            let sizes = vec![(share as i32).into(), i32::from(bias).into()];
            [buffers, vec![Arg::plain(&self.plain(false))], sizes].concat()
        })
    }
}

/// Batches of three: blocks that end within an image and hold the ends of several.
fn cases() -> [Case; 8] {
    [
        Case::new(3, [2, 16, 40], [13, 13], [13, 13], [3, 1, 1]), // the last maps of a block are not there
        Case::new(3, [2, 48, 136], [5, 4], [5, 4], [5, 1, 2]),    // maps of several blocks
        Case::new(3, [1, 48, 96], [9, 8], [7, 6], [3, 1, 0]),     // conv1 folded, in small
        Case::new(3, [1, 8, 8], [11, 9], [6, 5], [3, 2, 1]),      // a stride
        Case::new(3, [3, 24, 16], [6, 7], [6, 7], [2, 1, 0]),     // windows over the edge; taps across steps
        Case::new(3, [1, 32, 64], [4, 5], [4, 5], [1, 1, 0]),     // one tap
        Case::new(3, [1, 8, 24], [12, 12], [3, 2], [12, 3, 3]),   // the largest kernel
        Case::new(1, [1, 8, 8], [1, 1], [1, 1], [1, 1, 0]),       // one place, less than a step
    ]
}

#[test]
fn forward() {
    for case in cases() {
        let x = elements::<bf16>(case.columns.pixels(), 1);
        let w = elements::<bf16>(case.outputs() * case.row(), 2);
        let bias = values(case.outputs(), 3);
        let mut sums = vec![0.0; case.columns.places() * case.outputs()];
        let (wide_x, wide_w) = (wide(&x), wide(&w));
        case.each(|y, w, x| sums[y] += wide_w[w] * wide_x[x]);
        let biased = sums.iter().enumerate().map(|(i, sum)| sum + f64::from(bias[i % case.outputs()]));
        let rectified: Vec<f64> = biased.map(|v: f64| v.max(0.0)).collect();
        for n in [128, 96, 64] {
            close("sums", &case.forward(n, &x, &w, None, false), &sums, 1e-6);
            close("rectified", &case.forward(n, &x, &w, Some(&bias), true), &rectified, 1e-6);
            let plain = case.forward(n, &x, &w, None, false);
            let mut gate: Vec<bf16> = elements(plain.len(), 7);
            gate[0] = bf16::NAN;
            gate[1] = bf16::ZERO;
            let kept = gate.iter().zip(&plain).map(|(g, &y)| if *g <= bf16::ZERO { bf16::ZERO } else { y });
            let ours = case.gated(n, (&x, &w), None, Some(&gate), false);
            same_bits("gated", &ours, &kept.collect::<Vec<_>>());
        }
    }
}

/// The input's gradient is the convolution of dy with the filters turned.
#[test]
fn input_gradient() {
    for case in cases() {
        let c = case.columns;
        if c.stride > 1 {
            continue;
        }
        let [channels, kernel, pad] = [c.channels, c.kernel, c.pad].map(|v| v as usize);
        let taps = kernel * kernel;
        let dy = elements::<bf16>(c.places() * case.outputs(), 1);
        let first: Vec<f32> =
            wide(&elements::<bf16>(case.outputs() * channels * taps, 2)).iter().map(|&v| v as f32).collect();
        let (last, dy_wide) = (channels_last(&first, channels, taps), wide(&dy));
        let mut expected = vec![0.0; c.pixels()];
        case.each(|y, w, x| expected[x] += f64::from(last[w]) * dy_wide[y]);
        let turned = Case::new(
            c.batch as usize,
            [case.groups(), case.maps, channels],
            [c.out_height, c.out_width].map(|v| v as usize),
            [c.height, c.width].map(|v| v as usize),
            [kernel, 1, kernel - 1 - pad],
        );
        let filters = filters_turned(&first, case.groups(), channels, case.maps, taps);
        close("input's gradient", &turned.forward(64, &dy, &filters, None, false), &expected, 1e-6);
    }
}

#[test]
fn weights_gradient_in_shares() {
    for case in cases() {
        let x = elements::<bf16>(case.columns.pixels(), 1);
        let dy = elements::<bf16>(case.columns.places() * case.outputs(), 2);
        let (wide_x, wide_dy) = (wide(&x), wide(&dy));
        let length = case.outputs() * case.row();
        for (m, share) in [(128, 64), (96, 1024), (64, 32)] {
            let mut parts = vec![0.0; case.columns.places().div_ceil(share) * length];
            case.each(|y, w, x| parts[y / case.outputs() / share * length + w] += wide_dy[y] * wide_x[x]);
            close(
                &format!("weights' gradient by {m}"),
                &case.weights(m, &x, &dy, share, false),
                &parts,
                1e-6,
            );
            let mut wider = vec![0.0; parts.len() / case.row() * (case.row() + 8)];
            for (to, from) in wider.chunks_mut(case.row() + 8).zip(parts.chunks(case.row())) {
                to[..case.row()].copy_from_slice(from);
            }
            for (i, dy) in wide_dy.iter().enumerate() {
                let (place, output) = (i / case.outputs(), i % case.outputs());
                wider[(place / share * case.outputs() + output) * (case.row() + 8) + case.row()] += dy;
            }
            close(&format!("with the bias by {m}"), &case.weights(m, &x, &dy, share, true), &wider, 1e-6);
        }
    }
}

#[test]
fn spots() {
    for case in cases() {
        let c = case.columns;
        let inside = |first: i32, length: i32| {
            (0..c.kernel).filter(|k| (0..length).contains(&(first + k))).fold(0u32, |bits, k| bits | 1 << k)
        };
        let expected: Vec<u64> = (0..c.out_height * c.out_width)
            .map(|i| (i / c.out_width * c.stride - c.pad, i % c.out_width * c.stride - c.pad))
            .map(|(top, left)| {
                let start = (top * c.width + left) * c.groups * c.channels;
                let taps = inside(top, c.height) | inside(left, c.width) << 16;
                u64::from(start as u32) | u64::from(taps) << 32
            })
            .collect();
        same_bits("convolve_spots", &case.spots(), &expected);
        let one: Vec<f32> = case.one().iter().map(|v| v.to_f32()).collect();
        assert_eq!(one, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }
}

/// No padding of zeros can hide a NaN of the image, nor a NaN beside it reach an output.
#[test]
fn a_nan_reaches_the_outputs_over_it_and_no_others() {
    let case = Case::new(2, [1, 8, 8], [9, 9], [9, 9], [3, 1, 1]);
    let mut x: Vec<f32> = vec![1.0; case.columns.pixels()];
    x[(4 * 9 + 5) * 8 + 3] = f32::NAN;
    let w = rounded::<bf16>(&vec![1.0; 8 * case.row()]);
    let y = case.forward(64, &rounded::<bf16>(&x), &w, None, false);
    for (i, y) in y.iter().enumerate() {
        let (row, column, image) = (i / 8 / 9 % 9, i / 8 % 9, i / 8 / 81);
        let over = image == 0 && row.abs_diff(4) <= 1 && column.abs_diff(5) <= 1;
        assert_eq!(y.is_nan(), over, "image {image}, row {row}, column {column}");
    }
}
