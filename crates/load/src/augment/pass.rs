//! One configuration made ready for one way of computing it: tables, mean images in the order in which they are
//! read, and the choice of path, made once.
//!
//! A [`Pass`] gives the bits of [`Augment::apply`], whatever its [`Path`]. Every bound that the vector code relies on
//! is checked here, in [`Pass::apply`].

use super::{Augment, Layout, Mean, Output};
#[cfg(target_arch = "x86_64")]
pub use super::{avx2::Avx2, avx512::Avx512};
use crate::draw::Draw;
use crate::error::Error;

/// Pixels that vector paths handle at a time.
pub(super) const GROUP: usize = 16;

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;
/// Bytes of the buffer of a stage: half of a small first-level cache, for the record passes through there too.
pub(super) const BUFFER: usize = 24 * 1024;

/// A way of computing samples. All give the same bits.
#[derive(Clone, Copy, Debug)]
pub enum Path {
    /// One pixel after the other, on any processor.
    Scalar,
    /// AVX2 and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// AVX-512 with byte permutation (VBMI).
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl Path {
    /// The paths that this processor has, slowest first.
    pub fn available() -> Vec<Path> {
        #[allow(unused_mut)]
        let mut paths = vec![Path::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            paths.extend(Avx2::new().map(Path::Avx2));
            paths.extend(Avx512::new().map(|path| Path::Avx512(path.plain())));
            paths.extend(Avx512::new().map(Path::Avx512));
        }
        paths
    }

    /// The fastest of them.
    pub fn best() -> Path {
        Path::available().pop().unwrap_or(Path::Scalar)
    }

    /// Its name: `scalar`, `avx2`, `avx512`.
    pub fn name(self) -> &'static str {
        match self {
            Path::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(_) => "avx512",
        }
    }
}

/// Distances, in elements, between the three vectors of a group, neighbouring pixels, and rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    vector: usize,
    pixel: usize,
    row: usize,
}

impl Steps {
    fn new(layout: Layout, [width, height]: [usize; 2]) -> Self {
        match layout {
            Layout::Nchw => Steps { vector: width * height, pixel: 1, row: width },
            Layout::Nhwc => Steps { vector: GROUP, pixel: 3, row: 3 * width },
        }
    }

    /// Where vector `k` of the group at (`row`, `column`) begins.
    #[inline(always)]
    pub fn at(self, k: usize, row: usize, column: usize) -> usize {
        self.vector(k) + self.within(row, column)
    }

    /// Where vector `k` of the first group begins.
    #[inline(always)]
    pub fn vector(self, k: usize) -> usize {
        k * self.vector
    }

    /// Where a vector of the group at (`row`, `column`) begins, seen from the same one of the first group.
    #[inline(always)]
    pub fn within(self, row: usize, column: usize) -> usize {
        row * self.row + column * self.pixel
    }

    /// Whether each channel has a plane of its own.
    #[inline(always)]
    pub fn planes(self) -> bool {
        self.pixel == 1
    }
}

/// The mean as a vector path reads it.
#[derive(Clone, Copy)]
pub(super) struct MeanSource<'a> {
    /// The mean image in the layout of the output, or nothing if [`lanes`](Self::lanes) hold one value a channel.
    pub image: Option<&'a [f32]>,
    pub lanes: &'a [[f32; GROUP]; 3],
    row: usize,
    column: usize,
    steps: Steps,
}

impl MeanSource<'_> {
    /// Where the means of vector `k` of the crop's group at (`row`, `column`) begin.
    #[inline(always)]
    pub fn at(&self, k: usize, row: usize, column: usize) -> usize {
        self.steps.at(k, self.row + row, self.column + column)
    }
}

/// How a sample reaches memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Store {
    /// Through the cache.
    Cached,
    /// Past it, each vector from its register.
    Stream,
    /// Past it, gathered into whole lines first.
    Stage,
}

/// One sample to be made. The invariant, which unsafe code relies on: `width` ≥ 16; the crop lies in the record
/// and in the mean image; `out` has exactly the sample's bytes, aligned to its elements, and to 16 elements at
/// every group for `Store::Stream`; its rows fit a stage for `Store::Stage`.
pub(super) struct Job<'a> {
    pub record: &'a [u8],
    pub out: &'a mut [u8],
    pub output: Output,
    pub store: Store,
    /// Whether a value could be subnormal.
    pub subnormal: bool,
    pub width: usize,
    pub rows: usize,
    pub indices: &'a [[u8; GROUP]; 3],
    pub mean: MeanSource<'a>,
    pub shift: [[f32; GROUP]; 3],
    pub scale: &'a [[f32; GROUP]; 3],
    pub to: Steps,
    first: usize,
    stride: usize,
    mirror: bool,
}

impl Job<'_> {
    /// Byte offset in the record of the 48 bytes that the crop's group at (`row`, `column`) is made of.
    #[inline(always)]
    pub fn source(&self, row: usize, column: usize) -> usize {
        let column = if self.mirror { self.width - GROUP - column } else { column };
        self.first + row * self.stride + 3 * column
    }
}

/// An [`Augment`] made ready.
#[derive(Clone, Debug)]
pub struct Pass {
    augment: Augment,
    path: Path,
    stream: bool,
    /// Whether mean and scale are so small that no value overflows or becomes a NaN.
    tame: bool,
    /// Whether they are so large that no value is subnormal.
    normal: bool,
    /// Which of a group's 48 bytes go where: plain and mirrored.
    indices: [[[u8; GROUP]; 3]; 2],
    mean_lanes: [[f32; GROUP]; 3],
    scale_lanes: [[f32; GROUP]; 3],
    /// The mean image in the order of the output, and the same mirrored left to right.
    images: Option<[Vec<f32>; 2]>,
}

impl Pass {
    /// On the fastest path, with streaming stores.
    ///
    /// # Errors
    /// Those of [`Augment::check`].
    pub fn new(augment: Augment) -> Result<Self, Error> {
        Pass::on(Path::best(), augment)
    }

    /// On a path of one's choice.
    ///
    /// # Errors
    /// Those of [`Augment::check`].
    pub fn on(path: Path, augment: Augment) -> Result<Self, Error> {
        augment.check()?;
        let layout = augment.layout;
        let indices = [false, true].map(|mirror| {
            lanes(layout, |pixel, c| {
                let pixel = if mirror { GROUP - 1 - pixel } else { pixel };
                (3 * pixel + c) as u8
            })
        });
        let mean = match augment.mean {
            Mean::Channel(mean) => mean,
            _ => [0.0; 3],
        };
        let images = match &augment.mean {
            Mean::Channel(_) => None,
            Mean::Aligned(image) | Mean::Centre(image) => {
                Some([false, true].map(|mirror| arrange(image, augment.record, layout, mirror)))
            }
        };
        Ok(Pass {
            path,
            stream: true,
            tame: tame(augment.mean.values()) && tame(&augment.scale),
            normal: away(augment.mean.values(), TERM) && away(&augment.scale, FACTOR),
            indices,
            mean_lanes: lanes(layout, |_, c| mean[c]),
            scale_lanes: lanes(layout, |_, c| augment.scale[c]),
            images,
            augment,
        })
    }

    /// Says whether samples go past the cache (where their alignment allows it). That pays if they are not read
    /// again soon, as in a ring larger than the cache.
    #[must_use]
    pub fn streaming(self, stream: bool) -> Self {
        Pass { stream, ..self }
    }

    /// What is computed.
    pub fn augment(&self) -> &Augment {
        &self.augment
    }

    /// How it is computed.
    pub fn path(&self) -> Path {
        self.path
    }

    /// Makes one sample: the bits of [`Augment::apply`].
    ///
    /// # Panics
    /// If `record` is shorter than width · height · 3, `out` is not [`Augment::sample_bytes`] long or not aligned to
    /// its elements, or the draw's crop leaves the record.
    pub fn apply(&self, record: &[u8], draw: &Draw, out: &mut [u8]) {
        let augment = &self.augment;
        let ([width, height], [crop_width, crop_height]) = (augment.record, augment.crop);
        let (left, top) = (draw.left as usize, draw.top as usize);
        if augment.output == Output::Raw {
            return self.copy(&record[..out.len()], out);
        }
        // Vector paths round to bf16 without a thought for NaNs.
        let tame = augment.output != Output::Bf16 || (self.tame && tame(&draw.shift));
        let plain = crop_width < GROUP || !tame;
        if plain || matches!(self.path, Path::Scalar) {
            return augment.apply(record, draw, out);
        }
        assert!(record.len() >= width * height * 3, "a record of {} bytes is too short", record.len());
        assert!(left + crop_width <= width && top + crop_height <= height, "{draw:?} leaves the record");
        assert_eq!(out.len(), augment.sample_bytes());
        assert_eq!(out.as_ptr().addr() % augment.output.bytes(), 0, "the sample is not aligned");
        let mut job = Job {
            indices: &self.indices[usize::from(draw.mirror)],
            mean: self.mean(draw),
            shift: lanes(augment.layout, |_, c| draw.shift[c]),
            scale: &self.scale_lanes,
            to: Steps::new(augment.layout, augment.crop),
            store: self.store(out),
            subnormal: !(self.normal && away(&draw.shift, TERM)),
            first: (top * width + left) * 3,
            stride: width * 3,
            mirror: draw.mirror,
            width: crop_width,
            rows: crop_height,
            output: augment.output,
            record,
            out,
        };
        match self.path {
            Path::Scalar => unreachable!("handled above"),
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(path) => path.run(&mut job),
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(path) => path.run(&mut job),
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = &mut job;
    }

    /// Copies whole records.
    fn copy(&self, record: &[u8], out: &mut [u8]) {
        assert_eq!(out.len(), self.augment.sample_bytes());
        let lines = out.len().is_multiple_of(LINE) && out.as_ptr().addr().is_multiple_of(LINE);
        match self.path {
            #[cfg(target_arch = "x86_64")]
            Path::Avx2(path) if self.stream && lines => path.copy(record, out),
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(path) if self.stream && lines => path.copy(record, out),
            _ => out.copy_from_slice(record),
        }
    }

    /// How a sample at `out` reaches memory.
    fn store(&self, out: &[u8]) -> Store {
        let (width, bytes) = (self.augment.crop[0], self.augment.output.bytes());
        let planes = self.augment.layout == Layout::Nchw;
        // Rows and planes begin on 16 elements if the sample does and its width is a multiple of 16.
        let aligned = width.is_multiple_of(GROUP) && out.as_ptr().addr().is_multiple_of(GROUP * bytes);
        let lines = aligned && self.augment.output == Output::F32;
        if !self.stream {
            Store::Cached
        } else if lines {
            // Vectors of float32 are lines.
            Store::Stream
        } else if fits(width * bytes * if planes { 1 } else { 3 }, planes) {
            Store::Stage
        } else if aligned {
            Store::Stream
        } else {
            Store::Cached
        }
    }

    fn mean(&self, draw: &Draw) -> MeanSource<'_> {
        let ([width, height], [crop_width, crop_height]) = (self.augment.record, self.augment.crop);
        let (left, top) = (draw.left as usize, draw.top as usize);
        let (mirror, row, column) = match self.augment.mean {
            Mean::Aligned(_) if draw.mirror => (true, top, width - left - crop_width),
            Mean::Aligned(_) => (false, top, left),
            _ => (false, (height - crop_height) / 2, (width - crop_width) / 2),
        };
        MeanSource {
            image: self.images.as_ref().map(|images| &images[usize::from(mirror)][..]),
            lanes: &self.mean_lanes,
            row,
            column,
            steps: Steps::new(self.augment.layout, self.augment.record),
        }
    }
}

/// Whether a stage holds a row of so many bytes (of one plane, if there are three) and the rest of the row before.
fn fits(row: usize, planes: bool) -> bool {
    row + LINE <= if planes { BUFFER / 3 } else { BUFFER }
}

/// Whether sums and products of these and a byte stay finite.
fn tame(values: &[f32]) -> bool {
    values.iter().all(|value| value.abs() < 1e9)
}

/// Mean and shift that are zero or at least this are multiples of 2⁻⁸⁴, and bytes are whole numbers: differences and
/// sums, rounded or not, are then zero or at least 2⁻⁸⁴, and their products with [`FACTOR`] at least 2⁻¹¹⁴.
const TERM: f32 = 1.0 / (1u64 << 60) as f32;
const FACTOR: f32 = 1.0 / (1u64 << 30) as f32;

/// Whether each of these is zero or at least `least`.
fn away(values: &[f32], least: f32) -> bool {
    values.iter().all(|&value| value == 0.0 || value.abs() >= least)
}

/// Three vectors of 16 values, each made of its pixel in the group and its channel.
fn lanes<T: Copy + Default>(layout: Layout, value: impl Fn(usize, usize) -> T) -> [[T; GROUP]; 3] {
    let mut lanes = [[T::default(); GROUP]; 3];
    for (k, lanes) in lanes.iter_mut().enumerate() {
        for (j, lane) in lanes.iter_mut().enumerate() {
            *lane = match layout {
                Layout::Nchw => value(j, k),
                Layout::Nhwc => value((GROUP * k + j) / 3, (GROUP * k + j) % 3),
            };
        }
    }
    lanes
}

/// A mean image (height × width × RGB) in the order of `layout`, perhaps mirrored left to right.
fn arrange(image: &[f32], [width, height]: [usize; 2], layout: Layout, mirror: bool) -> Vec<f32> {
    let mut arranged = vec![0.0; image.len()];
    for (i, pixel) in image.chunks_exact(3).enumerate() {
        let (row, column) = (i / width, i % width);
        let column = if mirror { width - 1 - column } else { column };
        for (c, &value) in pixel.iter().enumerate() {
            let at = match layout {
                Layout::Nchw => (c * height + row) * width + column,
                Layout::Nhwc => (row * width + column) * 3 + c,
            };
            arranged[at] = value;
        }
    }
    arranged
}
