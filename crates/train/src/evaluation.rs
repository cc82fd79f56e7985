//! Error of a network on photos it has not seen: one centre view a photo, or ten views (section 4.1 of the paper).

use std::cmp::Ordering;
use std::sync::Arc;

use alexnet_load::{Augment, Config, Drawer, Order, Plan, Records, Subset, View};
use alexnet_net::{Backend, BatchScore, Network, Replica};

use crate::agreement::{rank, summed};
use crate::error::Error;
use crate::feed::Feed;

/// Photos to evaluate on.
#[derive(Clone)]
pub struct Photos {
    /// Where they come from.
    pub records: Arc<dyn Records>,
    /// Which of them.
    pub subset: Subset,
}

/// What an evaluation found.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Evaluation {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Share of photos whose best guess was wrong.
    pub top1_error: f64,
    /// Share of photos whose five best guesses were all wrong.
    pub top5_error: f64,
    /// Photos.
    pub images: u64,
    /// Views of each photo.
    pub views: u32,
}

impl Evaluation {
    fn of(score: BatchScore) -> Self {
        let share = |hits: u64| 1.0 - hits as f64 / score.n as f64;
        Evaluation {
            loss: score.loss_sum / score.n as f64,
            top1_error: share(score.top1),
            top5_error: share(score.top5),
            images: score.n,
            views: 1,
        }
    }
}

/// Evaluates `network` on the centre crop of each photo; replicas each take a share, and all learn the result. `augment` says
/// what is subtracted; `done` is told how many photos are behind.
///
/// # Errors
/// A photo without a label, a record that cannot be read, a device that fails.
pub fn evaluate<B: Backend>(
    network: &mut Network<B>,
    photos: &Photos,
    augment: &Augment,
    threads: usize,
    done: &mut dyn FnMut(u64),
) -> Result<Evaluation, Error> {
    let mut total = BatchScore::default();
    let mut feed = feed(network, photos, augment, threads, View::Centre)?;
    let mut next = feed.next(network)?;
    while let Some(batch) = next {
        next = feed.next(network)?;
        total += batch.evaluate(network)?;
        done(total.n);
    }
    Ok(Evaluation::of(summed(network, total)?))
}

/// Evaluates `network` on the mean of the predictions for ten views of each photo: corners and centre, each also mirrored.
/// Keeps the sums of all photos' predictions, 4 bytes a photo and class; `done` is told how many views are behind, of ten a
/// photo.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_ten_views<B: Backend>(
    network: &mut Network<B>,
    photos: &Photos,
    augment: &Augment,
    threads: usize,
    done: &mut dyn FnMut(u64),
) -> Result<Evaluation, Error> {
    let classes = network.net().classes;
    let (mut sums, mut labels, mut behind) = (Vec::<f32>::new(), Vec::new(), 0);
    for view in 0..10 {
        let mut feed = feed(network, photos, augment, threads, View::Nth(view))?;
        let (mut at, mut next) = (0, feed.next(network)?);
        while let Some(batch) = next {
            next = feed.next(network)?;
            if view == 0 {
                labels.extend_from_slice(batch.labels());
                sums.resize(labels.len() * classes, 0.0);
            }
            let n = batch.labels().len();
            batch.evaluate(network)?;
            for (logits, sum) in
                network.logits()?.chunks(classes).zip(sums[at * classes..].chunks_mut(classes))
            {
                add_softmax(logits, sum);
            }
            at += n;
            behind += n as u64;
            done(behind);
        }
    }
    let mut total = BatchScore { n: labels.len() as u64, ..BatchScore::default() };
    for (sum, &label) in sums.chunks(classes).zip(&labels) {
        let label = label as usize;
        total.loss_sum -= (f64::from(sum[label]) / 10.0).ln();
        let rank = before(sum, label);
        total.top1 += u64::from(rank < 1);
        total.top5 += u64::from(rank < 5);
    }
    Ok(Evaluation { views: 10, ..Evaluation::of(total) })
}

fn add_softmax(logits: &[f32], sum: &mut [f32]) {
    let highest = logits.iter().fold(f32::NEG_INFINITY, |m, &x| if x > m || x.is_nan() { x } else { m });
    let power = |x: f32| (f64::from(x) - f64::from(highest)).exp();
    let all: f64 = logits.iter().map(|&x| power(x)).sum();
    for (sum, &x) in sum.iter_mut().zip(logits) {
        *sum += (power(x) / all) as f32;
    }
}

/// Classes that rank before the label's: an equal value of a lower class does, and a NaN.
fn before(values: &[f32], label: usize) -> usize {
    let own = values[label];
    let ahead = |(class, &value): (usize, &f32)| match class.cmp(&label) {
        Ordering::Less => value.partial_cmp(&own) != Some(Ordering::Less),
        Ordering::Equal => own.is_nan(),
        Ordering::Greater => !matches!(value.partial_cmp(&own), Some(Ordering::Less | Ordering::Equal)),
    };
    values.iter().enumerate().filter(|&entry| ahead(entry)).count()
}

/// All photos once, in order, each in one view.
fn feed<B: Backend>(
    network: &mut Network<B>,
    photos: &Photos,
    augment: &Augment,
    threads: usize,
    view: View,
) -> Result<Feed, Error> {
    let [width, height] = augment.record;
    let [crop_width, crop_height] = augment.crop;
    augment.check()?;
    // Ten views are summed by photo, and by one network alone.
    let replica = if matches!(view, View::Centre) { network.replica() } else { Replica::ALONE };
    let config = Config {
        plan: Plan {
            seed: 0,
            subset: photos.subset,
            order: Order::Sequential,
            batch: (network.max_batch() * replica.count) as u32,
            rank: rank(replica),
        },
        drawer: Drawer {
            seed: 0,
            slack: [(width - crop_width) as u32, (height - crop_height) as u32],
            view,
            lighting: None,
            vary: None,
        },
        augment: augment.clone(),
        start: (0, 0),
        end: 1,
        threads,
        slots: 3,
        labelled: true,
    };
    Feed::new(network, photos.records.clone(), config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_devices() {
        assert_eq!(before(&[0.1, 0.5, 0.5, 0.2], 1), 0);
        assert_eq!(before(&[0.1, 0.5, 0.5, 0.2], 2), 1, "an equal value of a lower class is before");
        assert_eq!(before(&[f32::NAN, 0.5, 0.1], 1), 1);
        assert!(before(&[0.2, f32::NAN, 0.1], 1) >= 1, "a diverged net is never right");
    }

    #[test]
    fn predictions_add_up() {
        let mut sum = [0.0; 3];
        add_softmax(&[1.0, 1.0, 1.0], &mut sum);
        add_softmax(&[1000.0, 0.0, 0.0], &mut sum);
        assert!((sum[0] - 4.0 / 3.0).abs() < 1e-6 && (sum[1] - 1.0 / 3.0).abs() < 1e-6, "{sum:?}");
    }
}
