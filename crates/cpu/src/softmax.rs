//! Softmax, cross-entropy and ranks, one sample after another: logits are few.
//!
//! Powers and sums are float64, rounded once at the end.

use alexnet_net::SoftmaxSlice;

/// The largest logit and Σ exp(x − largest).
fn normaliser(logits: &[f32]) -> (f64, f64) {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    (largest, logits.iter().map(|&x| (f64::from(x) - largest).exp()).sum())
}

/// Probabilities of each sample.
pub fn softmax(classes: usize, n: usize, logits: &[f32], probabilities: &mut [f32]) {
    let samples = logits[..n * classes].chunks_exact(classes);
    for (logits, p) in samples.zip(probabilities.chunks_exact_mut(classes)) {
        let (largest, sum) = normaliser(logits);
        p.iter_mut().zip(logits).for_each(|(p, &x)| *p = ((f64::from(x) - largest).exp() / sum) as f32);
    }
}

/// softmax − one-hot for the classes of `op`.
pub fn gradient(op: &SoftmaxSlice, n: usize, logits: &[f32], labels: &[u32], gradient: &mut [f32]) {
    let samples = logits[..n * op.classes].chunks_exact(op.classes).zip(labels);
    for ((logits, &label), gradient) in samples.zip(gradient.chunks_exact_mut(op.count)) {
        let (largest, sum) = normaliser(logits);
        for (i, gradient) in gradient.iter_mut().enumerate() {
            let class = op.first + i;
            let p = (f64::from(logits[class]) - largest).exp() / sum;
            *gradient = (if class == label as usize { p - 1.0 } else { p }) as f32;
        }
    }
}

/// Cross-entropy, best and among the best five, `[3, n]`.
pub fn score(classes: usize, n: usize, logits: &[f32], labels: &[u32], score: &mut [f32]) {
    for (sample, logits) in logits[..n * classes].chunks_exact(classes).enumerate() {
        let label = labels[sample] as usize;
        let own = logits[label];
        let (largest, sum) = normaliser(logits);
        score[sample] = (sum.ln() + largest - f64::from(own)) as f32;
        // Before the label rank larger logits, equal ones of lower classes, and whatever cannot be compared.
        let lower = logits[..label].iter().filter(|&&x| !matches!(x.partial_cmp(&own), Some(Less))).count();
        let higher = logits[label + 1..]
            .iter()
            .filter(|&&x| !matches!(x.partial_cmp(&own), Some(Less | Equal)))
            .count();
        let rank = lower + higher;
        score[n + sample] = f32::from(u8::from(rank < 1));
        score[2 * n + sample] = f32::from(u8::from(rank < 5));
    }
}

use std::cmp::Ordering::{Equal, Less};
