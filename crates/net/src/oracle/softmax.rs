//! Softmax, cross-entropy and ranks by their definition, for one sample.

/// exp(x_i) / Σ exp(x_j), with the largest logit subtracted first.
pub fn softmax(logits: &[f64]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|x| (x - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|p| p / sum).collect()
}

/// −log of the label's probability, from the logits so that it stays finite.
pub fn cross_entropy(logits: &[f64], label: usize) -> f64 {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|x| (x - largest).exp()).sum();
    sum.ln() + largest - logits[label]
}

/// How many classes rank before the label: those with a larger logit and those of lower number with an equal one.
/// A class whose logit cannot be compared with the label's (a NaN) ranks before it, so a net of NaNs is never right.
pub fn rank(logits: &[f64], label: usize) -> usize {
    let own = logits[label];
    let before = |(class, &x): (usize, &f64)| {
        class != label && (x > own || (x == own && class < label) || x.is_nan() || own.is_nan())
    };
    logits.iter().enumerate().filter(|&pair| before(pair)).count()
}

/// The gradient of the cross-entropy against labels of which the share `smoothing` is spread evenly over all classes,
/// softmax − (1 − smoothing)·one-hot − smoothing / classes, from `gradient`, softmax − one-hot for the classes from
/// `first` on. (Where the softmax exceeds that gradient, there is the label.)
pub fn smoothed(smoothing: f64, logits: &[f64], first: usize, gradient: &[f64]) -> Vec<f64> {
    let p = softmax(logits);
    let smooth = |(p, g): (&f64, &f64)| g + smoothing * ((p - g).round() - 1.0 / logits.len() as f64);
    p[first..].iter().zip(gradient).map(smooth).collect()
}
