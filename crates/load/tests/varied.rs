//! Resized crops, tints and holes: bit for bit what Pillow 13.0.0 makes of the same pictures (checksums made by its
//! `crop(…).resize(…, BILINEAR)` and `ImageEnhance`), and the same through every path and any number of threads.

use std::sync::Arc;

use alexnet_load::{
    Adjust, Augment, Config, Draw, Drawer, Erasing, Error, HeapMemory, Jitter, Layout, Lighting, Loader,
    Mean, Memory, Order, Output, Path, Plan, Rank, Records, Rect, ResizedCrop, Subset, Tint, Varied, Vary,
    View,
};
use proptest::prelude::*;

const SIZE: [usize; 2] = [61, 47];

/// A part of the record, the size it is resized to, CRC-32C of Pillow's result.
const RESIZED: [(&str, [u32; 4], [usize; 2], u32); 10] = [
    ("noise", [0, 0, 61, 47], [24, 20], 0x952b1c4c),
    ("noise", [5, 3, 20, 10], [32, 32], 0x71c11f99),
    ("noise", [10, 20, 50, 7], [24, 24], 0xd701eb44),
    ("noise", [2, 2, 24, 24], [24, 24], 0x7b9bab09),
    ("noise", [0, 0, 1, 1], [16, 16], 0x07d874ec),
    ("smooth", [0, 0, 61, 47], [24, 20], 0x97359488),
    ("smooth", [5, 3, 20, 10], [32, 32], 0x77349adc),
    ("smooth", [10, 20, 50, 7], [24, 24], 0xe81d4d3e),
    ("smooth", [2, 2, 24, 24], [24, 24], 0x3dc1797e),
    ("smooth", [0, 0, 1, 1], [16, 16], 0xa41f9e86),
];

/// Brightness, contrast and saturation, their order, CRC-32C of Pillow's result.
const TINTED: [(&str, [f32; 3], &str, u32); 18] = [
    ("noise", [0.6, 1.0, 1.0], "bcs", 0xc28e1476),
    ("noise", [1.4, 1.0, 1.0], "bcs", 0xf87f560c),
    ("noise", [1.0, 0.3, 1.0], "bcs", 0x4ca7a26a),
    ("noise", [1.0, 1.7, 1.0], "bcs", 0xf8b7a5d5),
    ("noise", [1.0, 1.0, 0.0], "bcs", 0x1baf265f),
    ("noise", [1.0, 1.0, 1.9], "bcs", 0xc2b5ecc5),
    ("noise", [1.3, 0.7, 1.2], "bcs", 0x7b98ec8d),
    ("noise", [0.8, 1.25, 0.5], "scb", 0x2d5c7d9a),
    ("noise", [1.37, 1.21, 0.83], "csb", 0xa5325afa),
    ("smooth", [0.6, 1.0, 1.0], "bcs", 0xe10b5244),
    ("smooth", [1.4, 1.0, 1.0], "bcs", 0xa8b55ef8),
    ("smooth", [1.0, 0.3, 1.0], "bcs", 0xe10cb242),
    ("smooth", [1.0, 1.7, 1.0], "bcs", 0xdb9e53ae),
    ("smooth", [1.0, 1.0, 0.0], "bcs", 0x528d79a5),
    ("smooth", [1.0, 1.0, 1.9], "bcs", 0x93d072ac),
    ("smooth", [1.3, 0.7, 1.2], "bcs", 0xa2b269f2),
    ("smooth", [0.8, 1.25, 0.5], "scb", 0x4bd75d3b),
    ("smooth", [1.37, 1.21, 0.83], "csb", 0x1855235d),
];

fn picture(name: &str) -> Vec<u8> {
    let [width, height] = SIZE;
    match name {
        "noise" => {
            (0..(width * height * 3) as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
        }
        _ => (0..height)
            .flat_map(|y| {
                (0..width).flat_map(move |x| (0..3).map(move |c| ((y * 7 + x * 3 + c * 40) % 256) as u8))
            })
            .collect(),
    }
}

fn augment(crop: [usize; 2], output: Output, layout: Layout) -> Augment {
    Augment {
        record: SIZE,
        crop,
        mean: Mean::Channel([120.0, 116.5, 103.25]),
        scale: [0.017; 3],
        output,
        layout,
    }
}

fn made(varied: &Varied, augment: &Augment, record: &[u8], draw: &Draw) -> Vec<u8> {
    let mut memory = HeapMemory::new(augment.sample_bytes());
    memory.bytes_mut().fill(0xA5);
    varied.apply(record, draw, memory.bytes_mut(), &mut varied.workspace());
    memory.bytes().to_vec()
}

#[test]
fn resized_crops_are_those_of_pillow() {
    for (name, [left, top, width, height], crop, crc) in RESIZED {
        let augment = augment(crop, Output::U8, Layout::Nhwc);
        let varied = Varied::new(augment.clone(), true).expect("a sound configuration");
        let draw = Draw { part: Some(Rect { left, top, width, height }), ..Draw::default() };
        let got = made(&varied, &augment, &picture(name), &draw);
        assert_eq!(crc32c::crc32c(&got), crc, "{name} {draw:?}");
    }
}

#[test]
fn tints_are_those_of_pillow() {
    for (name, factors, order, crc) in TINTED {
        let augment = augment(SIZE, Output::U8, Layout::Nhwc);
        let varied = Varied::new(augment.clone(), false).expect("a sound configuration");
        let adjust = |c| match c {
            'b' => Adjust::Brightness,
            'c' => Adjust::Contrast,
            _ => Adjust::Saturation,
        };
        let order: Vec<Adjust> = order.chars().map(adjust).collect();
        let tint = Tint { factors, order: order.try_into().expect("three letters") };
        let draw = Draw { tint: Some(tint), ..Draw::default() };
        let got = made(&varied, &augment, &picture(name), &draw);
        assert_eq!(crc32c::crc32c(&got), crc, "{name} {tint:?}");
    }
}

/// Tinting a crop where it lies is tinting the crop: nothing outside it counts, and mean image and mirror find it.
#[test]
fn a_tinted_crop_is_the_crop_tinted() {
    let image: Vec<f32> = (0..SIZE[0] * SIZE[1] * 3).map(|i| (i % 251) as f32).collect();
    let tint =
        Tint { factors: [1.2, 0.6, 1.7], order: [Adjust::Contrast, Adjust::Saturation, Adjust::Brightness] };
    let record = picture("noise");
    for mirror in [false, true] {
        let draw =
            Draw { left: 20, top: 9, mirror, shift: [3.0, -2.0, 1.0], tint: Some(tint), ..Draw::default() };
        // The crop alone, tinted by itself, put back into a record of its own.
        let bytes = augment([32, 24], Output::U8, Layout::Nhwc);
        let plain = Varied::new(bytes.clone(), false).expect("a sound configuration");
        let crop = made(&plain, &bytes, &record, &Draw { mirror: false, tint: None, ..draw });
        let alone = Augment { record: [32, 24], ..bytes.clone() };
        let varied = Varied::new(alone.clone(), false).expect("a sound configuration");
        let tinted = made(&varied, &alone, &crop, &Draw { tint: Some(tint), ..Draw::default() });
        let mut whole = record.clone();
        for (row, from) in tinted.chunks_exact(32 * 3).enumerate() {
            let start = ((9 + row) * SIZE[0] + 20) * 3;
            whole[start..start + 96].copy_from_slice(from);
        }
        for output in [Output::U8, Output::Bf16, Output::F32] {
            let augment =
                Augment { mean: Mean::Aligned(image.clone()), ..augment([32, 24], output, Layout::Nchw) };
            let varied = Varied::new(augment.clone(), false).expect("a sound configuration");
            let mut want = vec![0u32; augment.sample_bytes().div_ceil(4)];
            let want: &mut [u8] = bytemuck::cast_slice_mut(&mut want);
            augment.apply(&whole, &Draw { tint: None, ..draw }, &mut want[..augment.sample_bytes()]);
            assert!(
                made(&varied, &augment, &record, &draw) == want[..augment.sample_bytes()],
                "{output:?} {mirror}"
            );
        }
    }
}

/// A resized crop under a centre mean image subtracts its centre; every path and layout agrees; a hole is all zeros.
#[test]
fn every_path_gives_the_same() {
    let image: Vec<f32> = (0..SIZE[0] * SIZE[1] * 3).map(|i| (i % 251) as f32).collect();
    let draw = Draw {
        mirror: true,
        shift: [0.5, 0.25, -4.0],
        part: Some(Rect { left: 7, top: 2, width: 49, height: 40 }),
        tint: Some(Tint {
            factors: [0.9, 1.1, 1.3],
            order: [Adjust::Brightness, Adjust::Saturation, Adjust::Contrast],
        }),
        hole: Some(Rect { left: 3, top: 5, width: 9, height: 4 }),
        ..Draw::default()
    };
    for output in [Output::U8, Output::Bf16, Output::F16, Output::F32] {
        for layout in [Layout::Nchw, Layout::Nhwc] {
            let augment = Augment { mean: Mean::Centre(image.clone()), ..augment([20, 24], output, layout) };
            let all: Vec<Vec<u8>> = Path::available()
                .into_iter()
                .map(|path| Varied::on(path, augment.clone(), true).expect("a sound configuration"))
                .map(|varied| made(&varied, &augment, &picture("noise"), &draw))
                .collect();
            assert!(all.iter().all(|sample| *sample == all[0]), "{output:?} {layout:?}");
            let element = |y: usize, x: usize, c: usize| {
                let at = match layout {
                    Layout::Nchw => (c * 24 + y) * 20 + x,
                    Layout::Nhwc => (y * 20 + x) * 3 + c,
                };
                &all[0][at * output.bytes()..(at + 1) * output.bytes()]
            };
            for (y, x) in (0..24).flat_map(|y| (0..20).map(move |x| (y, x))) {
                let inside = (5..9).contains(&y) && (3..12).contains(&x);
                let zeros = (0..3).all(|c| element(y, x, c).iter().all(|byte| *byte == 0));
                assert!(!inside || zeros, "({x}, {y}) is in the hole");
                assert!(inside || !zeros || output == Output::U8, "({x}, {y}) is outside the hole");
            }
        }
    }
}

/// Any factor: none, all, ordinary ones, and such as no jitter draws.
fn factor() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => 0f32..2.0,
        1 => Just(1.0),
        1 => prop::sample::select(vec![0.0, -1.0, 101.0, 1e30, f32::INFINITY, f32::NAN]),
    ]
}

/// A record, a crop's size, and a draw that resizes, tints or both.
fn case() -> impl Strategy<Value = ([usize; 2], Vec<u8>, [usize; 2], Draw)> {
    let sides = || (1usize..100, 1usize..24);
    let adjust = || prop::sample::select(vec![Adjust::Brightness, Adjust::Contrast, Adjust::Saturation]);
    (sides(), sides(), any::<bool>()).prop_flat_map(move |((width, height), (across, down), resize)| {
        let crop = if resize { [across, down] } else { [across.min(width), down.min(height)] };
        let part = (1..=width, 1..=height)
            .prop_flat_map(move |(w, h)| (0..=width - w, 0..=height - h, Just([w, h])));
        let tint = ([factor(), factor(), factor()], [adjust(), adjust(), adjust()])
            .prop_map(|(factors, order)| Tint { factors, order });
        let bytes = prop_oneof![
            prop::collection::vec(any::<u8>(), width * height * 3),
            prop::collection::vec(prop::sample::select(vec![0u8, 255]), width * height * 3),
        ];
        let draw =
            (part, proptest::option::weighted(0.7, tint), 0..=width - crop[0].min(width), any::<bool>())
                .prop_map(move |((x, y, [w, h]), tint, left, mirror)| {
                    let [x, y, w, h] = [x, y, w, h].map(|side| side as u32);
                    let part = resize.then_some(Rect { left: x, top: y, width: w, height: h });
                    Draw { left: left as u32, mirror, part, tint, ..Draw::default() }
                });
        (Just([width, height]), bytes, Just(crop), draw)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Resized and tinted pictures on every path, bit for bit those of the plain one; parts often end with the record.
    #[test]
    fn every_path_varies_as_the_plain_one((size, record, crop, draw) in case()) {
        // What resizes takes crops larger than the record too; the record must still hold the crop that a pass checks.
        let (width, height) = (size[0].max(crop[0]), size[1].max(crop[1]));
        let mut large = vec![0; width * height * 3];
        for (y, row) in record.chunks_exact(size[0] * 3).enumerate() {
            large[y * width * 3..][..row.len()].copy_from_slice(row);
        }
        let augment = Augment { record: [width, height], ..augment(crop, Output::U8, Layout::Nhwc) };
        let all = Path::available().into_iter().map(|path| {
            let varied = Varied::on(path, augment.clone(), true).expect("a sound configuration");
            (path.name(), made(&varied, &augment, &large, &draw))
        });
        let all: Vec<_> = all.collect();
        for (name, sample) in &all[1..] {
            prop_assert!(*sample == all[0].1, "{} {:?}", name, draw);
        }
    }
}

struct Made;

impl Records for Made {
    fn len(&self) -> u64 {
        100
    }
    fn size(&self) -> [usize; 2] {
        SIZE
    }
    fn label(&self, i: u64) -> Option<u32> {
        Some(i as u32)
    }
    fn name(&self, i: u64) -> String {
        i.to_string()
    }
    fn record<'a>(&'a self, i: u64, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], alexnet_shard::Error> {
        scratch.clear();
        scratch.extend(picture("noise").iter().map(|byte| byte.wrapping_add(i as u8)));
        Ok(scratch)
    }
    fn prefetch(&self, _: u64) {}
}

fn config(threads: usize, mean: Mean, vary: Vary) -> Config {
    Config {
        plan: Plan {
            seed: 3,
            subset: Subset::all(100),
            order: Order::Shuffled,
            batch: 16,
            rank: Rank::ALONE,
        },
        drawer: Drawer {
            seed: 3,
            slack: [61 - 32, 47 - 32],
            view: View::Random,
            lighting: Some(Lighting::by_eigenvalue([[0.6, 0.5, 0.6]; 3], [13_000.0, 1000.0, 300.0])),
            vary: Some(([61, 47], vary)),
        },
        augment: Augment { mean, ..augment([32, 32], Output::F32, Layout::Nchw) },
        start: (0, 0),
        end: 2,
        threads,
        slots: 3,
        labelled: true,
    }
}

const ALL: Vary = Vary {
    crops_shared: 4,
    resized_crop: Some(ResizedCrop { area: [0.08, 1.0], ratio: [0.75, 4.0 / 3.0] }),
    jitter: Some(Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4 }),
    erasing: Some(Erasing { probability: 0.5, area: [0.02, 0.33], ratio: [0.3, 3.3] }),
};

#[test]
fn varied_streams_are_the_same_for_any_number_of_threads() {
    let stream = |threads| -> Vec<Vec<u8>> {
        Loader::new(Arc::new(Made), config(threads, Mean::Channel([120.0; 3]), ALL))
            .expect("a sound configuration")
            .map(|batch| batch.expect("sound records").bytes().to_vec())
            .collect()
    };
    let one = stream(1);
    assert_eq!(one.len(), 14);
    assert!(one == stream(3));
    let plain = Vary { resized_crop: None, jitter: None, erasing: None, ..ALL };
    let plain = Loader::new(Arc::new(Made), config(1, Mean::Channel([120.0; 3]), plain)).expect("sound");
    assert!(one != plain.map(|b| b.expect("sound records").bytes().to_vec()).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_is_refused() {
    let aligned = Mean::Aligned(vec![0.0; SIZE[0] * SIZE[1] * 3]);
    let error = Loader::new(Arc::new(Made), config(1, aligned, ALL)).err().expect("no place in the mean");
    assert!(matches!(&error, Error::Vary(cause) if cause.contains("aligned mean image")), "{error}");
    let vary = Vary { crops_shared: 0, ..Vary::NONE };
    assert!(Loader::new(Arc::new(Made), config(1, Mean::Channel([0.0; 3]), vary)).is_err());
}
