//! Where records come from, as far as the loader cares.

use alexnet_shard::SplitSet;

/// A numbered collection of raw records of one size.
pub trait Records: Send + Sync {
    /// How many.
    fn len(&self) -> u64;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Width and height, pixels.
    fn size(&self) -> [usize; 2];
    /// The label of record `i`, if it has one.
    fn label(&self, i: u64) -> Option<u32>;
    /// The name of record `i`.
    fn name(&self, i: u64) -> String;
    /// The pixels of record `i` (height × width × RGB), borrowed or read into `scratch`.
    fn record<'a>(&'a self, i: u64, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], alexnet_shard::Error>;
    /// Says that record `i` is due soon.
    fn prefetch(&self, i: u64);
}

impl Records for SplitSet {
    fn len(&self) -> u64 {
        SplitSet::len(self)
    }
    fn size(&self) -> [usize; 2] {
        [self.width() as usize, self.height() as usize]
    }
    fn label(&self, i: u64) -> Option<u32> {
        SplitSet::label(self, i)
    }
    fn name(&self, i: u64) -> String {
        SplitSet::name(self, i).to_owned()
    }
    fn record<'a>(&'a self, i: u64, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], alexnet_shard::Error> {
        SplitSet::record(self, i, scratch)
    }
    fn prefetch(&self, i: u64) {
        SplitSet::prefetch(self, i);
    }
}
