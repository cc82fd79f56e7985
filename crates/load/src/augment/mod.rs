//! One pass from a record (u8, height × width × RGB) to a finished sample.
//!
//! The invariant: every value is `y = ((f32(x) − mean) + shift) · scale`, three IEEE operations each rounded once,
//! no fused multiply-add; bf16 and f16 then round to nearest even; u8 output is geometry only. [`Augment`] says what
//! is to be done; `scalar.rs` does it plainly and is the oracle; a [`Pass`] does it as fast as this processor can,
//! and gives the same bits. Which bits a NaN has is left open.

mod job;
mod pass;
mod resize;
mod scalar;
mod tint;
mod varied;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod lanes;
#[cfg(target_arch = "x86_64")]
mod picture;
#[cfg(target_arch = "x86_64")]
mod stage;

pub use pass::{Pass, Path};
pub use varied::{Varied, Workspace};

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

impl Mean {
    fn values(&self) -> &[f32] {
        match self {
            Mean::Channel(mean) => mean,
            Mean::Aligned(image) | Mean::Centre(image) => image,
        }
    }
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
}
