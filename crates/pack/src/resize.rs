//! From a photo of any size to the square of a record.
//!
//! The square is what [`Geometry`]'s sides and centre crop give: only the crop is computed, with the filters of the whole
//! photo, which read beyond the crop's edges. Against "resize, then crop" about one component in ten thousand differs, by
//! one grey level, where fewer weights let the resizer choose another precision.
//!
//! One [`Squarer`] a thread; its buffers are reused. The pixels do not depend on the machine.

pub mod area;

use std::fmt;
use std::str::FromStr;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use crate::decode::{MAX_PIXELS, Picture, Refusal};
use crate::geometry::Geometry;

/// How pixels are computed when a photo is resized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// Antialiased bilinear, as Pillow's (within one grey level).
    #[default]
    Bilinear,
    /// What the 2012 code did: area averages when shrinking, cubic (A = −0.75) when enlarging.
    Area,
    /// Antialiased Catmull-Rom cubic (A = −0.5).
    CatmullRom,
    /// Antialiased Lanczos of three lobes.
    Lanczos3,
}

impl Filter {
    /// All filters.
    pub const ALL: [Filter; 4] = [Filter::Bilinear, Filter::Area, Filter::CatmullRom, Filter::Lanczos3];

    /// The name used on the command line and in recipes.
    pub fn as_str(self) -> &'static str {
        match self {
            Filter::Bilinear => "bilinear",
            Filter::Area => "area",
            Filter::CatmullRom => "catmull-rom",
            Filter::Lanczos3 => "lanczos3",
        }
    }

    /// The name and version of the code that computes it, for recipes.
    pub fn resizer(self) -> &'static str {
        match self {
            Filter::Area => "alexnet-pack area 1: exact area averages down, cubic -0.75 up",
            _ => "fast_image_resize 6.1.0 convolution, of the crop only",
        }
    }

    /// How far it reads from a pixel's centre, in pixels of the coarser grid; `None`: it wants whole photos.
    #[cfg_attr(not(feature = "turbojpeg"), expect(dead_code, reason = "for decoders that can cut"))]
    pub(crate) fn support(self) -> Option<f64> {
        match self {
            Filter::Bilinear => Some(1.0),
            Filter::CatmullRom => Some(2.0),
            Filter::Lanczos3 => Some(3.0),
            Filter::Area => None,
        }
    }

    fn convolution(self) -> Option<FilterType> {
        match self {
            Filter::Bilinear => Some(FilterType::Bilinear),
            Filter::CatmullRom => Some(FilterType::CatmullRom),
            Filter::Lanczos3 => Some(FilterType::Lanczos3),
            Filter::Area => None,
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Filter::ALL.map(Filter::as_str).join(", ");
        let filter = Filter::ALL.into_iter().find(|f| f.as_str() == name);
        filter.ok_or_else(|| format!("unknown filter {name:?} ({})", known()))
    }
}

/// Makes squares of `size` pixels.
#[derive(Debug)]
pub struct Squarer {
    size: u32,
    filter: Filter,
    resizer: Resizer,
    area: area::Resampler,
}

impl Squarer {
    /// A maker of `size` × `size` squares.
    pub fn new(size: u32, filter: Filter) -> Self {
        Squarer { size, filter, resizer: Resizer::new(), area: area::Resampler::default() }
    }

    /// Resizes and crops `picture` into `record` (`size · size · 3` bytes, RGB, rows from the top).
    ///
    /// # Errors
    /// A [`Refusal`] if the photo is so thin that its long side would have too many pixels.
    ///
    /// # Panics
    /// If `record` has another length, or `picture` is a region that was cut for another size or filter.
    pub fn square(&mut self, picture: &Picture<'_>, record: &mut [u8]) -> Result<(), Refusal> {
        let size = self.size;
        let row = size as usize * 3;
        assert_eq!(record.len(), row * size as usize, "bytes of a record of {size}×{size}");
        let Picture { width: columns, height: rows, rgb, cut, .. } = *picture;
        let (width, height) = picture.photo();
        let g = Geometry::new(width, height, size);
        if u64::from(g.width) * u64::from(g.height) > MAX_PIXELS {
            return Err(Refusal(format!(
                "{width}×{height} is too thin: it would become {}×{}",
                g.width, g.height
            )));
        }
        let (left, top) = cut.map_or((0, 0), |cut| (cut.left, cut.top));
        if (g.width, g.height) == (width, height) {
            crop(rgb, columns, (g.left - left, g.top - top), size, record);
            return Ok(());
        }
        let failed = |e: &dyn fmt::Display| Refusal(format!("{width}×{height} cannot be resized: {e}"));
        let Some(filter) = self.filter.convolution() else {
            assert!(cut.is_none(), "area averages of a cut photo");
            self.area.resize(rgb, (width, height), &g, size, record);
            return Ok(());
        };
        let [x, y, wide, high] = g.source((width, height), size);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).crop(
            x - f64::from(left),
            y - f64::from(top),
            wide,
            high,
        );
        // Told at compile time that it is RGB: else every kind of pixel there is would be compiled, for minutes.
        let source = TypedImageRef::<U8x3>::from_buffer(columns, rows, rgb).map_err(|e| failed(&e))?;
        let mut square = TypedImage::<U8x3>::from_buffer(size, size, record).map_err(|e| failed(&e))?;
        self.resizer.resize_typed(&source, &mut square, &options).map_err(|e| failed(&e))
    }
}

/// Copies the square that begins at `(left, top)` out of rows of `columns` pixels.
fn crop(rgb: &[u8], columns: u32, (left, top): (u32, u32), size: u32, record: &mut [u8]) {
    let row = size as usize * 3;
    for (y, to) in record.chunks_exact_mut(row).enumerate() {
        let start = ((top as usize + y) * columns as usize + left as usize) * 3;
        to.copy_from_slice(&rgb[start..start + row]);
    }
}
