//! A picture of a set's colours: the cloud of its pixels in the RGB cube with its principal axes, and one photo under
//! several lights.
//!
//! For looking, not for measuring. It is drawn at twice its size and averaged, which is all the smoothing there is; what
//! is drawn depends on the set and the shifts alone. The shifts are the caller's: lighting is the loader's business.

use std::path::Path;

use alexnet_rng::{Purpose, Stream};
use alexnet_shard::SplitSet;

use crate::error::Error;
use crate::pca::Statistics;
use crate::picture::write_png;

type Vector = [f64; 3];
type Colour = [u8; 3];

/// Side of the panel with the cloud, in pixels.
const PANEL: usize = 720;
/// Pixels of the set in the cloud.
const POINTS: u64 = 60_000;
/// Photos beside and above each other, the first as it is.
const TILES: (usize, usize) = (3, 4);
const GAP: usize = 8;
const BACKGROUND: Colour = [104, 104, 104];
/// Ends of the axes, in standard deviations: of the cloud, and where its marks are.
const REACH: f64 = 2.0;
/// Red-turquoise, blue-orange, green-purple would hide in a cloud of colours: the axes are yellow, turquoise, pink.
const AXES: [Colour; 3] = [[255, 214, 0], [0, 230, 230], [255, 90, 200]];

/// Draws the picture into a PNG: left the cloud with its axes (marks at each standard deviation, two to each side; the
/// cube's edges from black, below, to white, above), right record `photo` as it is and with each of `shifts` added (RGB,
/// grey levels), as many as there is room for (11).
///
/// # Errors
/// If there is no such record, or reading or writing fails.
pub fn portrait(
    split: &SplitSet,
    statistics: &Statistics,
    photo: u64,
    shifts: &[[f32; 3]],
    out: &Path,
) -> Result<(), Error> {
    let tile = (PANEL - (TILES.1 - 1) * GAP) / TILES.1;
    let (width, height) = (PANEL + 3 * GAP + TILES.0 * (tile + GAP), PANEL + 2 * GAP);
    let mut canvas = Canvas::new(2 * width, 2 * height);
    cloud(&mut canvas, split)?;
    for (axis, colour) in AXES.into_iter().enumerate() {
        draw_axis(&mut canvas, statistics, axis, colour);
    }
    let mut scratch = Vec::new();
    let record = split.record(photo, &mut scratch)?;
    let lights = std::iter::once([0.0; 3]).chain(shifts.iter().copied());
    for (place, shift) in lights.take(TILES.0 * TILES.1).enumerate() {
        let left = PANEL + 3 * GAP + place % TILES.0 * (tile + GAP);
        let top = GAP + place / TILES.0 * (tile + GAP);
        canvas.photo(record, (split.width(), split.height()), shift, [2 * left, 2 * top], 2 * tile);
    }
    let (pixels, width, height) = canvas.halved();
    write_png(out, &pixels, width as u32, height as u32)
}

/// The cube from aside: black below, white above, turned so that all axes of photographs can be told apart.
fn project(colour: Vector) -> [f64; 3] {
    let (azimuth, elevation) = (28f64.to_radians(), 24f64.to_radians());
    let [r, g, b] = colour.map(|c| c - 127.5);
    let up = (r + g + b) / 3f64.sqrt();
    let (x, y) = ((r - b) / 2f64.sqrt(), (r - 2.0 * g + b) / 6f64.sqrt());
    let (across, away) = (azimuth.cos() * x + azimuth.sin() * y, azimuth.cos() * y - azimuth.sin() * x);
    let centre = GAP as f64 + PANEL as f64 / 2.0;
    let scale = PANEL as f64 / 530.0;
    let lifted = elevation.cos() * up + elevation.sin() * away;
    let depth = elevation.cos() * away - elevation.sin() * up;
    [2.0 * (centre + scale * across), 2.0 * (centre - scale * lifted), depth]
}

fn cloud(canvas: &mut Canvas, split: &SplitSet) -> Result<(), Error> {
    // Edges of the cube behind the cloud: between corners that differ in one component.
    for corner in 0..8u32 {
        for bit in (0..3).filter(|bit| corner >> bit & 1 == 0) {
            let at = |corner: u32| [0, 1, 2].map(|c| if corner >> c & 1 == 1 { 255.0 } else { 0.0 });
            canvas.line(project(at(corner)), project(at(corner | 1 << bit)), 2.0, [150, 150, 150]);
        }
    }
    let stream = Stream::new(0, 0, 0, Purpose::Sample);
    let (mut points, mut scratch) = (Vec::new(), Vec::new());
    let photos = split.len().min(4000);
    let pixels = split.width() * split.height();
    for i in 0..photos {
        let record = split.record(i * split.len() / photos, &mut scratch)?;
        for k in i * POINTS / photos..(i + 1) * POINTS / photos {
            let pixel = &record[stream.below(k, pixels as u32) as usize * 3..][..3];
            let colour = [pixel[0], pixel[1], pixel[2]];
            // Spread inside its grey level: else the cloud is a lattice.
            let jitter = |c: usize| f64::from(colour[c]) + stream.uniform((1 << 32) + 3 * k + c as u64) - 0.5;
            points.push((project([jitter(0), jitter(1), jitter(2)]), colour));
        }
    }
    points.sort_by(|(a, _), (b, _)| b[2].total_cmp(&a[2]));
    for (at, colour) in points {
        canvas.disc(at, 2.2, colour);
    }
    Ok(())
}

fn draw_axis(canvas: &mut Canvas, statistics: &Statistics, axis: usize, colour: Colour) {
    let (sigma, vector) = (statistics.sigmas()[axis], statistics.eigenvectors[axis]);
    let at = |sigmas: f64| project([0, 1, 2].map(|c| statistics.mean[c] + sigmas * sigma * vector[c]));
    // Dark beneath, so that the line shows on light pixels too.
    for (width, colour) in [(9.0, [20, 20, 20]), (5.0, colour)] {
        canvas.line(at(-REACH), at(REACH), width, colour);
        for mark in [-2.0, -1.0, 0.0, 1.0, 2.0] {
            canvas.disc(at(mark), width + 3.0, colour);
        }
    }
}

struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<Colour>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Canvas { width, height, pixels: vec![BACKGROUND; width * height] }
    }

    fn disc(&mut self, [x, y, _]: [f64; 3], radius: f64, colour: Colour) {
        let rows = (y - radius).ceil().max(0.0) as usize..((y + radius).floor() + 1.0).max(0.0) as usize;
        for row in rows.start..rows.end.min(self.height) {
            let half = (radius * radius - (row as f64 - y).powi(2)).max(0.0).sqrt();
            let (from, to) =
                ((x - half).ceil().max(0.0) as usize, ((x + half).floor() + 1.0).max(0.0) as usize);
            let (from, to) = (from.min(self.width), to.min(self.width));
            self.pixels[row * self.width..][from..to.max(from)].fill(colour);
        }
    }

    fn line(&mut self, from: [f64; 3], to: [f64; 3], width: f64, colour: Colour) {
        let steps = (to[0] - from[0]).hypot(to[1] - from[1]).ceil().max(1.0);
        for step in 0..=steps as u32 {
            let t = f64::from(step) / steps;
            self.disc([0, 1, 2].map(|i| from[i] + t * (to[i] - from[i])), width / 2.0, colour);
        }
    }

    /// A record of `sides` in a square of `side` pixels, `shift` added.
    fn photo(
        &mut self,
        record: &[u8],
        sides: (usize, usize),
        shift: [f32; 3],
        [left, top]: [usize; 2],
        side: usize,
    ) {
        for y in 0..side {
            for x in 0..side {
                let at = (y * sides.1 / side * sides.0 + x * sides.0 / side) * 3;
                let lit = |c: usize| (f32::from(record[at + c]) + shift[c]).round().clamp(0.0, 255.0) as u8;
                self.pixels[(top + y) * self.width + left + x] = [lit(0), lit(1), lit(2)];
            }
        }
    }

    /// Each 2×2 pixels averaged: RGB bytes, width, height.
    fn halved(&self) -> (Vec<u8>, usize, usize) {
        let (width, height) = (self.width / 2, self.height / 2);
        let mut bytes = Vec::with_capacity(width * height * 3);
        for y in 0..height {
            for x in 0..width {
                for c in 0..3 {
                    let at = |dx: usize, dy: usize| {
                        u16::from(self.pixels[(2 * y + dy) * self.width + 2 * x + dx][c])
                    };
                    bytes.push(((at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1) + 2) / 4) as u8);
                }
            }
        }
        (bytes, width, height)
    }
}
