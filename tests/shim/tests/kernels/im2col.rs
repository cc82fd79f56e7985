use crate::operand::Filters;
use crate::{Element, channels_last, close, elements, golden, grid, in_both_types, in_every_order, ints};
use crate::{same_bits, unwritten, wide};
use alexnet_shim::Arg;

in_both_types!(patches_and_their_transpose);

/// `ColumnShape` of im2col.cu.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Shape {
    pub batch: i32,
    pub groups: i32,
    pub channels: i32,
    pub height: i32,
    pub width: i32,
    pub out_height: i32,
    pub out_width: i32,
    pub kernel: i32,
    pub stride: i32,
    pub pad: i32,
    pub row: i32,
}

/// Kernel, stride and pad.
pub type Window = [usize; 3];

impl Shape {
    /// Groups of `channels`; rows end at the next multiple of 16 bytes.
    pub fn new<T: Element>(
        batch: usize,
        [groups, channels]: [usize; 2],
        from: [usize; 2],
        to: [usize; 2],
        [kernel, stride, pad]: Window,
    ) -> Shape {
        let row = (kernel * kernel * channels).next_multiple_of(T::LANES);
        let [batch, groups, channels, height, width, out_height, out_width, kernel, stride, pad, row] =
            [batch, groups, channels, from[0], from[1], to[0], to[1], kernel, stride, pad, row]
                .map(|v| v as i32);
        Shape { batch, groups, channels, height, width, out_height, out_width, kernel, stride, pad, row }
    }

    pub fn pixels(&self) -> usize {
        (self.batch * self.height * self.width * self.groups * self.channels) as usize
    }

    pub fn places(&self) -> usize {
        (self.batch * self.out_height * self.out_width) as usize
    }

    pub fn entries(&self) -> usize {
        self.places() * (self.groups * self.row) as usize
    }

    fn columns<T: Element>(&self, image: &[T]) -> Vec<T> {
        let n = self.entries();
        // Fewer threads than rows of patches, whether one takes a row of a tap or 16 bytes.
        let launch = grid(n.div_ceil(T::LANES * self.kernel as usize));
        in_every_order(&T::kernel("im2col"), launch, &unwritten::<T>(n), |columns| {
            vec![image.into(), columns.into(), Arg::plain(self)]
        })
    }

    fn image<T: Element>(&self, columns: &[T]) -> Vec<T> {
        let launch = grid(self.pixels().div_ceil(T::LANES));
        in_every_order(&T::kernel("col2im"), launch, &unwritten::<T>(self.pixels()), |image| {
            vec![columns.into(), image.into(), Arg::plain(self)]
        })
    }

    /// Where entry `i` of the columns comes from in the image, or nowhere: outside it, or behind the last tap.
    pub fn source(&self, i: usize) -> Option<usize> {
        let [groups, channels, height, width, out_height, out_width, kernel, stride, pad, row] = [
            self.groups,
            self.channels,
            self.height,
            self.width,
            self.out_height,
            self.out_width,
            self.kernel,
            self.stride,
            self.pad,
            self.row,
        ]
        .map(|v| v as usize);
        let (k, group, place) = (i % row, i / row % groups, i / row / groups);
        let (ky, kx, c) = (k / channels / kernel, k / channels % kernel, k % channels);
        let (oy, ox, n) = (place / out_width % out_height, place % out_width, place / out_width / out_height);
        let y = (oy * stride + ky).checked_sub(pad).filter(|&y| ky < kernel && y < height)?;
        let x = (ox * stride + kx).checked_sub(pad).filter(|&x| x < width)?;
        Some(((n * height + y) * width + x) * groups * channels + group * channels + c)
    }
}

fn patches_and_their_transpose<T: Element>() {
    for (from, to, window) in [
        ([32, 32], [7, 7], [11, 4, 0]), // hangs over the right and bottom edge
        ([9, 6], [9, 6], [5, 1, 2]),
        ([7, 7], [7, 7], [3, 1, 1]),
        ([8, 5], [4, 3], [3, 2, 1]),
        ([6, 8], [3, 4], [2, 2, 0]),
        ([7, 7], [3, 3], [2, 3, 0]), // leaves pixels out
    ] {
        for (groups, channels) in [(1, 3), (2, 3), (1, 5), (2, 7), (1, 8), (2, 8), (1, 16), (2, 24), (3, 4)] {
            let shape = Shape::new::<T>(2, [groups, channels], from, to, window);
            let image = elements::<T>(shape.pixels(), 1);
            let gradient = elements::<T>(shape.entries(), 2);
            let mut pixels = vec![0.0; image.len()];
            let mut expected = vec![T::rounded(0.0); gradient.len()];
            for (i, gradient) in wide(&gradient).into_iter().enumerate() {
                if let Some(at) = shape.source(i) {
                    expected[i] = image[at];
                    pixels[at] += gradient;
                }
            }
            same_bits("im2col", &shape.columns(&image), &expected);
            close("col2im", &shape.image(&gradient), &pixels, 1e-6);
        }
    }
}

/// Convolution and its three gradients through our layouts, our columns and a plain product, against PyTorch; once also
/// with squares of pixels as one, which has no way back to the image.
#[test]
fn golden() {
    let Some(g) = golden::ops() else { return };
    for (name, groups, window, fold) in [
        ("conv_s4_over", 1, [11, 4, 0], 1),
        ("conv_s4_over", 1, [11, 4, 0], 4),
        ("conv_5x5_groups2", 2, [5, 1, 2], 1),
        ("conv_3x3", 1, [3, 1, 1], 1),
    ] {
        let tensor = |part: &str| g.floats(&format!("{name}.{part}"));
        let (from, to) = (g.shape(&format!("{name}.x0")), g.shape(&format!("{name}.y")));
        let (batch, size, maps, out) = (from[0], from[2], to[1], to[2]);
        let (own, per_group) = (from[1] / groups, maps / groups);
        let image = |part: &str| channels_last(&tensor(part), from[1], size * size);
        let output = |part: &str| channels_last(&tensor(part), maps, out * out);
        let filters = Filters { outputs: maps, channels: own, kernel: window[0], fold };
        let (mut x, w, dy) = (image("x0"), filters.last::<f32>(&tensor("x1")), output("dy"));
        let mut shape = Shape::new::<f32>(batch, [groups, own], [size; 2], [out; 2], window);
        if fold > 1 {
            let folded = [out + filters.side() - 1; 2];
            x = filters.folded(&x, [batch, size, size], window[2], folded);
            let window = [filters.side(), 1, 0];
            shape = Shape::new::<f32>(batch, [1, filters.depth()], folded, [out; 2], window);
        }
        let (row, places) = (shape.row as usize, shape.places());
        let columns = shape.columns(&x);
        let (mut y, mut dw) = (vec![0.0f32; dy.len()], vec![0.0f32; w.len()]);
        let mut gradient = vec![0.0f32; columns.len()];
        for (place, map) in (0..places).flat_map(|place| (0..maps).map(move |map| (place, map))) {
            let start = (place * groups + map / per_group) * row;
            for k in 0..row {
                let (at, tap) = (place * maps + map, map * row + k);
                y[at] += w[tap] * columns[start + k];
                dw[tap] += dy[at] * columns[start + k];
                gradient[start + k] += w[tap] * dy[at];
            }
        }
        let b = tensor("x2");
        let y = in_every_order("bias_forward", grid(y.len()), &y, |y| {
            [vec![y.into(), (&b).into()], ints([places, maps, 0])].concat()
        });
        close(name, &y, &wide(&output("y")), 1e-5);
        close(name, &filters.first(&dw, 1, None), &wide(&tensor("dx1")), 1e-5);
        if fold == 1 {
            close(name, &shape.image(&gradient), &wide(&image("dx0")), 1e-5);
        }
    }
}
