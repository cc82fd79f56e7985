use crate::{close, golden, grid, in_every_order, same_bits, values, wide};
use alexnet_shim::Arg;

#[repr(C)]
#[derive(Clone, Copy)]
struct Shape {
    batch: i32,
    channels: i32,
    height: i32,
    width: i32,
    out_height: i32,
    out_width: i32,
    kernel: i32,
    stride: i32,
    pad: i32,
    image_stride: i32,
    row_stride: i32,
    batch_stride: i32,
}

impl Shape {
    /// One group of `channels` among `all` of each image; columns image by image, or as one matrix over the batch.
    fn new(
        batch: usize,
        channels: usize,
        all: usize,
        size: usize,
        out: usize,
        conv: [usize; 3],
        one_matrix: bool,
    ) -> Shape {
        let [kernel, stride, pad] = conv;
        let (rows, places) = (channels * kernel * kernel, out * out);
        let (row_stride, batch_stride) =
            if one_matrix { (batch * places, places) } else { (places, rows * places) };
        let [
            batch,
            channels,
            height,
            out_height,
            kernel,
            stride,
            pad,
            image_stride,
            row_stride,
            batch_stride,
        ] = [batch, channels, size, out, kernel, stride, pad, all * size * size, row_stride, batch_stride]
            .map(|v| v as i32);
        let (width, out_width) = (height, out_height);
        Shape {
            batch,
            channels,
            height,
            width,
            out_height,
            out_width,
            kernel,
            stride,
            pad,
            image_stride,
            row_stride,
            batch_stride,
        }
    }

    fn rows(&self) -> usize {
        (self.channels * self.kernel * self.kernel) as usize
    }

    fn places(&self) -> usize {
        (self.out_height * self.out_width) as usize
    }

    fn columns(&self, image: &[f32]) -> Vec<f32> {
        let n = self.batch as usize * self.rows() * self.places();
        let columns = in_every_order("im2col", grid(n), &vec![f32::NAN; n], |columns| {
            vec![image.into(), columns.into(), Arg::plain(self)]
        });
        let rounded = in_every_order("im2col_bf16", grid(n), &vec![0xffffu16; n], |columns| {
            vec![image.into(), columns.into(), Arg::plain(self)]
        });
        let expected: Vec<u16> = columns.iter().map(|&v| half::bf16::from_f32(v).to_bits()).collect();
        assert_eq!(rounded, expected, "im2col_bf16");
        columns
    }

    fn image(&self, columns: &[f32], into: &[f32]) -> Vec<f32> {
        let n = (self.batch * self.channels * self.height * self.width) as usize;
        in_every_order("col2im", grid(n), into, |image| vec![columns.into(), image.into(), Arg::plain(self)])
    }

    fn at(&self, k: usize, n: usize, p: usize) -> usize {
        k * self.row_stride as usize + n * self.batch_stride as usize + p
    }

    /// Where entry (k, n, p) comes from in the images, or nowhere.
    fn source(&self, k: usize, n: usize, p: usize) -> Option<usize> {
        let [kernel, out, size] = [self.kernel, self.out_width, self.width].map(|v| v as usize);
        let (c, ky, kx) = (k / kernel / kernel, k / kernel % kernel, k % kernel);
        let y = (p / out * self.stride as usize + ky).checked_sub(self.pad as usize).filter(|&y| y < size)?;
        let x = (p % out * self.stride as usize + kx).checked_sub(self.pad as usize).filter(|&x| x < size)?;
        Some(n * self.image_stride as usize + (c * size + y) * size + x)
    }

    fn entries(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let (rows, batch, places) = (self.rows(), self.batch as usize, self.places());
        (0..rows).flat_map(move |k| (0..batch).flat_map(move |n| (0..places).map(move |p| (k, n, p))))
    }
}

#[test]
fn patches_and_their_transpose() {
    for (size, out, conv) in [
        (32, 7, [11, 4, 0]),
        (9, 9, [5, 1, 2]),
        (7, 7, [3, 1, 1]),
        (8, 4, [3, 2, 1]),
        (6, 3, [2, 2, 0]),
        (7, 3, [2, 3, 0]),
    ] {
        for one_matrix in [false, true] {
            let shape = Shape::new(2, 3, 5, size, out, conv, one_matrix);
            let image = values(2 * 5 * size * size, 1);
            let columns = shape.columns(&image);
            let mut expected = vec![f32::NAN; columns.len()];
            let gradient = values(columns.len(), 2);
            let mut pixels: Vec<f64> = wide(&image);
            for n in 0..2 {
                pixels[n * 5 * size * size..][..3 * size * size].fill(0.0);
            }
            for (k, n, p) in shape.entries() {
                let source = shape.source(k, n, p);
                expected[shape.at(k, n, p)] = source.map_or(0.0, |at| image[at]);
                if let Some(at) = source {
                    pixels[at] += f64::from(gradient[shape.at(k, n, p)]);
                }
            }
            same_bits("im2col", &columns, &expected);
            // The channels of the other group keep what was there.
            close("col2im", &shape.image(&gradient, &image), &pixels, 1e-6);
        }
    }
}

/// Convolution and its three gradients through our columns and a plain product, group by group, against PyTorch.
#[test]
fn golden() {
    let Some(g) = golden::ops() else { return };
    for (name, groups, conv) in
        [("conv_s4_over", 1, [11, 4, 0]), ("conv_5x5_groups2", 2, [5, 1, 2]), ("conv_3x3", 1, [3, 1, 1])]
    {
        let tensor = |part: &str| g.floats(&format!("{name}.{part}"));
        let (x, w, b, dy) = (tensor("x0"), tensor("x1"), tensor("x2"), tensor("dy"));
        let (from, to) = (g.shape(&format!("{name}.x0")), g.shape(&format!("{name}.y")));
        let (batch, size, maps, out) = (from[0], from[2], to[1], to[2]);
        let (own, per_group) = (from[1] / groups, maps / groups);
        let (mut y, mut dw) = (vec![0.0f32; dy.len()], vec![0.0f32; w.len()]);
        let mut dx = vec![f32::NAN; x.len()];
        for group in 0..groups {
            let shape = Shape::new(batch, own, from[1], size, out, conv, false);
            let first = group * own * size * size;
            let columns = shape.columns(&x[first..]);
            let (rows, places) = (shape.rows(), shape.places());
            let mut gradient = vec![0.0f32; columns.len()];
            for map in group * per_group..(group + 1) * per_group {
                for (k, n, p) in shape.entries() {
                    let (place, tap) = ((n * maps + map) * places + p, map * rows + k);
                    y[place] += w[tap] * columns[shape.at(k, n, p)];
                    dw[tap] += dy[place] * columns[shape.at(k, n, p)];
                    gradient[shape.at(k, n, p)] += w[tap] * dy[place];
                }
            }
            let part = shape.image(&gradient, &dx[first..]);
            dx[first..].copy_from_slice(&part);
        }
        let n = y.len();
        let y = in_every_order("bias_forward", grid(n), &y, |y| {
            vec![
                y.into(),
                (&b).into(),
                (batch as i32).into(),
                (maps as i32).into(),
                ((out * out) as i32).into(),
                0.into(),
            ]
        });
        close(name, &y, &wide(&tensor("y")), 1e-5);
        close(name, &dx, &wide(&tensor("dx0")), 1e-5);
        close(name, &dw, &wide(&tensor("dx1")), 1e-5);
    }
}
