//! The vector pass, written once for every instruction set: 16 pixels (48 bytes) become three vectors of 16 values; as
//! bytes, which need no room to grow, 64 pixels become three vectors of 64 where registers are that wide.
//!
//! In NCHW the three vectors are red, green and blue; in NHWC they follow each other in memory. Which byte goes
//! where, mirrored or not, is a table of the [`Job`], so that one loop serves every case. A row that is no whole
//! number of groups ends with a group that overlaps the one before: nothing outside the crop is read, nothing outside the sample
//! written. How 16 values are loaded, rounded and stored is left to an implementation of [`Lanes`]; how results that
//! do not fill cache lines of themselves reach memory, to a [`Stage`].
#![allow(unsafe_code)]

use std::ops::Range;

use half::{bf16, f16};

use super::Output;
use super::job::{GROUP, Job, LINE, Store};
use super::stage::Stage;

/// 16 values at a time, in the registers of one instruction set.
///
/// # Safety
/// Every method needs a processor with that instruction set, and pointers to as much memory as it says. With
/// `STREAM`, `to` is aligned to as many elements as are written.
///
/// Methods are inlined into one function that enables the instruction set; a closure in them would be compiled
/// without it, and call each intrinsic as a function.
pub(super) trait Lanes {
    /// 16 float32.
    type Floats: Copy;
    /// [`BYTES`](Self::BYTES) bytes.
    type Bytes: Copy;
    /// Indices for floats, prepared.
    type Table: Copy;
    /// Those for bytes.
    type ByteTable: Copy;
    /// Pixels that become bytes at a time.
    const BYTES: usize;

    /// Prepares indices into 48 bytes for floats.
    unsafe fn table(indices: &[[u8; GROUP]; 3]) -> Self::Table;
    /// Prepares a job's indices for bytes.
    unsafe fn byte_table(job: &Job<'_>) -> Self::ByteTable;
    /// Picks three times `BYTES` of the 3 · `BYTES` bytes at `from`.
    unsafe fn bytes(from: *const u8, table: &Self::ByteTable) -> [Self::Bytes; 3];
    /// Picks three times 16 of the 48 bytes at `from`, as floats.
    unsafe fn pixels(from: *const u8, table: &Self::Table) -> [Self::Floats; 3];
    /// 16 floats at `from`, of any alignment.
    unsafe fn load(from: *const f32) -> Self::Floats;
    /// `((x − mean) + shift) · scale`, each operation rounded.
    unsafe fn finish(
        x: Self::Floats,
        mean: Self::Floats,
        shift: Self::Floats,
        scale: Self::Floats,
    ) -> Self::Floats;
    /// Writes 16 floats.
    unsafe fn store_f32<const STREAM: bool>(y: Self::Floats, to: *mut f32);
    /// Rounds to nearest even and writes 16 values, none of which is a NaN.
    unsafe fn store_bf16<const STREAM: bool>(y: Self::Floats, to: *mut bf16);
    /// Rounds to nearest even and writes 16 values.
    unsafe fn store_f16<const STREAM: bool>(y: Self::Floats, to: *mut f16);
    /// Writes `BYTES` bytes.
    unsafe fn store_u8<const STREAM: bool>(bytes: Self::Bytes, to: *mut u8);
    /// Copies 64 bytes past the cache; `to` is aligned to 64.
    unsafe fn stream_line(from: *const u8, to: *mut u8);
    /// Asks the second-level cache for the line at `from`, which may be any address: the first level has few requests
    /// under way at a time, and streaming stores need them.
    unsafe fn prefetch(from: *const u8);
    /// Makes streaming stores visible before whatever this thread stores next.
    unsafe fn fence();
}

/// What all groups of a job of numbers share, in registers.
#[derive(Clone, Copy)]
pub(super) struct Constants<L: Lanes> {
    table: L::Table,
    mean: [L::Floats; 3],
    shift: [L::Floats; 3],
    scale: [L::Floats; 3],
}

/// An element type that a group can become.
pub(super) trait Element: Copy {
    /// What all groups of a job share.
    type Constants<L: Lanes>;
    /// Pixels in a group.
    fn group<L: Lanes>() -> usize;
    /// # Safety
    /// That of [`Lanes`].
    unsafe fn constants<L: Lanes>(job: &Job<'_>) -> Self::Constants<L>;
    /// As many elements as a group has pixels, before they are rounded.
    type Vector<L: Lanes>: Copy;
    /// Makes the pixels of the group at `from` three vectors. With `IMAGE`, their means are the 16 values at each place
    /// of `mean`.
    ///
    /// # Safety
    /// That of [`Lanes`].
    unsafe fn make<L: Lanes, const IMAGE: bool>(
        from: *const u8,
        constants: &Self::Constants<L>,
        mean: [*const f32; 3],
    ) -> [Self::Vector<L>; 3];
    /// Rounds a vector and writes it.
    ///
    /// # Safety
    /// That of [`Lanes`].
    unsafe fn store<L: Lanes, const STREAM: bool>(vector: Self::Vector<L>, to: *mut Self);
}

impl Element for u8 {
    type Constants<L: Lanes> = L::ByteTable;

    #[inline(always)]
    fn group<L: Lanes>() -> usize {
        L::BYTES
    }

    #[inline(always)]
    unsafe fn constants<L: Lanes>(job: &Job<'_>) -> L::ByteTable {
        // SAFETY: the caller's promise.
        unsafe { L::byte_table(job) }
    }

    type Vector<L: Lanes> = L::Bytes;

    #[inline(always)]
    unsafe fn make<L: Lanes, const IMAGE: bool>(
        from: *const u8,
        table: &L::ByteTable,
        _: [*const f32; 3],
    ) -> [L::Bytes; 3] {
        // SAFETY: the caller's promise.
        unsafe { L::bytes(from, table) }
    }

    #[inline(always)]
    unsafe fn store<L: Lanes, const STREAM: bool>(bytes: L::Bytes, to: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { L::store_u8::<STREAM>(bytes, to) }
    }
}

macro_rules! number {
    ($type:ty, $store:ident) => {
        impl Element for $type {
            type Constants<L: Lanes> = Constants<L>;

            #[inline(always)]
            fn group<L: Lanes>() -> usize {
                GROUP
            }

            #[inline(always)]
            unsafe fn constants<L: Lanes>(job: &Job<'_>) -> Constants<L> {
                // SAFETY: the caller's promise; each load reads one array of 16 floats.
                unsafe {
                    Constants {
                        table: L::table(job.indices),
                        mean: three::<L>(job.mean.lanes),
                        shift: three::<L>(&job.shift),
                        scale: three::<L>(job.scale),
                    }
                }
            }

            type Vector<L: Lanes> = L::Floats;

            #[inline(always)]
            unsafe fn make<L: Lanes, const IMAGE: bool>(
                from: *const u8,
                constants: &Constants<L>,
                mean: [*const f32; 3],
            ) -> [L::Floats; 3] {
                // SAFETY: the caller's promises are the callees'.
                unsafe {
                    let mut x = L::pixels(from, &constants.table);
                    for k in 0..3 {
                        let mean = if IMAGE { L::load(mean[k]) } else { constants.mean[k] };
                        x[k] = L::finish(x[k], mean, constants.shift[k], constants.scale[k]);
                    }
                    x
                }
            }

            #[inline(always)]
            unsafe fn store<L: Lanes, const STREAM: bool>(y: L::Floats, to: *mut $type) {
                // SAFETY: the caller's promise.
                unsafe { L::$store::<STREAM>(y, to) }
            }
        }
    };
}
number!(f32, store_f32);
number!(bf16, store_bf16);
number!(f16, store_f16);

/// Does a job.
///
/// # Safety
/// The processor must have the instruction set of `L`, and the caller's caller must have enabled it.
#[inline(always)]
pub(super) unsafe fn run<L: Lanes>(job: &mut Job<'_>) {
    // SAFETY: the processor is the caller's promise; the job's own invariant covers the memory.
    unsafe {
        match (job.output, job.mean.image.is_some()) {
            (Output::Raw | Output::U8, _) => make::<L, u8, false>(job),
            (Output::F32, false) => make::<L, f32, false>(job),
            (Output::F32, true) => make::<L, f32, true>(job),
            (Output::Bf16, false) => make::<L, bf16, false>(job),
            (Output::Bf16, true) => make::<L, bf16, true>(job),
            (Output::F16, false) => make::<L, f16, false>(job),
            (Output::F16, true) => make::<L, f16, true>(job),
        }
    }
}

/// # Safety
/// That of [`run`].
#[inline(always)]
unsafe fn make<L: Lanes, E: Element, const IMAGE: bool>(job: &mut Job<'_>) {
    let (out, rows) = (job.out.as_mut_ptr().cast::<E>(), job.rows);
    assert_eq!(job.group, E::group::<L>());
    // SAFETY: `Job` promises that the sample's elements lie in `out`, in rows of whole lines for `Store::Stream`; a stage lends as much room for the rows that it gives.
    unsafe {
        let constants = E::constants::<L>(job);
        let direct = [out.add(job.to.vector(0)), out.add(job.to.vector(1)), out.add(job.to.vector(2))];
        match job.store {
            Store::Cached => make_rows::<L, E, IMAGE, false>(job, &constants, 0..rows, direct),
            Store::Stream => {
                make_rows::<L, E, IMAGE, true>(job, &constants, 0..rows, direct);
                L::fence();
            }
            Store::Stage => {
                let mut stage = Stage::new(out, job.to, rows);
                while let Some((rows, to)) = stage.room() {
                    make_rows::<L, E, IMAGE, false>(job, &constants, rows, to);
                    stage.flush::<L>();
                }
                L::fence();
            }
        }
    }
}

/// How far ahead a copy asks for its bytes: the hardware stops at each page.
const AHEAD: usize = 8192;

/// The first column of the group of `group` pixels after the one at `column`, the last of which ends where the row
/// does; `width` at its end.
#[inline(always)]
fn next_group(group: usize, width: usize, column: usize) -> usize {
    if column + group == width { width } else { (column + group).min(width - group) }
}

/// Makes some rows of a job; `to` is where the three vectors of the first group of the first of them go. With `STREAM`,
/// vectors that are half a line are written in pairs, so that each line is full at once.
///
/// # Safety
/// That of [`run`]; there is room for those rows at `to`. With `STREAM`, it is aligned to a group of elements at each
/// group, and rows are whole lines.
#[inline(always)]
unsafe fn make_rows<L: Lanes, E: Element, const IMAGE: bool, const STREAM: bool>(
    job: &Job<'_>,
    constants: &E::Constants<L>,
    rows: Range<usize>,
    to: [*mut E; 3],
) {
    let (first, group) = (rows.start, E::group::<L>());
    // Where channels lie side by side, a group's own vectors follow each other.
    let pairs = STREAM && group * size_of::<E>() < LINE && job.to.planes();
    // SAFETY: the room that `make_group` writes to is the caller's promise; a pair's second group lies in the row, as
    // that is a whole number of lines.
    unsafe {
        for row in rows {
            let (mut column, ahead) = (0, job.ahead(row));
            while column < job.width {
                let here = job.to.within(row - first, column);
                let vectors = make_group::<L, E, IMAGE>(job, constants, row, column, ahead);
                if pairs {
                    column += group;
                    let next = job.to.within(row - first, column);
                    let more = make_group::<L, E, IMAGE>(job, constants, row, column, ahead);
                    for k in 0..3 {
                        E::store::<L, STREAM>(vectors[k], to[k].add(here));
                        E::store::<L, STREAM>(more[k], to[k].add(next));
                    }
                } else {
                    for k in 0..3 {
                        E::store::<L, STREAM>(vectors[k], to[k].add(here));
                    }
                }
                column = next_group(group, job.width, column);
            }
        }
    }
}

/// Makes the group at (`row`, `column`) of the crop, and asks for what lies `ahead` bytes further in the record.
///
/// # Safety
/// That of [`run`].
#[inline(always)]
unsafe fn make_group<L: Lanes, E: Element, const IMAGE: bool>(
    job: &Job<'_>,
    constants: &E::Constants<L>,
    row: usize,
    column: usize,
    ahead: usize,
) -> [E::Vector<L>; 3] {
    // SAFETY: `Job` promises that the bytes of each group lie in the record, and that the mean image, if there is
    // one, has 16 values at every place that `mean.at` gives.
    unsafe {
        let from = job.record.as_ptr().add(job.source(row, column));
        for line in (0..3 * E::group::<L>()).step_by(LINE) {
            L::prefetch(from.wrapping_add(ahead + line));
        }
        let image = job.mean.image.map_or(std::ptr::null(), <[f32]>::as_ptr);
        let mut mean = [image; 3];
        if IMAGE {
            for (k, mean) in mean.iter_mut().enumerate() {
                *mean = image.add(job.mean.at(k, row, column));
            }
        }
        E::make::<L, IMAGE>(from, constants, mean)
    }
}

/// Copies `from` to `to`, as long and aligned to 64 bytes, past the cache.
///
/// # Safety
/// That of [`run`].
#[inline(always)]
pub(super) unsafe fn copy<L: Lanes>(from: &[u8], to: &mut [u8]) {
    assert!(from.len() == to.len() && to.len().is_multiple_of(LINE));
    assert!(to.as_ptr().addr().is_multiple_of(LINE));
    // SAFETY: lengths and alignment were checked just now.
    unsafe {
        for at in (0..to.len()).step_by(LINE) {
            let from = from.as_ptr().add(at);
            L::prefetch(from.wrapping_add(AHEAD));
            L::stream_line(from, to.as_mut_ptr().add(at));
        }
        L::fence();
    }
}

/// # Safety
/// That of [`Lanes`].
#[inline(always)]
unsafe fn three<L: Lanes>(values: &[[f32; GROUP]; 3]) -> [L::Floats; 3] {
    // SAFETY: each load reads one array of 16 floats.
    unsafe { [L::load(values[0].as_ptr()), L::load(values[1].as_ptr()), L::load(values[2].as_ptr())] }
}
