use crate::{Grid, close, grid, in_every_order, same_bits, values};
use alexnet_shim::Arg;

#[test]
fn forward_adds_and_rectifies() {
    let (batch, channels, plane) = (3usize, 5usize, 7usize);
    let (mut x, bias) = (values(batch * channels * plane, 1), values(channels, 2));
    x[4] = f32::NAN;
    for relu in [0i32, 1] {
        let ours = in_every_order("bias_forward", grid(x.len()), &x, |x| {
            vec![x.into(), (&bias).into(), 3.into(), 5.into(), 7.into(), relu.into()]
        });
        let expected: Vec<f32> = (0..x.len())
            .map(|i| x[i] + bias[i / plane % channels])
            .map(|v| if relu == 1 && v < 0.0 { 0.0 } else { v })
            .collect();
        same_bits("bias_forward", &ours, &expected);
        assert!(ours[4].is_nan(), "a NaN is passed on");
    }
    let ours =
        in_every_order("relu_forward", grid(x.len()), &x, |out| vec![out.into(), (x.len() as i32).into()]);
    let expected: Vec<f32> = x.iter().map(|&v| if v < 0.0 { 0.0 } else { v }).collect();
    same_bits("relu_forward", &ours, &expected);
}

#[test]
fn relu_backward_passes_where_the_output_was_positive_or_nan() {
    let mut y: Vec<f32> = values(301, 3).iter().map(|v| v.max(0.0)).collect();
    y[7] = f32::NAN;
    let dy = values(301, 4);
    let ours = in_every_order("relu_backward", grid(301), &dy, |dy| vec![(&y).into(), dy.into(), 301.into()]);
    let expected: Vec<f32> = y.iter().zip(&dy).map(|(&y, &dy)| if y <= 0.0 { 0.0 } else { dy }).collect();
    same_bits("relu_backward", &ours, &expected);
}

#[test]
fn bias_gradient_sums_over_batch_and_plane() {
    for (batch, channels, plane) in [(3usize, 5usize, 77usize), (4, 130, 1)] {
        let (dy, before) = (values(batch * channels * plane, 5), values(channels, 6));
        for accumulate in [0i32, 1] {
            let kernel = if plane == 1 { "bias_gradient_dense" } else { "bias_gradient_map" };
            let launch = if plane == 1 { grid(channels) } else { Grid(channels, 64, 0) };
            let ours = in_every_order(kernel, launch, &before, |db| {
                let mut args: Vec<Arg> =
                    vec![(&dy).into(), db.into(), (batch as i32).into(), (channels as i32).into()];
                if plane > 1 {
                    args.push((plane as i32).into());
                }
                args.push(accumulate.into());
                args
            });
            let mut expected = vec![0.0f64; channels];
            for (i, dy) in dy.iter().enumerate() {
                expected[i / plane % channels] += f64::from(*dy);
            }
            if accumulate == 1 {
                expected.iter_mut().zip(&before).for_each(|(e, b)| *e += f64::from(*b));
            }
            close(kernel, &ours, &expected, 1e-6);
        }
    }
}
