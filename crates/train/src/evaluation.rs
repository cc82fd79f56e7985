//! Error of a network on photos it has not seen: one centre view a photo.

use std::sync::Arc;

use alexnet_load::{Augment, Config, Drawer, Order, Plan, Rank, Records, Subset, View};
use alexnet_net::{Backend, BatchScore, Network};

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

/// Evaluates `network` on the centre crop of each photo. `augment` says what is subtracted; `done` is told how many
/// photos are behind.
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
    let [width, height] = augment.record;
    let [crop_width, crop_height] = augment.crop;
    augment.check()?;
    let config = Config {
        plan: Plan {
            seed: 0,
            subset: photos.subset,
            order: Order::Sequential,
            batch: network.max_batch() as u32,
            rank: Rank::ALONE,
        },
        drawer: Drawer {
            seed: 0,
            slack: [(width - crop_width) as u32, (height - crop_height) as u32],
            view: View::Centre,
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
    let mut total = BatchScore::default();
    let mut feed = Feed::new(network, photos.records.clone(), config)?;
    let mut next = feed.next(network)?;
    while let Some(batch) = next {
        next = feed.next(network)?;
        total += batch.evaluate(network)?;
        done(total.n);
    }
    Ok(Evaluation::of(total))
}
