//! How well each order mixes a set that is stored class by class, as ImageNet is without a shuffle at packing: the worst
//! case. The figures of `blocks.rs` come from here (`--nocapture` prints them).

use std::collections::BTreeSet;

use alexnet_load::{Blocks, Order, Plan, Rank, Subset};

const CLASSES: u64 = 1000;
const PHOTOS: u64 = 1281;
const BATCH: u32 = 128;

/// Mean number of classes in a batch, and of pairs of neighbours in storage that share one.
fn mixing(order: Order) -> (f64, f64) {
    let subset = Subset::all(CLASSES * PHOTOS);
    let plan = Plan { seed: 1, subset, order, batch: BATCH, rank: Rank::ALONE };
    let epoch = plan.epoch(0);
    let (mut classes, mut pairs, mut batches) = (0, 0, 0);
    for batch in (0..plan.batches()).step_by(20) {
        let records: BTreeSet<u64> = plan.positions(batch).map(|p| epoch.record(p)).collect();
        classes += records.iter().map(|r| r / PHOTOS).collect::<BTreeSet<_>>().len();
        pairs += records.iter().filter(|r| records.contains(&(*r + 1))).count();
        batches += 1;
    }
    (classes as f64 / f64::from(batches), pairs as f64 / f64::from(batches))
}

#[test]
fn block_shuffle_mixes_almost_as_a_full_shuffle() {
    let blocks = |records, window| mixing(Order::Blocks(Blocks { records, window }));
    let full = mixing(Order::Shuffled);
    let (default, narrow, short) = (mixing(Order::Blocks(Blocks::default())), blocks(16, 64), blocks(4, 512));
    println!("full {full:.2?}; 512×16 {default:.2?}; 64×16 {narrow:.2?}; 512×4 {short:.2?}");
    // Of 1,000 classes, 128 draws meet 1000 · (1 − 0.999¹²⁸) = 120.2.
    assert!((full.0 - 120.2).abs() < 0.7, "{full:?}");
    // 128 of 8,192 places in 512 blocks meet 113.3 blocks; some share a class.
    assert!(default.0 > 100.0 && default.0 < 115.0, "{default:?}");
    assert!(narrow.0 < 0.6 * default.0, "a window of 64 blocks mixes as well as one of 512: {narrow:?}");
    // Neighbours meet as often as any two of a window do: 8,192 · 15/16 pairs, each in a batch with p = 127/8191 / 64.
    assert!((default.1 - 1.9).abs() < 0.4, "{default:?}");
    assert!(full.1 < 0.1, "{full:?}");
}
