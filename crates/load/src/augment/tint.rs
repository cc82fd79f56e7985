//! Brightness, contrast and saturation, bit for bit as Pillow's `ImageEnhance`: each moves pixels along the line from a
//! degenerate picture (black, the mean grey, each pixel's grey) through the picture itself.

use crate::vary::{Adjust, Tint};

/// Luma of ITU-R 601-2 in 16 bits after the point, as Pillow's conversion to grey.
fn grey([r, g, b]: [u8; 3]) -> u8 {
    ((u32::from(r) * 19_595 + u32::from(g) * 38_470 + u32::from(b) * 7_471 + 0x8000) >> 16) as u8
}

/// `from + factor · (to − from)`, in float32, cut off and clipped.
fn blend(from: u8, to: u8, factor: f32) -> u8 {
    // `as` cuts off, and clips what lies outside.
    (f32::from(from) + factor * (f32::from(to) - f32::from(from))) as u8
}

/// Tints a part of a picture whose rows are `stride` bytes apart: `rows` rows of `width` bytes, from `first` on.
pub(super) fn apply(tint: &Tint, picture: &mut [u8], first: usize, stride: usize, [width, rows]: [usize; 2]) {
    let each = |picture: &mut [u8], job: &mut dyn FnMut(&mut [u8; 3])| {
        for row in 0..rows {
            let start = first + row * stride;
            picture[start..start + width].as_chunks_mut::<3>().0.iter_mut().for_each(&mut *job);
        }
    };
    for adjust in tint.order {
        let factor = tint.factors[adjust as usize];
        if factor == 1.0 {
            continue;
        }
        let table = |from: u8| -> [u8; 256] { std::array::from_fn(|to| blend(from, to as u8, factor)) };
        match adjust {
            Adjust::Brightness => {
                let table = table(0);
                each(picture, &mut |pixel| *pixel = pixel.map(|x| table[usize::from(x)]));
            }
            Adjust::Contrast => {
                let mut sum = 0u64;
                each(picture, &mut |pixel| sum += u64::from(grey(*pixel)));
                let mean = sum as f64 / (rows * width / 3) as f64;
                let table = table((mean + 0.5) as u8);
                each(picture, &mut |pixel| *pixel = pixel.map(|x| table[usize::from(x)]));
            }
            Adjust::Saturation => each(picture, &mut |pixel| {
                let grey = grey(*pixel);
                *pixel = pixel.map(|x| blend(grey, x, factor));
            }),
        }
    }
}
