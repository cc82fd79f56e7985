use crate::values;
use crate::{
    Element, channels_last, golden, grid, in_both_types, in_every_order, rounded, same_bits, unwritten,
};
use alexnet_rng::{Purpose, Stream};
use alexnet_shim::Arg;

in_both_types!(every_mode_bit_for_bit, golden_bit_for_bit);

#[repr(C)]
#[derive(Clone, Copy)]
struct Draw {
    left: i32,
    top: i32,
    mirror: i32,
    shift: [f32; 3],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Shape {
    batch: i32,
    record_stride: i32,
    record_height: i32,
    record_width: i32,
    height: i32,
    width: i32,
    mean_mode: i32,
    scale: [f32; 3],
}

fn run<T: Element>(records: &[u8], draws: &[Draw], mean: &[f32], shape: Shape) -> Vec<T> {
    let n = (shape.batch * 3 * shape.height * shape.width) as usize;
    let source = [records.as_ptr() as u64, draws.as_ptr() as u64];
    in_every_order(&T::kernel("augment"), grid(n / 3), &unwritten::<T>(n), |out| {
        vec![source[..].into(), Arg::from(mean), Arg::from(out), Arg::plain(&shape)]
    })
}

/// The definition, pixel by pixel: y = ((x − mean) + shift) · scale in float32.
fn oracle(records: &[u8], draws: &[Draw], mean: &[f32], s: Shape) -> Vec<f32> {
    let [h, w, rh, rw] = [s.height, s.width, s.record_height, s.record_width].map(|v| v as usize);
    let mut out = Vec::new();
    for (n, draw) in draws.iter().enumerate() {
        let record = &records[n * s.record_stride as usize..];
        for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
            let from_x = if draw.mirror == 1 { w - 1 - x } else { x };
            let (sy, sx) = (draw.top as usize + y, draw.left as usize + from_x);
            for c in 0..3 {
                let mean = match s.mean_mode {
                    0 => 0.0,
                    1 => mean[(sy * rw + sx) * 3 + c],
                    2 => mean[((y + (rh - h) / 2) * rw + x + (rw - w) / 2) * 3 + c],
                    _ => mean[c],
                };
                let value = f32::from(record[(sy * rw + sx) * 3 + c]);
                out.push(((value - mean) + draw.shift[c]) * s.scale[c]);
            }
        }
    }
    out
}

fn every_mode_bit_for_bit<T: Element>() {
    let (rh, rw, h, w, batch, stride) = (21usize, 26usize, 13usize, 17usize, 5usize, 2048usize);
    let bytes = Stream::new(4, 0, 0, Purpose::Sample);
    let records: Vec<u8> = (0..batch * stride).map(|i| bytes.word(i as u64) as u8).collect();
    let shift = values(3 * batch, 1);
    let draws: Vec<Draw> = (0..batch)
        .map(|n| Draw {
            left: [0, 9, 3, 1, 7][n],
            top: [0, 8, 1, 5, 2][n],
            mirror: (n % 2) as i32,
            shift: [shift[3 * n] * 12.0, shift[3 * n + 1] * 4.0, shift[3 * n + 2] * 2.0],
        })
        .collect();
    let mean: Vec<f32> = values(rh * rw * 3, 2).iter().map(|v| 120.0 + v * 9.0).collect();
    for mean_mode in 0..4 {
        let shape = Shape {
            batch: batch as i32,
            record_stride: stride as i32,
            record_height: rh as i32,
            record_width: rw as i32,
            height: h as i32,
            width: w as i32,
            mean_mode,
            scale: [1.0 / 1.1, 1.0, 0.017],
        };
        let expected = rounded::<T>(&oracle(&records, &draws, &mean, shape));
        same_bits(&format!("mean mode {mean_mode}"), &run(&records, &draws, &mean, shape), &expected);
    }
}

fn golden_bit_for_bit<T: Element>() {
    let Some(g) = golden::ops() else { return };
    let (left, top, mirror) = (g.words("augment.left"), g.words("augment.top"), g.bytes("augment.mirror"));
    let shift = g.floats("augment.shift");
    let draws: Vec<Draw> = (0..left.len())
        .map(|n| Draw {
            left: left[n] as i32,
            top: top[n] as i32,
            mirror: i32::from(mirror[n]),
            shift: [shift[3 * n], shift[3 * n + 1], shift[3 * n + 2]],
        })
        .collect();
    let channel: [f32; 3] = g.floats("augment.channel_scale").try_into().expect("three scales");
    for (name, mean, mean_mode, scale, shifted) in [
        ("augment.paper_aligned_mean", "augment.mean", 1, [1.0; 3], true),
        ("augment.original_centre_mean_div1.1", "augment.mean", 2, [1.0 / 1.1f32; 3], true),
        ("augment.channel", "augment.channel_mean", 3, channel, true),
        ("augment.u8", "augment.mean", 0, [1.0; 3], false),
    ] {
        let expected: Vec<f32> =
            if shifted { g.floats(name) } else { g.bytes(name).into_iter().map(f32::from).collect() };
        let still: Vec<Draw> = draws.iter().map(|d| Draw { shift: [0.0; 3], ..*d }).collect();
        let shape = Shape {
            batch: draws.len() as i32,
            record_stride: 20 * 20 * 3,
            record_height: 20,
            record_width: 20,
            height: 14,
            width: 14,
            mean_mode,
            scale,
        };
        let draws = if shifted { &draws } else { &still };
        let ours = run(&g.bytes("augment.records"), draws, &g.floats(mean), shape);
        same_bits(name, &ours, &rounded::<T>(&channels_last(&expected, 3, 14 * 14)));
    }
}
