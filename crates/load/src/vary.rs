//! Draws past the paper's: what later recipes do to a photo. All are off unless asked for.
//!
//! | what | source | drawn from |
//! | --- | --- | --- |
//! | one crop and mirror for 32 photos in a row | the 2012 code (cuda-convnet's data provider) | the stream of the first |
//! | resized crop | torchvision `RandomResizedCrop`, bilinear with antialias as Pillow computes it | `Purpose::Area` |
//! | brightness, contrast, saturation, in random order | torchvision `ColorJitter` over Pillow's `ImageEnhance` | `Purpose::Jitter` |
//! | erasing | torchvision `RandomErasing`, with zeros | `Purpose::Erase` |
//!
//! Every choice is a pure function of (seed, epoch, position), computed from + − × ÷ √ alone, so that it is the same
//! on every machine. How pixels follow from it is left to `augment`.

use alexnet_rng::{Stream, exp, ln};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// Brightness, contrast and saturation of one sample: factors, 1 for no change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tint {
    /// Factor of each [`Adjust`], in the order of that enum.
    pub factors: [f32; 3],
    /// Which comes when.
    pub order: [Adjust; 3],
}

/// One of the adjustments of a [`Tint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjust {
    /// Away from black.
    Brightness,
    /// Away from the sample's mean grey.
    Contrast,
    /// Away from each pixel's grey.
    Saturation,
}

/// A part of the record of random area and ratio, resized to the crop.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResizedCrop {
    /// Least and largest share of the record's area, 0 to 1.
    pub area: [f64; 2],
    /// Least and largest width : height; their logarithm is drawn evenly.
    pub ratio: [f64; 2],
}

impl Default for ResizedCrop {
    fn default() -> Self {
        ResizedCrop { area: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] }
    }
}

/// Strengths of brightness, contrast and saturation: factors are drawn evenly from `[max(0, 1 − s), 1 + s]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Jitter {
    /// Of brightness.
    pub brightness: f64,
    /// Of contrast.
    pub contrast: f64,
    /// Of saturation.
    pub saturation: f64,
}

/// A rectangle of zeros in the finished sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Erasing {
    /// How many samples have one, 0 to 1.
    pub probability: f64,
    /// Least and largest share of the crop's area.
    pub area: [f64; 2],
    /// Least and largest height : width.
    pub ratio: [f64; 2],
}

impl Default for Erasing {
    fn default() -> Self {
        Erasing { probability: 0.5, area: [0.02, 0.33], ratio: [0.3, 3.3] }
    }
}

/// What is drawn past the paper.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Vary {
    /// Positions in a row that share one crop and mirror: 1, or 32 as in 2012.
    pub crops_shared: u32,
    /// Crops of random size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resized_crop: Option<ResizedCrop>,
    /// Random colours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Jitter>,
    /// Random holes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erasing: Option<Erasing>,
}

impl Default for Vary {
    fn default() -> Self {
        Vary::NONE
    }
}

/// Tries before a rectangle that does not fit is given up, as in torchvision.
const TRIES: u64 = 10;

impl Vary {
    /// Nothing but what the paper has.
    pub const NONE: Vary = Vary { crops_shared: 1, resized_crop: None, jitter: None, erasing: None };

    /// Whether there is nothing but what the paper has.
    pub fn is_none(&self) -> bool {
        *self == Vary::NONE
    }

    /// Whether pixels change in a way that only this crate computes, and no backend of its own.
    pub fn pixels(&self) -> bool {
        self.resized_crop.is_some() || self.jitter.is_some() || self.erasing.is_some()
    }

    /// Refuses ranges that are empty, upside down or impossible.
    ///
    /// # Errors
    /// [`Error::Vary`], which names the range.
    pub fn check(&self) -> Result<(), Error> {
        let range = |name: &str, [low, high]: [f64; 2], most: f64| {
            let sound = low > 0.0 && low <= high && high <= most;
            sound.then_some(()).ok_or_else(|| Error::Vary(format!("{name} from {low} to {high}")))
        };
        if self.crops_shared == 0 {
            return Err(Error::Vary("crops shared by 0 samples".into()));
        }
        if let Some(crop) = self.resized_crop {
            range("resized crops of an area", crop.area, 1.0)?;
            range("resized crops of a ratio", crop.ratio, 1e4)?;
        }
        if let Some(Jitter { brightness, contrast, saturation }) = self.jitter {
            for strength in [brightness, contrast, saturation] {
                if !(0.0..=100.0).contains(&strength) {
                    return Err(Error::Vary(format!("a jitter of {strength}")));
                }
            }
        }
        if let Some(erasing) = self.erasing {
            range("erased rectangles of an area", erasing.area, 1.0)?;
            range("erased rectangles of a ratio", erasing.ratio, 1e4)?;
            if !(0.0..=1.0).contains(&erasing.probability) {
                return Err(Error::Vary(format!("erasing with a probability of {}", erasing.probability)));
            }
        }
        Ok(())
    }
}

/// Evenly from `low` to `high`.
fn between([low, high]: [f64; 2], uniform: f64) -> f64 {
    low + uniform * (high - low)
}

/// Evenly from `0 .. count`.
fn below(count: u32, uniform: f64) -> u32 {
    ((uniform * f64::from(count)) as u32).min(count.saturating_sub(1))
}

/// Sides of a rectangle of a random area and ratio (first to second side), and the uniforms left for its place.
fn sides(area: [f64; 2], ratio: [f64; 2], whole: f64, uniform: impl Fn(u64) -> f64) -> [f64; 2] {
    let area = whole * between(area, uniform(0));
    let ratio = exp(between(ratio.map(ln), uniform(1)));
    [(area * ratio).sqrt().round_ties_even(), (area / ratio).sqrt().round_ties_even()]
}

impl ResizedCrop {
    /// The part of a record; after ten that do not fit, the largest in the middle whose ratio is allowed.
    pub(crate) fn draw(&self, stream: &Stream, [width, height]: [u32; 2]) -> Rect {
        let (w, h) = (f64::from(width), f64::from(height));
        for attempt in 0..TRIES {
            let uniform = |i| stream.uniform(4 * attempt + i);
            let [across, down] = sides(self.area, self.ratio, w * h, uniform);
            if (1.0..=w).contains(&across) && (1.0..=h).contains(&down) {
                let (across, down) = (across as u32, down as u32);
                let left = below(width - across + 1, uniform(2));
                let top = below(height - down + 1, uniform(3));
                return Rect { left, top, width: across, height: down };
            }
        }
        let ratio = (w / h).clamp(self.ratio[0], self.ratio[1]);
        let across = (h * ratio).round_ties_even().clamp(1.0, w) as u32;
        let down = (w / ratio).round_ties_even().clamp(1.0, h) as u32;
        Rect { left: (width - across) / 2, top: (height - down) / 2, width: across, height: down }
    }
}

impl Jitter {
    /// Factors and their order.
    pub(crate) fn draw(&self, stream: &Stream) -> Tint {
        use Adjust::{Brightness, Contrast, Saturation};
        const ORDERS: [[Adjust; 3]; 6] = [
            [Brightness, Contrast, Saturation],
            [Brightness, Saturation, Contrast],
            [Contrast, Brightness, Saturation],
            [Contrast, Saturation, Brightness],
            [Saturation, Brightness, Contrast],
            [Saturation, Contrast, Brightness],
        ];
        let factor = |strength: f64, i| {
            let low = (1.0 - strength).max(0.0);
            between([low, 1.0 + strength], stream.uniform(i)) as f32
        };
        // A strength of 0 must give 1 to the last bit.
        let factor = |strength, i| if strength == 0.0 { 1.0 } else { factor(strength, i) };
        Tint {
            factors: [factor(self.brightness, 0), factor(self.contrast, 1), factor(self.saturation, 2)],
            order: ORDERS[below(6, stream.uniform(3)) as usize],
        }
    }
}

impl Erasing {
    /// The hole in a crop, if there is one.
    pub(crate) fn draw(&self, stream: &Stream, [width, height]: [u32; 2]) -> Option<Rect> {
        if stream.uniform(0) >= self.probability {
            return None;
        }
        let (w, h) = (f64::from(width), f64::from(height));
        (0..TRIES).find_map(|attempt| {
            let uniform = |i| stream.uniform(4 + 4 * attempt + i);
            let [down, across] = sides(self.area, self.ratio, w * h, uniform);
            let fits = (1.0..w).contains(&across) && (1.0..h).contains(&down);
            fits.then(|| {
                let (across, down) = (across as u32, down as u32);
                let left = below(width - across + 1, uniform(2));
                let top = below(height - down + 1, uniform(3));
                Rect { left, top, width: across, height: down }
            })
        })
    }
}

#[cfg(test)]
#[path = "vary_tests.rs"]
mod tests;
