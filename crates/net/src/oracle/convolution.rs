//! Grouped convolution by its definition. Positions outside the image read zero and pass no gradient.

use crate::operation::Convolution;

/// Calls `visit(y, w, x)` with the flat indices of every product of sample `s`: y += w·x.
fn products(op: &Convolution, s: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let (inputs, outputs) = (op.inputs / op.groups, op.outputs / op.groups);
    for o in 0..op.outputs {
        for row in 0..op.out_height {
            for column in 0..op.out_width {
                let y = ((s * op.outputs + o) * op.out_height + row) * op.out_width + column;
                for i in 0..inputs {
                    let channel = o / outputs * inputs + i;
                    for ky in 0..op.kernel {
                        for kx in 0..op.kernel {
                            // Wraps to a huge number above or left of the image.
                            let at_row = (row * op.stride + ky).wrapping_sub(op.padding);
                            let at_column = (column * op.stride + kx).wrapping_sub(op.padding);
                            if at_row < op.height && at_column < op.width {
                                let w = ((o * inputs + i) * op.kernel + ky) * op.kernel + kx;
                                let x =
                                    ((s * op.inputs + channel) * op.height + at_row) * op.width + at_column;
                                visit(y, w, x);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// y = w ∗ x + b, without the rectifier.
pub fn convolution(op: &Convolution, n: usize, x: &[f64], w: &[f64], b: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; n * op.output_len()];
    for s in 0..n {
        products(op, s, |at, weight, input| y[at] += w[weight] * x[input]);
    }
    for (i, value) in y.iter_mut().enumerate() {
        *value += b[i / op.positions() % op.outputs];
    }
    y
}

/// dx from dy.
pub fn convolution_input_gradient(op: &Convolution, n: usize, dy: &[f64], w: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; n * op.input_len()];
    for s in 0..n {
        products(op, s, |at, weight, input| dx[input] += w[weight] * dy[at]);
    }
    dx
}

/// Gradients of weights and bias.
pub fn convolution_weight_gradient(
    op: &Convolution,
    n: usize,
    x: &[f64],
    dy: &[f64],
) -> (Vec<f64>, Vec<f64>) {
    let (mut dw, mut db) = (vec![0.0; op.weight_len()], vec![0.0; op.outputs]);
    for s in 0..n {
        products(op, s, |at, weight, input| dw[weight] += dy[at] * x[input]);
    }
    for (i, value) in dy[..n * op.output_len()].iter().enumerate() {
        db[i / op.positions() % op.outputs] += value;
    }
    (dw, db)
}
