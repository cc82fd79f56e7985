//! Which sample comes when: a pure function of (seed, epoch, position), without a table.
//!
//! A [`Subset`] says which records of a split take part (all, or a seeded held-out part and its complement). A
//! [`Plan`] orders a subset anew each epoch, cuts it into global batches, and gives each rank its even share.
//! Memory is constant for any number of samples; any (epoch, batch) is reached directly.

use std::ops::Range;

use alexnet_rng::{Permutation, Purpose};
use serde::{Deserialize, Serialize};

use crate::blocks::{BlockOrder, Blocks};

/// The records of a split that take part, numbered `0 .. len`.
#[derive(Clone, Copy, Debug)]
pub struct Subset {
    held_out: Option<Permutation>,
    first: u64,
    len: u64,
}

impl Subset {
    /// All `len` records, in the order in which they are stored.
    pub fn all(len: u64) -> Self {
        Subset { held_out: None, first: 0, len }
    }

    /// Splits `len` records by `seed` into (training, held out) with `held_out` records in the second part.
    ///
    /// # Panics
    /// If more records are to be held out than there are.
    pub fn hold_out(len: u64, held_out: u64, seed: u64) -> (Self, Self) {
        assert!(held_out <= len, "{held_out} of {len} records held out");
        let permutation = Some(Permutation::new(seed, 0, Purpose::HeldOut, len));
        (
            Subset { held_out: permutation, first: held_out, len: len - held_out },
            Subset { held_out: permutation, first: 0, len: held_out },
        )
    }

    /// How many records take part.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether no record takes part.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The record that is number `i` of the subset.
    pub fn record(&self, i: u64) -> u64 {
        debug_assert!(i < self.len);
        match &self.held_out {
            None => i,
            Some(permutation) => permutation.at(self.first + i),
        }
    }
}

/// In which order an epoch visits the samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// A permutation of the whole subset, another one each epoch.
    #[default]
    Shuffled,
    /// Blocks of records that lie side by side, in random order, mixed within a moving window: for sets larger than
    /// memory. The disk reads from end to end of each block.
    Blocks(Blocks),
    /// As stored; for evaluation and for measuring disks.
    Sequential,
}

/// One rank of several that read the same global batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// This rank, below `count`.
    pub rank: u32,
    /// How many ranks share each global batch.
    pub count: u32,
}

impl Rank {
    /// The only rank.
    pub const ALONE: Rank = Rank { rank: 0, count: 1 };
}

/// The order of samples over all epochs.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Seed of order and draws.
    pub seed: u64,
    /// The records that take part.
    pub subset: Subset,
    /// Order within an epoch.
    pub order: Order,
    /// Samples in a global batch; the last of an epoch may be shorter.
    pub batch: u32,
    /// This rank's share.
    pub rank: Rank,
}

impl Plan {
    /// Global batches in one epoch.
    pub fn batches(&self) -> u64 {
        self.subset.len().div_ceil(u64::from(self.batch))
    }

    /// The most samples that this rank reads of a batch.
    pub fn largest_share(&self) -> usize {
        self.batch.div_ceil(self.rank.count) as usize
    }

    /// Positions of global batch `batch` in its epoch.
    pub fn global_positions(&self, batch: u64) -> Range<u64> {
        let size = u64::from(self.batch);
        let end = self.subset.len();
        (batch * size).min(end)..((batch + 1) * size).min(end)
    }

    /// The positions of `batch` that this rank reads. Shares differ by at most one sample, larger ones first
    /// (15 samples on 4 ranks: 4, 4, 4, 3); a share may be empty.
    pub fn positions(&self, batch: u64) -> Range<u64> {
        let global = self.global_positions(batch);
        let (count, rank) = (u64::from(self.rank.count), u64::from(self.rank.rank));
        let (share, larger) = ((global.end - global.start) / count, (global.end - global.start) % count);
        let start = global.start + rank * share + rank.min(larger);
        start..start + share + u64::from(rank < larger)
    }

    /// The order of one epoch, ready to be asked for many positions.
    pub fn epoch(&self, epoch: u32) -> EpochOrder {
        let way = match self.order {
            Order::Sequential => Way::Sequential,
            Order::Shuffled => {
                Way::Shuffled(Permutation::new(self.seed, epoch, Purpose::Order, self.subset.len()))
            }
            Order::Blocks(blocks) => {
                Way::Blocks(BlockOrder::new(blocks, self.seed, epoch, self.subset.len()))
            }
        };
        EpochOrder { subset: self.subset, way }
    }
}

/// The order of one epoch.
#[derive(Clone, Copy, Debug)]
pub struct EpochOrder {
    subset: Subset,
    way: Way,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Sequential,
    Shuffled(Permutation),
    Blocks(BlockOrder),
}

impl EpochOrder {
    /// The record at `position` of the epoch.
    pub fn record(&self, position: u64) -> u64 {
        self.subset.record(match &self.way {
            Way::Sequential => position,
            Way::Shuffled(permutation) => permutation.at(position),
            Way::Blocks(blocks) => blocks.at(position),
        })
    }

    /// A record to be asked for while the one at `position` is used, far ahead of its use, if this order wants that:
    /// records of the next window, block by block, so that the disk sees whole blocks. In an epoch's last window it is
    /// the `following` epoch's first.
    pub(crate) fn ahead(&self, following: &EpochOrder, position: u64) -> Option<u64> {
        let Way::Blocks(blocks) = &self.way else { return None };
        let order = match blocks.ahead(position) {
            Ok(i) => return Some(self.subset.record(i)),
            Err(past) => following.way.blocks()?.unmixed_below(past)?,
        };
        Some(self.subset.record(order))
    }
}

impl Way {
    fn blocks(&self) -> Option<&BlockOrder> {
        match self {
            Way::Blocks(blocks) => Some(blocks),
            Way::Sequential | Way::Shuffled(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn plan(len: u64, batch: u32, rank: Rank) -> Plan {
        Plan { seed: 4, subset: Subset::all(len), order: Order::Shuffled, batch, rank }
    }

    #[test]
    fn shares_of_fifteen_on_four_ranks() {
        let share = |rank| plan(15, 128, Rank { rank, count: 4 }).positions(0);
        assert_eq!((0..4).map(share).collect::<Vec<_>>(), [0..4, 4..8, 8..12, 12..15]);
        let share = |rank| plan(2, 128, Rank { rank, count: 4 }).positions(0);
        assert_eq!((0..4).map(share).collect::<Vec<_>>(), [0..1, 1..2, 2..2, 2..2]);
    }

    proptest! {
        #[test]
        fn ranks_and_batches_visit_every_record_once(
            len in 1u64..400, batch in 1u32..40, count in 1u32..5, epoch in 0u32..3
        ) {
            let mut seen = BTreeSet::new();
            for rank in 0..count {
                let plan = plan(len, batch, Rank { rank, count });
                let order = plan.epoch(epoch);
                for b in 0..plan.batches() {
                    for position in plan.positions(b) {
                        prop_assert!(seen.insert(order.record(position)));
                    }
                }
            }
            prop_assert_eq!(seen.len() as u64, len);
        }

        #[test]
        fn held_out_and_training_part_the_records(len in 1u64..500, seed: u64) {
            let (train, held_out) = Subset::hold_out(len, len / 10, seed);
            let all: BTreeSet<u64> = (0..train.len())
                .map(|i| train.record(i))
                .chain((0..held_out.len()).map(|i| held_out.record(i)))
                .collect();
            prop_assert_eq!(all.len() as u64, len);
        }
    }

    proptest! {
        #[test]
        fn block_orders_visit_every_record_once(
            len in 1u64..700, records in 1u32..40, window in 1u32..9, epoch in 0u32..3
        ) {
            let order = Order::Blocks(Blocks { records, window });
            let epoch = Plan { order, ..plan(len, 10, Rank::ALONE) }.epoch(epoch);
            let seen: BTreeSet<u64> = (0..len).map(|p| epoch.record(p)).collect();
            prop_assert!(seen.iter().copied().eq(0..len));
            // What is asked for ahead is what comes a window later, each once, and then the next epoch's beginning.
            let window = (u64::from(records).min(len) * u64::from(window)).min(len);
            let following = Plan { order, ..plan(len, 10, Rank::ALONE) }.epoch(9);
            let ahead = |from, to| -> BTreeSet<u64> {
                (from..to).filter_map(|p| epoch.ahead(&following, p)).collect()
            };
            if len / window > 1 {
                let later: BTreeSet<u64> = (window..len).map(|p| epoch.record(p)).collect();
                prop_assert_eq!(ahead(0, len - window), later);
                let next: BTreeSet<u64> = (0..window).map(|p| following.record(p)).collect();
                prop_assert_eq!(ahead(len - window, len), next);
            }
        }
    }

    /// Fourteen million records: constant time and memory, far in.
    #[test]
    fn a_late_position_is_reached_directly() {
        let order = Order::Blocks(Blocks::default());
        let plan = Plan { order, ..plan(14_197_122, 128, Rank::ALONE) };
        for batch in [0, 1, plan.batches() / 2, plan.batches() - 1] {
            let epoch = plan.epoch(89);
            assert!(plan.positions(batch).all(|p| epoch.record(p) < 14_197_122));
        }
    }

    /// Whole blocks are asked for from end to end.
    #[test]
    fn the_disk_sees_runs() {
        let order = Order::Blocks(Blocks { records: 16, window: 8 });
        let epoch = Plan { order, ..plan(1600, 10, Rank::ALONE) }.epoch(2);
        let ahead: Vec<u64> = (0..1600 - 128).filter_map(|p| epoch.ahead(&epoch, p)).collect();
        assert_eq!(ahead.len(), 1600 - 128);
        let breaks = ahead.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
        assert!(breaks <= ahead.len() / 16, "{breaks} breaks in {} records", ahead.len());
    }

    #[test]
    fn epochs_differ_and_repeat() {
        let plan = plan(1000, 10, Rank::ALONE);
        let order = |epoch| (0..1000).map(|p| plan.epoch(epoch).record(p)).collect::<Vec<_>>();
        assert_ne!(order(0), order(1));
        assert_eq!(order(1), order(1));
    }
}
