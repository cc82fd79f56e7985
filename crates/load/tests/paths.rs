//! Every vector path against the scalar oracle, bit for bit.

use alexnet_load::{Augment, Draw, HeapMemory, Layout, Mean, Memory, Output, Pass, Path};
use proptest::prelude::*;

const OUTPUTS: [Output; 4] = [Output::U8, Output::Bf16, Output::F16, Output::F32];
const LAYOUTS: [Layout; 2] = [Layout::Nchw, Layout::Nhwc];

/// What the bytes around a sample are; nothing may write them.
const GUARD: u8 = 0xA5;
const MARGIN: usize = 64;

/// Numbers that go wrong easily: zeros, subnormal and huge ones, ties of both roundings.
fn number() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => -300f32..300.0,
        1 => prop::sample::select(vec![
            0.0, -0.0, 1.0, -1.0, 128.0, 255.0, 1.0 / 1.1, 257.0 / 256.0, 2049.0, 65_504.0, 65_520.0, 1e-3, 1e-7,
            6e-8, f32::MIN_POSITIVE, 1e-40, -1e-45, 1e38, -3e38, f32::MAX, f32::MIN,
        ]),
        1 => any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |x| x.is_finite()),
    ]
}

/// Three of them; half of the time ordinary ones, which bf16 needs to take the vector paths.
fn three() -> impl Strategy<Value = [f32; 3]> {
    prop_oneof![[number(), number(), number()], [-2f32..2.0, -1e-3f32..1e-3, -300f32..300.0]]
}

fn mean(pixels: usize) -> impl Strategy<Value = Mean> {
    let image = move || {
        prop_oneof![
            prop::collection::vec(number(), pixels * 3),
            prop::collection::vec(-1f32..256.0, pixels * 3)
        ]
    };
    prop_oneof![
        three().prop_map(Mean::Channel),
        image().prop_map(Mean::Aligned),
        image().prop_map(Mean::Centre),
    ]
}

/// A configuration, a record and a draw. Crops often fill the record, so that their last pixels are its last bytes.
fn case() -> impl Strategy<Value = (Augment, Vec<u8>, Draw)> {
    // From 64 pixels on bytes are made 64 at a time, across rows where all of them are a multiple of 64.
    let wide = prop_oneof![64usize..140, prop::sample::select(vec![64, 65, 80, 96, 112, 128])];
    let size = prop_oneof![1usize..40, prop::sample::select(vec![16, 32, 48]), wide];
    let slack = prop_oneof![Just(0usize), 0usize..9];
    (size, 1usize..6, [slack.clone(), slack])
        .prop_flat_map(|(width, height, [x, y])| {
            let record = [width + x, height + y];
            let bytes = prop::collection::vec(any::<u8>(), record[0] * record[1] * 3);
            let draw = (0..=x as u32, 0..=y as u32, any::<bool>(), three())
                .prop_map(|(left, top, mirror, shift)| Draw { left, top, mirror, shift, ..Draw::default() });
            (Just([width, height]), Just(record), mean(record[0] * record[1]), three(), bytes, draw)
        })
        .prop_map(|(crop, record, mean, scale, bytes, draw)| {
            let augment = Augment { record, crop, mean, scale, output: Output::U8, layout: Layout::Nchw };
            (augment, bytes, draw)
        })
}

/// The sample, made at an offset of `shift` elements from 64-byte alignment, and checked to stay in its place.
fn made(augment: &Augment, shift: usize, make: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let start = MARGIN + shift * augment.output.bytes();
    let end = start + augment.sample_bytes();
    let mut memory = HeapMemory::new(end + MARGIN);
    memory.bytes_mut().fill(GUARD);
    make(&mut memory.bytes_mut()[start..end]);
    let outside = [&memory.bytes()[..start], &memory.bytes()[end..]];
    assert!(outside.iter().all(|o| o.iter().all(|&b| b == GUARD)), "wrote beside the sample");
    memory.bytes()[start..end].to_vec()
}

/// Elements as numbers, all NaNs alike: IEEE leaves their bits open.
fn elements(output: Output, bytes: &[u8]) -> Vec<u32> {
    let word = |e: &[u8]| e.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
    let nan_above = match output {
        Output::Raw | Output::U8 => u32::MAX,
        Output::Bf16 => 0x7F80,
        Output::F16 => 0x7C00,
        Output::F32 => 0x7F80_0000,
    };
    let sign = 1u32.checked_shl(8 * output.bytes() as u32 - 1).filter(|_| output != Output::U8).unwrap_or(0);
    bytes
        .chunks_exact(output.bytes())
        .map(word)
        .map(|e| if e & !sign > nan_above { u32::MAX } else { e })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_path_gives_the_bits_of_the_oracle((augment, record, draw) in case(), misalignment in 0usize..2) {
        for output in OUTPUTS {
            for layout in LAYOUTS {
                let augment = Augment { output, layout, ..augment.clone() };
                let want = elements(output, &made(&augment, 0, |out| augment.apply(&record, &draw, out)));
                for path in Path::available() {
                    for stream in [false, true] {
                        let pass = Pass::on(path, augment.clone()).expect("a sound configuration").streaming(stream);
                        let got = made(&augment, misalignment, |out| pass.apply(&record, &draw, out));
                        prop_assert_eq!(
                            elements(output, &got), want.clone(), "{} {:?} {:?} {:?}", path.name(), output, layout, draw
                        );
                    }
                }
            }
        }
    }
}

/// The sizes of the paper, all of whose rows lie on whole vectors, and of Caffe, none of whose do.
#[test]
fn the_usual_crops_too() {
    let record: Vec<u8> =
        (0..256 * 256 * 3u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let image: Vec<f32> = (0..256 * 256 * 3).map(|i| (i % 2551) as f32 / 10.0).collect();
    for crop in [224, 227, 256] {
        for mean in
            [Mean::Channel([123.7, 116.3, 103.5]), Mean::Aligned(image.clone()), Mean::Centre(image.clone())]
        {
            for (output, layout) in OUTPUTS.into_iter().flat_map(|o| LAYOUTS.map(|l| (o, l))) {
                let scale = [1.0 / 58.4, 1.0 / 57.1, 1.0 / 57.4];
                let crop = [crop, crop];
                let augment = Augment { record: [256, 256], crop, mean: mean.clone(), scale, output, layout };
                let last = (256 - crop[0]) as u32;
                for mirror in [false, true] {
                    let draw =
                        Draw { left: last, top: last, mirror, shift: [-3.25, 0.7, 11.9], ..Draw::default() };
                    let want = made(&augment, 0, |out| augment.apply(&record, &draw, out));
                    for path in Path::available() {
                        let pass = Pass::on(path, augment.clone()).expect("a sound configuration");
                        assert!(want == made(&augment, 0, |out| pass.apply(&record, &draw, out)), "{pass:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_paths_are_named() {
    let names: Vec<_> = Path::available().into_iter().map(Path::name).collect();
    assert_eq!(names[0], "scalar");
    assert_eq!(Path::best().name(), *names.last().unwrap());
    for missing in ["avx2", "avx512"].iter().filter(|name| !names.contains(name)) {
        eprintln!("skipped: this processor has no {missing}");
    }
}
