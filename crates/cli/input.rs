//! What the programs need of a packed set: one of its splits as records of a loader, and the number of cores.

use std::sync::Arc;

use alexnet_load::Records;
use alexnet_shard::{ShardSet, Split, SplitSet};

use crate::messages::Refusal;

/// One split of a set that is kept open.
pub struct SplitRecords {
    set: Arc<ShardSet>,
    split: Split,
}

impl SplitRecords {
    /// The records of `split`; refuses a set that has none.
    pub fn new(set: Arc<ShardSet>, split: Split) -> Result<Self, Refusal> {
        if set.split(split).is_none() {
            let cause = format!("the set has no {} split", split.as_str());
            return Err(Refusal::new(cause, "`imagenet-pack inspect` lists the splits of a set"));
        }
        Ok(SplitRecords { set, split })
    }

    /// The split itself.
    pub fn split(&self) -> &SplitSet {
        self.set.split(self.split).expect("checked by new")
    }
}

impl Records for SplitRecords {
    fn len(&self) -> u64 {
        self.split().len()
    }
    fn size(&self) -> [usize; 2] {
        Records::size(self.split())
    }
    fn label(&self, i: u64) -> Option<u32> {
        self.split().label(i)
    }
    fn name(&self, i: u64) -> String {
        self.split().name(i).to_owned()
    }
    fn record<'a>(&'a self, i: u64, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], alexnet_shard::Error> {
        self.split().record(i, scratch)
    }
    fn prefetch(&self, i: u64) {
        self.split().prefetch(i);
    }
}

/// Cores this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}
