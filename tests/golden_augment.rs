//! Augmentation against PyTorch's float32 arithmetic, bit for bit (`augment.*` of the golden files).

use alexnet_load::{Augment, Draw, HeapMemory, Layout, Mean, Memory, Output};

use crate::golden::Golden;

struct Case {
    records: Vec<u8>,
    draws: Vec<Draw>,
    mean: Vec<f32>,
    file: Golden,
}

fn case() -> Case {
    let file = Golden::open("ops.safetensors");
    let (left, top) = (file.labels("augment.left"), file.labels("augment.top"));
    let (mirror, shift) = (file.bytes("augment.mirror"), file.floats("augment.shift"));
    let draw = |i: usize| Draw {
        left: left[i],
        top: top[i],
        mirror: mirror[i] != 0,
        shift: shift[3 * i..3 * i + 3].try_into().expect("three shifts"),
        ..Draw::default()
    };
    Case {
        records: file.bytes("augment.records"),
        draws: (0..left.len()).map(draw).collect(),
        mean: file.floats("augment.mean"),
        file,
    }
}

fn apply(case: &Case, mean: Mean, scale: [f32; 3], output: Output) -> Vec<u8> {
    let augment = Augment { record: [20, 20], crop: [14, 14], mean, scale, output, layout: Layout::Nchw };
    augment.check().expect("a sound configuration");
    let mut memory = HeapMemory::new(case.draws.len() * augment.sample_bytes());
    let out = memory.bytes_mut();
    for ((record, draw), out) in
        case.records.chunks(20 * 20 * 3).zip(&case.draws).zip(out.chunks_mut(augment.sample_bytes()))
    {
        augment.apply(record, draw, out);
    }
    out.to_vec()
}

#[test]
fn every_convention_bit_for_bit() {
    let case = case();
    let three = |name| case.file.floats(name).try_into().expect("three values");
    let conventions = [
        ("augment.paper_aligned_mean", Mean::Aligned(case.mean.clone()), [1.0; 3]),
        ("augment.original_centre_mean_div1.1", Mean::Centre(case.mean.clone()), [1.0f32 / 1.1; 3]),
        ("augment.channel", Mean::Channel(three("augment.channel_mean")), three("augment.channel_scale")),
    ];
    for (name, mean, scale) in conventions {
        let want = case.file.floats(name);
        let got = apply(&case, mean, scale, Output::F32);
        assert_eq!(got.len(), want.len() * 4, "{name}");
        for (i, (got, want)) in got.chunks(4).zip(want).enumerate() {
            assert_eq!(got, want.to_le_bytes(), "{name}, element {i}");
        }
    }
}

#[test]
fn bytes_are_geometry_only() {
    let case = case();
    assert_eq!(apply(&case, Mean::Channel([0.0; 3]), [1.0; 3], Output::U8), case.file.bytes("augment.u8"));
}
