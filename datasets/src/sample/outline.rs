//! Outlines as signed distances: negative inside, zero on the edge, positive outside.
//!
//! All live in a plane where the object fills about the unit disc; every one is its own mirror image. Distances are
//! exact or a lower bound near the edge, which is what antialiasing, bevels and soft shadows need. After the
//! two-dimensional distance functions in the literature; folds replace every angle, so no inverse tangent is needed.

/// The silhouette of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outline {
    /// A ball.
    Disc,
    /// A flat round board.
    Board,
    /// An egg.
    Egg,
    /// A torus seen from above.
    Ring,
    /// A square with rounded corners.
    Square,
    /// A star of five points.
    Star,
    /// A cross of four equal arms.
    Cross,
    /// A triangle of equal sides with rounded corners.
    Triangle,
    /// A hexagon with rounded corners.
    Hexagon,
    /// A rim, a hub and six spokes.
    Wheel,
}

fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

/// Mirrors the point into the half plane on the positive side of the line through the origin with normal `n`.
fn fold([x, y]: [f32; 2], n: [f32; 2]) -> [f32; 2] {
    let side = (x * n[0] + y * n[1]).min(0.0) * 2.0;
    [x - side * n[0], y - side * n[1]]
}

/// Distance to the segment between `a` and `b`.
pub fn segment([x, y]: [f32; 2], a: [f32; 2], b: [f32; 2]) -> f32 {
    let (px, py) = (x - a[0], y - a[1]);
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let along = ((px * dx + py * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
    length(px - dx * along, py - dy * along)
}

fn rectangle([x, y]: [f32; 2], half: [f32; 2], round: f32) -> f32 {
    let (dx, dy) = (x.abs() - half[0] + round, y.abs() - half[1] + round);
    length(dx.max(0.0), dy.max(0.0)) + dx.max(dy).min(0.0) - round
}

impl Outline {
    /// Signed distance of `point` to the edge.
    pub fn distance(self, point: [f32; 2]) -> f32 {
        let [x, y] = point;
        match self {
            Outline::Disc | Outline::Board => length(x, y) - 1.0,
            Outline::Egg => {
                // A disc whose width shrinks towards one end.
                let narrow = 1.0 + 0.22 * y;
                (length(x * 1.28 * narrow, y) - 1.0) * 0.8
            }
            Outline::Ring => (length(x, y) - 0.72).abs() - 0.28,
            Outline::Square => rectangle(point, [0.8, 0.8], 0.06),
            Outline::Star => star(point),
            Outline::Cross => rectangle(point, [1.0, 0.31], 0.05).min(rectangle(point, [0.31, 1.0], 0.05)),
            Outline::Triangle => triangle(point),
            Outline::Hexagon => hexagon(point, 0.86) - 0.06,
            Outline::Wheel => wheel(point),
        }
    }

    /// Width of the rounded edge: 1 makes the disc a ball, half the band makes the ring a torus.
    pub fn bevel(self) -> f32 {
        match self {
            Outline::Disc => 1.0,
            Outline::Egg => 0.8,
            Outline::Ring => 0.28,
            Outline::Star => 0.34,
            Outline::Cross => 0.2,
            Outline::Wheel => 0.09,
            Outline::Board | Outline::Square | Outline::Triangle | Outline::Hexagon => 0.1,
        }
    }

    /// Whether a pattern on it bends as on a ball.
    pub fn is_round(self) -> bool {
        matches!(self, Outline::Disc | Outline::Egg)
    }
}

/// Five points at radius 1, notches at radius 0.45.
fn star(point: [f32; 2]) -> f32 {
    const SIN_36: f32 = 0.587_785_25;
    const COS_36: f32 = 0.809_017;
    const INNER: f32 = 0.45;
    // Three mirrors leave a wedge of 36° between a tip on the y axis and the notch beside it.
    let p = [point[0].abs(), point[1]];
    let p = fold(p, [-COS_36, SIN_36]);
    let p = fold(p, [COS_36, SIN_36]);
    let [x, y] = [p[0].abs(), p[1]];
    let (tip, notch) = ([0.0, 1.0], [INNER * SIN_36, INNER * COS_36]);
    let edge = segment([x, y], tip, notch);
    // Inside is the origin's side of the line from tip to notch.
    let side = (notch[0] - tip[0]) * (y - tip[1]) - (notch[1] - tip[1]) * (x - tip[0]);
    if side < 0.0 { -edge } else { edge }
}

fn triangle([x, y]: [f32; 2]) -> f32 {
    const HALF_SQRT_3: f32 = 0.866_025_4;
    const INNER: f32 = 0.46;
    const ROUND: f32 = 0.08;
    // Distance to the nearest of three half planes; the corners are rounded by the part outside two of them.
    let right = HALF_SQRT_3 * x.abs() + 0.5 * y - INNER;
    let bottom = -y - INNER;
    let (a, b) = (right.max(bottom), right.min(bottom));
    let distance = if a <= 0.0 || b <= -a * 0.5 {
        a
    } else {
        // Two sides meet at 60°: the corner's distance from the two planes' distances.
        ((a * a + b * b + a * b) * (4.0 / 3.0)).sqrt()
    };
    distance - ROUND
}

/// Mirrors the six-fold plane into the wedge of ±30° about the x axis.
fn sixth([x, y]: [f32; 2]) -> [f32; 2] {
    const HALF_SQRT_3: f32 = 0.866_025_4;
    fold([x.abs(), y.abs()], [0.5, -HALF_SQRT_3])
}

fn hexagon(point: [f32; 2], apothem: f32) -> f32 {
    const TAN_30: f32 = 0.577_350_26;
    // After the mirrors the nearest side is the one across the x axis.
    let [x, y] = sixth(point);
    let (across, along) = (x - apothem, y.abs() - apothem * TAN_30);
    if along <= 0.0 || across <= 0.0 { across } else { length(across, along) }
}

fn wheel(point: [f32; 2]) -> f32 {
    let radius = length(point[0], point[1]);
    let rim = (radius - 0.88).abs() - 0.12;
    let hub = radius - 0.2;
    let spoke = segment(sixth(point), [0.0, 0.0], [0.88, 0.0]) - 0.075;
    rim.min(hub).min(spoke)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Outline; 10] = [
        Outline::Disc,
        Outline::Board,
        Outline::Egg,
        Outline::Ring,
        Outline::Square,
        Outline::Star,
        Outline::Cross,
        Outline::Triangle,
        Outline::Hexagon,
        Outline::Wheel,
    ];

    fn grid() -> impl Iterator<Item = [f32; 2]> {
        (0..81 * 81).map(|i| [(i % 81) as f32 * 0.035 - 1.4, (i / 81) as f32 * 0.035 - 1.4])
    }

    #[test]
    fn mirror_images_of_themselves() {
        for outline in ALL {
            for [x, y] in grid() {
                let (a, b) = (outline.distance([x, y]), outline.distance([-x, y]));
                assert!((a - b).abs() < 1e-5, "{outline:?} at {x}, {y}: {a} against {b}");
            }
        }
    }

    /// No point may be farther than its distance says: the field grows by at most the way walked.
    #[test]
    fn distances_do_not_jump() {
        const STEP: f32 = 0.01;
        for outline in ALL {
            let steepest = if outline == Outline::Egg { 1.4 } else { 1.0 };
            for [x, y] in grid() {
                let here = outline.distance([x, y]);
                for there in [[x + STEP, y], [x, y + STEP]] {
                    let change = (outline.distance(there) - here).abs();
                    assert!(change <= steepest * STEP + 1e-5, "{outline:?} at {x}, {y}: {change}");
                }
            }
        }
    }

    /// Areas by counting, against geometry.
    #[test]
    fn areas_are_those_of_geometry() {
        let area = |outline: Outline| {
            const SIDE: usize = 600;
            let step = 2.6 / SIDE as f32;
            let at = |i: usize| (i as f32 + 0.5) * step - 1.3;
            let inside =
                (0..SIDE * SIDE).filter(|i| outline.distance([at(i % SIDE), at(i / SIDE)]) < 0.0).count();
            inside as f64 * f64::from(step * step)
        };
        let pi = std::f64::consts::PI;
        let star = 5.0 * 0.45 * (pi / 5.0).sin();
        let cross = 4.0 * 2.0 * 0.31 - 4.0 * 0.31 * 0.31 - (8.0 - 2.0 * pi) * 0.05 * 0.05;
        let hexagon = 6.0 * 0.86 * 0.86 / 3f64.sqrt() + 12.0 * 0.86 / 3f64.sqrt() * 0.06 + pi * 0.06 * 0.06;
        let inner = 0.46f64;
        let triangle =
            3.0 * 3f64.sqrt() * inner * inner + 6.0 * 3f64.sqrt() * inner * 0.08 + pi * 0.08 * 0.08;
        for (outline, expected) in [
            (Outline::Disc, pi),
            (Outline::Ring, pi * (1.0 - 0.44 * 0.44)),
            (Outline::Square, 1.6 * 1.6 - (4.0 - pi) * 0.06 * 0.06),
            (Outline::Star, star),
            (Outline::Cross, cross),
            (Outline::Hexagon, hexagon),
            (Outline::Triangle, triangle),
        ] {
            let counted = area(outline);
            assert!((counted / expected - 1.0).abs() < 0.006, "{outline:?}: {counted} against {expected}");
        }
    }
}
