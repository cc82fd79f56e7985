//! Records whose checksum is tested when they are first touched.
//!
//! A bit for each record remembers that it was sound: a whole epoch tests each once, later ones cost nothing. A
//! damaged record is never lent out: each touch of it is an error that names file and record.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::records::Records;

/// Other records, tested at first touch.
pub struct Checked {
    records: Arc<dyn Records>,
    sound: Box<[AtomicU64]>,
}

impl Checked {
    /// Tests `records` as they are read.
    pub fn new(records: Arc<dyn Records>) -> Self {
        let words = records.len().div_ceil(64);
        Checked { records, sound: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Records for Checked {
    fn len(&self) -> u64 {
        self.records.len()
    }
    fn size(&self) -> [usize; 2] {
        self.records.size()
    }
    fn label(&self, i: u64) -> Option<u32> {
        self.records.label(i)
    }
    fn name(&self, i: u64) -> String {
        self.records.name(i)
    }
    fn record<'a>(&'a self, i: u64, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], alexnet_shard::Error> {
        let bytes = self.records.record(i, scratch)?;
        let bit = 1 << (i % 64);
        // Two threads that meet here both test the record, which harms nobody.
        if let Some(word) = self.sound.get((i / 64) as usize)
            && word.load(Ordering::Relaxed) & bit == 0
        {
            self.records.verify(i, bytes)?;
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(bytes)
    }
    fn prefetch(&self, i: u64) {
        self.records.prefetch(i);
    }
    fn resident(&self, i: u64) -> Option<bool> {
        self.records.resident(i)
    }
    fn guard(&self, i: u64, job: &mut dyn FnMut()) -> Result<(), alexnet_shard::Error> {
        self.records.guard(i, job)
    }
    fn verify(&self, i: u64, bytes: &[u8]) -> Result<(), alexnet_shard::Error> {
        self.records.verify(i, bytes)
    }
}
