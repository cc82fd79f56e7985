use crate::{Element, elements, golden, grid, in_both_types, in_every_order, ints, same_bits, unwritten};
use alexnet_rng::{Purpose, Stream};

in_both_types!(masks_are_those_of_the_streams, factor_of_the_test);

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
fn masks_are_those_of_the_streams<T: Element>() {
    for (first_unit, units) in [(0usize, 64usize), (32, 32), (5, 9), (3, 2), (7, 1)] {
        for (purpose, threshold, scale) in [
            (Purpose::DropoutFc6, 1u64 << 31, 1.0f32),
            (Purpose::DropoutFc7, 0xC000_0000, 4.0 / 3.0),
            (Purpose::DropoutFc6, 0, 1.0),
            (Purpose::DropoutFc6, 1 << 32, 1.0),
        ] {
            let (batch, seed, epoch, position) = (5usize, 0x1234_5678_9abc_def0u64, 89u32, (1u64 << 32) - 2);
            let key = [Key {
                seed,
                first_position: position,
                threshold,
                epoch,
                purpose: purpose as u32,
                units: units as i32,
                first_unit: first_unit as i32,
                scale,
                batch: batch as i32,
            }];
            let x = elements::<T>(batch * units, 1);
            let (launch, kernel) = (grid(batch * units.div_ceil(4)), T::kernel("dropout_forward"));
            let mut spare = x.clone();
            let place = spare.as_mut_ptr() as u64;
            let mut spare_mask = unwritten::<f32>(x.len());
            let mask_place = spare_mask.as_mut_ptr() as u64;
            let mask = in_every_order(&kernel, launch, &unwritten::<f32>(x.len()), |mask| {
                vec![place.into(), mask.into(), key[..].into()]
            });
            let y =
                in_every_order(&kernel, launch, &x, |x| vec![x.into(), mask_place.into(), key[..].into()]);
            drop((spare, spare_mask)); // the launches wrote into them until here
            let expected: Vec<f32> = (0..batch * units)
                .map(|i| {
                    let stream = Stream::new(seed, epoch, position + (i / units) as u64, purpose);
                    let kept = u64::from(stream.word((first_unit + i % units) as u64)) < threshold;
                    if kept { scale } else { 0.0 }
                })
                .collect();
            same_bits("dropout mask", &mask, &expected);
            let expected: Vec<T> = x.iter().zip(&mask).map(|(x, m)| T::rounded(x.widened() * m)).collect();
            same_bits("dropout_forward", &y, &expected);
            let back = in_every_order(&T::kernel("multiply"), grid(x.len()), &x, |dy| {
                [vec![(&mask).into(), dy.into()], ints([x.len()])].concat()
            });
            same_bits("multiply", &back, &expected);
        }
    }
}

fn scaled<T: Element>(x: &[T], factor: f32) -> Vec<T> {
    in_every_order(&T::kernel("scale"), grid(x.len()), x, |out| {
        [vec![out.into(), factor.into()], ints([x.len()])].concat()
    })
}

fn factor_of_the_test<T: Element>() {
    let x = elements::<T>(300, 1);
    for factor in [0.5, 0.3] {
        let expected: Vec<T> = x.iter().map(|v| T::rounded(v.widened() * factor)).collect();
        same_bits("scale", &scaled(&x, factor), &expected);
    }
}

#[test]
fn golden() {
    let Some(g) = golden::ops() else { return };
    same_bits("dropout_test", &scaled(&g.floats("dropout_test.x0"), 0.5), &g.floats("dropout_test.y"));
}
