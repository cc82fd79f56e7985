use crate::{close, grid, in_every_order, values, wide};

#[test]
fn forward_and_backward() {
    let (x, dy): (Vec<f32>, _) = (values(301, 1).iter().map(|v| 3.0 * v).collect(), values(301, 2));
    let y = in_every_order("tanh_forward", grid(301), &[f32::NAN; 301], |y| {
        vec![(&x).into(), y.into(), 301.into()]
    });
    let expected: Vec<f64> = wide(&x).iter().map(|x| x.tanh()).collect();
    close("tanh_forward", &y, &expected, 1e-6);
    let dx = in_every_order("tanh_backward", grid(301), &dy, |dy| vec![(&x).into(), dy.into(), 301.into()]);
    let slope: Vec<f64> = expected.iter().zip(&dy).map(|(y, dy)| f64::from(*dy) * (1.0 - y * y)).collect();
    close("tanh_backward", &dx, &slope, 1e-6);
}
