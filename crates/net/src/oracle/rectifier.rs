//! The rectifier by its definition.

/// max(x, 0) of each value; a NaN stays.
pub fn rectifier(x: &[f64]) -> Vec<f64> {
    x.iter().map(|&x| if x < 0.0 { 0.0 } else { x }).collect()
}

/// dx from y and dy: nothing comes back where y is 0.
pub fn rectifier_gradient(y: &[f64], dy: &[f64]) -> Vec<f64> {
    y.iter().zip(dy).map(|(&y, &dy)| if y <= 0.0 { 0.0 } else { dy }).collect()
}
