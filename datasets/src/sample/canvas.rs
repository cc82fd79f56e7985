//! A canvas of linear RGB light, and the camera that turns it into a JPEG.
//!
//! Coordinates are in units of the short side with the origin in the middle, so a scene doesn't know the size of its
//! photo. All arithmetic is + − × ÷ √ on f32, and the JPEG encoder is fixed by the lock file: the bytes of a photo
//! are the same on every machine.

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use super::draw::Draws;

/// Linear light, 1.0 = white at the exposure drawn later.
pub struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<[f32; 3]>,
}

impl Canvas {
    /// A black canvas.
    pub fn new(width: usize, height: usize) -> Self {
        Canvas { width, height, pixels: vec![[0.0; 3]; width * height] }
    }

    /// Width of a pixel.
    pub fn pixel(&self) -> f32 {
        1.0 / self.width.min(self.height) as f32
    }

    fn origin(&self) -> [f32; 2] {
        [(self.width as f32 - 1.0) * 0.5, (self.height as f32 - 1.0) * 0.5]
    }

    /// Sets every pixel to the colour at its place.
    pub fn fill(&mut self, colour: impl Fn([f32; 2]) -> [f32; 3]) {
        let (pixel, [x0, y0]) = (self.pixel(), self.origin());
        for (y, row) in self.pixels.chunks_exact_mut(self.width).enumerate() {
            let v = (y as f32 - y0) * pixel;
            for (x, out) in row.iter_mut().enumerate() {
                *out = colour([(x as f32 - x0) * pixel, v]);
            }
        }
    }

    /// Lays (colour, opacity) over the square of half side `reach` about `centre`.
    pub fn blend(&mut self, centre: [f32; 2], reach: f32, paint: impl Fn([f32; 2]) -> ([f32; 3], f32)) {
        let (pixel, origin) = (self.pixel(), self.origin());
        let range = |middle: f32, origin: f32, size: usize| {
            let from = ((middle - reach) / pixel + origin).floor().max(0.0) as usize;
            let to = ((middle + reach) / pixel + origin).ceil() + 1.0;
            from..(to.max(0.0) as usize).min(size)
        };
        let (columns, rows) =
            (range(centre[0], origin[0], self.width), range(centre[1], origin[1], self.height));
        for y in rows {
            let v = (y as f32 - origin[1]) * pixel;
            for x in columns.clone() {
                let (colour, opacity) = paint([(x as f32 - origin[0]) * pixel, v]);
                if opacity > 0.0 {
                    let out = &mut self.pixels[y * self.width + x];
                    for c in 0..3 {
                        out[c] += (colour[c] - out[c]) * opacity;
                    }
                }
            }
        }
    }

    /// One pass of the kernel (side, 1 − 2·side, side) in both directions; the border repeats its pixel.
    fn soften(&mut self, side: f32) {
        let (width, height) = (self.width, self.height);
        let mix = |a: [f32; 3], b: [f32; 3], c: [f32; 3]| -> [f32; 3] {
            std::array::from_fn(|i| b[i] + side * ((a[i] - b[i]) + (c[i] - b[i])))
        };
        for row in self.pixels.chunks_exact_mut(width) {
            let mut before = row[0];
            for x in 0..width {
                let here = row[x];
                row[x] = mix(before, here, row[(x + 1).min(width - 1)]);
                before = here;
            }
        }
        let mut above = self.pixels[..width].to_vec();
        for y in 0..height {
            let below = (y + 1).min(height - 1) * width;
            for (x, above) in above.iter_mut().enumerate() {
                let here = self.pixels[y * width + x];
                self.pixels[y * width + x] = mix(*above, here, self.pixels[below + x]);
                *above = here;
            }
        }
    }

    /// Takes the photo: blur, vignette, exposure, white balance, sensor noise, tone curve, JPEG of quality 40 to 95.
    ///
    /// # Errors
    /// Those of the encoder.
    pub fn photograph(mut self, draws: &mut Draws) -> image::ImageResult<Vec<u8>> {
        for _ in 0..draws.whole(0, 2) {
            let side = draws.between(0.04, 0.24);
            self.soften(side);
        }
        let exposure = draws.between(0.75, 1.35);
        let gain: [f32; 3] = std::array::from_fn(|_| exposure * draws.between(0.9, 1.1));
        let vignette = draws.between(0.0, 0.45);
        let haze = draws.between(0.0, 0.12);
        let grain = draws.between(1.0, 7.0);
        let quality = draws.whole(40, 95) as u8;

        let (pixel, [x0, y0]) = (self.pixel(), self.origin());
        let mut bytes = Vec::with_capacity(self.pixels.len() * 3);
        for (i, light) in self.pixels.iter().enumerate() {
            let x = ((i % self.width) as f32 - x0) * pixel;
            let y = ((i / self.width) as f32 - y0) * pixel;
            let shade = 1.0 - vignette * (x * x + y * y);
            // Two uniform values make a triangular one, near enough to a sensor's noise; the fourth word is shared.
            let words = draws.sensor_words(i as u32);
            let shared = (words[3] >> 8) as f32;
            for c in 0..3 {
                let noise = ((words[c] >> 8) as f32 + shared) * (1.0 / (1 << 24) as f32) - 1.0;
                let light = (light[c] * gain[c] * shade).max(0.0) * (1.0 - haze) + haze * 0.45;
                // A square root stands for the display's gamma; highlights roll off.
                let tone = (light / (1.0 + 0.25 * light * light)).sqrt();
                bytes.push((tone * 255.0 + noise * grain + 0.5).clamp(0.0, 255.0) as u8);
            }
        }
        let mut jpeg = Vec::with_capacity(bytes.len() / 8);
        JpegEncoder::new_with_quality(&mut jpeg, quality).encode(
            &bytes,
            self.width as u32,
            self.height as u32,
            ExtendedColorType::Rgb8,
        )?;
        Ok(jpeg)
    }
}
