//! When records that are due are worth a word to the system.
//!
//! Asking for a record that is in memory already does nothing and costs 5 to 8 % of a warm epoch. So each record is
//! looked for first, which is cheap, and asked for if it is missing; after a run of records that were all there, only
//! some are looked for, until one is missing again. What cannot be looked for is always asked for.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::records::Records;

/// Records found in memory, one after the other, before most are left alone.
const WARM: u32 = 64;
/// One in so many is looked for then.
const PROBE: usize = 16;

/// What was found so far, by all threads.
#[derive(Default)]
pub(crate) struct Lookahead {
    found: AtomicU32,
}

impl Lookahead {
    /// Sees to a record that is due as number `index` of the next batch; `record` computes which one.
    pub fn due(&self, records: &dyn Records, index: usize, record: impl FnOnce() -> u64) {
        let found = self.found.load(Ordering::Relaxed);
        if found >= WARM && !index.is_multiple_of(PROBE) {
            return;
        }
        let record = record();
        if records.resident(record) == Some(true) {
            self.found.store(WARM.min(found + 1), Ordering::Relaxed);
        } else {
            self.found.store(0, Ordering::Relaxed);
            records.prefetch(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Records below `missing` are in memory.
    struct Half {
        missing: u64,
        looked: Mutex<Vec<u64>>,
        asked: Mutex<Vec<u64>>,
    }

    impl Records for Half {
        fn len(&self) -> u64 {
            10_000
        }
        fn size(&self) -> [usize; 2] {
            [1, 1]
        }
        fn label(&self, _: u64) -> Option<u32> {
            None
        }
        fn name(&self, i: u64) -> String {
            i.to_string()
        }
        fn record<'a>(&'a self, _: u64, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], alexnet_shard::Error> {
            Ok(scratch)
        }
        fn prefetch(&self, i: u64) {
            self.asked.lock().unwrap().push(i);
        }
        fn resident(&self, i: u64) -> Option<bool> {
            self.looked.lock().unwrap().push(i);
            Some(i < self.missing)
        }
    }

    #[test]
    fn only_missing_records_are_asked_for_and_soon_all_of_them() {
        let records = Half { missing: 5000, looked: Mutex::default(), asked: Mutex::default() };
        let lookahead = Lookahead::default();
        for i in 0..6000 {
            lookahead.due(&records, i as usize % 128, || i);
        }
        let (looked, asked) = (records.looked.into_inner().unwrap(), records.asked.into_inner().unwrap());
        assert!(looked.iter().filter(|i| **i < 5000).count() < 64 + 5000 / 16 + 2);
        // The first that is missing is noticed within a probe's distance, and from then on each is asked for.
        assert!((5000..5016).contains(&asked[0]), "{}", asked[0]);
        assert!(asked.iter().copied().eq(asked[0]..6000));
    }
}
