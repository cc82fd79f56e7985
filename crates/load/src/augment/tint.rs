//! Brightness, contrast and saturation, bit for bit as Pillow's `ImageEnhance`: each moves pixels along the line from a
//! degenerate picture (black, the mean grey, each pixel's grey) through the picture itself.
//!
//! [`apply`] does it plainly and is the oracle; [`Tinter`] does it in one go, 16 pixels at a time where the processor
//! can, and gives the same bits.

use std::ops::Range;

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

/// A part of a picture: where it begins, how far its rows are apart, and their length, in bytes; how many rows.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub first: usize,
    pub stride: usize,
    pub width: usize,
    pub rows: usize,
}

impl Part {
    /// Where each row lies.
    pub fn rows(self) -> impl Iterator<Item = Range<usize>> {
        (0..self.rows).map(move |row| {
            let start = self.first + row * self.stride;
            start..start + self.width
        })
    }

    fn pixels(self) -> usize {
        self.rows * self.width / 3
    }
}

/// Tints a part of a picture.
pub(super) fn apply(tint: &Tint, picture: &mut [u8], part: Part) {
    let each = |picture: &mut [u8], job: &mut dyn FnMut(&mut [u8; 3])| {
        for row in part.rows() {
            picture[row].as_chunks_mut::<3>().0.iter_mut().for_each(&mut *job);
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
                let table = table(mean(sum, part.pixels()));
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
    pub fn run(&self, tint: &Tint, picture: &mut [u8], part: Part) {
        if matches!(self.path, Path::Scalar) {
            return apply(tint, picture, part);
        }
        let (mut steps, mut count) = ([Step::default(); 3], 0);
        for adjust in tint.order {
            let factor = tint.factors[adjust as usize];
            if factor == 1.0 {
                continue;
            }
            let from = match adjust {
                Adjust::Brightness => Some(0),
                Adjust::Saturation => None,
                Adjust::Contrast => Some(mean(self.greys(&steps[..count], picture, part), part.pixels())),
            };
            steps[count] = Step { from, factor };
            count += 1;
        }
        if count > 0 {
            self.tint(&steps[..count], picture, part);
        }
    }

    /// The sum of a part's greys after some steps.
    fn greys(&self, steps: &[Step], picture: &[u8], part: Part) -> u64 {
        let (sum, done) = match self.path {
            Path::Scalar => (0, 0),
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(path) => (path.greys(steps, picture, part, &self.indices), whole(part.width)),
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(path) => (path.greys(steps, picture, part, &self.indices), whole(part.width)),
        };
        let row = |row: Range<usize>| -> u64 {
            let pixels = picture[row][done..].as_chunks::<3>().0;
            pixels.iter().map(|pixel| u64::from(grey(after(steps, *pixel)))).sum()
        };
        sum + part.rows().map(row).sum::<u64>()
    }

    /// Takes a part through some steps.
    fn tint(&self, steps: &[Step], picture: &mut [u8], part: Part) {
        let done = match self.path {
            Path::Scalar => 0,
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(path) => {
                path.tint(steps, picture, part, &self.indices);
                whole(part.width)
            }
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(path) => {
                path.tint(steps, picture, part, &self.indices);
                whole(part.width)
            }
        };
        for row in part.rows() {
            let pixels = picture[row][done..].as_chunks_mut::<3>().0;
            pixels.iter_mut().for_each(|pixel| *pixel = after(steps, *pixel));
        }
    }
}

/// Bytes of a row's whole groups.
#[cfg(target_arch = "x86_64")]
fn whole(width: usize) -> usize {
    width / (3 * GROUP) * 3 * GROUP
}
