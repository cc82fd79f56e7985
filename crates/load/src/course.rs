//! A place in the stream of batches, and the way from one to the next: epoch after epoch, to the configured end.

use std::ops::Range;

use crate::loader::Config;
use crate::plan::EpochOrder;

/// A batch of the stream, and the orders of its epoch and of the following one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    /// Its number in the stream, from 0.
    pub sequence: u64,
    pub epoch: u32,
    /// Its number in its epoch.
    pub number: u64,
    pub order: EpochOrder,
    following: EpochOrder,
}

impl Course {
    /// The first batch that `config` asks for.
    pub fn new(config: &Config) -> Self {
        let (epoch, number) = config.start;
        let order = |epoch| config.plan.epoch(epoch);
        Course { sequence: 0, epoch, number, order: order(epoch), following: order(epoch.saturating_add(1)) }
    }

    /// Goes on to the next epoch if this one has no such batch. False at the end of the stream.
    pub fn settle(&mut self, config: &Config) -> bool {
        while self.number >= config.plan.batches() {
            (self.epoch, self.number) = (self.epoch + 1, 0);
            self.order = self.following;
            self.following = config.plan.epoch(self.epoch.saturating_add(1));
        }
        self.epoch < config.end
    }

    /// To the batch after this one.
    pub fn advance(&mut self) {
        self.sequence += 1;
        self.number += 1;
    }

    /// Positions of this rank's share of the batch.
    pub fn positions(&self, config: &Config) -> Range<u64> {
        config.plan.positions(self.number)
    }

    /// The record to be asked for while the one at `position` is, far ahead of its use, if the order wants that.
    pub fn ahead(&self, position: u64) -> Option<u64> {
        self.order.ahead(&self.following, position)
    }
}
