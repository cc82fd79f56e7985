//! Augmentation against PyTorch's float32 arithmetic, bit for bit (`augment.*` of the golden files).

use alexnet_load::{Augment, Draw, Layout, Mean, Output};
use safetensors::SafeTensors;

use crate::golden::{self, floats, integers};

struct Golden {
    records: Vec<u8>,
    draws: Vec<Draw>,
    mean: Vec<f32>,
    channel_mean: [f32; 3],
    channel_scale: [f32; 3],
    results: Vec<(&'static str, Vec<f32>)>,
    bytes: Vec<u8>,
}

fn golden() -> Golden {
    let file = golden::read("ops.safetensors");
    let tensors = SafeTensors::deserialize(&file).expect("a safetensors file");
    let three = |name| floats(&tensors, name).try_into().expect("three values");
    let (left, top) = (integers(&tensors, "augment.left"), integers(&tensors, "augment.top"));
    let mirror = tensors.tensor("augment.mirror").expect("augment.mirror").data().to_vec();
    let shift = floats(&tensors, "augment.shift");
    let draws = (0..left.len())
        .map(|i| Draw {
            left: left[i] as u32,
            top: top[i] as u32,
            mirror: mirror[i] != 0,
            shift: shift[3 * i..3 * i + 3].try_into().expect("three shifts"),
        })
        .collect();
    let names = ["augment.paper_aligned_mean", "augment.original_centre_mean_div1.1", "augment.channel"];
    Golden {
        records: tensors.tensor("augment.records").expect("augment.records").data().to_vec(),
        draws,
        mean: floats(&tensors, "augment.mean"),
        channel_mean: three("augment.channel_mean"),
        channel_scale: three("augment.channel_scale"),
        results: names.map(|name| (name, floats(&tensors, name))).into(),
        bytes: tensors.tensor("augment.u8").expect("augment.u8").data().to_vec(),
    }
}

fn apply(golden: &Golden, mean: Mean, scale: [f32; 3], output: Output) -> Vec<u8> {
    let augment = Augment { record: [20, 20], crop: [14, 14], mean, scale, output, layout: Layout::Nchw };
    augment.check().expect("a sound configuration");
    let mut words = vec![0u64; golden.draws.len() * augment.sample_bytes() / 8 + 1];
    let out =
        &mut bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..golden.draws.len() * augment.sample_bytes()];
    for ((record, draw), out) in
        golden.records.chunks(20 * 20 * 3).zip(&golden.draws).zip(out.chunks_mut(augment.sample_bytes()))
    {
        augment.apply(record, draw, out);
    }
    out.to_vec()
}

#[test]
fn every_convention_bit_for_bit() {
    let golden = golden();
    let centre = 1.0f32 / 1.1;
    for (name, want) in &golden.results {
        let (mean, scale) = match *name {
            "augment.paper_aligned_mean" => (Mean::Aligned(golden.mean.clone()), [1.0; 3]),
            "augment.channel" => (Mean::Channel(golden.channel_mean), golden.channel_scale),
            _ => (Mean::Centre(golden.mean.clone()), [centre; 3]),
        };
        let got = apply(&golden, mean, scale, Output::F32);
        assert_eq!(got.len(), want.len() * 4, "{name}");
        for (i, (got, want)) in got.chunks(4).zip(want).enumerate() {
            assert_eq!(got, want.to_le_bytes(), "{name}, element {i}");
        }
    }
}

#[test]
fn bytes_are_geometry_only() {
    let golden = golden();
    assert_eq!(apply(&golden, Mean::Channel([0.0; 3]), [1.0; 3], Output::U8), golden.bytes);
}
