//! One sample to be made, as a vector path reads it: where its bytes are, where its values go, and what they become.
//!
//! A [`Job`] keeps the bounds that unsafe code relies on; [`Pass`](super::Pass) checks them before it makes one. What is
//! done with it is left to `lanes.rs`.

use super::{Layout, Output};

/// Pixels that vector paths make numbers of at a time.
pub(super) const GROUP: usize = 16;
/// Pixels that AVX-512 makes bytes of at a time.
pub(super) const WIDE: usize = 64;

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;
/// Bytes of the buffer of a stage: half of a small first-level cache, for the record passes through there too.
pub(super) const BUFFER: usize = 24 * 1024;

/// How far ahead of the row in work the record is asked for, in bytes of whole rows: the hardware stops at each page.
const AHEAD: usize = 9216;

/// Distances, in elements, between the three vectors of a group, neighbouring pixels, and rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    vector: usize,
    pixel: usize,
    row: usize,
}

impl Steps {
    pub fn new(layout: Layout, [width, height]: [usize; 2], group: usize) -> Self {
        match layout {
            Layout::Nchw => Steps { vector: width * height, pixel: 1, row: width },
            Layout::Nhwc => Steps { vector: group, pixel: 3, row: 3 * width },
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

    /// Where vector `k` of the group that begins at pixel `pixel` of the sample begins.
    #[inline(always)]
    pub fn flat(self, k: usize, pixel: usize) -> usize {
        self.vector(k) + pixel * self.pixel
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
    /// Row and column of the crop in it.
    pub row: usize,
    pub column: usize,
    pub steps: Steps,
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
    /// Past it, from registers, a line or half a line at a time.
    Stream,
    /// Past it, gathered into whole lines first.
    Stage,
}

/// One sample to be made. The invariant, which unsafe code relies on: `width` ≥ `group`; the crop lies in the record
/// and in the mean image; `out` has exactly the sample's bytes, aligned to its elements; for `Store::Stream` it
/// begins with a line, as every row does, or for bytes in groups of 64 as every group in all rows together; its rows fit
/// a stage for `Store::Stage`; indices lie in a group's bytes.
pub(super) struct Job<'a> {
    pub record: &'a [u8],
    pub out: &'a mut [u8],
    pub output: Output,
    pub store: Store,
    /// Whether a value could be subnormal.
    pub subnormal: bool,
    pub width: usize,
    pub rows: usize,
    /// Pixels in a group.
    pub group: usize,
    /// Which of the bytes of 16 and of 64 pixels go where.
    pub indices: &'a [[u8; GROUP]; 3],
    pub wide: &'a [[u8; WIDE]; 3],
    pub mean: MeanSource<'a>,
    pub shift: [[f32; GROUP]; 3],
    pub scale: &'a [[f32; GROUP]; 3],
    pub to: Steps,
    /// Byte offset of the crop in the record, and bytes of the record's rows.
    pub first: usize,
    pub stride: usize,
    pub mirror: bool,
}

impl Job<'_> {
    /// Byte offset in the record of the bytes that the crop's group at (`row`, `column`) is made of.
    #[inline(always)]
    pub fn source(&self, row: usize, column: usize) -> usize {
        self.start(row, column, self.group)
    }

    /// The same for `pixels` pixels of a row.
    #[inline(always)]
    pub fn start(&self, row: usize, column: usize, pixels: usize) -> usize {
        let column = if self.mirror { self.width - pixels - column } else { column };
        self.first + row * self.stride + 3 * column
    }

    /// How many bytes ahead of what `row` is made of the record is to be asked for; past the crop there is nothing.
    #[inline(always)]
    pub fn ahead(&self, row: usize) -> usize {
        let rows = AHEAD / self.stride;
        if row + rows < self.rows { rows * self.stride } else { 0 }
    }
}
