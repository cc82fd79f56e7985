use crate::{
    Element, close, elements, grid, in_both_types, in_every_order, rounded, unwritten, values, wide,
};

in_both_types!(forward_and_backward);

fn forward_and_backward<T: Element>() {
    let x: Vec<T> = rounded(&values(301, 1).iter().map(|v| 3.0 * v).collect::<Vec<f32>>());
    let dy = elements::<T>(301, 2);
    let y = in_every_order(&T::kernel("tanh_forward"), grid(301), &unwritten::<T>(301), |y| {
        vec![(&x).into(), y.into(), 301.into()]
    });
    let expected: Vec<f64> = wide(&x).iter().map(|x| x.tanh()).collect();
    close("tanh_forward", &y, &expected, 1e-6);
    let dx = in_every_order(&T::kernel("tanh_backward"), grid(301), &dy, |dy| {
        vec![(&x).into(), dy.into(), 301.into()]
    });
    let slope: Vec<f64> = expected.iter().zip(wide(&dy)).map(|(y, dy)| dy * (1.0 - y * y)).collect();
    close("tanh_backward", &dx, &slope, 1e-6);
}
