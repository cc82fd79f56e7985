//! Every gradient of the oracle against central differences of its forward pass, in float64.

use alexnet_net::oracle::*;
use alexnet_net::{AveragePool, Convolution, Dense, LocalResponse, MaxPool, WithinMap};
use alexnet_rng::{Purpose, Stream};

fn values(len: usize, which: u64) -> Vec<f64> {
    let stream = Stream::new(11, 0, which, Purpose::Sample);
    (0..len as u64).map(|i| stream.normal(i)).collect()
}

/// The derivative of Σ dy·f(x) at each of some places of x, by central differences, against `gradient`.
fn check(what: &str, x: &[f64], dy: &[f64], f: impl Fn(&[f64]) -> Vec<f64>, gradient: &[f64]) {
    assert_eq!(gradient.len(), x.len(), "{what}");
    let loss = |x: &[f64]| f(x).iter().zip(dy).map(|(y, dy)| y * dy).sum::<f64>();
    let h = 1e-5;
    for i in (0..x.len()).step_by(1 + x.len() / 60) {
        let mut moved = x.to_vec();
        moved[i] = x[i] + h;
        let up = loss(&moved);
        moved[i] = x[i] - h;
        let slope = (up - loss(&moved)) / (2.0 * h);
        let scale = 1.0 + gradient[i].abs();
        assert!((slope - gradient[i]).abs() < 1e-7 * scale, "{what}[{i}]: {slope} against {}", gradient[i]);
    }
}

#[test]
fn convolution_gradients() {
    let grouped = Convolution {
        groups: 2,
        inputs: 4,
        outputs: 6,
        height: 8,
        width: 7,
        kernel: 3,
        stride: 1,
        padding: 1,
        out_height: 8,
        out_width: 7,
        rectify: false,
    };
    // Hangs over by one row and two pixels.
    let hanging = Convolution {
        groups: 1,
        height: 10,
        width: 9,
        kernel: 5,
        stride: 3,
        padding: 0,
        out_height: 3,
        out_width: 3,
        ..grouped
    };
    for op in [grouped, hanging] {
        let n = 2;
        let (x, w) = (values(n * op.input_len(), 1), values(op.weight_len(), 2));
        let (b, dy) = (values(op.outputs, 3), values(n * op.output_len(), 4));
        let dx = convolution_input_gradient(&op, n, &dy, &w);
        let (dw, db) = convolution_weight_gradient(&op, n, &x, &dy);
        check("dx", &x, &dy, |x| convolution(&op, n, x, &w, &b), &dx);
        check("dw", &w, &dy, |w| convolution(&op, n, &x, w, &b), &dw);
        check("db", &b, &dy, |b| convolution(&op, n, &x, &w, b), &db);
    }
}

#[test]
fn dense_gradients() {
    let op = Dense { groups: 2, inputs: 10, outputs: 6, rectify: false };
    let n = 3;
    let (x, w) = (values(n * op.inputs, 1), values(op.weight_len(), 2));
    let (b, dy) = (values(op.outputs, 3), values(n * op.outputs, 4));
    let (dw, db) = dense_weight_gradient(&op, n, &x, &dy);
    check("dx", &x, &dy, |x| dense(&op, n, x, &w, &b), &dense_input_gradient(&op, n, &dy, &w));
    check("dw", &w, &dy, |w| dense(&op, n, &x, w, &b), &dw);
    check("db", &b, &dy, |b| dense(&op, n, &x, &w, b), &db);
}

#[test]
fn normalisation_gradients() {
    // A large alpha, so that the second term of the gradient weighs as much as the first; both conventions of the
    // paper's alpha are the same formula with another number.
    for (alpha, k) in [(1e-4, 2.0), (2e-5, 2.0), (0.3, 1.0)] {
        let across = LocalResponse { columns: 2, channels: 12, pixels: 6, size: 5, alpha, k, beta: 0.75 };
        let (x, dy) = (values(2 * 72, 1), values(2 * 72, 2));
        let dx = local_response_gradient(&across, 2, &x, &dy);
        check("across", &x, &dy, |x| local_response(&across, 2, x), &dx);
        let around = WithinMap { channels: 2, height: 6, width: 7, size: 5, alpha, k, beta: 0.75 };
        let (x, dy) = (values(2 * 84, 1), values(2 * 84, 2));
        let dx = within_map_gradient(&around, 2, &x, &dy);
        check("around", &x, &dy, |x| within_map(&around, 2, x), &dx);
    }
}

#[test]
fn pooling_gradient() {
    let op = MaxPool { channels: 2, height: 8, width: 6, size: 3, stride: 2, out_height: 4, out_width: 3 };
    let (x, dy) = (values(2 * op.input_len(), 1), values(2 * op.output_len(), 2));
    let (_, places) = max_pool(&op, 2, &x);
    check("dx", &x, &dy, |x| max_pool(&op, 2, x).0, &max_pool_gradient(&op, 2, &places, &dy));
}

#[test]
fn average_pooling_gradient() {
    let op =
        AveragePool { channels: 2, height: 8, width: 6, size: 3, stride: 2, out_height: 4, out_width: 3 };
    let (x, dy) = (values(2 * op.input_len(), 1), values(2 * op.output_len(), 2));
    check("dx", &x, &dy, |x| average_pool(&op, 2, x), &average_pool_gradient(&op, 2, &dy));
    // A constant map stays as it is, at its clipped border too.
    assert!(average_pool(&op, 1, &[3.0; 96]).iter().all(|y| (y - 3.0f64).abs() < 1e-12));
}

#[test]
fn rectifier_gradients() {
    let (x, dy) = (values(50, 1), values(50, 2));
    check("dx", &x, &dy, rectifier, &rectifier_gradient(&rectifier(&x), &dy));
}

#[test]
fn tanh_gradients() {
    let (x, dy) = (values(50, 1), values(50, 2));
    check("dx", &x, &dy, tanh, &tanh_gradient(&x, &dy));
}

/// Cross-entropy against labels of which a tenth is spread over all classes.
#[test]
fn smoothed_label_gradient() {
    let x = values(9, 1);
    let loss = |x: &[f64]| {
        let shares = (0..9).map(|class| cross_entropy(x, class) * 0.1 / 9.0).sum::<f64>();
        vec![0.9 * cross_entropy(x, 4) + shares]
    };
    let mut plain = softmax(&x);
    plain[4] -= 1.0;
    check("dx", &x, &[1.0], loss, &smoothed(0.1, &x, 0, &plain));
    assert_eq!(smoothed(0.1, &x, 3, &plain[3..7]), smoothed(0.1, &x, 0, &plain)[3..7]);
}

#[test]
fn softmax_gradient() {
    let x = values(9, 1);
    let mut gradient = softmax(&x);
    gradient[4] -= 1.0;
    check("dx", &x, &[1.0], |x| vec![cross_entropy(x, 4)], &gradient);
}

#[test]
fn ranks_and_ties() {
    assert_eq!(rank(&[3.0, 1.0, 2.0], 0), 0);
    assert_eq!(rank(&[3.0, 1.0, 2.0], 1), 2);
    // Equal logits: the lower class is before.
    assert_eq!(rank(&[1.0; 4], 0), 0);
    assert_eq!(rank(&[1.0; 4], 3), 3);
    // A NaN is never beaten, and a label with a NaN is last.
    assert_eq!(rank(&[f64::NAN, 5.0, 1.0], 1), 1);
    assert_eq!(rank(&[f64::NAN; 6], 2), 5);
}
