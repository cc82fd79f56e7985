use crate::{Element, Grid, close, elements, in_both_types, in_every_order, ints, lanes, rounded, same_bits};
use crate::{unwritten, values, wide};
use alexnet_shim::Arg;

in_both_types!(
    forward_adds_and_rectifies,
    relu_in_place,
    relu_backward_at_the_edges,
    gradient_sums_over_rows
);

fn rectified(v: f32) -> f32 {
    if v < 0.0 { 0.0 } else { v }
}

fn forward_adds_and_rectifies<T: Element>() {
    for (rows, channels) in [(21usize, 5usize), (40, 3), (9, 7), (13, 8), (5, 24), (4, 130)] {
        let (mut x, bias) = (elements::<T>(rows * channels, 1), values(channels, 2));
        x[4] = T::rounded(f32::NAN);
        for relu in [0usize, 1] {
            let ours = in_every_order(&T::kernel("bias_forward"), lanes::<T>(x.len()), &x, |x| {
                [vec![x.into(), (&bias).into()], ints([rows, channels, relu])].concat()
            });
            let expected: Vec<f32> = (0..x.len())
                .map(|i| x[i].widened() + bias[i % channels])
                .map(|v| if relu == 1 { rectified(v) } else { v })
                .collect();
            same_bits("bias_forward", &ours, &rounded::<T>(&expected));
            assert!(ours[4].widened().is_nan(), "a NaN is passed on");
        }
    }
}

/// Fewer values than a vector, whole vectors, and some left over; the last one NaN.
const LENGTHS: [usize; 4] = [3, 64, 301, 303];

fn relu_in_place<T: Element>() {
    for n in LENGTHS {
        let mut x = elements::<T>(n, 1);
        x[..2].copy_from_slice(&[-0.0, 0.0].map(T::rounded));
        x[n - 1] = T::rounded(f32::NAN);
        let ours = in_every_order(&T::kernel("relu_forward"), lanes::<T>(n), &x, |x| {
            [vec![x.into()], ints([n])].concat()
        });
        let expected: Vec<T> = x.iter().map(|v| T::rounded(rectified(v.widened()))).collect();
        same_bits("relu_forward", &ours, &expected);
        assert!(ours[n - 1].widened().is_nan(), "a NaN is passed on");
    }
}

/// The gradient passes where the output was positive or NaN, whatever the gradient is.
fn relu_backward_at_the_edges<T: Element>() {
    for n in LENGTHS {
        let mut y: Vec<T> = elements::<T>(n, 3).iter().map(|v| T::rounded(v.widened().max(0.0))).collect();
        let mut dy = elements::<T>(n, 4);
        y[..2].copy_from_slice(&[-0.0, 0.0].map(T::rounded));
        dy[0] = T::rounded(f32::NAN);
        y[n - 1] = T::rounded(f32::NAN);
        let ours = in_every_order(&T::kernel("relu_backward"), lanes::<T>(n), &dy, |dy| {
            [vec![(&y).into(), dy.into()], ints([n])].concat()
        });
        let passed = |(y, dy): (&T, &T)| if y.widened() <= 0.0 { T::rounded(0.0) } else { *dy };
        same_bits("relu_backward", &ours, &y.iter().zip(&dy).map(passed).collect::<Vec<T>>());
    }
}

/// Sums of float32 whatever the type: in shares of rows, then over the shares.
fn gradient_sums_over_rows<T: Element>() {
    for (rows, channels, share) in [
        (231usize, 5usize, 20usize), // the last share is short
        (77, 3, 77),
        (33, 7, 8),
        (96, 8, 16),
        (100, 24, 7),
        (4, 130, 8),   // more rows in a share than there are
        (19, 1040, 5), // more vectors than threads
    ] {
        let (dy, before) = (elements::<T>(rows * channels, 5), values(channels, 6));
        let parts = rows.div_ceil(share);
        let sums = in_every_order(
            &T::kernel("row_sums"),
            Grid(parts, 64, 0),
            &unwritten(parts * channels),
            |sums| [vec![(&dy).into(), sums.into()], ints([rows, channels, share])].concat(),
        );
        let mut expected = vec![0.0f64; parts * channels];
        for (i, dy) in wide(&dy).into_iter().enumerate() {
            expected[i / channels / share * channels + i % channels] += dy;
        }
        close::<f32>("row_sums", &sums, &expected, 1e-6);
        let mut whole = vec![0.0f64; channels];
        expected.iter().enumerate().for_each(|(i, sum)| whole[i % channels] += sum);
        for accumulate in [0, 1] {
            let ours = in_every_order("bias_gradient", Grid(channels, 64, 0), &before, |db| {
                let buffers: Vec<Arg> = vec![(&sums).into(), db.into()];
                [buffers, ints([parts, channels, accumulate])].concat()
            });
            let start = |c: usize| accumulate as f64 * f64::from(before[c]);
            let expected: Vec<f64> = whole.iter().enumerate().map(|(c, sum)| start(c) + sum).collect();
            close("bias_gradient", &ours, &expected, 1e-6);
        }
    }
}
