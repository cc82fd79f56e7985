//! Where a photo's square comes from: short side to the target, then the centre.
//!
//! The rule is that of the 2012 code's `make-data` (scaled sides rounded, crop start by integer division), kept in
//! whole numbers so that it is the same on every machine. Pixels are [`crate::resize`]'s part.

/// A rectangle of a photo, in its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Columns, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
}

/// How one photo of known size becomes a square of `size` pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Width after resizing, at least the target size.
    pub width: u32,
    /// Height after resizing, at least the target size.
    pub height: u32,
    /// First column of the crop.
    pub left: u32,
    /// First row of the crop.
    pub top: u32,
}

impl Geometry {
    /// The name of this rule in recipes.
    pub const NAME: &str =
        "short side to size, long side max(size, round(long * size / short)), crop at floor((n - size) / 2)";

    /// The geometry of a photo of `width` × `height` pixels for a square of `size`.
    ///
    /// # Panics
    /// If a side is 0.
    pub fn new(width: u32, height: u32, size: u32) -> Geometry {
        assert!(width > 0 && height > 0 && size > 0, "a photo of {width}×{height} for a square of {size}");
        let (short, long) = (u64::from(width.min(height)), u64::from(width.max(height)));
        let target = u64::from(size);
        // round(long · size / short), halves up; at most 2³² · 2³² before the division. A photo so thin that its
        // long side would not fit in 32 bits is refused by its pixel count long before.
        let scaled = (2 * long * target + short) / (2 * short);
        let scaled = u32::try_from(scaled.max(target)).unwrap_or(u32::MAX);
        let (width, height) = if width <= height { (size, scaled) } else { (scaled, size) };
        Geometry { width, height, left: (width - size) / 2, top: (height - size) / 2 }
    }

    /// Where the square's edges lie in the photo of `photo` pixels: left, top, width, height.
    pub(crate) fn source(&self, photo: (u32, u32), size: u32) -> [f64; 4] {
        let at = |n: u32, whole: u32, resized: u32| f64::from(n) * f64::from(whole) / f64::from(resized);
        let ((w, h), (to_w, to_h)) = (photo, (self.width, self.height));
        [at(self.left, w, to_w), at(self.top, h, to_h), at(size, w, to_w), at(size, h, to_h)]
    }

    /// The pixels of the photo that a filter of so many pixels' support reads for the square of `size`, and one more
    /// on every side.
    #[cfg_attr(
        not(any(test, feature = "turbojpeg")),
        expect(dead_code, reason = "for decoders that can cut")
    )]
    pub(crate) fn needed(&self, photo: (u32, u32), size: u32, support: f64) -> Region {
        let [left, top, width, height] = self.source(photo, size);
        let span = |start: f64, length: f64, whole: u32, resized: u32| {
            let reach = support * (f64::from(whole) / f64::from(resized)).max(1.0);
            let first = ((start - reach).floor() as u32).saturating_sub(1);
            let end = ((start + length + reach).ceil() as u32).saturating_add(1).min(whole);
            (first, end - first)
        };
        let (left, width) = span(left, width, photo.0, self.width);
        let (top, height) = span(top, height, photo.1, self.height);
        Region { left, top, width, height }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_rule() {
        let g = |w, h, size| {
            let g = Geometry::new(w, h, size);
            (g.width, g.height, g.left, g.top)
        };
        assert_eq!(g(500, 375, 256), (341, 256, 42, 0)); // 341.33
        assert_eq!(g(375, 500, 256), (256, 341, 0, 42));
        assert_eq!(g(256, 256, 256), (256, 256, 0, 0));
        assert_eq!(g(100, 100, 256), (256, 256, 0, 0));
        assert_eq!(g(512, 515, 256), (256, 258, 0, 1)); // 257.5 rounds up
        assert_eq!(g(512, 513, 256), (256, 257, 0, 0)); // 256.5 rounds up, (257 − 256) / 2 down
        assert_eq!(g(1, 16384, 256), (256, 4_194_304, 0, 2_097_024));
        assert_eq!(g(3000, 2000, 128), (192, 128, 32, 0));
    }

    #[test]
    fn needs_what_the_filter_reads() {
        let needed = |w, h, size, support| Geometry::new(w, h, size).needed((w, h), size, support);
        let region = |left, top, width, height| Region { left, top, width, height };
        // 1500 × 1000 to 384 × 256: 3.90625 pixels a pixel; columns 64 to 320 are pixels 250 to 1250.
        assert_eq!(needed(1500, 1000, 256, 1.0), region(245, 0, 1010, 1000));
        assert_eq!(needed(1000, 1500, 256, 3.0), region(0, 237, 1000, 1026));
        // Enlarged, the filter reaches `support` pixels.
        assert_eq!(needed(150, 100, 400, 1.0), region(23, 0, 104, 100));
        assert_eq!(needed(256, 256, 256, 1.0), region(0, 0, 256, 256));
        assert_eq!(needed(2, 60_000, 256, 1.0), region(0, 29_997, 2, 6));
    }
}
