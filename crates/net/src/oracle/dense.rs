//! The grouped dense layer by its definition.

use crate::operation::Dense;

/// Calls `visit(y, w, x)` with the flat indices of every product: y += w·x.
fn products(op: &Dense, n: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let (inputs, outputs) = (op.inputs / op.groups, op.outputs / op.groups);
    for s in 0..n {
        for o in 0..op.outputs {
            for i in 0..inputs {
                visit(s * op.outputs + o, o * inputs + i, s * op.inputs + o / outputs * inputs + i);
            }
        }
    }
}

/// y = x·wᵀ + b, without the rectifier.
pub fn dense(op: &Dense, n: usize, x: &[f64], w: &[f64], b: &[f64]) -> Vec<f64> {
    let mut y: Vec<f64> = (0..n * op.outputs).map(|i| b[i % op.outputs]).collect();
    products(op, n, |at, weight, input| y[at] += w[weight] * x[input]);
    y
}

/// dx from dy.
pub fn dense_input_gradient(op: &Dense, n: usize, dy: &[f64], w: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; n * op.inputs];
    products(op, n, |at, weight, input| dx[input] += w[weight] * dy[at]);
    dx
}

/// Gradients of weights and bias.
pub fn dense_weight_gradient(op: &Dense, n: usize, x: &[f64], dy: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (mut dw, mut db) = (vec![0.0; op.weight_len()], vec![0.0; op.outputs]);
    products(op, n, |at, weight, input| dw[weight] += dy[at] * x[input]);
    for (i, value) in dy[..n * op.outputs].iter().enumerate() {
        db[i % op.outputs] += value;
    }
    (dw, db)
}
