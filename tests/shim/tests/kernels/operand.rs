use crate::{
    Element, channels_last, elements, grid, in_both_types, in_every_order, ints, rounded, same_bits,
};
use crate::{unwritten, values};
use alexnet_shim::Arg;
use half::bf16;

in_both_types!(channels_last_and_back);

#[test]
fn narrow_rounds_to_nearest_even() {
    let mut x: Vec<f32> = values(3000, 1);
    // Ties both ways, a carry into the exponent and to infinity, subnormals, zeros, infinities.
    x.extend(
        [0x3f80_8000u32, 0x3f81_8000, 0x3fff_ffff, 0x7f7f_ffff, 1, 0x8000_8000, 0x0000_8001]
            .map(f32::from_bits),
    );
    x.extend([0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY]);
    let narrow = |x: &[f32]| {
        in_every_order("narrow", grid(x.len()), &unwritten::<bf16>(x.len()), |y| {
            [vec![x.into(), y.into()], ints([x.len()])].concat()
        })
    };
    same_bits("narrow", &narrow(&x), &rounded::<bf16>(&x));
    let ours = narrow(&[0x7f80_0001u32, 0xffc0_0000, 0x7fff_ffff].map(f32::from_bits));
    assert!(ours.iter().all(|y| y.is_nan()), "{ours:?}");
}

#[test]
fn widen_is_exact_for_every_bfloat16() {
    let x: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
    let ours = in_every_order("widen", grid(x.len()), &vec![1f32; x.len()], |y| {
        [vec![(&x).into(), y.into()], ints([x.len()])].concat()
    });
    let expected: Vec<f32> = (0..=u16::MAX).map(|bits| f32::from_bits(u32::from(bits) << 16)).collect();
    same_bits("widen", &ours, &expected);
}

fn channels_last_and_back<T: Element>() {
    for (batch, pixels, channels) in [(3usize, 7usize, 8usize), (1, 30, 3), (5, 1, 24), (2, 33, 130)] {
        let first = elements::<T>(batch * pixels * channels, 2);
        let transpose = |x: &[T], rows: usize, columns: usize| {
            in_every_order(&T::kernel("transpose"), grid(x.len()), &unwritten::<T>(x.len()), |y| {
                let buffers: Vec<Arg> = vec![x.into(), y.into()];
                [buffers, ints([batch, rows, columns])].concat()
            })
        };
        let last = transpose(&first, channels, pixels);
        same_bits("transpose", &last, &channels_last(&first, channels, pixels));
        same_bits("transpose back", &transpose(&last, pixels, channels), &first);
    }
}
