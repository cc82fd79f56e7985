//! The oracle: crop, mirror, arithmetic and rounding, one pixel after the other.
//!
//! It is kept plain, because every other path is held to its bits.

use bytemuck::cast_slice_mut;
use half::{bf16, f16};

use super::{Augment, Layout, Mean, Output};
use crate::draw::Draw;

impl Augment {
    /// Makes one sample, plainly; [`Pass`](super::Pass) makes the same one faster.
    ///
    /// # Panics
    /// If `record` is shorter than width · height · 3, `out` is not [`sample_bytes`](Self::sample_bytes) long or
    /// not aligned to its elements, or the draw's crop leaves the record.
    pub fn apply(&self, record: &[u8], draw: &Draw, out: &mut [u8]) {
        assert_eq!(out.len(), self.sample_bytes());
        match self.output {
            Output::Raw => out.copy_from_slice(&record[..out.len()]),
            Output::U8 => self.copy(record, draw, out),
            Output::Bf16 => self.compute(record, draw, cast_slice_mut::<u8, bf16>(out), bf16::from_f32),
            Output::F16 => self.compute(record, draw, cast_slice_mut::<u8, f16>(out), f16::from_f32),
            Output::F32 => self.compute(record, draw, cast_slice_mut::<u8, f32>(out), |y| y),
        }
    }

    /// Place of channel `c` of pixel (`row`, `column`) in a finished sample.
    #[inline]
    fn place(&self, row: usize, column: usize, c: usize) -> usize {
        let [width, height] = self.crop;
        match self.layout {
            Layout::Nchw => (c * height + row) * width + column,
            Layout::Nhwc => (row * width + column) * 3 + c,
        }
    }

    /// Byte offset of the pixel that crop pixel (`row`, `column`) comes from.
    #[inline]
    fn source(&self, draw: &Draw, row: usize, column: usize) -> usize {
        let column = if draw.mirror { self.crop[0] - 1 - column } else { column };
        ((draw.top as usize + row) * self.record[0] + draw.left as usize + column) * 3
    }

    fn copy(&self, record: &[u8], draw: &Draw, out: &mut [u8]) {
        for row in 0..self.crop[1] {
            for column in 0..self.crop[0] {
                let from = self.source(draw, row, column);
                for c in 0..3 {
                    out[self.place(row, column, c)] = record[from + c];
                }
            }
        }
    }

    fn compute<T>(&self, record: &[u8], draw: &Draw, out: &mut [T], round: impl Fn(f32) -> T) {
        let centre = [(self.record[0] - self.crop[0]) / 2, (self.record[1] - self.crop[1]) / 2];
        for row in 0..self.crop[1] {
            for column in 0..self.crop[0] {
                let from = self.source(draw, row, column);
                let mean = match &self.mean {
                    Mean::Channel(mean) => &mean[..],
                    Mean::Aligned(image) => &image[from..from + 3],
                    Mean::Centre(image) => {
                        let at = ((centre[1] + row) * self.record[0] + centre[0] + column) * 3;
                        &image[at..at + 3]
                    }
                };
                for c in 0..3 {
                    let x = f32::from(record[from + c]);
                    out[self.place(row, column, c)] = round(((x - mean[c]) + draw.shift[c]) * self.scale[c]);
                }
            }
        }
    }
}
