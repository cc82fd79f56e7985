//! From a recipe's words about pixels to the loader's numbers.

use alexnet_load::{Augment, Layout, Lighting, Mean, Output};
use alexnet_net::Net;

use crate::recipe::{Input, LightingKind, MeanKind};

/// Colour statistics of the training photos, in grey levels.
#[derive(Clone, Debug, PartialEq)]
pub struct Colour {
    /// Mean of each pixel: record height × record width × RGB.
    pub mean_image: Vec<f32>,
    /// Eigenvectors of the RGB covariance, unit length, by descending eigenvalue.
    pub vectors: [[f64; 3]; 3],
    /// The eigenvalues, squared grey levels.
    pub variances: [f64; 3],
}

impl Colour {
    /// Mean of each channel over all pixels.
    pub fn channel_mean(&self) -> [f32; 3] {
        let mut sums = [0.0f64; 3];
        for pixel in self.mean_image.chunks_exact(3) {
            for (sum, value) in sums.iter_mut().zip(pixel) {
                *sum += f64::from(*value);
            }
        }
        let pixels = (self.mean_image.len() / 3).max(1) as f64;
        sums.map(|s| (s / pixels) as f32)
    }

    /// The lighting that a recipe asks for.
    pub fn lighting(&self, input: &Input) -> Option<Lighting> {
        match input.lighting {
            LightingKind::Stddev => Some(Lighting::by_standard_deviation(self.vectors, self.variances)),
            LightingKind::Eigenvalue => Some(Lighting::by_eigenvalue(self.vectors, self.variances)),
            LightingKind::None => None,
        }
    }

    /// How records become float32 samples for `net`. `noisy` says whether lighting is on: only then does a recipe that
    /// attenuates divide by 1.1.
    pub fn augment(&self, input: &Input, record: [usize; 2], net: &Net, noisy: bool) -> Augment {
        let mean = match input.mean {
            MeanKind::Aligned => Mean::Aligned(self.mean_image.clone()),
            MeanKind::Centre => Mean::Centre(self.mean_image.clone()),
            MeanKind::Channel => Mean::Channel(self.channel_mean()),
        };
        let unit = net.unit as f32;
        let scale = 1.0 / if input.attenuate && noisy { 1.1 * unit } else { unit };
        let [_, height, width] = net.input;
        let crop = [width, height];
        Augment { record, crop, mean, scale: [scale; 3], output: Output::F32, layout: Layout::Nchw }
    }
}
