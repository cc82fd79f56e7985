use crate::{
    Element, channels_last, elements, grid, in_both_types, in_every_order, ints, rounded, same_bits,
};
use crate::{unwritten, values};
use alexnet_shim::Arg;
use half::bf16;

in_both_types!(channels_last_and_back, squares_of_pixels_as_one, filters_last_and_back);

#[test]
fn narrow_rounds_to_nearest_even() {
    let mut x: Vec<f32> = values(3000, 1);
    // Ties both ways, a carry into the exponent and to infinity, subnormals, zeros, infinities.
    x.extend(
        [0x3f80_8000u32, 0x3f81_8000, 0x3fff_ffff, 0x7f7f_ffff, 1, 0x8000_8000, 0x0000_8001]
            .map(f32::from_bits),
    );
    x.extend([0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY]);
    let narrow = |x: &[f32]| {
        in_every_order("narrow", grid(x.len()), &unwritten::<bf16>(x.len()), |y| {
            [vec![x.into(), y.into()], ints([x.len()])].concat()
        })
    };
    same_bits("narrow", &narrow(&x), &rounded::<bf16>(&x));
    let ours = narrow(&[0x7f80_0001u32, 0xffc0_0000, 0x7fff_ffff].map(f32::from_bits));
    assert!(ours.iter().all(|y| y.is_nan()), "{ours:?}");
}

#[test]
fn widen_is_exact_for_every_bfloat16() {
    let x: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
    let ours = in_every_order("widen", grid(x.len()), &vec![1f32; x.len()], |y| {
        [vec![(&x).into(), y.into()], ints([x.len()])].concat()
    });
    let expected: Vec<f32> = (0..=u16::MAX).map(|bits| f32::from_bits(u32::from(bits) << 16)).collect();
    same_bits("widen", &ours, &expected);
}

fn channels_last_and_back<T: Element>() {
    for (batch, pixels, channels) in [(3usize, 7usize, 8usize), (1, 30, 3), (5, 1, 24), (2, 33, 130)] {
        let first = elements::<T>(batch * pixels * channels, 2);
        let transpose = |x: &[T], rows: usize, columns: usize| {
            in_every_order(&T::kernel("transpose"), grid(x.len()), &unwritten::<T>(x.len()), |y| {
                let buffers: Vec<Arg> = vec![x.into(), y.into()];
                [buffers, ints([batch, rows, columns])].concat()
            })
        };
        let last = transpose(&first, channels, pixels);
        same_bits("transpose", &last, &channels_last(&first, channels, pixels));
        same_bits("transpose back", &transpose(&last, pixels, channels), &first);
    }
}

/// A convolution's filters and, with `fold` its stride, how squares of pixels become one.
#[derive(Clone, Copy)]
pub struct Filters {
    pub outputs: usize,
    pub channels: usize,
    pub kernel: usize,
    pub fold: usize,
}

impl Filters {
    /// Taps in a row and column of the folded kernel.
    pub fn side(self) -> usize {
        self.kernel.div_ceil(self.fold)
    }

    /// Channels of a folded pixel.
    pub fn depth(self) -> usize {
        self.fold * self.fold * self.channels
    }

    /// Values of one filter, filled up to the next multiple of 16 bytes.
    pub fn row<T: Element>(self) -> usize {
        (self.side() * self.side() * self.depth()).next_multiple_of(T::LANES)
    }

    fn weights(self) -> usize {
        self.outputs * self.channels * self.kernel * self.kernel
    }

    fn shape<T: Element>(self) -> Arg {
        let Filters { outputs, channels, kernel, fold } = self;
        Arg::plain(&[outputs, channels, kernel, fold, self.side(), self.row::<T>()].map(|v| v as i32))
    }

    /// Where weight `i` stands among the rows: squares of taps in order, in each its taps, in each the channels.
    fn place<T: Element>(self, i: usize) -> usize {
        let Filters { channels, kernel, fold, .. } = self;
        let (kx, ky, c, o) =
            (i % kernel, i / kernel % kernel, i / kernel / kernel % channels, i / kernel / kernel / channels);
        let (square, tap) = (ky / fold * self.side() + kx / fold, ky % fold * fold + kx % fold);
        o * self.row::<T>() + square * self.depth() + tap * channels + c
    }

    pub fn last<T: Element>(self, w: &[f32]) -> Vec<T> {
        let n = self.outputs * self.row::<T>();
        in_every_order(&T::kernel("filters_last"), grid(n), &unwritten::<T>(n), |y| {
            vec![w.into(), y.into(), self.shape::<T>()]
        })
    }

    /// The sum of the parts, added to `before` if there is something.
    pub fn first<T: Element>(self, x: &[T], parts: usize, before: Option<&[f32]>) -> Vec<f32> {
        let dw = before.map_or_else(|| unwritten(self.weights()), <[f32]>::to_vec);
        in_every_order(&T::kernel("filters_first"), grid(dw.len()), &dw, |dw| {
            let buffers: Vec<Arg> = vec![x.into(), dw.into(), self.shape::<T>()];
            [buffers, ints([parts, usize::from(before.is_some())])].concat()
        })
    }

    /// `[batch][height][width][channels]` to `[batch][to][to][depth]`, the first `pad` pixels before the image;
    /// `depth` is a multiple of 16 bytes.
    pub fn folded<T: Element>(
        self,
        x: &[T],
        [batch, height, width]: [usize; 3],
        pad: usize,
        to: [usize; 2],
    ) -> Vec<T> {
        let n = batch * to[0] * to[1] * self.depth();
        let shape = [batch, self.channels, height, width, self.fold, pad, to[0], to[1]].map(|v| v as i32);
        let launch = grid(n / T::LANES);
        in_every_order(&T::kernel("fold"), launch, &unwritten::<T>(n), |y| {
            vec![x.into(), y.into(), Arg::plain(&shape)]
        })
    }
}

fn squares_of_pixels_as_one<T: Element>() {
    for (channels, fold, [height, width], pad, to) in [
        (3, 4, [32, 32], 0, [9, 9]), // the last squares hang over the edge
        (3, 4, [10, 7], 2, [4, 3]),
        (6, 2, [9, 6], 1, [5, 4]),
        (8, 3, [7, 7], 0, [2, 2]), // some pixels stay out
        (2, 2, [4, 4], 5, [6, 6]), // whole squares before the image
        (1, 4, [9, 5], 1, [3, 2]), // a vector over several lines of a square
        (24, 1, [3, 5], 1, [5, 7]),
    ] {
        let filters = Filters { outputs: 1, channels, kernel: 1, fold };
        let x = elements::<T>(2 * height * width * channels, 1);
        let mut expected = vec![T::rounded(0.0); 2 * to[0] * to[1] * filters.depth()];
        for (i, &v) in x.iter().enumerate() {
            let (c, pixel) = (i % channels, i / channels);
            let (column, row, n) =
                (pixel % width + pad, pixel / width % height + pad, pixel / width / height);
            if row / fold < to[0] && column / fold < to[1] {
                let square = (n * to[0] + row / fold) * to[1] + column / fold;
                expected[((square * fold + row % fold) * fold + column % fold) * channels + c] = v;
            }
        }
        same_bits("fold", &filters.folded(&x, [2, height, width], pad, to), &expected);
    }
}

fn filters_last_and_back<T: Element>() {
    for (outputs, channels, kernel, fold) in
        [(6, 3, 11, 4), (4, 3, 11, 1), (5, 8, 3, 1), (3, 24, 5, 1), (7, 5, 2, 2), (2, 7, 5, 2), (9, 1, 1, 1)]
    {
        let filters = Filters { outputs, channels, kernel, fold };
        let w = values(filters.weights(), 1);
        let mut expected = vec![T::rounded(0.0); outputs * filters.row::<T>()];
        w.iter().enumerate().for_each(|(i, &w)| expected[filters.place::<T>(i)] = T::rounded(w));
        let last = filters.last::<T>(&w);
        same_bits("filters_last", &last, &expected);
        let back: Vec<f32> = w.iter().map(|&w| T::rounded(w).widened()).collect();
        same_bits("filters_first", &filters.first(&last, 1, None), &back);
        // Parts are added in order, in float32; what stands where no tap is does not count.
        let (parts, length) = (3, last.len());
        let mut x = unwritten::<T>(parts * length);
        let taps = elements::<T>(parts * w.len(), 2);
        for (i, &v) in taps.iter().enumerate() {
            x[i / w.len() * length + filters.place::<T>(i % w.len())] = v;
        }
        let part = |p: usize, i: usize| taps[p * w.len() + i].widened();
        let sums: Vec<f32> = (0..w.len()).map(|i| part(0, i) + part(1, i) + part(2, i)).collect();
        same_bits("filters_first, parts", &filters.first(&x, parts, None), &sums);
        let added: Vec<f32> = w.iter().zip(&sums).map(|(w, sum)| w + sum).collect();
        same_bits("filters_first, added", &filters.first(&x, parts, Some(&w)), &added);
    }
}

/// `[groups · maps][channels][taps]` to `[groups · channels][taps][maps]`, the last tap first.
pub fn filters_turned(w: &[f32], groups: usize, channels: usize, maps: usize, taps: usize) -> Vec<bf16> {
    in_every_order("filters_turned", grid(w.len()), &unwritten::<bf16>(w.len()), |y| {
        [vec![w.into(), y.into()], ints([groups, channels, maps, taps])].concat()
    })
}

#[test]
fn filters_turn_round() {
    for (groups, channels, maps, taps) in [(1usize, 3usize, 5usize, 9usize), (2, 8, 16, 25), (3, 4, 1, 1)] {
        let w = values(groups * maps * channels * taps, 3);
        let mut expected = unwritten::<bf16>(w.len());
        for (i, &w) in w.iter().enumerate() {
            let (tap, c, map) = (i % taps, i / taps % channels, i / taps / channels % maps);
            let to = (i / taps / channels / maps * channels + c) * taps + taps - 1 - tap;
            expected[to * maps + map] = bf16::from_f32(w);
        }
        same_bits("filters_turned", &filters_turned(&w, groups, channels, maps, taps), &expected);
    }
}

#[test]
fn biases_behind_filters_are_added_over_the_parts() {
    let (parts, outputs, row, at) = (3, 5, 24, 16);
    let (x, before) = (values(parts * outputs * row, 4), values(outputs, 5));
    let value = |p: usize, o: usize| x[(p * outputs + o) * row + at];
    for accumulate in [false, true] {
        let ours = in_every_order("filter_biases", grid(outputs), &before, |db| {
            [vec![(&x).into(), db.into()], ints([parts, outputs, row, at, usize::from(accumulate)])].concat()
        });
        let sum = |o: usize| value(0, o) + value(1, o) + value(2, o);
        let expected: Vec<f32> =
            (0..outputs).map(|o| if accumulate { before[o] + sum(o) } else { sum(o) }).collect();
        same_bits("filter_biases", &ours, &expected);
    }
}
