//! The random decisions about one sample: where to crop, whether to mirror, how to light.
//!
//! A draw is a pure function of (seed, epoch, position). Lighting is computed in float64 and rounded once to the
//! three float32 shifts that every path, the GPU's too, adds as they are.

use alexnet_rng::{Purpose, Stream};

use crate::vary::{Rect, Tint, Vary};

/// What is done to one sample.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Draw {
    /// First column of the crop in the record, pixels.
    pub left: u32,
    /// First row of the crop in the record, pixels.
    pub top: u32,
    /// Whether the crop is mirrored left to right.
    pub mirror: bool,
    /// What lighting adds to red, green and blue, in grey levels.
    pub shift: [f32; 3],
    /// The part of the record that is resized to the crop, instead of the crop at `left` and `top`.
    pub part: Option<Rect>,
    /// What is done to the colours.
    pub tint: Option<Tint>,
    /// What is set to zero in the finished sample.
    pub hole: Option<Rect>,
}

/// PCA lighting (paper, section 4.1): adds `Σ_i z_i · amplitude_i · vector_i` to every pixel of a sample, with one
/// standard normal `z_i` per component and use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lighting {
    /// Three unit vectors (red, green, blue), one a component.
    pub vectors: [[f64; 3]; 3],
    /// Standard deviation of the shift along each vector, in grey levels.
    pub amplitudes: [f64; 3],
}

/// Standard deviation of the normal factor, in the paper and in the 2012 code.
pub const LIGHTING_STRENGTH: f64 = 0.1;

impl Lighting {
    /// As the 2012 code does it: 0.1 times the standard deviations of the colour cloud (square roots of the
    /// eigenvalues `variances`, which are in squared grey levels).
    pub fn by_standard_deviation(vectors: [[f64; 3]; 3], variances: [f64; 3]) -> Self {
        Lighting { vectors, amplitudes: variances.map(|v| LIGHTING_STRENGTH * v.max(0.0).sqrt()) }
    }

    /// As the paper's formula says: 0.1 times the eigenvalues. A variance has the square of its unit, so the
    /// formula means pixels in [0, 1]; the shift is brought back to grey levels by 255.
    pub fn by_eigenvalue(vectors: [[f64; 3]; 3], variances: [f64; 3]) -> Self {
        Lighting { vectors, amplitudes: variances.map(|v| LIGHTING_STRENGTH * v / 255.0) }
    }

    /// The shifts for a sample.
    fn shift(&self, stream: &Stream) -> [f32; 3] {
        let mut shift = [0.0f64; 3];
        for (i, (vector, amplitude)) in self.vectors.iter().zip(&self.amplitudes).enumerate() {
            let factor = stream.normal(i as u64) * amplitude;
            for (sum, component) in shift.iter_mut().zip(vector) {
                *sum += factor * component;
            }
        }
        shift.map(|s| s as f32)
    }
}

/// Where crops may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// A random crop, mirrored half of the time: `(size − crop + 1)²·2` possibilities, both ends included.
    Random,
    /// The centre crop, `⌊(size − crop) / 2⌋` from the top and left, never mirrored.
    Centre,
    /// One of the ten views that the paper averages at test time (section 4.1), by number: see [`Drawer::ten_views`].
    Nth(u8),
}

/// Draws for records of one size.
#[derive(Clone, Copy, Debug)]
pub struct Drawer {
    /// Seed of the run.
    pub seed: u64,
    /// Room for the crop's offset: record width − crop, record height − crop.
    pub slack: [u32; 2],
    /// Random or centre.
    pub view: View,
    /// Lighting, if any; used with [`View::Random`] only.
    pub lighting: Option<Lighting>,
    /// Record width and height, and what is drawn past the paper; used with [`View::Random`] only.
    pub vary: Option<([u32; 2], Vary)>,
}

impl Drawer {
    /// The draw for the sample at `position` of `epoch`.
    pub fn draw(&self, epoch: u32, position: u64) -> Draw {
        let [x, y] = self.slack;
        match self.view {
            View::Random => {}
            View::Centre => return Draw { left: x / 2, top: y / 2, ..Draw::default() },
            View::Nth(n) => return Drawer::ten_views(self.slack)[usize::from(n % 10)],
        }
        let stream = |purpose, position| Stream::new(self.seed, epoch, position, purpose);
        let (record, vary) = self.vary.unwrap_or(([0, 0], Vary::NONE));
        let first = position - position % u64::from(vary.crops_shared.max(1));
        let crop = stream(Purpose::Crop, first);
        Draw {
            left: crop.below(0, x + 1),
            top: crop.below(1, y + 1),
            mirror: stream(Purpose::Mirror, first).coin(0),
            shift: self.lighting.map_or([0.0; 3], |l| l.shift(&stream(Purpose::Lighting, position))),
            part: vary.resized_crop.map(|c| c.draw(&stream(Purpose::Area, position), record)),
            tint: vary.jitter.map(|j| j.draw(&stream(Purpose::Jitter, position))),
            hole: (vary.erasing)
                .and_then(|e| e.draw(&stream(Purpose::Erase, position), [record[0] - x, record[1] - y])),
        }
    }

    /// The ten views of a record: the corners from the top left by rows, the centre, and then the same mirrored.
    pub fn ten_views([x, y]: [u32; 2]) -> [Draw; 10] {
        let places = [[0, 0], [x, 0], [0, y], [x, y], [x / 2, y / 2]];
        std::array::from_fn(|n| {
            let [left, top] = places[n % 5];
            Draw { left, top, mirror: n >= 5, ..Draw::default() }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KRIZHEVSKY: ([[f64; 3]; 3], [f64; 3]) = (
        [[-0.56351, -0.57618, -0.59200], [-0.71258, -0.02354, 0.70120], [0.41796, -0.81698, 0.39731]],
        [121.780 * 121.780, 37.094 * 37.094, 19.721 * 19.721],
    );

    fn drawer(lighting: Lighting) -> Drawer {
        Drawer { seed: 1, slack: [32, 32], view: View::Random, lighting: Some(lighting), vary: None }
    }

    /// RMS shifts per channel that the two conventions cause: 7.4/7.2/7.7 grey levels for the code.
    #[test]
    fn lighting_has_the_published_strength() {
        let (vectors, variances) = KRIZHEVSKY;
        let rms = |lighting| {
            let drawer = drawer(lighting);
            let n = 20_000;
            let mut squares = [0.0; 3];
            for position in 0..n {
                for (sum, shift) in squares.iter_mut().zip(drawer.draw(0, position).shift) {
                    *sum += f64::from(shift).powi(2);
                }
            }
            squares.map(|s| (s / n as f64).sqrt())
        };
        let close = |got: [f64; 3], want: [f64; 3]| {
            assert!(got.iter().zip(want).all(|(g, w)| (g / w - 1.0).abs() < 0.03), "{got:?} {want:?}");
        };
        close(rms(Lighting::by_standard_deviation(vectors, variances)), [7.4, 7.2, 7.7]);
        close(rms(Lighting::by_eigenvalue(vectors, variances)), [3.3, 3.35, 3.46]);
    }

    #[test]
    fn crops_reach_all_offsets_and_mirror_half() {
        let (vectors, variances) = KRIZHEVSKY;
        let drawer = drawer(Lighting::by_standard_deviation(vectors, variances));
        let (mut seen, mut mirrored) = ([[false; 33]; 2], 0);
        for position in 0..4000 {
            let draw = drawer.draw(3, position);
            seen[0][draw.left as usize] = true;
            seen[1][draw.top as usize] = true;
            mirrored += u32::from(draw.mirror);
        }
        assert!(seen.iter().flatten().all(|&s| s));
        assert!((1850..2150).contains(&mirrored), "{mirrored} of 4000 mirrored");
    }

    #[test]
    fn centre_is_floor_of_half_the_slack() {
        let drawer = Drawer { seed: 9, slack: [33, 8], view: View::Centre, lighting: None, vary: None };
        assert_eq!(drawer.draw(0, 5), Draw { left: 16, top: 4, ..Draw::default() });
    }

    /// As in 2012: 32 photos in a row share place and mirror, each has its own light; the first of them has what it
    /// would have alone.
    #[test]
    fn crops_may_be_shared() {
        let (vectors, variances) = KRIZHEVSKY;
        let alone = drawer(Lighting::by_standard_deviation(vectors, variances));
        let shared = Drawer { vary: Some(([256, 256], Vary { crops_shared: 32, ..Vary::NONE })), ..alone };
        for position in 0..96 {
            let (draw, first) = (shared.draw(1, position), alone.draw(1, position / 32 * 32));
            assert_eq!((draw.left, draw.top, draw.mirror), (first.left, first.top, first.mirror));
            assert_eq!(draw.shift, alone.draw(1, position).shift);
        }
        assert_ne!(shared.draw(1, 31).left, shared.draw(1, 32).left);
    }

    /// torchvision's `ten_crop` for 256 and 224, in its order but for the centre, which is fifth in both.
    #[test]
    fn ten_views_are_the_corners_and_the_centre_and_their_mirrors() {
        let views = Drawer::ten_views([32, 32]);
        let places = views.map(|d| (d.left, d.top));
        assert_eq!(places[..5], [(0, 0), (32, 0), (0, 32), (32, 32), (16, 16)]);
        assert_eq!(places[..5], places[5..]);
        assert_eq!(
            views.map(|d| d.mirror),
            [false, false, false, false, false, true, true, true, true, true]
        );
        let drawer = Drawer { seed: 9, slack: [32, 32], view: View::Nth(7), lighting: None, vary: None };
        assert_eq!(drawer.draw(3, 99), views[7]);
    }
}
