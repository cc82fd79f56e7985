//! Records are asked for before they are read, each once, in the order of the stream, not too far ahead and not past
//! its end; and advice that fails harms nobody.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use alexnet_load::{
    Augment, Blocks, Config, Drawer, Layout, Loader, Mean, Order, Output, Plan, Rank, Records, Subset, View,
};

const LEN: u64 = 2_000;
const BATCH: u32 = 16;

/// Records on a disk that remembers what it was asked for, and refuses what it was not.
#[derive(Default)]
struct Disk {
    asked: Mutex<Vec<u64>>,
    memory: Mutex<BTreeSet<u64>>,
    panics: bool,
}

impl Records for Disk {
    fn len(&self) -> u64 {
        LEN
    }
    fn size(&self) -> [usize; 2] {
        [4, 4]
    }
    fn label(&self, _: u64) -> Option<u32> {
        Some(0)
    }
    fn name(&self, i: u64) -> String {
        i.to_string()
    }
    fn record<'a>(&'a self, i: u64, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], alexnet_shard::Error> {
        assert!(self.panics || self.memory.lock().unwrap().contains(&i), "{i} was read and not asked for");
        scratch.resize(48, 0);
        Ok(scratch)
    }
    fn prefetch(&self, i: u64) {
        assert!(!self.panics, "no advice today");
        self.asked.lock().unwrap().push(i);
        self.memory.lock().unwrap().insert(i);
    }
    fn resident(&self, i: u64) -> Option<bool> {
        Some(self.memory.lock().unwrap().contains(&i))
    }
}

fn config(order: Order, threads: usize, rank: Rank) -> Config {
    Config {
        plan: Plan { seed: 7, subset: Subset::all(LEN), order, batch: BATCH, rank },
        drawer: Drawer { seed: 7, slack: [0, 0], view: View::Random, lighting: None, vary: None },
        augment: Augment {
            record: [4, 4],
            crop: [4, 4],
            mean: Mean::Channel([0.0; 3]),
            scale: [1.0; 3],
            output: Output::U8,
            layout: Layout::Nchw,
        },
        start: (0, 0),
        end: 1,
        threads,
        slots: 2,
        labelled: true,
    }
}

/// Batches start anywhere, and end with the last of the last epoch.
#[test]
fn records_are_asked_for_in_the_order_of_their_use() {
    for (threads, rank, first) in
        [(1, Rank::ALONE, 0), (3, Rank::ALONE, 0), (2, Rank { rank: 1, count: 2 }, 0), (2, Rank::ALONE, 100)]
    {
        for order in [Order::Shuffled, Order::Sequential] {
            let disk = Arc::new(Disk::default());
            let config = Config { start: (0, first), ..config(order, threads, rank) };
            let plan = config.plan;
            let mut used = vec![];
            for batch in Loader::new(disk.clone(), config).expect("a sound configuration") {
                used.extend(batch.expect("asked for").samples().iter().map(|s| s.record));
            }
            let shares = (first..plan.batches()).map(|b| plan.positions(b).count());
            assert_eq!(used.len(), shares.sum::<usize>());
            assert_eq!(*disk.asked.lock().unwrap(), used, "{order:?}, {threads} threads, {rank:?}");
        }
    }
}

/// Blocks are asked for a window ahead, and still each once; a second epoch finds all of them in memory.
#[test]
fn blocks_are_asked_for_once() {
    let disk = Arc::new(Disk::default());
    let order = Order::Blocks(Blocks { records: 8, window: 20 });
    let config = Config { end: 2, ..config(order, 3, Rank::ALONE) };
    for batch in Loader::new(disk.clone(), config).expect("a sound configuration") {
        batch.expect("asked for");
    }
    let asked = disk.asked.lock().unwrap();
    assert_eq!(asked.len() as u64, LEN);
    assert_eq!(asked.iter().collect::<BTreeSet<_>>().len() as u64, LEN);
}

/// A consumer that stands still stops the disk soon.
#[test]
fn nothing_is_asked_for_far_ahead() {
    let disk = Arc::new(Disk::default());
    let mut loader = Loader::new(disk.clone(), config(Order::Shuffled, 2, Rank::ALONE)).expect("sound");
    let asked = || disk.asked.lock().unwrap().len();
    let wait = || std::thread::sleep(std::time::Duration::from_millis(50));
    let reach = |least| {
        for _ in (0..400).take_while(|_| asked() < least) {
            wait();
        }
        wait();
        asked()
    };
    // A ring of two batches: at first no further ahead than batches are open, later 512 records.
    let first = loader.next().expect("a batch");
    let reached = reach(BATCH as usize);
    assert!((BATCH as usize..=6 * BATCH as usize).contains(&reached), "{reached}");
    drop(first);
    let taken = loader.by_ref().take(60).count() * BATCH as usize;
    let reached = reach(taken + 512);
    assert!((taken + 512..=taken + 512 + 3 * BATCH as usize).contains(&reached), "{reached} after {taken}");
    drop(loader);
    let end = asked();
    wait();
    assert_eq!(asked(), end, "nobody asks once the loader is gone");
}

#[test]
fn advice_that_fails_harms_nobody() {
    let disk = Arc::new(Disk { panics: true, ..Disk::default() });
    let loader = Loader::new(disk, config(Order::Shuffled, 2, Rank::ALONE)).expect("a sound configuration");
    assert_eq!(loader.map(|batch| batch.expect("all can be read").len() as u64).sum::<u64>(), LEN);
}
