//! A thousand batches: the same digest for 1, 2, 3 and 8 threads, each kind of output, after a resume in the middle,
//! and for 1, 2 and 4 ranks merged.

use std::sync::Arc;

use alexnet_load::{
    Augment, Config, Drawer, Layout, Lighting, Loader, Mean, Order, Output, Plan, Rank, Records, Subset, View,
};
use crc32c::crc32c_append;

const SIZE: usize = 18;
const LEN: u64 = 1_999;
/// 125 batches an epoch, the last of 15 samples.
const BATCH: u32 = 16;
const EPOCHS: u32 = 8;

struct Made;

impl Records for Made {
    fn len(&self) -> u64 {
        LEN
    }
    fn size(&self) -> [usize; 2] {
        [SIZE, SIZE]
    }
    fn label(&self, i: u64) -> Option<u32> {
        Some(i as u32)
    }
    fn name(&self, i: u64) -> String {
        i.to_string()
    }
    fn record<'a>(&'a self, i: u64, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], alexnet_shard::Error> {
        scratch.clear();
        scratch.extend((0..SIZE * SIZE * 3).map(|k| (k as u64 * 31 + i * 17 + (k as u64 * i) % 5) as u8));
        Ok(scratch)
    }
    fn prefetch(&self, _: u64) {}
}

fn config(output: Output) -> Config {
    let lighting = Lighting::by_eigenvalue(
        [[0.6, 0.5, 0.6], [0.7, 0.0, -0.7], [0.4, -0.8, 0.4]],
        [13_000.0, 1_200.0, 300.0],
    );
    Config {
        plan: Plan {
            seed: 5,
            subset: Subset::all(LEN),
            order: Order::Shuffled,
            batch: BATCH,
            rank: Rank::ALONE,
        },
        drawer: Drawer { seed: 5, slack: [2, 2], view: View::Random, lighting: Some(lighting), vary: None },
        augment: Augment {
            record: [SIZE, SIZE],
            crop: [16, 16],
            mean: Mean::Channel([123.7, 116.3, 103.5]),
            scale: [1.0 / 58.4, 1.0 / 57.1, 1.0 / 57.4],
            output,
            layout: Layout::Nchw,
        },
        start: (0, 0),
        end: EPOCHS,
        threads: 2,
        slots: 3,
        labelled: true,
    }
}

/// One checksum a batch, of its labels and then its pixels; those of ranks are continued by the next rank.
fn digests(configs: impl IntoIterator<Item = Config>) -> Vec<(u32, u32)> {
    let mut digests = vec![(0, 0); 125 * EPOCHS as usize];
    for config in configs {
        for batch in Loader::new(Arc::new(Made), config).expect("a sound configuration") {
            let batch = batch.expect("sound records");
            let (labels, pixels) = &mut digests[batch.epoch() as usize * 125 + batch.number() as usize];
            *labels = crc32c_append(*labels, bytemuck::cast_slice(batch.labels()));
            *pixels = crc32c_append(*pixels, batch.bytes());
        }
    }
    digests
}

#[test]
fn a_thousand_batches_have_one_digest() {
    for output in [Output::Raw, Output::U8, Output::Bf16, Output::F16, Output::F32] {
        let config = config(output);
        let with = |threads| Config { threads, ..config.clone() };
        let want = digests([with(1)]);
        assert_eq!(want.len(), 1000);
        for threads in [2, 3, 8] {
            assert!(want == digests([with(threads)]), "{output:?}, {threads} threads");
        }
        let halves = [Config { end: 4, ..with(2) }, Config { start: (4, 0), ..with(3) }];
        assert!(want == digests(halves), "{output:?}, resumed");
        let middle = Config { start: (3, 77), ..with(3) };
        assert!(want[3 * 125 + 77..] == digests([middle])[3 * 125 + 77..], "{output:?}, resumed in an epoch");
        for count in [2, 4] {
            let ranks = (0..count).map(|rank| {
                let plan = Plan { rank: Rank { rank, count }, ..config.plan };
                Config { plan, ..with(2) }
            });
            assert!(want == digests(ranks), "{output:?}, {count} ranks");
        }
    }
}
