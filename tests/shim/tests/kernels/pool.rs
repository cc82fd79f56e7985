use crate::{
    Element, channels_last, close, elements, golden, grid, in_both_types, in_every_order, lanes, rounded,
};
use crate::{same_bits, unwritten, values, wide};
use alexnet_shim::Arg;

in_both_types!(
    maxima_and_gradients_with_ties_and_clipped_windows,
    the_first_nan_wins,
    means_of_clipped_windows
);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Shape {
    pub batch: i32,
    pub channels: i32,
    pub height: i32,
    pub width: i32,
    out_height: i32,
    out_width: i32,
    size: i32,
    stride: i32,
}

impl Shape {
    /// Maps of `from` rows and columns pooled to `to`.
    pub fn new(
        batch: usize,
        channels: usize,
        from: [usize; 2],
        to: [usize; 2],
        [size, stride]: [usize; 2],
    ) -> Shape {
        let [batch, channels, height, width, out_height, out_width, size, stride] =
            [batch, channels, from[0], from[1], to[0], to[1], size, stride].map(|v| v as i32);
        Shape { batch, channels, height, width, out_height, out_width, size, stride }
    }

    pub fn inputs(self) -> usize {
        (self.batch * self.height * self.width * self.channels) as usize
    }

    pub fn outputs(self) -> usize {
        (self.batch * self.out_height * self.out_width * self.channels) as usize
    }

    pub fn forward<T: Element>(self, x: &[T]) -> (Vec<T>, Vec<u8>) {
        let (n, kernel) = (self.outputs(), T::kernel("max_pool_forward"));
        // One launch writes both; each pass looks at one of them and lets the other go here.
        let mut spare = (vec![0u8; n], unwritten::<T>(n));
        let unused = [spare.0.as_mut_ptr() as u64, spare.1.as_mut_ptr() as u64];
        let y = in_every_order(&kernel, lanes::<T>(n), &unwritten::<T>(n), |y| {
            vec![x.into(), y.into(), unused[0].into(), Arg::plain(&self)]
        });
        let winner = in_every_order(&kernel, lanes::<T>(n), &vec![255u8; n], |winner| {
            vec![x.into(), unused[1].into(), winner.into(), Arg::plain(&self)]
        });
        drop(spare); // the launches wrote into it until here
        (y, winner)
    }

    pub fn backward<T: Element>(self, dy: &[T], winner: &[u8]) -> Vec<T> {
        self.backward_behind(dy, winner, None)
    }

    /// With the mask of the rectifier that made x, whose maxima `y` are.
    fn backward_behind<T: Element>(self, dy: &[T], winner: &[u8], y: Option<&[T]>) -> Vec<T> {
        let n = self.inputs();
        in_every_order(&T::kernel("max_pool_backward"), lanes::<T>(n), &unwritten::<T>(n), |dx| {
            let y = y.map_or_else(Arg::null, Arg::from);
            vec![dy.into(), winner.into(), y, dx.into(), Arg::plain(&self)]
        })
    }

    /// The inputs in the window of output `i`, row by row: the place in the window, and which input it is.
    pub fn window(self, i: usize) -> Vec<(u8, usize)> {
        let [channels, h, w, oh, ow, size, stride] =
            [self.channels, self.height, self.width, self.out_height, self.out_width, self.size, self.stride]
                .map(|v| v as usize);
        let (n, top, left) =
            (i / channels / ow / oh, i / channels / ow % oh * stride, i / channels % ow * stride);
        (0..size * size)
            .map(|place| (place, top + place / size, left + place % size))
            .filter(|&(_, row, column)| row < h && column < w)
            .map(|(place, row, column)| (place as u8, ((n * h + row) * w + column) * channels + i % channels))
            .collect()
    }

    /// Maxima, their places, and the gradient scattered to the first maximum of each window, in float64.
    fn oracle<T: Element>(self, x: &[T], dy: &[T]) -> (Vec<T>, Vec<u8>, Vec<f64>) {
        let (mut y, mut winner, mut dx) = (Vec::new(), Vec::new(), vec![0.0; x.len()]);
        for (i, dy) in wide(dy).into_iter().enumerate() {
            let window = self.window(i);
            let highest = window.iter().map(|&(_, at)| x[at].widened()).fold(f32::NEG_INFINITY, f32::max);
            let &(place, at) = window.iter().find(|&&(_, at)| x[at].widened() == highest).expect("a maximum");
            y.push(x[at]);
            winner.push(place);
            dx[at] += dy;
        }
        (y, winner, dx)
    }
}

/// Floor and ceil sizes, windows that meet, overlap or leave pixels out, oblong maps.
const WINDOWS: [([usize; 2], [usize; 2], [usize; 2]); 7] = [
    ([13, 13], [6, 6], [3, 2]),
    ([12, 9], [6, 4], [3, 2]),
    ([8, 8], [4, 4], [2, 2]),
    ([9, 5], [9, 5], [1, 1]),
    ([7, 10], [3, 4], [3, 3]),
    ([9, 9], [4, 4], [2, 2]),
    ([7, 9], [2, 3], [2, 3]),
];
const CHANNELS: [usize; 6] = [8, 16, 24, 3, 5, 7];

fn maxima_and_gradients_with_ties_and_clipped_windows<T: Element>() {
    for (from, to, window) in WINDOWS {
        for channels in CHANNELS {
            let shape = Shape::new(2, channels, from, to, window);
            // Few different values, so that ties are common.
            let few: Vec<f32> = values(shape.inputs(), 1).iter().map(|v| (v * 2.0).round()).collect();
            let (x, dy) = (rounded::<T>(&few), elements::<T>(shape.outputs(), 2));
            let (y, places, dx) = shape.oracle(&x, &dy);
            let (ours, winner) = shape.forward(&x);
            same_bits("max_pool_forward", &ours, &y);
            same_bits("winners", &winner, &places);
            let gradient = shape.backward(&dy, &winner);
            close("max_pool_backward", &gradient, &dx, 1e-6);
            let masked = shape.backward_behind(&dy, &winner, Some(&y));
            let kept =
                x.iter().zip(gradient).map(|(x, g)| if x.widened() <= 0.0 { T::rounded(0.0) } else { g });
            same_bits("max_pool_backward, masked", &masked, &kept.collect::<Vec<_>>());
        }
    }
}

/// In one channel of a vector as in a channel alone, and its neighbours see nothing of it.
fn the_first_nan_wins<T: Element>() {
    for channels in [1, 8] {
        let shape = Shape::new(1, channels, [3, 3], [1, 1], [3, 2]);
        let mut x: Vec<T> = (0..9 * channels).map(|i| T::rounded((i / channels) as f32)).collect();
        for pixel in [4, 6] {
            x[pixel * channels + channels - 1] = T::rounded(f32::NAN);
        }
        let (y, winner) = shape.forward(&x);
        assert!(y[channels - 1].widened().is_nan());
        assert_eq!(winner[channels - 1], 4);
        for c in 0..channels - 1 {
            assert_eq!((y[c].widened(), winner[c]), (8.0, 8), "channel {c}");
        }
        let lowest = T::rounded(f32::NEG_INFINITY);
        let (y, winner) = shape.forward(&vec![lowest; 9 * channels]);
        same_bits("nothing but −∞", &y, &vec![lowest; channels]);
        assert_eq!(winner, vec![0; channels]);
    }
}

#[test]
fn golden() {
    let Some(g) = golden::ops() else { return };
    for (name, size) in [("maxpool_3x3_s2", 13), ("maxpool_3x3_s2_ceil", 12)] {
        let (from, to) = (g.shape(&format!("{name}.x0")), g.shape(&format!("{name}.y")));
        assert_eq!((from[2..].to_vec(), to[2..].to_vec()), (vec![size; 2], vec![6; 2]), "{name}");
        let shape = Shape::new(from[0], from[1], [size; 2], [6; 2], [3, 2]);
        let tensor =
            |part: &str, plane: usize| channels_last(&g.floats(&format!("{name}.{part}")), from[1], plane);
        let (y, winner) = shape.forward(&tensor("x0", size * size));
        close(name, &y, &wide(&tensor("y", 36)), 1e-5);
        let dx = shape.backward(&tensor("dy", 36), &winner);
        close(name, &dx, &wide(&tensor("dx0", size * size)), 1e-5);
    }
}

fn means_of_clipped_windows<T: Element>() {
    for (from, to, window) in WINDOWS {
        for channels in CHANNELS {
            let shape = Shape::new(2, channels, from, to, window);
            let (x, dy) = (elements::<T>(shape.inputs(), 1), elements::<T>(shape.outputs(), 2));
            let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
            for (i, dy) in wide(&dy).into_iter().enumerate() {
                let window = shape.window(i);
                let share = 1.0 / window.len() as f64;
                for (_, at) in window {
                    y[i] += share * wide(&x[at..][..1])[0];
                    dx[at] += share * dy;
                }
            }
            let run = |kernel: &str, from: &[T], n: usize| {
                in_every_order(&T::kernel(kernel), grid(n), &unwritten::<T>(n), |to| {
                    vec![from.into(), to.into(), Arg::plain(&shape)]
                })
            };
            close("average_pool_forward", &run("average_pool_forward", &x, dy.len()), &y, 1e-6);
            close("average_pool_backward", &run("average_pool_backward", &dy, x.len()), &dx, 1e-6);
        }
    }
}
