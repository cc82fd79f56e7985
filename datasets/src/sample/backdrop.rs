//! What is behind and around the object: surfaces, noise, blurred lights, strokes.
//!
//! Nothing here depends on the class. Coordinates are in units of the photo's short side, from its centre.

use super::canvas::Canvas;
use super::draw::Draws;
use super::outline::segment;

const LATTICE: usize = 32;

/// Smooth noise in −1 ..= 1 from a wrapped lattice of random values.
pub struct Noise {
    values: Vec<f32>,
}

impl Noise {
    /// The noise of the photo that `draws` belong to.
    pub fn of(draws: &Draws) -> Self {
        let words = (0..(LATTICE * LATTICE / 4) as u32).flat_map(|i| draws.lattice_words(i));
        Noise { values: words.map(|word| (word >> 8) as f32 * (2.0 / (1 << 24) as f32) - 1.0).collect() }
    }

    fn smooth(&self, x: f32, y: f32) -> f32 {
        let (left, top) = (x.floor(), y.floor());
        let ease = |t: f32| t * t * (3.0 - 2.0 * t);
        let (fx, fy) = (ease(x - left), ease(y - top));
        let (i, j) = (left as i32 as usize, top as i32 as usize);
        let row = |j: usize| {
            let row = (j % LATTICE) * LATTICE;
            let (a, b) = (self.values[row + i % LATTICE], self.values[row + i.wrapping_add(1) % LATTICE]);
            a + (b - a) * fx
        };
        let (upper, lower) = (row(j), row(j.wrapping_add(1)));
        upper + (lower - upper) * fy
    }

    /// Three octaves of noise; `frequency` is the first one's, in lattice steps per unit.
    pub fn at(&self, x: f32, y: f32, frequency: f32) -> f32 {
        let (x, y) = (x * frequency, y * frequency);
        0.57 * self.smooth(x, y)
            + 0.29 * self.smooth(2.0 * x + 7.3, 2.0 * y + 3.1)
            + 0.14 * self.smooth(4.0 * x + 1.7, 4.0 * y + 9.2)
    }
}

/// A surface that fades from one colour to another and is roughened by noise.
struct Surface {
    from: [f32; 3],
    to: [f32; 3],
    fade: [f32; 2],
    /// Relative swing of the noise.
    rough: f32,
    /// Direction of the grain, and how much longer the noise is along it.
    grain: [f32; 2],
    stretch: f32,
    frequency: f32,
}

impl Surface {
    fn draw(draws: &mut Draws, light: f32) -> Self {
        let from = draws.muted(light, 0.75);
        let far = light * draws.between(0.4, 1.7);
        let to = if draws.chance(0.5) { from.map(|c| c * far / light) } else { draws.muted(far, 0.75) };
        let grainy = draws.chance(0.4);
        Surface {
            from,
            to,
            fade: draws.direction(),
            rough: draws.between(0.05, 0.55),
            grain: draws.direction(),
            stretch: if grainy { draws.between(4.0, 12.0) } else { 1.0 },
            frequency: draws.between(2.5, 14.0),
        }
    }

    fn colour(&self, [x, y]: [f32; 2], noise: &Noise) -> [f32; 3] {
        let way = (0.5 + 0.7 * (x * self.fade[0] + y * self.fade[1])).clamp(0.0, 1.0);
        let along = (x * self.grain[0] + y * self.grain[1]) / self.stretch;
        let across = y * self.grain[0] - x * self.grain[1];
        let light = 1.0 + self.rough * noise.at(along + 5.0, across + 5.0, self.frequency);
        std::array::from_fn(|c| (self.from[c] + (self.to[c] - self.from[c]) * way) * light)
    }
}

/// Fills the canvas with one or two surfaces of about lightness `light`, and perhaps blurred lights.
pub fn paint(canvas: &mut Canvas, draws: &mut Draws, noise: &Noise, light: f32) {
    let wall = Surface::draw(draws, light);
    let table = draws.chance(0.45).then(|| Surface::draw(draws, light * 0.9));
    // A table's edge crosses the photo somewhere, tilted a little.
    let edge = draws.between(-0.35, 0.45);
    let tilt = draws.between(-0.3, 0.3);
    let soft = draws.between(0.004, 0.08);
    canvas.fill(|[x, y]| {
        let upper = wall.colour([x, y], noise);
        let Some(table) = &table else { return upper };
        let share = ((y - edge - tilt * x) / soft + 0.5).clamp(0.0, 1.0);
        if share == 0.0 {
            return upper;
        }
        let lower = table.colour([x, y], noise);
        std::array::from_fn(|c| upper[c] + (lower[c] - upper[c]) * share)
    });
    if draws.chance(0.35) {
        for _ in 0..draws.whole(4, 14) {
            blurred_light(canvas, draws, light);
        }
    }
}

/// A patch of light or dark far out of focus: a disc with a wide soft edge.
fn blurred_light(canvas: &mut Canvas, draws: &mut Draws, light: f32) {
    let centre = [draws.between(-0.8, 0.8), draws.between(-0.6, 0.6)];
    let radius = draws.between(0.03, 0.16);
    let soft = radius * draws.between(0.5, 1.2);
    let strength = draws.between(0.15, 0.55);
    let brightness = light * draws.between(0.4, 2.2);
    let colour = draws.muted(brightness, 0.9);
    canvas.blend(centre, radius + soft, |[x, y]| {
        let (dx, dy) = (x - centre[0], y - centre[1]);
        let inside = radius - (dx * dx + dy * dy).sqrt();
        (colour, strength * (0.5 + inside / soft).clamp(0.0, 1.0))
    });
}

/// A curved brush stroke of random colour, width and place: three points joined by two bent lines.
pub fn stroke(canvas: &mut Canvas, draws: &mut Draws, light: f32, longest: f32) {
    let start = [draws.between(-0.8, 0.8), draws.between(-0.6, 0.6)];
    let way = draws.direction();
    let length = draws.between(0.12, longest);
    let bend = draws.between(-0.3, 0.3) * length;
    let width = draws.between(0.004, 0.018);
    let brightness = (light * draws.between(0.3, 2.0)).min(0.9);
    let colour = draws.colour(brightness, 0.8);
    let opacity = draws.between(0.6, 1.0);
    let pixel = canvas.pixel();
    let at = |t: f32, off: f32| [start[0] + way[0] * t - way[1] * off, start[1] + way[1] * t + way[0] * off];
    // Five points on a parabola.
    let points: [[f32; 2]; 5] = std::array::from_fn(|i| {
        let t = i as f32 * 0.25;
        at(t * length, 4.0 * bend * t * (1.0 - t))
    });
    canvas.blend(points[2], length * 0.5 + bend.abs() + width + 0.01, |point| {
        let distance =
            points.windows(2).map(|ends| segment(point, ends[0], ends[1])).fold(f32::MAX, f32::min);
        (colour, opacity * (0.5 + (width - distance) / pixel).clamp(0.0, 1.0))
    });
}
