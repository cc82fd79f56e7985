//! Brightness, contrast and saturation, bit for bit as Pillow's `ImageEnhance`: each moves pixels along the line from a
//! degenerate picture (black, the mean grey, each pixel's grey) through the picture itself.
//!
//! [`apply`] does it plainly and is the oracle; [`Tinter`] does it in one go, 16 pixels at a time where the processor
//! can, and gives the same bits.

use super::Layout;
use super::job::GROUP;
use super::pass::{Path, indices};
use crate::vary::{Adjust, Tint};

/// Weights of a pixel's grey, in 2¹⁶ths: luma of ITU-R 601-2, as Pillow's conversion has it.
pub(super) const GREY: [u32; 3] = [19_595, 38_470, 7_471];

fn grey(rgb: [u8; 3]) -> u8 {
    let sum: u32 = rgb.into_iter().zip(GREY).map(|(x, weight)| u32::from(x) * weight).sum();
    ((sum + 0x8000) >> 16) as u8
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
                let table = table(mean(sum, rows * width / 3));
                each(picture, &mut |pixel| *pixel = pixel.map(|x| table[usize::from(x)]));
            }
            Adjust::Saturation => each(picture, &mut |pixel| {
                let grey = grey(*pixel);
                *pixel = pixel.map(|x| blend(grey, x, factor));
            }),
        }
    }
}

/// The mean of `count` greys.
fn mean(sum: u64, count: usize) -> u8 {
    (sum as f64 / count as f64 + 0.5) as u8
}

/// One adjustment of a pixel.
#[derive(Clone, Copy, Default)]
pub(super) struct Step {
    /// The level that it moves away from; nothing for the pixel's own grey.
    pub from: Option<u8>,
    pub factor: f32,
}

/// A pixel after some steps.
fn after(steps: &[Step], pixel: [u8; 3]) -> [u8; 3] {
    steps.iter().fold(pixel, |pixel, step| {
        let from = step.from.unwrap_or_else(|| grey(pixel));
        pixel.map(|x| blend(from, x, step.factor))
    })
}

/// Tints as [`apply`] does, on one path.
#[derive(Clone, Debug)]
pub(super) struct Tinter {
    path: Path,
    indices: [[u8; GROUP]; 3],
}

impl Tinter {
    pub fn on(path: Path) -> Self {
        Tinter { path, indices: indices(Layout::Nchw, false) }
    }

    /// What [`apply`] does.
    ///
    /// # Panics
    /// If the part leaves the picture.
    pub fn run(
        &self,
        tint: &Tint,
        picture: &mut [u8],
        first: usize,
        stride: usize,
        [width, rows]: [usize; 2],
    ) {
        if matches!(self.path, Path::Scalar) {
            return apply(tint, picture, first, stride, [width, rows]);
        }
        let starts = (0..rows).map(|row| first + row * stride);
        let (mut steps, mut count) = ([Step::default(); 3], 0);
        for adjust in tint.order {
            let factor = tint.factors[adjust as usize];
            if factor == 1.0 {
                continue;
            }
            let from = match adjust {
                Adjust::Brightness => Some(0),
                Adjust::Saturation => None,
                Adjust::Contrast => {
                    let row = |start| self.greys(&steps[..count], &picture[start..start + width]);
                    Some(mean(starts.clone().map(row).sum(), rows * width / 3))
                }
            };
            steps[count] = Step { from, factor };
            count += 1;
        }
        if count > 0 {
            starts.for_each(|start| self.tint(&steps[..count], &mut picture[start..start + width]));
        }
    }

    /// The sum of a row's greys after some steps.
    fn greys(&self, steps: &[Step], row: &[u8]) -> u64 {
        let sum = match self.path {
            Path::Scalar => return plain_greys(steps, row),
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(path) => path.greys(steps, row, &self.indices),
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(path) => path.greys(steps, row, &self.indices),
        };
        sum + plain_greys(steps, row.chunks_exact(3 * GROUP).remainder())
    }

    /// A row after some steps.
    fn tint(&self, steps: &[Step], row: &mut [u8]) {
        match self.path {
            Path::Scalar => return plain_tint(steps, row),
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(path) => path.tint(steps, row, &self.indices),
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(path) => path.tint(steps, row, &self.indices),
        }
        plain_tint(steps, row.chunks_exact_mut(3 * GROUP).into_remainder());
    }
}

fn plain_greys(steps: &[Step], row: &[u8]) -> u64 {
    row.as_chunks::<3>().0.iter().map(|pixel| u64::from(grey(after(steps, *pixel)))).sum()
}

fn plain_tint(steps: &[Step], row: &mut [u8]) {
    row.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| *pixel = after(steps, *pixel));
}
