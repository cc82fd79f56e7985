//! The stream of batches: the same for any number of threads, slots and ranks, and after a resume; and its ends:
//! errors, panics, a consumer that leaves early.

use std::sync::Arc;

use alexnet_load::{
    Augment, Blocks, Config, Drawer, Error, HeapMemory, Layout, Lighting, Loader, Mean, Memory, Order,
    Output, Plan, Rank, Records, Subset, View,
};

const SIZE: usize = 20;

/// Records made of their number; record `panics` panics, record `unlabelled` has no label.
struct Made {
    len: u64,
    panics: Option<u64>,
    unlabelled: Option<u64>,
}

impl Records for Made {
    fn len(&self) -> u64 {
        self.len
    }
    fn size(&self) -> [usize; 2] {
        [SIZE, SIZE]
    }
    fn label(&self, i: u64) -> Option<u32> {
        (self.unlabelled != Some(i)).then_some(i as u32 % 7)
    }
    fn name(&self, i: u64) -> String {
        format!("photo {i}")
    }
    fn record<'a>(&'a self, i: u64, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], alexnet_shard::Error> {
        assert!(self.panics != Some(i), "record {i} is cursed");
        scratch.clear();
        scratch.extend((0..SIZE * SIZE * 3).map(|k| (k as u64 * 31 + i * 17 + (k as u64 * i) % 5) as u8));
        Ok(scratch)
    }
    fn prefetch(&self, _: u64) {}
}

fn made(len: u64) -> Arc<Made> {
    Arc::new(Made { len, panics: None, unlabelled: None })
}

fn config(len: u64, output: Output, layout: Layout) -> Config {
    let lighting = Lighting::by_standard_deviation(
        [[0.6, 0.5, 0.6], [0.7, 0.0, -0.7], [0.4, -0.8, 0.4]],
        [13_000.0, 1_200.0, 300.0],
    );
    Config {
        plan: Plan {
            seed: 11,
            subset: Subset::all(len),
            order: Order::Shuffled,
            batch: 16,
            rank: Rank::ALONE,
        },
        drawer: Drawer { seed: 11, slack: [6, 6], view: View::Random, lighting: Some(lighting), vary: None },
        augment: Augment {
            record: [SIZE, SIZE],
            crop: [14, 14],
            mean: Mean::Centre((0..SIZE * SIZE * 3).map(|k| (k % 200) as f32 + 0.25).collect()),
            scale: [1.0 / 1.1; 3],
            output,
            layout,
        },
        start: (0, 0),
        end: 2,
        threads: 1,
        slots: 2,
        labelled: true,
    }
}

/// (epoch, number, labels, bytes) of every batch.
type Stream = Vec<(u32, u64, Vec<u32>, Vec<u8>)>;

fn stream(len: u64, config: Config) -> Stream {
    Loader::new(made(len), config)
        .expect("a sound configuration")
        .map(|batch| {
            let batch = batch.expect("sound records");
            (batch.epoch(), batch.number(), batch.labels().to_vec(), batch.bytes().to_vec())
        })
        .collect()
}

#[test]
fn any_number_of_threads_and_slots_gives_the_same_stream() {
    for output in [Output::U8, Output::Bf16, Output::F16, Output::F32] {
        for layout in [Layout::Nchw, Layout::Nhwc] {
            let config = config(75, output, layout);
            let one = stream(75, config.clone());
            assert_eq!(one.len(), 10);
            assert_eq!(one[4].2.len(), 75 - 64, "the last batch of an epoch is short");
            for (threads, slots) in [(2, 2), (3, 5), (8, 3)] {
                assert_eq!(one, stream(75, Config { threads, slots, ..config.clone() }));
            }
        }
    }
}

/// What a device makes of raw records and draws must be what the loader makes: the stream is the same.
#[test]
fn raw_records_with_their_draws_are_the_same_stream() {
    let finished = config(75, Output::F32, Layout::Nchw);
    let augment = finished.augment.clone();
    let mut raw = finished.clone();
    raw.augment.output = Output::Raw;
    let made_here = Loader::new(made(75), Config { threads: 3, ..raw }).unwrap().map(|batch| {
        let batch = batch.unwrap();
        assert_eq!(batch.bytes().len(), batch.len() * SIZE * SIZE * 3);
        let mut pixels = HeapMemory::new(batch.len() * augment.sample_bytes());
        for ((record, sample), out) in batch
            .bytes()
            .chunks(SIZE * SIZE * 3)
            .zip(batch.samples())
            .zip(pixels.bytes_mut().chunks_mut(augment.sample_bytes()))
        {
            augment.apply(record, &sample.draw, out);
        }
        (batch.epoch(), batch.number(), batch.labels().to_vec(), pixels.bytes().to_vec())
    });
    assert_eq!(made_here.collect::<Stream>(), stream(75, finished));
}

#[test]
fn resuming_gives_the_rest_of_the_stream() {
    let config = config(75, Output::F32, Layout::Nchw);
    let whole = stream(75, config.clone());
    for start in [(0, 0), (0, 3), (0, 4), (1, 0), (1, 2)] {
        let skipped = (start.0 as usize) * 5 + start.1 as usize;
        assert_eq!(whole[skipped..], stream(75, Config { start, ..config.clone() }));
    }
}

/// The same holds for every order.
#[test]
fn orders_are_the_same_for_threads_ranks_and_resume() {
    for order in [Order::Sequential, Order::Blocks(Blocks { records: 4, window: 5 })] {
        let mut config = config(75, Output::U8, Layout::Nhwc);
        config.plan.order = order;
        let whole = stream(75, config.clone());
        assert_eq!(whole, stream(75, Config { threads: 3, slots: 5, ..config.clone() }));
        assert_eq!(whole[7..], stream(75, Config { start: (1, 2), ..config.clone() }));
        let rank = |rank| {
            let plan = Plan { rank: Rank { rank, count: 2 }, ..config.plan };
            stream(75, Config { plan, ..config.clone() })
        };
        for ((all, first), second) in whole.iter().zip(rank(0)).zip(rank(1)) {
            assert_eq!(all.3, [first.3, second.3].concat());
        }
    }
}

#[test]
fn ranks_merged_are_the_whole_stream() {
    let config = config(75, Output::U8, Layout::Nhwc);
    let whole = stream(75, config.clone());
    for count in [2, 4, 20] {
        let mut merged: Stream = whole.iter().map(|b| (b.0, b.1, vec![], vec![])).collect();
        for rank in 0..count {
            let plan = Plan { rank: Rank { rank, count }, ..config.plan };
            for (to, from) in merged.iter_mut().zip(stream(75, Config { plan, ..config.clone() })) {
                assert_eq!((to.0, to.1), (from.0, from.1));
                to.2.extend(from.2);
                to.3.extend(from.3);
            }
        }
        assert_eq!(whole, merged);
    }
}

#[test]
fn a_panic_in_a_worker_ends_the_stream_with_its_message() {
    let records = Arc::new(Made { len: 75, panics: Some(40), unlabelled: None });
    let mut config = config(75, Output::U8, Layout::Nchw);
    config.plan.order = Order::Sequential;
    let mut loader = Loader::new(records, Config { threads: 2, ..config }).unwrap();
    assert!(loader.next().unwrap().is_ok());
    assert!(loader.next().unwrap().is_ok());
    let error = loader.next().unwrap().err().expect("batch 2 holds record 40");
    assert!(matches!(&error, Error::Worker(m) if m.contains("record 40 is cursed")), "{error}");
    assert!(loader.next().is_none());
}

#[test]
fn a_sample_without_a_label_is_named() {
    let records = Arc::new(Made { len: 20, panics: None, unlabelled: Some(3) });
    let mut loader = Loader::new(records.clone(), config(20, Output::U8, Layout::Nchw)).unwrap();
    let error = loader.find_map(Result::err).expect("record 3 has no label");
    assert_eq!(error.to_string(), "sample 3 (photo 3) has no label");
    let lenient = Config { labelled: false, ..config(20, Output::U8, Layout::Nchw) };
    assert!(Loader::new(records, lenient).unwrap().all(|b| b.is_ok()));
}

#[test]
fn a_consumer_may_leave_while_holding_a_batch() {
    let mut loader = Loader::new(made(1000), config(1000, Output::F32, Layout::Nchw)).unwrap();
    let first = loader.next().unwrap().unwrap();
    let second = loader.next().unwrap().unwrap();
    drop(loader);
    assert_eq!(first.len() + second.len(), 32);
}

#[test]
fn impossible_configurations_are_refused() {
    let mut crop = config(20, Output::U8, Layout::Nchw);
    crop.augment.crop = [21, 14];
    let error = Loader::new(made(20), crop).err().unwrap();
    assert_eq!(error.to_string(), "a crop of 21×14 pixels does not fit into records of 20×20");
    let mut mean = config(20, Output::F32, Layout::Nchw);
    mean.augment.mean = Mean::Aligned(vec![0.0; 3]);
    assert!(matches!(Loader::new(made(20), mean).err(), Some(Error::MeanSize { got: 3, .. })));
    let empty = config(0, Output::U8, Layout::Nchw);
    assert!(matches!(Loader::new(made(0), empty).err(), Some(Error::Empty(_))));
}
