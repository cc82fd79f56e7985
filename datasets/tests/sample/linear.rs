//! A linear model on coarse pixels must fail on the sample: colour and layout carry next to nothing of the class.
//!
//! The model is a softmax regression of our own on 16×16 area means of the middle square, inputs standardised by the
//! training photos, light L2, trained on the default sample's training photos until its gradient vanishes.

use alexnet_datasets::sample::{CLASSES, SampleOptions, generate};

use crate::archives::Contents;

const SIDE: usize = 16;
const INPUTS: usize = SIDE * SIDE * 3;
/// Ten classes, padded to what a vector register likes; the two further scores are left out of the softmax.
const LANES: usize = 12;
const DECAY: f32 = 0.01;
/// Norm of the gradient that counts as none; it begins near 0.9.
const STEEPEST: f32 = 5e-3;

type Row = [f32; LANES];

/// Area means of the middle square.
fn coarse(jpeg: &[u8]) -> Vec<f32> {
    let photo = image::load_from_memory(jpeg).unwrap().to_rgb8();
    let (width, height) = (photo.width() as usize, photo.height() as usize);
    let side = width.min(height);
    let (left, top) = ((width - side) / 2, (height - side) / 2);
    let mut sums = vec![0f32; INPUTS];
    let mut counts = vec![0f32; SIDE * SIDE];
    for y in 0..side {
        for x in 0..side {
            let cell = y * SIDE / side * SIDE + x * SIDE / side;
            counts[cell] += 1.0;
            let pixel = photo.get_pixel((left + x) as u32, (top + y) as u32);
            for c in 0..3 {
                sums[cell * 3 + c] += f32::from(pixel[c]);
            }
        }
    }
    sums.iter().enumerate().map(|(i, sum)| sum / counts[i / 3]).collect()
}

struct Set {
    inputs: Vec<f32>,
    labels: Vec<usize>,
}

impl Set {
    fn of<'a>(photos: impl Iterator<Item = (&'a [u8], usize)>) -> Self {
        let (mut inputs, mut labels) = (Vec::new(), Vec::new());
        for (jpeg, label) in photos {
            inputs.extend(coarse(jpeg));
            labels.push(label);
        }
        Set { inputs, labels }
    }

    fn standardise(&mut self, moments: &[(f32, f32)]) {
        for row in self.inputs.chunks_exact_mut(INPUTS) {
            for (value, (mean, deviation)) in row.iter_mut().zip(moments) {
                *value = (*value - mean) / deviation;
            }
        }
    }

    fn moments(&self) -> Vec<(f32, f32)> {
        let n = self.labels.len() as f64;
        let column = |i: usize| self.inputs.iter().skip(i).step_by(INPUTS).map(|&x| f64::from(x));
        (0..INPUTS)
            .map(|i| {
                let mean = column(i).sum::<f64>() / n;
                let variance = column(i).map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
                (mean as f32, variance.sqrt() as f32)
            })
            .collect()
    }

    fn scores<'a>(&'a self, model: &'a [Row]) -> impl Iterator<Item = Row> + 'a {
        self.inputs.chunks_exact(INPUTS).map(move |row| {
            let mut scores = model[INPUTS];
            for (x, weights) in row.iter().zip(model) {
                for (score, weight) in scores.iter_mut().zip(weights) {
                    *score += x * weight;
                }
            }
            scores
        })
    }

    fn accuracy(&self, model: &[Row]) -> f64 {
        let right = self.scores(model).zip(&self.labels).filter(|(scores, label)| {
            let best = (0..CLASSES.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
            best == Some(**label)
        });
        right.count() as f64 / self.labels.len() as f64
    }

    /// Gradient of mean cross-entropy plus DECAY/2 · |weights|²; the last row is the bias.
    fn gradient(&self, model: &[Row]) -> Vec<Row> {
        let mut gradient = vec![[0f32; LANES]; INPUTS + 1];
        let n = self.labels.len() as f32;
        for ((mut scores, &label), row) in
            self.scores(model).zip(&self.labels).zip(self.inputs.chunks_exact(INPUTS))
        {
            let top = scores[..CLASSES.len()].iter().copied().fold(f32::MIN, f32::max);
            scores[CLASSES.len()..].fill(f32::NEG_INFINITY);
            let shares = scores.map(|score| (score - top).exp());
            let sum: f32 = shares.iter().sum();
            let mut error = shares.map(|share| share / sum / n);
            error[label] -= 1.0 / n;
            for (x, out) in row.iter().zip(&mut gradient) {
                for (out, error) in out.iter_mut().zip(error) {
                    *out += x * error;
                }
            }
            for (out, error) in gradient[INPUTS].iter_mut().zip(error) {
                *out += error;
            }
        }
        for (out, weights) in gradient[..INPUTS].iter_mut().zip(model) {
            for (out, weight) in out.iter_mut().zip(weights) {
                *out += DECAY * weight;
            }
        }
        gradient
    }

    /// Largest eigenvalue of the inputs' second moments, by power iteration: it bounds the loss's curvature.
    fn curvature(&self) -> f32 {
        let mut vector = vec![1.0f32; INPUTS];
        let mut value = 0.0;
        for _ in 0..30 {
            let mut next = vec![0f32; INPUTS];
            for row in self.inputs.chunks_exact(INPUTS) {
                let dot: f32 = row.iter().zip(&vector).map(|(a, b)| a * b).sum();
                for (next, x) in next.iter_mut().zip(row) {
                    *next += dot * x / self.labels.len() as f32;
                }
            }
            value = next.iter().map(|x| x * x).sum::<f32>().sqrt();
            vector = next.iter().map(|x| x / value).collect();
        }
        value
    }
}

fn norm(rows: &[Row]) -> f32 {
    rows.iter().flatten().map(|x| x * x).sum::<f32>().sqrt()
}

/// Accelerated gradient descent; momentum starts anew whenever it points uphill.
fn train(set: &Set) -> (Vec<Row>, f32) {
    // A softmax's curvature is at most half of its inputs'; the bias adds one to the latter.
    let rate = 1.0 / (0.55 * (set.curvature() + 1.0) + DECAY);
    let mut model = vec![[0f32; LANES]; INPUTS + 1];
    let mut ahead = model.clone();
    let (mut age, mut slope) = (0.0f32, f32::MAX);
    for _ in 0..1500 {
        let gradient = set.gradient(&ahead);
        slope = norm(&gradient);
        if slope < STEEPEST {
            break;
        }
        let mut uphill = 0.0;
        let momentum = age / (age + 3.0);
        for ((ahead, model), gradient) in ahead.iter_mut().zip(&mut model).zip(&gradient) {
            for i in 0..LANES {
                let next = ahead[i] - rate * gradient[i];
                let step = next - model[i];
                uphill += step * gradient[i];
                model[i] = next;
                ahead[i] = next + momentum * step;
            }
        }
        age = if uphill > 0.0 { 0.0 } else { age + 1.0 };
    }
    (model, slope)
}

#[test]
fn linear_softmax_on_16x16_pixels_stays_under_one_half() {
    let dir = tempfile::tempdir().unwrap();
    let options = SampleOptions { threads: 2, ..SampleOptions::default() };
    let contents = Contents::read(&generate(dir.path(), &options, &mut |_| {}).unwrap());
    let row = |id: u16| CLASSES.iter().position(|class| class.id == id).unwrap();
    let mut training =
        Set::of(
            contents.train.iter().enumerate().flat_map(|(label, (_, photos))| {
                photos.iter().map(move |(_, jpeg)| (jpeg.as_slice(), label))
            }),
        );
    let mut held_out =
        Set::of(contents.val.iter().zip(&contents.truth).map(|((_, jpeg), &id)| (jpeg.as_slice(), row(id))));
    let moments = training.moments();
    training.standardise(&moments);
    held_out.standardise(&moments);

    let (model, slope) = train(&training);
    let (seen, unseen) = (training.accuracy(&model), held_out.accuracy(&model));
    println!(
        "linear softmax: {:.1}% on training photos, {:.1}% held out, |gradient| {slope:.4}",
        seen * 100.0,
        unseen * 100.0
    );
    assert!(slope < STEEPEST, "the linear model has not converged: |gradient| {slope}");
    assert!(seen > 0.3, "the linear model has learnt nothing even of its training photos: {seen}");
    assert!(unseen < 0.5, "a linear model on coarse pixels gets {unseen} of the held-out photos");
}
