//! Two-tone patterns on an object's surface, antialiased.
//!
//! A pattern gives, at a point of the object's plane, how much of the second tone a pixel there shows (0 ..= 1).
//! Every pattern's set of looks is its own mirror image. Where edges fall is drawn per photo ([`Weave`]).

use super::draw::Draws;
use super::trigonometry::sin;

/// What covers an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// One tone.
    Plain,
    /// Straight parallel bands.
    Stripes,
    /// Alternating squares, whole ones, along the outline's sides.
    Checks,
    /// Round spots on a triangular lattice.
    Dots,
    /// Parallel bands that wave.
    Waves,
    /// Concentric bands.
    Rings,
    /// Six-sided cells with walls.
    Cells,
}

/// A pattern with the measures of one photo.
#[derive(Clone, Copy, Debug)]
pub struct Weave {
    pattern: Pattern,
    /// Periods per unit of length.
    frequency: f32,
    /// Where the first period begins, in periods.
    phase: [f32; 2],
    /// Swing of waves in periods, wall of cells or radius of dots in lattice steps.
    measure: f32,
    /// Direction of the pattern on the object.
    turn: [f32; 2],
}

/// Share of the pixel on the far side of an edge at signed distance `d`, for a pixel of width `width`.
fn coverage(d: f32, width: f32) -> f32 {
    (0.5 + d / width).clamp(0.0, 1.0)
}

/// Signed distance to the nearest edge of bands of period 1 (half and half), positive in the second half.
fn band(t: f32) -> f32 {
    0.25 - (t - t.floor() - 0.5).abs()
}

impl Weave {
    /// Draws the measures of `pattern`.
    pub fn draw(pattern: Pattern, draws: &mut Draws) -> Self {
        let (low, high) = match pattern {
            Pattern::Plain => (1.0, 1.0),
            Pattern::Stripes => (2.0, 3.2),
            Pattern::Checks => (0.0, 0.0),
            Pattern::Dots => (2.6, 3.6),
            Pattern::Waves => (2.2, 3.2),
            Pattern::Rings => (2.2, 3.4),
            Pattern::Cells => (1.5, 2.0),
        };
        let mut frequency = draws.between(low, high);
        let mut phase = [draws.between(0.0, 1.0), draws.between(0.0, 1.0)];
        let mut turn = draws.direction();
        let measure = match pattern {
            Pattern::Dots => draws.between(0.26, 0.36),
            Pattern::Cells => draws.between(0.06, 0.1),
            _ => draws.between(0.2, 0.3),
        };
        if pattern == Pattern::Checks {
            // 4 to 6 whole squares on a side of 1.6; a period holds two squares.
            frequency = draws.whole(4, 6) as f32 / 3.2;
            phase = [0.8 * frequency; 2];
            turn = [1.0, 0.0];
        }
        Weave { pattern, frequency, phase, measure, turn }
    }

    /// Whether there is but one tone.
    pub fn is_plain(&self) -> bool {
        self.pattern == Pattern::Plain
    }

    /// Share of the second tone at `point`, for a pixel that is `width` wide there.
    pub fn share(&self, point: [f32; 2], width: f32) -> f32 {
        let [x, y] = point;
        let u = (x * self.turn[0] + y * self.turn[1]) * self.frequency + self.phase[0];
        let v = (y * self.turn[0] - x * self.turn[1]) * self.frequency + self.phase[1];
        let width = width * self.frequency;
        match self.pattern {
            Pattern::Plain => 0.0,
            Pattern::Stripes => coverage(band(u), width),
            Pattern::Checks => {
                let (a, b) = (coverage(band(u), width), coverage(band(v), width));
                a + b - 2.0 * a * b
            }
            Pattern::Dots => coverage(self.measure - lattice_distance(u, v), width),
            Pattern::Waves => coverage(band(u + self.measure * sin(v * 0.6)), width),
            Pattern::Rings => {
                let radius = (x * x + y * y).sqrt() * self.frequency;
                coverage(band(radius + self.phase[0]), width)
            }
            Pattern::Cells => coverage(self.measure - wall_distance(u, v), width),
        }
    }
}

const SQRT_3: f32 = 1.732_050_8;

/// Offsets from the nearest points of the two rectangular lattices (sides 1 and √3) whose union is the triangular
/// lattice of step 1.
fn lattice_offsets(u: f32, v: f32) -> [[f32; 2]; 2] {
    [0.0, 0.5].map(|shift| {
        let a = u + shift;
        let b = v / SQRT_3 + shift;
        [a - (a + 0.5).floor(), (b - (b + 0.5).floor()) * SQRT_3]
    })
}

/// Distance to the nearest point of the triangular lattice of step 1.
fn lattice_distance(u: f32, v: f32) -> f32 {
    let [a, b] = lattice_offsets(u, v).map(|[x, y]| x * x + y * y);
    a.min(b).sqrt()
}

/// Distance to the nearest border between cells of the triangular lattice of step 1.
fn wall_distance(u: f32, v: f32) -> f32 {
    let [a, b] = lattice_offsets(u, v);
    let [x, y] = if a[0] * a[0] + a[1] * a[1] < b[0] * b[0] + b[1] * b[1] { a } else { b };
    let (x, y) = (x.abs(), y.abs());
    0.5 - x.max(0.5 * x + 0.5 * SQRT_3 * y)
}

#[cfg(test)]
mod tests {
    use super::super::draw::Part;
    use super::*;

    #[test]
    fn both_tones_show_and_edges_are_soft() {
        use Pattern::*;
        for (number, pattern) in [Stripes, Checks, Dots, Waves, Rings, Cells].into_iter().enumerate() {
            let weave = Weave::draw(pattern, &mut Draws::of(1, Part::Train, 0, number as u32));
            let mut counts = [0u32; 3];
            for i in 0..10_000 {
                let share = weave.share([(i % 100) as f32 * 0.02 - 1.0, (i / 100) as f32 * 0.02 - 1.0], 0.02);
                assert!((0.0..=1.0).contains(&share), "{pattern:?}: {share}");
                counts[if share == 0.0 {
                    0
                } else if share == 1.0 {
                    1
                } else {
                    2
                }] += 1;
            }
            assert!(counts.iter().all(|&count| count > 250), "{pattern:?}: {counts:?}");
        }
    }

    #[test]
    fn walls_are_half_way_between_centres() {
        assert!((wall_distance(0.0, 0.0) - 0.5).abs() < 1e-6);
        assert!(wall_distance(0.5, 0.0).abs() < 1e-6);
        assert!(lattice_distance(0.5, SQRT_3 / 2.0) < 1e-6);
    }
}
