//! One photo: a scene drawn from its stream, lit, and photographed.
//!
//! The class fixes outline and pattern. Size, format, place, scale, turn, tilt, light, colours, which tone is the
//! brighter, surroundings, strokes and camera are drawn, so that neither colour nor coarse layout tells the class.

use super::backdrop::{self, Noise};
use super::canvas::Canvas;
use super::class::CLASSES;
use super::draw::{Draws, Part};
use super::outline::Outline;
use super::pattern::{Pattern, Weave};

/// The JPEG of photo `number` of the class in row `class` of [`CLASSES`]: a pure function of the arguments.
///
/// # Errors
/// Those of the JPEG encoder.
pub fn take(seed: u64, part: Part, class: usize, number: u32) -> image::ImageResult<Vec<u8>> {
    let mut draws = Draws::of(seed, part, class as u32, number);
    let draws = &mut draws;
    let noise = Noise::of(draws);
    let (width, height) = size(draws);
    let mut canvas = Canvas::new(width, height);

    let object = Object::draw(class, draws);
    let light = backdrop_light(&object, draws);
    backdrop::paint(&mut canvas, draws, &noise, light);
    for _ in 0..draws.whole(1, 7) {
        backdrop::stroke(&mut canvas, draws, light, 1.1);
    }
    object.paint(&mut canvas, &noise);
    if draws.chance(0.3) {
        backdrop::stroke(&mut canvas, draws, light, 0.6);
    }
    canvas.photograph(draws)
}

/// Mean linear light of the backdrop. Behind a plain object it keeps a distance in brightness, as the eye has it: in
/// square roots; which of the two is brighter is a coin's throw wherever both ways are open.
fn backdrop_light(object: &Object, draws: &mut Draws) -> f32 {
    const DARKEST: f32 = 0.2;
    const BRIGHTEST: f32 = 0.92;
    let mut light = draws.between(0.25, 0.88);
    if object.weave.is_plain() {
        let own = (object.tones[0].iter().sum::<f32>() / 3.0).sqrt();
        let gap = draws.between(0.2, 0.45);
        let (darker, brighter) = (own - gap, own + gap);
        let coin = draws.chance(0.5);
        let brighten = darker < DARKEST || (brighter <= BRIGHTEST && coin);
        light = if brighten { brighter } else { darker };
    }
    light * light
}

/// Width and height: the short side 150 to 300, more often small; 60% landscape.
fn size(draws: &mut Draws) -> (usize, usize) {
    let t = draws.between(0.0, 1.0);
    let short = 150.0 + 150.0 * t * t;
    let long = short * draws.between(1.0, 1.5);
    let (short, long) = (short as usize, long as usize);
    if draws.chance(0.6) { (long, short) } else { (short, long) }
}

struct Object {
    outline: Outline,
    weave: Weave,
    /// Colours of the first and second tone.
    tones: [[f32; 3]; 2],
    centre: [f32; 2],
    radius: f32,
    /// From the photo's plane to the object's, both in units of the object's radius.
    plane: [[f32; 2]; 2],
    light: Light,
}

struct Light {
    /// Unit vector towards the lamp; z points at the camera.
    towards: [f32; 3],
    ambient: f32,
    gloss: f32,
    shadow: f32,
    /// Way of the shadow per unit of radius, and its softness.
    throw: f32,
    soft: f32,
}

impl Light {
    fn draw(draws: &mut Draws) -> Self {
        let [x, y] = draws.direction();
        let height = draws.between(0.55, 0.9);
        let flat = (1.0 - height * height).sqrt();
        Light {
            towards: [x * flat, y * flat, height],
            ambient: draws.between(0.25, 0.5),
            gloss: draws.between(0.0, 0.5),
            shadow: draws.between(0.15, 0.7),
            throw: draws.between(0.06, 0.22),
            soft: draws.between(0.06, 0.3),
        }
    }
}

impl Object {
    fn draw(class: usize, draws: &mut Draws) -> Self {
        let class = &CLASSES[class];
        let radius = draws.between(0.34, 0.47);
        // The whole object stays near the middle square, which is what a packer keeps.
        let reach = 0.52 - radius;
        let centre = [draws.between(-reach, reach), draws.between(-reach, reach)];
        // A turn, a foreshortening along one direction of the photo.
        let turn = draws.direction();
        let tilt = draws.direction();
        let short = draws.between(0.0, 0.22);
        let plane = [0, 1].map(|row| {
            let axis = if row == 0 { [turn[0], turn[1]] } else { [-turn[1], turn[0]] };
            let along = (axis[0] * tilt[0] + axis[1] * tilt[1]) * short;
            [axis[0] + along * tilt[0], axis[1] + along * tilt[1]]
        });
        let tones = if class.pattern == Pattern::Plain {
            let light = draws.between(0.25, 0.92);
            let tone = draws.colour(light * light, 0.9);
            [tone, tone]
        } else {
            let (dark, bright) = (draws.between(0.12, 0.42), draws.between(0.68, 0.97));
            let pair = [draws.colour(dark * dark, 0.9), draws.colour(bright * bright, 0.6)];
            if draws.chance(0.5) { pair } else { [pair[1], pair[0]] }
        };
        Object {
            outline: class.outline,
            weave: Weave::draw(class.pattern, draws),
            tones,
            centre,
            radius,
            plane,
            light: Light::draw(draws),
        }
    }

    /// From the photo to the object's plane.
    fn inside(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let (x, y) = ((x - self.centre[0]) / self.radius, (y - self.centre[1]) / self.radius);
        self.plane.map(|row| row[0] * x + row[1] * y)
    }

    fn paint(&self, canvas: &mut Canvas, noise: &Noise) {
        let width = canvas.pixel() / self.radius;
        let light = &self.light;
        let reach = self.radius * (1.05 + light.throw + light.soft);
        let shift = [0, 1].map(|i| light.towards[i] * light.throw * self.radius);
        canvas.blend(self.centre, reach, |[x, y]| {
            let distance = self.outline.distance(self.inside([x + shift[0], y + shift[1]]));
            let depth = (0.5 - distance / light.soft).clamp(0.0, 1.0);
            ([0.0; 3], light.shadow * depth * depth * (3.0 - 2.0 * depth))
        });
        canvas.blend(self.centre, self.radius * 1.05, |point| {
            let q = self.inside(point);
            let distance = self.outline.distance(q);
            let opacity = (0.5 - distance / width).clamp(0.0, 1.0);
            if opacity == 0.0 {
                return ([0.0; 3], 0.0);
            }
            (self.shaded(q, distance, width, noise), opacity)
        });
    }

    fn shaded(&self, q: [f32; 2], distance: f32, width: f32, noise: &Noise) -> [f32; 3] {
        let normal = self.normal(q, distance);
        let light = &self.light;
        let dot = |a: [f32; 3], b: [f32; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
        let diffuse = dot(normal, light.towards).max(0.0);
        // Half way between lamp and camera, to the 32nd power by squaring.
        let half = [light.towards[0], light.towards[1], light.towards[2] + 1.0];
        let mut gloss = dot(normal, half).max(0.0) / dot(half, half).sqrt();
        for _ in 0..5 {
            gloss *= gloss;
        }
        let bulge = if self.outline.is_round() {
            1.0 / (1.0 - 0.55 * (q[0] * q[0] + q[1] * q[1]).min(1.0)).sqrt()
        } else {
            1.0
        };
        let share = self.weave.share([q[0] * bulge, q[1] * bulge], width * bulge);
        let worn = 1.0 + 0.12 * noise.at(q[0] + 9.0, q[1] + 9.0, 4.0);
        let lit = (light.ambient + (1.0 - light.ambient) * 1.2 * diffuse) * worn;
        std::array::from_fn(|c| {
            let tone = self.tones[0][c] + (self.tones[1][c] - self.tones[0][c]) * share;
            tone * lit + light.gloss * gloss
        })
    }

    /// The surface's normal in the photo's space: flat in the middle, falling off over the outline's bevel like a
    /// quarter of a circle.
    fn normal(&self, q: [f32; 2], distance: f32) -> [f32; 3] {
        let bevel = self.outline.bevel();
        let slope = (1.0 + distance / bevel).clamp(0.0, 0.98);
        if slope == 0.0 {
            return [0.0, 0.0, 1.0];
        }
        const STEP: f32 = 0.004;
        // Away from the middle along the distance field, first in the object's plane, then in the photo's.
        let dx = self.outline.distance([q[0] + STEP, q[1]]) - distance;
        let dy = self.outline.distance([q[0], q[1] + STEP]) - distance;
        let x = self.plane[0][0] * dx + self.plane[1][0] * dy;
        let y = self.plane[0][1] * dx + self.plane[1][1] * dy;
        let length = (x * x + y * y).sqrt().max(1e-9);
        [x / length * slope, y / length * slope, (1.0 - slope * slope).sqrt()]
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::super::record::GENERATOR;
    use super::*;

    /// The first training photo of each class at seed 2012. If this changes on purpose, `GENERATOR` must too; if it
    /// changes by itself, photos differ between machines or with a new encoder.
    #[test]
    fn known_answer() {
        let mut hash = Sha256::new();
        for class in 0..CLASSES.len() {
            hash.update(take(2012, Part::Train, class, 0).unwrap());
        }
        let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            (GENERATOR, digest.as_str()),
            (1, "408e986dbcca5f9dc4911d818109671afed5d20f7bac44d27de8bc8699f1ec15")
        );
    }
}
