//! Max and average pooling by their definitions.

use crate::operation::{AveragePool, MaxPool};

/// Calls `visit(output, place, input)` for every place of every window that lies inside its map.
fn windows(op: &MaxPool, n: usize, mut visit: impl FnMut(usize, usize, usize)) {
    for map in 0..n * op.channels {
        for row in 0..op.out_height {
            for column in 0..op.out_width {
                let output = (map * op.out_height + row) * op.out_width + column;
                for ky in 0..op.size {
                    for kx in 0..op.size {
                        let (y, x) = (row * op.stride + ky, column * op.stride + kx);
                        if y < op.height && x < op.width {
                            visit(output, ky * op.size + kx, (map * op.height + y) * op.width + x);
                        }
                    }
                }
            }
        }
    }
}

/// Maxima and the places they came from.
pub fn max_pool(op: &MaxPool, n: usize, x: &[f64]) -> (Vec<f64>, Vec<u8>) {
    let mut y = vec![f64::NEG_INFINITY; n * op.output_len()];
    let mut places = vec![0; n * op.output_len()];
    windows(op, n, |output, place, input| {
        // A window's first place always counts, even if it holds −∞; a NaN wins and stays.
        if place == 0 || x[input] > y[output] || (x[input].is_nan() && !y[output].is_nan()) {
            y[output] = x[input];
            places[output] = place as u8;
        }
    });
    (y, places)
}

/// dx from dy and the winners' places.
pub fn max_pool_gradient(op: &MaxPool, n: usize, places: &[u8], dy: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; n * op.input_len()];
    windows(op, n, |output, place, input| {
        if usize::from(places[output]) == place {
            dx[input] += dy[output];
        }
    });
    dx
}

/// Means of the windows.
pub fn average_pool(op: &AveragePool, n: usize, x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; n * op.output_len()];
    average_windows(op, n, |output, input, share| y[output] += share * x[input]);
    y
}

/// dx from dy.
pub fn average_pool_gradient(op: &AveragePool, n: usize, dy: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; n * op.input_len()];
    average_windows(op, n, |output, input, share| dx[input] += share * dy[output]);
    dx
}

/// Calls `visit(output, input, 1 / values of the window)` for every value of every window.
fn average_windows(op: &AveragePool, n: usize, mut visit: impl FnMut(usize, usize, f64)) {
    for map in 0..n * op.channels {
        for row in 0..op.out_height {
            for column in 0..op.out_width {
                let [rows, columns] = op.window(row, column);
                let share = 1.0 / (rows.len() * columns.len()) as f64;
                for y in rows {
                    for x in columns.clone() {
                        let output = (map * op.out_height + row) * op.out_width + column;
                        visit(output, (map * op.height + y) * op.width + x, share);
                    }
                }
            }
        }
    }
}
