use crate::element::{Element, elements, in_both_types, lanes, rounded, unwritten};
use crate::pool::Shape;
use crate::{close, in_every_order, ints, same_bits, values, wide};
use alexnet_shim::Arg;

in_both_types!(
    the_bits_of_normalisation_and_pooling_one_after_the_other,
    a_nan_wins_in_every_window_that_sees_it
);

/// The normalisation's constants.
#[derive(Clone, Copy)]
struct Response {
    columns: usize,
    half: usize,
    k: f32,
    alpha: f32,
}

impl Response {
    fn args(self) -> Vec<Arg> {
        let mut args = ints([self.columns, self.half]);
        args.extend([self.k.into(), self.alpha.into()]);
        args
    }

    /// lrn.cu's arguments behind its buffers.
    fn across(self, shape: Shape) -> Vec<Arg> {
        let [batch, channels, height, width] =
            [shape.batch, shape.channels, shape.height, shape.width].map(|v| v as usize);
        let mut args = ints([batch * height * width, self.columns, channels / self.columns, self.half]);
        args.extend([self.k.into(), self.alpha.into()]);
        args
    }

    fn normalised<T: Element>(self, shape: Shape, x: &[T]) -> Vec<T> {
        in_every_order(&T::kernel("lrn_forward"), lanes::<T>(x.len()), &unwritten::<T>(x.len()), |y| {
            [vec![x.into(), y.into()], self.across(shape)].into_iter().flatten().collect()
        })
    }

    fn forward<T: Element>(self, shape: Shape, x: &[T], relu: bool) -> (Vec<T>, Vec<u8>) {
        let (n, kernel) = (shape.outputs(), T::kernel("response_pool_forward"));
        let mut spare = (vec![0u8; n], unwritten::<T>(n));
        let unused = [spare.0.as_mut_ptr() as u64, spare.1.as_mut_ptr() as u64];
        let args = |buffers: [Arg; 3]| {
            let mut args = buffers.to_vec();
            args.push(Arg::plain(&shape));
            args.extend(self.args());
            args.push(i32::from(relu).into());
            args
        };
        let y = in_every_order(&kernel, lanes::<T>(n), &unwritten::<T>(n), |y| {
            args([x.into(), y.into(), unused[0].into()])
        });
        let winner = in_every_order(&kernel, lanes::<T>(n), &vec![255u8; n], |winner| {
            args([x.into(), unused[1].into(), winner.into()])
        });
        drop(spare); // the launches wrote into it until here
        (y, winner)
    }

    fn backward<T: Element>(self, shape: Shape, x: &[T], dy: &[T], winner: &[u8], masked: bool) -> Vec<T> {
        let (n, kernel) = (shape.inputs(), T::kernel("response_pool_backward"));
        in_every_order(&kernel, lanes::<T>(n), &unwritten::<T>(n), |dx| {
            let mut args = vec![x.into(), dy.into(), winner.into(), dx.into(), Arg::plain(&shape)];
            args.extend(self.args());
            args.push(i32::from(masked).into());
            args
        })
    }
}

/// What relu_forward and relu_backward do.
fn kept<T: Element>(y: &[T], values: &[T]) -> Vec<T> {
    let pairs = y.iter().zip(values);
    pairs.map(|(y, &v)| if y.widened() <= 0.0 { T::rounded(0.0) } else { v }).collect()
}

/// Maps of a column, columns, half a window.
const ACROSS: [(usize, usize, usize); 9] =
    [(8, 2, 2), (16, 1, 2), (24, 2, 2), (4, 3, 2), (7, 2, 2), (1, 2, 2), (5, 1, 1), (8, 1, 3), (6, 2, 4)];

/// Overlapping windows in strips that are full, short, and a single one; clipped, meeting, apart, and one within another.
const WINDOWS: [([usize; 2], [usize; 2], [usize; 2]); 8] = [
    ([13, 13], [6, 6], [3, 2]),
    ([12, 10], [6, 5], [3, 2]),
    ([19, 5], [9, 2], [3, 2]),
    ([3, 3], [1, 1], [3, 2]),
    ([8, 8], [4, 4], [2, 2]),
    ([7, 9], [2, 3], [2, 3]),
    ([7, 7], [5, 5], [3, 1]),
    ([9, 5], [9, 5], [1, 1]),
];

fn the_bits_of_normalisation_and_pooling_one_after_the_other<T: Element>() {
    let mut salt = 0;
    for (from, to, window) in WINDOWS {
        for (maps, columns, half) in ACROSS {
            salt += 2;
            let shape = Shape::new(2, maps * columns, from, to, window);
            let response = Response { columns, half, k: 2.0, alpha: 0.3 };
            // Few different values, so that normalised values tie too.
            let few: Vec<f32> = values(shape.inputs(), salt).iter().map(|v| (v * 2.0).round()).collect();
            let signed = rounded::<T>(&few);
            let x = if salt % 4 == 0 { kept(&signed, &signed) } else { signed };
            let dy = elements::<T>(shape.outputs(), salt + 1);

            let normalised = response.normalised(shape, &x);
            let (y, winner) = shape.forward(&normalised);
            let gradient = shape.backward(&dy, &winner);
            let dx = in_every_order(
                &T::kernel("lrn_backward"),
                lanes::<T>(x.len()),
                &unwritten::<T>(x.len()),
                |dx| {
                    let buffers = vec![(&x[..]).into(), (&gradient[..]).into(), dx.into()];
                    [buffers, response.across(shape), vec![0i32.into()]].into_iter().flatten().collect()
                },
            );

            for relu in [false, true] {
                let what = format!("{from:?} to {to:?}, {maps} maps, half {half}, {relu}");
                let (ours, places) = response.forward(shape, &x, relu);
                // As relu_forward does, which leaves −0 alone.
                let rectified = y
                    .iter()
                    .map(|&v| if relu && v.widened() < 0.0 { T::rounded(0.0) } else { v })
                    .collect::<Vec<_>>();
                same_bits(&what, &ours, &rectified);
                same_bits(&what, &places, &winner);
                let expected = if relu { kept(&x, &dx) } else { dx.clone() };
                same_bits(&what, &response.backward(shape, &x, &dy, &winner, relu), &expected);
            }
            gradient_of_the_definition(response, shape, &x, &dy, &winner);
        }
    }
}

/// The gradient once more, from the definition in float64: through the winners, then through every window of maps.
fn gradient_of_the_definition<T: Element>(
    response: Response,
    shape: Shape,
    x: &[T],
    dy: &[T],
    winner: &[u8],
) {
    let Response { columns, half, k, alpha } = response;
    let maps = shape.channels as usize / columns;
    let (mut gradient, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    for (i, &dy) in dy.iter().enumerate() {
        let window = shape.window(i);
        let (_, at) = window.iter().find(|&&(place, _)| place == winner[i]).expect("a place of the window");
        gradient[*at] += Into::<f64>::into(dy);
    }
    let (x64, alpha) = (wide(x), f64::from(alpha));
    for start in (0..x.len()).step_by(maps) {
        for i in start..start + maps {
            let window = i.saturating_sub(half).max(start)..(i + half + 1).min(start + maps);
            let d = f64::from(k) + alpha * window.clone().map(|j| x64[j].powi(2)).sum::<f64>();
            dx[i] += gradient[i] * d.powf(-0.75);
            for j in window {
                dx[j] -= 1.5 * alpha * gradient[i] * x64[i] * d.powf(-1.75) * x64[j];
            }
        }
    }
    // In bfloat16 the gradient is rounded once on the way.
    let tolerance = 2e-6 + 2.0 * T::ROUNDING;
    close("response_pool_backward", &response.backward(shape, x, dy, winner, false), &dx, tolerance);
}

fn a_nan_wins_in_every_window_that_sees_it<T: Element>() {
    let response = Response { columns: 1, half: 2, k: 2.0, alpha: 1e-4 };
    let shape = Shape::new(1, 16, [7, 7], [3, 3], [3, 2]);
    let mut x = vec![T::rounded(1.0); shape.inputs()];
    x[(4 * 7 + 4) * 16 + 9] = T::rounded(f32::NAN); // the corner where four windows meet
    let (y, winner) = response.forward(shape, &x, true);
    for (i, (y, winner)) in y.iter().zip(winner).enumerate() {
        let (window, channel) = (i / 16, i % 16);
        // Its square reaches two maps to each side.
        let seen = [4usize, 5, 7, 8].iter().position(|&w| w == window).filter(|_| channel.abs_diff(9) <= 2);
        assert_eq!(y.widened().is_nan(), seen.is_some(), "window {window}, map {channel}");
        let place = seen.map_or(0, |corner| [8, 6, 2, 0][corner]);
        assert_eq!(winner, place, "window {window}, map {channel}");
    }
}
