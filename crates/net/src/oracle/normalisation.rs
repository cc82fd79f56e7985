//! Both normalisations by their definition: y_i = x_i · d_i^−β with d_i = k + α·Σ_{j ∈ window(i)} x_j².
//!
//! The gradient: dx_i = dy_i·d_i^−β − 2αβ·x_i·Σ_{j: i ∈ window(j)} dy_j·x_j·d_j^(−β−1). Windows are symmetric, so the
//! second sum runs over window(i) as well.

use crate::operation::{LocalResponse, WithinMap};

/// Constants and, through `window`, neighbourhoods of one normalisation.
struct Rule<W> {
    alpha: f64,
    k: f64,
    beta: f64,
    len: usize,
    window: W,
}

impl<W: Fn(usize) -> Vec<usize>> Rule<W> {
    fn denominators(&self, x: &[f64]) -> Vec<f64> {
        let sum = |i| (self.window)(i).into_iter().map(|j| x[j] * x[j]).sum::<f64>();
        (0..self.len).map(|i| self.k + self.alpha * sum(i)).collect()
    }

    fn forward(&self, x: &[f64]) -> Vec<f64> {
        self.denominators(x).iter().zip(x).map(|(d, x)| x * d.powf(-self.beta)).collect()
    }

    fn gradient(&self, x: &[f64], dy: &[f64]) -> Vec<f64> {
        let d = self.denominators(x);
        let from = |j: usize| dy[j] * x[j] * d[j].powf(-self.beta - 1.0);
        let one = |i| {
            let others = (self.window)(i).into_iter().map(from).sum::<f64>();
            dy[i] * d[i].powf(-self.beta) - 2.0 * self.alpha * self.beta * x[i] * others
        };
        (0..self.len).map(one).collect()
    }
}

fn across(op: &LocalResponse, n: usize) -> Rule<impl Fn(usize) -> Vec<usize>> {
    let op = *op;
    let width = op.channels / op.columns;
    let window = move |i: usize| {
        let (map, pixel) = (i / op.pixels, i % op.pixels);
        // Maps are numbered through all samples; every `width` of them are a column.
        let first = map / width * width;
        let near = |&j: &usize| j.abs_diff(map) <= op.size / 2;
        (first..first + width).filter(near).map(|j| j * op.pixels + pixel).collect()
    };
    let (alpha, k, beta) = (f64::from(op.alpha), f64::from(op.k), f64::from(op.beta));
    Rule { alpha, k, beta, len: n * op.channels * op.pixels, window }
}

fn around(op: &WithinMap, n: usize) -> Rule<impl Fn(usize) -> Vec<usize>> {
    let op = *op;
    let window = move |i: usize| {
        let pixels = op.height * op.width;
        let (map, row, column) = (i / pixels, i % pixels / op.width, i % op.width);
        let mut near = Vec::new();
        for r in (0..op.height).filter(|r| r.abs_diff(row) <= op.size / 2) {
            for c in (0..op.width).filter(|c| c.abs_diff(column) <= op.size / 2) {
                near.push(map * pixels + r * op.width + c);
            }
        }
        near
    };
    let (alpha, k, beta) = (f64::from(op.alpha), f64::from(op.k), f64::from(op.beta));
    Rule { alpha, k, beta, len: n * op.channels * op.height * op.width, window }
}

/// Over neighbouring maps of a column.
pub fn local_response(op: &LocalResponse, n: usize, x: &[f64]) -> Vec<f64> {
    across(op, n).forward(x)
}

/// dx from x and dy.
pub fn local_response_gradient(op: &LocalResponse, n: usize, x: &[f64], dy: &[f64]) -> Vec<f64> {
    across(op, n).gradient(x, dy)
}

/// Over neighbouring pixels of a map.
pub fn within_map(op: &WithinMap, n: usize, x: &[f64]) -> Vec<f64> {
    around(op, n).forward(x)
}

/// dx from x and dy.
pub fn within_map_gradient(op: &WithinMap, n: usize, x: &[f64], dy: &[f64]) -> Vec<f64> {
    around(op, n).gradient(x, dy)
}
