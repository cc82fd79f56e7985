//! Nothing is allocated once a loader runs, neither for a batch nor for a sample: counted over many batches, on all
//! threads, for lent and for copied records. And nothing at its start depends on the number of samples.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout as Block, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use alexnet_load::{
    Augment, Blocks, Config, Drawer, Layout, Loader, Mean, Order, Output, Plan, Rank, Records, Subset, View,
};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static ALLOCATED: AtomicU64 = AtomicU64::new(0);

/// Held by each test: the counters are everyone's.
static ALONE: Mutex<()> = Mutex::new(());

// SAFETY: everything is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, block: Block) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        ALLOCATED.fetch_add(block.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(block) }
    }
    unsafe fn dealloc(&self, at: *mut u8, block: Block) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, block) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Records that are lent, or copied into the scratch memory as `pread` does.
struct Grey {
    len: u64,
    lent: Vec<u8>,
    copied: bool,
    read: AtomicU64,
}

impl Records for Grey {
    fn len(&self) -> u64 {
        self.len
    }
    fn size(&self) -> [usize; 2] {
        [20, 20]
    }
    fn label(&self, i: u64) -> Option<u32> {
        Some(i as u32)
    }
    fn name(&self, i: u64) -> String {
        i.to_string()
    }
    fn record<'a>(&'a self, _: u64, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], alexnet_shard::Error> {
        self.read.fetch_add(1, Ordering::Relaxed);
        if !self.copied {
            return Ok(&self.lent);
        }
        scratch.resize(self.lent.len(), 0);
        scratch.copy_from_slice(&self.lent);
        Ok(scratch)
    }
    fn prefetch(&self, _: u64) {}
}

fn grey(len: u64, copied: bool) -> Arc<Grey> {
    Arc::new(Grey { len, lent: vec![7; 1200], copied, read: AtomicU64::new(0) })
}

fn config(len: u64, order: Order) -> Config {
    Config {
        plan: Plan { seed: 3, subset: Subset::all(len), order, batch: 16, rank: Rank::ALONE },
        drawer: Drawer { seed: 3, slack: [4, 4], view: View::Random, lighting: None, vary: None },
        augment: Augment {
            record: [20, 20],
            crop: [16, 16],
            mean: Mean::Aligned(vec![1.0; 1200]),
            scale: [1.0; 3],
            output: Output::F32,
            layout: Layout::Nchw,
        },
        start: (0, 0),
        end: u32::MAX,
        threads: 3,
        slots: 4,
        labelled: true,
    }
}

#[test]
fn a_running_loader_allocates_nothing() {
    let _alone = ALONE.lock();
    for copied in [false, true] {
        let mut loader =
            Loader::new(grey(100, copied), config(100, Order::Shuffled)).expect("a sound configuration");
        let mut take = |batches| {
            for batch in loader.by_ref().take(batches) {
                assert!(!batch.expect("sound records").is_empty());
            }
        };
        // A thread makes the little that it keeps for waiting at its first wait, and some thread may not yet have
        // waited after the first batches; what counts is that nothing is allocated for a batch or a sample.
        take(200);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        take(2000);
        let allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
        assert!(allocated < 16, "{allocated} allocations in 2000 batches of 16 samples; copied: {copied}");
    }
}

/// All of ImageNet, 14,197,122 photos, starts as a hundred photos do: no table, and nothing read but the first batches.
#[test]
fn fourteen_million_samples_cost_nothing_to_start() {
    let _alone = ALONE.lock();
    let start = |len, order| {
        let before = ALLOCATED.load(Ordering::Relaxed);
        let records = grey(len, false);
        let mut loader = Loader::new(records.clone(), config(len, order)).expect("a sound configuration");
        assert_eq!(loader.next().expect("a batch").expect("sound records").len(), 16);
        drop(loader);
        let read = records.read.load(Ordering::Relaxed);
        assert!(read <= 5 * 16, "{read} records were read for the first batch");
        ALLOCATED.load(Ordering::Relaxed) - before
    };
    for order in [Order::Shuffled, Order::Blocks(Blocks::default()), Order::Sequential] {
        let (few, many) = (start(100, order), start(14_197_122, order));
        assert!(many < few + 4096, "{many} bytes where a hundred samples take {few}");
    }
}
