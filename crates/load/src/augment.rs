//! One pass from a record (u8, height × width × RGB) to a finished sample.
//!
//! The invariant: every value is `y = ((f32(x) − mean) + shift) · scale`, three IEEE operations each rounded once,
//! no fused multiply-add; bf16 and f16 then round to nearest even; u8 output is geometry only. Any faster path, the
//! GPU's too, must give the same bits as [`Augment::apply`].

use bytemuck::cast_slice_mut;
use half::{bf16, f16};

use crate::draw::Draw;
use crate::error::Error;

/// Element type of a finished sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The whole record as it is; whoever takes it crops and computes by the sample's draw.
    Raw,
    /// The cropped and mirrored bytes; no arithmetic.
    U8,
    /// bfloat16.
    Bf16,
    /// IEEE half precision.
    F16,
    /// IEEE single precision.
    F32,
}

impl Output {
    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            Output::Raw | Output::U8 => 1,
            Output::Bf16 | Output::F16 => 2,
            Output::F32 => 4,
        }
    }
}

/// Order of the dimensions of a batch in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Sample, channel, row, column.
    Nchw,
    /// Sample, row, column, channel.
    Nhwc,
}

/// What is subtracted from the pixels, in grey levels.
#[derive(Clone, Debug, PartialEq)]
pub enum Mean {
    /// One value a channel.
    Channel([f32; 3]),
    /// The mean image (record height × record width × RGB), read at the pixel's own place in the record.
    Aligned(Vec<f32>),
    /// The centre crop of the mean image, wherever the sample's crop lies, never mirrored (the 2012 code).
    Centre(Vec<f32>),
}

/// How a record becomes a sample; the same for all samples of a loader.
#[derive(Clone, Debug)]
pub struct Augment {
    /// Record width and height, pixels.
    pub record: [usize; 2],
    /// Crop width and height, pixels.
    pub crop: [usize; 2],
    /// What is subtracted.
    pub mean: Mean,
    /// What the shifted difference is multiplied by, per channel.
    pub scale: [f32; 3],
    /// Element type.
    pub output: Output,
    /// Memory order.
    pub layout: Layout,
}

impl Augment {
    /// Refuses a crop larger than the record and a mean image of another size.
    pub fn check(&self) -> Result<(), Error> {
        let ([width, height], [crop_width, crop_height]) = (self.record, self.crop);
        if crop_width > width || crop_height > height || crop_width == 0 || crop_height == 0 {
            return Err(Error::Crop { crop: self.crop, record: self.record });
        }
        match &self.mean {
            Mean::Aligned(image) | Mean::Centre(image) if image.len() != width * height * 3 => {
                Err(Error::MeanSize { got: image.len(), record: self.record })
            }
            _ => Ok(()),
        }
    }

    /// Bytes of one finished sample.
    pub fn sample_bytes(&self) -> usize {
        let [width, height] = if self.output == Output::Raw { self.record } else { self.crop };
        width * height * 3 * self.output.bytes()
    }

    /// Makes one sample.
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
