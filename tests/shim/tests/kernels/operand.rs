use crate::{grid, in_every_order, same_bits, values};
use alexnet_shim::Arg;
use half::bf16;

/// bfloat16 of each value, by a library.
fn rounded(values: &[f32]) -> Vec<u16> {
    values.iter().map(|&v| bf16::from_f32(v).to_bits()).collect()
}

#[test]
fn narrow_rounds_to_nearest_even() {
    let mut x: Vec<f32> = values(3000, 1);
    // Ties both ways, a carry into the exponent and to infinity, subnormals, zeros, infinities.
    x.extend(
        [0x3f80_8000u32, 0x3f81_8000, 0x3fff_ffff, 0x7f7f_ffff, 1, 0x8000_8000, 0x0000_8001]
            .map(f32::from_bits),
    );
    x.extend([0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY]);
    let n = x.len();
    let ours = in_every_order("narrow", grid(n), &vec![0xffffu16; n], |y| {
        vec![(&x).into(), y.into(), (n as i32).into()]
    });
    same_bits("narrow", &ours, &rounded(&x));
    let nans = [0x7f80_0001u32, 0xffc0_0000, 0x7fff_ffff].map(f32::from_bits);
    let ours = in_every_order("narrow", grid(3), &[0u16; 3], |y| vec![nans[..].into(), y.into(), 3.into()]);
    assert!(ours.iter().all(|&y| bf16::from_bits(y).is_nan()), "{ours:x?}");
}

#[test]
fn maps_before_images_of_one_group() {
    let (batch, maps, plane, all) = (3usize, 4usize, 7usize, 8usize);
    let x = values(batch * all * plane, 2);
    let group = maps * plane; // the second of two
    let expected: Vec<f32> = (0..maps * batch * plane)
        .map(|i| x[i / plane % batch * all * plane + group + i / plane / batch * plane + i % plane])
        .collect();
    let arguments = |y: Arg| -> Vec<Arg> {
        let sizes = [batch, maps, plane, all * plane].map(|v| (v as i32).into());
        [vec![(&x[group..]).into(), y], sizes.into()].concat()
    };
    let n = expected.len();
    let ours = in_every_order("maps_first", grid(n), &vec![f32::NAN; n], |y| arguments(y.into()));
    same_bits("maps_first", &ours, &expected);
    let ours = in_every_order("maps_first_bf16", grid(n), &vec![0u16; n], |y| arguments(y.into()));
    same_bits("maps_first_bf16", &ours, &rounded(&expected));
}
