//! The hyperbolic tangent by its definition.

/// tanh of each value.
pub fn tanh(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| x.tanh()).collect()
}

/// dx from x and dy.
pub fn tanh_gradient(x: &[f64], dy: &[f64]) -> Vec<f64> {
    x.iter().zip(dy).map(|(x, dy)| dy * (1.0 - x.tanh() * x.tanh())).collect()
}
