//! Where records come from, as far as the loader cares.

use std::path::PathBuf;
use std::sync::Arc;

use alexnet_shard::{HEADER_BYTES, ShardSet, Split, SplitSet, record_crc};

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
    /// Whether record `i` is in memory already; nothing if that cannot be told.
    fn resident(&self, i: u64) -> Option<bool> {
        let _ = i;
        None
    }
    /// Runs `job`, which asks for record `i` or its label and reads what it gets; nothing that it read means anything
    /// after an error. Records that cannot fail under a reader need not do more than that.
    fn guard(&self, i: u64, job: &mut dyn FnMut()) -> Result<(), alexnet_shard::Error> {
        let _ = i;
        job();
        Ok(())
    }
    /// Compares `bytes`, read as record `i`, with its checksum, if there is one.
    fn verify(&self, i: u64, bytes: &[u8]) -> Result<(), alexnet_shard::Error> {
        let _ = (i, bytes);
        Ok(())
    }
}

/// One split of a set, which stays open as long as this lives.
#[derive(Debug)]
pub struct SplitOf {
    set: Arc<ShardSet>,
    split: Split,
}

/// A set has no such split.
#[derive(Debug, thiserror::Error)]
#[error("{} has no {} split", dir.display(), split.as_str())]
pub struct NoSplit {
    /// The set's folder.
    pub dir: PathBuf,
    /// The split that was asked for.
    pub split: Split,
}

impl NoSplit {
    /// What to do.
    pub fn hint(&self) -> String {
        "`imagenet-pack inspect` lists the splits of a set".into()
    }
}

impl SplitOf {
    /// The records of `split`.
    pub fn new(set: Arc<ShardSet>, split: Split) -> Result<Self, NoSplit> {
        if set.split(split).is_none() {
            return Err(NoSplit { dir: set.dir().to_owned(), split });
        }
        Ok(SplitOf { set, split })
    }

    /// The split itself.
    pub fn split(&self) -> &SplitSet {
        self.set.split(self.split).expect("checked by new")
    }
}

impl Records for SplitOf {
    fn len(&self) -> u64 {
        self.split().len()
    }
    fn size(&self) -> [usize; 2] {
        [self.split().width(), self.split().height()]
    }
    fn label(&self, i: u64) -> Option<u32> {
        self.split().label(i)
    }
    fn name(&self, i: u64) -> String {
        // Asked for errors about files that are no longer what they were, too.
        let Some((shard, within)) = self.split().locate(i) else { return "no such record".into() };
        shard.guard(within, || shard.name(within).to_owned()).unwrap_or_else(|_| "its name is lost".into())
    }
    fn record<'a>(&'a self, i: u64, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], alexnet_shard::Error> {
        self.split().record(i, scratch)
    }
    fn prefetch(&self, i: u64) {
        self.split().prefetch(i);
    }
    fn resident(&self, i: u64) -> Option<bool> {
        self.split().resident(i)
    }
    fn guard(&self, i: u64, job: &mut dyn FnMut()) -> Result<(), alexnet_shard::Error> {
        match self.split().locate(i) {
            Some((shard, within)) => shard.guard(within, job),
            None => {
                job();
                Ok(())
            }
        }
    }
    fn verify(&self, i: u64, bytes: &[u8]) -> Result<(), alexnet_shard::Error> {
        let Some((shard, within)) = self.split().locate(i) else { return Ok(()) };
        let (stored, found) = (shard.crc(within), record_crc(bytes));
        if stored == found {
            return Ok(());
        }
        Err(alexnet_shard::Error::Checksum {
            path: shard.path().to_owned(),
            offset: HEADER_BYTES as u64 + within * shard.header().record_stride(),
            what: format!("record {within} ({})", shard.name(within)),
            stored,
            found,
        })
    }
}
