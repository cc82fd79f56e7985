use crate::{golden, grid, in_every_order, same_bits, values};
use alexnet_rng::{Purpose, Stream};
use alexnet_shim::Arg;

#[repr(C)]
#[derive(Clone, Copy)]
struct Key {
    seed: u64,
    first_position: u64,
    threshold: u64,
    epoch: u32,
    purpose: u32,
    units: i32,
    first_unit: i32,
    scale: f32,
    batch: i32,
}

/// Any cut of a layer's units over devices, and positions beyond 2³², give the masks of crates/rng.
#[test]
fn masks_are_those_of_the_streams() {
    for (first_unit, units) in [(0usize, 64usize), (32, 32), (5, 9), (3, 2), (7, 1)] {
        for (purpose, threshold, scale) in [
            (Purpose::DropoutFc6, 1u64 << 31, 1.0f32),
            (Purpose::DropoutFc7, 0xC000_0000, 4.0 / 3.0),
            (Purpose::DropoutFc6, 0, 1.0),
            (Purpose::DropoutFc6, 1 << 32, 1.0),
        ] {
            let (batch, seed, epoch, position) = (5usize, 0x1234_5678_9abc_def0u64, 89u32, (1u64 << 32) - 2);
            let key = Key {
                seed,
                first_position: position,
                threshold,
                epoch,
                purpose: purpose as u32,
                units: units as i32,
                first_unit: first_unit as i32,
                scale,
                batch: batch as i32,
            };
            let x = values(batch * units, 1);
            let launch = grid(batch * units.div_ceil(4));
            let mut spare = x.clone();
            let place = spare.as_mut_ptr() as u64;
            let mask = in_every_order("dropout_forward", launch, &vec![f32::NAN; x.len()], |mask| {
                vec![place.into(), mask.into(), Arg::plain(&key)]
            });
            let y = in_every_order("dropout_forward", launch, &x, |x| {
                vec![x.into(), place.into(), Arg::plain(&key)]
            });
            drop(spare); // the launches wrote into it until here
            let expected: Vec<f32> = (0..batch * units)
                .map(|i| {
                    let stream = Stream::new(seed, epoch, position + (i / units) as u64, purpose);
                    let kept = u64::from(stream.word((first_unit + i % units) as u64)) < threshold;
                    if kept { scale } else { 0.0 }
                })
                .collect();
            same_bits("dropout mask", &mask, &expected);
            let expected: Vec<f32> = x.iter().zip(&mask).map(|(x, m)| x * m).collect();
            same_bits("dropout_forward", &y, &expected);
            let back = in_every_order("multiply", grid(x.len()), &x, |dy| {
                vec![(&mask).into(), dy.into(), (x.len() as i32).into()]
            });
            same_bits("multiply", &back, &expected);
        }
    }
}

fn scaled(x: &[f32]) -> Vec<f32> {
    in_every_order("scale", grid(x.len()), x, |out| vec![out.into(), 0.5f32.into(), (x.len() as i32).into()])
}

#[test]
fn test_scale() {
    let x = values(300, 1);
    same_bits("scale", &scaled(&x), &x.iter().map(|v| v * 0.5).collect::<Vec<_>>());
    let Some(g) = golden::ops() else { return };
    same_bits("dropout_test", &scaled(&g.floats("dropout_test.x0")), &g.floats("dropout_test.y"));
}
