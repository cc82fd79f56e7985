use crate::{close, golden, grid, in_every_order, same_bits, values, wide};
use alexnet_shim::Arg;

#[repr(C)]
#[derive(Clone, Copy)]
struct Shape {
    maps: i32,
    height: i32,
    width: i32,
    out_height: i32,
    out_width: i32,
    size: i32,
    stride: i32,
}

impl Shape {
    fn square(maps: usize, size_in: usize, size_out: usize, size: usize, stride: usize) -> Shape {
        let [maps, height, out_height, size, stride] =
            [maps, size_in, size_out, size, stride].map(|v| v as i32);
        Shape { maps, height, width: height, out_height, out_width: out_height, size, stride }
    }

    fn outputs(self) -> usize {
        (self.maps * self.out_height * self.out_width) as usize
    }

    fn forward(self, x: &[f32]) -> (Vec<f32>, Vec<u8>) {
        let n = self.outputs();
        // One launch writes both; each pass looks at one of them and lets the other go here.
        let mut spare = (vec![0u8; n], vec![0f32; n]);
        let unused = [spare.0.as_mut_ptr() as u64, spare.1.as_mut_ptr() as u64];
        let y = in_every_order("max_pool_forward", grid(n), &vec![f32::NAN; n], |y| {
            vec![x.into(), y.into(), unused[0].into(), Arg::plain(&self)]
        });
        let winner = in_every_order("max_pool_forward", grid(n), &vec![255u8; n], |winner| {
            vec![x.into(), unused[1].into(), winner.into(), Arg::plain(&self)]
        });
        drop(spare); // the launches wrote into it until here
        (y, winner)
    }

    fn backward(self, dy: &[f32], winner: &[u8]) -> Vec<f32> {
        let n = (self.maps * self.height * self.width) as usize;
        in_every_order("max_pool_backward", grid(n), &vec![f32::NAN; n], |dx| {
            vec![dy.into(), winner.into(), dx.into(), Arg::plain(&self)]
        })
    }

    /// Maxima, and the gradient scattered to the first maximum of each window, in float64.
    fn oracle(self, x: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f64>) {
        let [h, w, oh, ow, size, stride] =
            [self.height, self.width, self.out_height, self.out_width, self.size, self.stride]
                .map(|v| v as usize);
        let (mut y, mut dx) = (Vec::new(), vec![0.0; x.len()]);
        for (i, dy) in dy.iter().enumerate() {
            let (map, oy, ox) = (i / (oh * ow), i / ow % oh, i % ow);
            let window: Vec<usize> = (oy * stride..(oy * stride + size).min(h))
                .flat_map(|r| (ox * stride..(ox * stride + size).min(w)).map(move |c| (map * h + r) * w + c))
                .collect();
            let highest = window.iter().map(|&j| x[j]).fold(f32::NEG_INFINITY, f32::max);
            let first = window.into_iter().find(|&j| x[j] == highest).expect("a maximum");
            y.push(highest);
            dx[first] += f64::from(*dy);
        }
        (y, dx)
    }
}

#[test]
fn maxima_and_gradients_with_ties_and_clipped_windows() {
    for (size_in, size_out, size, stride) in
        [(13, 6, 3, 2), (12, 6, 3, 2), (8, 4, 2, 2), (9, 9, 1, 1), (7, 3, 3, 3), (9, 4, 2, 2)]
    {
        let shape = Shape::square(4, size_in, size_out, size, stride);
        // Few different values, so that ties are common.
        let x: Vec<f32> = values(4 * size_in * size_in, 1).iter().map(|v| (v * 2.0).round()).collect();
        let dy = values(shape.outputs(), 2);
        let (y, dx) = shape.oracle(&x, &dy);
        let (ours, winner) = shape.forward(&x);
        same_bits("max_pool_forward", &ours, &y);
        close("max_pool_backward", &shape.backward(&dy, &winner), &dx, 1e-6);
    }
}

#[test]
fn the_first_nan_wins() {
    let shape = Shape::square(1, 3, 1, 3, 2);
    let mut x: Vec<f32> = (0..9).map(|v| v as f32).collect();
    x[4] = f32::NAN;
    x[6] = f32::NAN;
    let (y, winner) = shape.forward(&x);
    assert!(y[0].is_nan());
    assert_eq!(winner, [4]);
    let (y, winner) = shape.forward(&[f32::NEG_INFINITY; 9]);
    assert_eq!((y[0], winner[0]), (f32::NEG_INFINITY, 0));
}

#[test]
fn golden() {
    let Some(g) = golden::ops() else { return };
    for (name, size_in) in [("maxpool_3x3_s2", 13), ("maxpool_3x3_s2_ceil", 12)] {
        let shape = Shape::square(8, size_in, 6, 3, 2);
        let tensor = |part: &str| g.floats(&format!("{name}.{part}"));
        let (y, winner) = shape.forward(&tensor("x0"));
        close(name, &y, &wide(&tensor("y")), 1e-5);
        close(name, &shape.backward(&tensor("dy"), &winner), &wide(&tensor("dx0")), 1e-5);
    }
}

#[test]
fn means_of_clipped_windows() {
    for (size_in, size_out, size, stride) in
        [(13, 6, 3, 2), (12, 6, 3, 2), (7, 3, 3, 3), (9, 9, 1, 1), (9, 4, 2, 2)]
    {
        let shape = Shape::square(4, size_in, size_out, size, stride);
        let (x, dy) = (values(4 * size_in * size_in, 1), values(shape.outputs(), 2));
        let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
        for (i, dy) in dy.iter().enumerate() {
            let (map, top, left) =
                (i / (size_out * size_out), i / size_out % size_out * stride, i % size_out * stride);
            let rows = top..(top + size).min(size_in);
            let columns = left..(left + size).min(size_in);
            let share = 1.0 / (rows.len() * columns.len()) as f64;
            for (r, c) in rows.flat_map(|r| columns.clone().map(move |c| (r, c))) {
                let at = (map * size_in + r) * size_in + c;
                y[i] += share * f64::from(x[at]);
                dx[at] += share * f64::from(*dy);
            }
        }
        let ours = in_every_order("average_pool_forward", grid(dy.len()), &vec![f32::NAN; dy.len()], |y| {
            vec![(&x).into(), y.into(), Arg::plain(&shape)]
        });
        close("average_pool_forward", &ours, &y, 1e-6);
        let ours = in_every_order("average_pool_backward", grid(x.len()), &vec![f32::NAN; x.len()], |dx| {
            vec![(&dy).into(), dx.into(), Arg::plain(&shape)]
        });
        close("average_pool_backward", &ours, &dx, 1e-6);
    }
}
