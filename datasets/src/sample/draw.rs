//! The random draws of one photo, in the order its scene asks for them.
//!
//! A photo's words come from one named stream (see [`Draws::of`]); nothing else is random. The first 2¹⁶ blocks
//! belong to the scene's draws, lattice noise and sensor noise have ranges of their own behind them, so that a
//! further draw in the scene never shifts the noise.

use alexnet_rng::{Purpose, Stream};

use super::trigonometry::sin_cos;

const LATTICE_BLOCK: u32 = 1 << 16;
const SENSOR_BLOCK: u32 = 1 << 20;

/// Which part of the sample a photo belongs to; the number is the epoch of its stream's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Part {
    Train = 0,
    Val = 1,
    /// The order of the validation photos: a permutation, not a photo.
    ValOrder = 2,
}

/// A cursor over a photo's stream.
pub struct Draws {
    stream: Stream,
    next: u64,
}

impl Draws {
    /// The draws of photo `number` of class `class` in `part`: a pure function of these and the seed, so that a
    /// sample with more photos begins with the same ones.
    pub fn of(seed: u64, part: Part, class: u32, number: u32) -> Self {
        let index = u64::from(class) << 32 | u64::from(number);
        Draws { stream: Stream::new(seed, part as u32, index, Purpose::Sample), next: 0 }
    }

    /// A value in the open interval (`low`, `high`).
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        let value = self.stream.uniform(self.next) as f32;
        self.next += 1;
        low + (high - low) * value
    }

    /// A whole number in `low ..= high`.
    pub fn whole(&mut self, low: u32, high: u32) -> u32 {
        let value = self.stream.uniform(self.next);
        self.next += 1;
        low + ((value * f64::from(high - low + 1)) as u32).min(high - low)
    }

    /// True with the given probability.
    pub fn chance(&mut self, probability: f32) -> bool {
        self.between(0.0, 1.0) < probability
    }

    /// A unit vector of any direction.
    pub fn direction(&mut self) -> [f32; 2] {
        let (sine, cosine) = sin_cos(self.between(0.0, 1.0));
        [cosine, sine]
    }

    /// A linear RGB colour of lightness `light`, any hue and at most the given saturation. Its components' mean is
    /// `light`.
    pub fn colour(&mut self, light: f32, saturation: f32) -> [f32; 3] {
        let hue = self.between(0.0, 1.0);
        self.tinted(light, saturation, hue)
    }

    /// The same with the hues of indoor and outdoor surfaces: mostly between red and yellow, some blue, some green.
    pub fn muted(&mut self, light: f32, saturation: f32) -> [f32; 3] {
        let (low, high) = match self.whole(0, 9) {
            0..=5 => (0.01, 0.17),
            6..=7 => (0.52, 0.66),
            _ => (0.18, 0.42),
        };
        let hue = self.between(low, high);
        self.tinted(light, saturation, hue)
    }

    fn tinted(&mut self, light: f32, saturation: f32, hue: f32) -> [f32; 3] {
        let strength = light * self.between(0.0, saturation);
        [0.0, 1.0 / 3.0, 2.0 / 3.0].map(|shift| light + strength * sin_cos(hue - shift).1)
    }

    /// The four words number `i` of the photo's lattice noise.
    pub fn lattice_words(&self, i: u32) -> [u32; 4] {
        self.stream.block(LATTICE_BLOCK + i)
    }

    /// The four words of pixel `i`'s sensor noise.
    pub fn sensor_words(&self, i: u32) -> [u32; 4] {
        self.stream.block(SENSOR_BLOCK + i)
    }
}
