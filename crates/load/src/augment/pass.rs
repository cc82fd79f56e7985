//! One configuration made ready for one way of computing it: tables, mean images in the order in which they are
//! read, and the choice of path, made once.
//!
//! A [`Pass`] gives the bits of [`Augment::apply`], whatever its [`Path`]. Every bound that the vector code relies on
//! is checked here, in [`Pass::apply`].

use super::job::{BUFFER, GROUP, Job, LINE, MeanSource, Steps, Store, WIDE};
use super::{Augment, Layout, Mean, Output};
#[cfg(target_arch = "x86_64")]
pub use super::{avx2::Avx2, avx512::Avx512};
use crate::draw::Draw;
use crate::error::Error;

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

    /// Pixels that it handles at a time.
    fn group(self, output: Output) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(_) if output == Output::U8 => WIDE,
            _ => GROUP,
        }
    }

    /// The same, or a slower one for crops that it is too wide for.
    fn fit(self, augment: &Augment) -> Path {
        let fits = |path: Path| path.group(augment.output) <= augment.crop[0];
        match self {
            #[cfg(target_arch = "x86_64")]
            Path::Avx512(_) if !fits(self) => {
                Avx2::new().map(Path::Avx2).filter(|path| fits(*path)).unwrap_or(Path::Scalar)
            }
            _ if !fits(self) => Path::Scalar,
            _ => self,
        }
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
    /// Which of a group's bytes go where: plain and mirrored.
    indices: [[[u8; GROUP]; 3]; 2],
    wide: [[[u8; WIDE]; 3]; 2],
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
            path: path.fit(&augment),
            stream: true,
            tame: tame(augment.mean.values()) && tame(&augment.scale),
            normal: away(augment.mean.values(), TERM) && away(&augment.scale, FACTOR),
            indices: [false, true].map(|mirror| indices(layout, mirror)),
            wide: [false, true].map(|mirror| indices(layout, mirror)),
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
        if !tame || matches!(self.path, Path::Scalar) {
            return augment.apply(record, draw, out);
        }
        assert!(record.len() >= width * height * 3, "a record of {} bytes is too short", record.len());
        assert!(left + crop_width <= width && top + crop_height <= height, "{draw:?} leaves the record");
        assert_eq!(out.len(), augment.sample_bytes());
        assert_eq!(out.as_ptr().addr() % augment.output.bytes(), 0, "the sample is not aligned");
        let group = self.path.group(augment.output);
        let mut job = Job {
            group,
            indices: &self.indices[usize::from(draw.mirror)],
            wide: &self.wide[usize::from(draw.mirror)],
            mean: self.mean(draw),
            shift: lanes(augment.layout, |_, c| draw.shift[c]),
            scale: &self.scale_lanes,
            to: Steps::new(augment.layout, augment.crop, group),
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
        let group = self.path.group(self.augment.output);
        // Every row is some lines if the sample begins with one; where groups of bytes run on from row to row, all rows
        // together need only be. Groups of less than half a line are not written one by one.
        let across = if group == WIDE { width * self.augment.crop[1] } else { width };
        let lines = (across * bytes).is_multiple_of(LINE) && out.as_ptr().addr().is_multiple_of(LINE);
        if !self.stream {
            Store::Cached
        } else if lines && 2 * group * bytes >= LINE {
            Store::Stream
        } else if fits(width * bytes * if planes { 1 } else { 3 }, planes) {
            Store::Stage
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
            steps: Steps::new(self.augment.layout, self.augment.record, GROUP),
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

/// Which of a group's bytes go where.
pub(super) fn indices<const N: usize>(layout: Layout, mirror: bool) -> [[u8; N]; 3] {
    lanes(layout, |pixel, c| (3 * if mirror { N - 1 - pixel } else { pixel } + c) as u8)
}

/// Three vectors of values for a group of `N` pixels, each made of its pixel in the group and its channel.
fn lanes<T: Copy + Default, const N: usize>(
    layout: Layout,
    value: impl Fn(usize, usize) -> T,
) -> [[T; N]; 3] {
    let mut lanes = [[T::default(); N]; 3];
    for (k, lanes) in lanes.iter_mut().enumerate() {
        for (j, lane) in lanes.iter_mut().enumerate() {
            *lane = match layout {
                Layout::Nchw => value(j, k),
                Layout::Nhwc => value((N * k + j) / 3, (N * k + j) % 3),
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
