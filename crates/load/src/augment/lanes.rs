//! The vector pass, written once for every instruction set: 16 pixels (48 bytes) become three vectors of 16 values.
//!
//! In NCHW the three vectors are red, green and blue; in NHWC they follow each other in memory. Which byte goes
//! where, mirrored or not, is a table of the [`Job`], so that one loop serves every case. A row that is no multiple of
//! 16 ends with a group that overlaps the one before: nothing outside the crop is read, nothing outside the sample
//! written. How 16 values are loaded, rounded and stored is left to an implementation of [`Lanes`].
#![allow(unsafe_code)]

use std::arch::x86_64::__m128i;

use half::{bf16, f16};

use super::Output;
use super::pass::{GROUP, Job};

/// 16 values at a time, in the registers of one instruction set.
///
/// # Safety
/// Every method needs a processor with that instruction set, and pointers to as much memory as it says. With
/// `STREAM`, `to` is aligned to 16 elements.
///
/// Methods are inlined into one function that enables the instruction set; a closure in them would be compiled
/// without it, and call each intrinsic as a function.
pub(super) trait Lanes {
    /// 16 float32.
    type Floats: Copy;
    /// The indices of a [`Job`], prepared.
    type Table: Copy;

    /// Prepares indices into 48 bytes.
    unsafe fn table(indices: &[[u8; GROUP]; 3]) -> Self::Table;
    /// Picks three times 16 of the 48 bytes at `from`.
    unsafe fn bytes(from: *const u8, table: &Self::Table) -> [__m128i; 3];
    /// The same as floats.
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
    /// Writes 16 bytes.
    unsafe fn store_u8<const STREAM: bool>(bytes: __m128i, to: *mut u8);
    /// Asks for the cache line at `from`, which may be any address.
    unsafe fn prefetch(from: *const u8);
    /// Makes streaming stores visible before whatever this thread stores next.
    unsafe fn fence();
}

/// An element type that [`Lanes`] can write.
trait Element: Copy {
    /// # Safety
    /// That of [`Lanes`].
    unsafe fn store<L: Lanes, const STREAM: bool>(y: L::Floats, to: *mut Self);
}

macro_rules! element {
    ($type:ty, $store:ident) => {
        impl Element for $type {
            #[inline(always)]
            unsafe fn store<L: Lanes, const STREAM: bool>(y: L::Floats, to: *mut Self) {
                // SAFETY: the caller's promises are the callee's.
                unsafe { L::$store::<STREAM>(y, to) }
            }
        }
    };
}
element!(f32, store_f32);
element!(bf16, store_bf16);
element!(f16, store_f16);

/// Does a job.
///
/// # Safety
/// The processor must have the instruction set of `L`, and the caller's caller must have enabled it.
#[inline(always)]
pub(super) unsafe fn run<L: Lanes>(job: &mut Job<'_>) {
    let image = job.mean.image.is_some();
    // SAFETY: the processor is the caller's promise; the job's own invariant covers the memory.
    unsafe {
        match (job.output, image, job.stream) {
            (Output::Raw | Output::U8, _, false) => copy::<L, false>(job),
            (Output::Raw | Output::U8, _, true) => copy::<L, true>(job),
            (Output::F32, false, false) => compute::<L, f32, false, false>(job),
            (Output::F32, false, true) => compute::<L, f32, false, true>(job),
            (Output::F32, true, false) => compute::<L, f32, true, false>(job),
            (Output::F32, true, true) => compute::<L, f32, true, true>(job),
            (Output::Bf16, false, false) => compute::<L, bf16, false, false>(job),
            (Output::Bf16, false, true) => compute::<L, bf16, false, true>(job),
            (Output::Bf16, true, false) => compute::<L, bf16, true, false>(job),
            (Output::Bf16, true, true) => compute::<L, bf16, true, true>(job),
            (Output::F16, false, false) => compute::<L, f16, false, false>(job),
            (Output::F16, false, true) => compute::<L, f16, false, true>(job),
            (Output::F16, true, false) => compute::<L, f16, true, false>(job),
            (Output::F16, true, true) => compute::<L, f16, true, true>(job),
        }
        if job.stream {
            L::fence();
        }
    }
}

/// How far ahead of the row in work the record is asked for, in bytes: the hardware stops at each page.
const AHEAD: usize = 2048;

/// The first column of the group after the one at `column`: 16 further, or the last 16 of a row; `width` at its end.
#[inline(always)]
fn next_group(width: usize, column: usize) -> usize {
    if column + GROUP == width { width } else { (column + GROUP).min(width - GROUP) }
}

/// # Safety
/// That of [`run`].
#[inline(always)]
unsafe fn copy<L: Lanes, const STREAM: bool>(job: &mut Job<'_>) {
    let (out, to) = (job.out.as_mut_ptr(), job.to);
    // SAFETY: `Job` promises that the 48 bytes of each group lie in the record and that the 16 elements of each
    // of its vectors lie in `out`, aligned to 16 elements where `stream` is set.
    unsafe {
        let table = L::table(job.indices);
        for row in 0..job.rows {
            let mut column = 0;
            while column < job.width {
                let from = job.record.as_ptr().add(job.source(row, column));
                L::prefetch(from.wrapping_add(AHEAD));
                let bytes = L::bytes(from, &table);
                for (k, bytes) in bytes.into_iter().enumerate() {
                    L::store_u8::<STREAM>(bytes, out.add(to.at(k, row, column)));
                }
                column = next_group(job.width, column);
            }
        }
    }
}

/// # Safety
/// That of [`run`].
#[inline(always)]
unsafe fn compute<L: Lanes, E: Element, const IMAGE: bool, const STREAM: bool>(job: &mut Job<'_>) {
    let (out, to) = (job.out.as_mut_ptr().cast::<E>(), job.to);
    let image = job.mean.image.map_or(std::ptr::null(), <[f32]>::as_ptr);
    // SAFETY: as in `copy`; `Job` also promises that `out` is aligned to its elements, and that the mean image, if
    // there is one, has 16 values at every place that `mean.at` gives.
    unsafe {
        let table = L::table(job.indices);
        let (mean, shift, scale) =
            (three::<L>(job.mean.lanes), three::<L>(&job.shift), three::<L>(job.scale));
        for row in 0..job.rows {
            let mut column = 0;
            while column < job.width {
                let from = job.record.as_ptr().add(job.source(row, column));
                L::prefetch(from.wrapping_add(AHEAD));
                let x = L::pixels(from, &table);
                for k in 0..3 {
                    let mean = if IMAGE { L::load(image.add(job.mean.at(k, row, column))) } else { mean[k] };
                    let y = L::finish(x[k], mean, shift[k], scale[k]);
                    E::store::<L, STREAM>(y, out.add(to.at(k, row, column)));
                }
                column = next_group(job.width, column);
            }
        }
    }
}

/// # Safety
/// That of [`Lanes`].
#[inline(always)]
unsafe fn three<L: Lanes>(values: &[[f32; GROUP]; 3]) -> [L::Floats; 3] {
    // SAFETY: each load reads one array of 16 floats.
    unsafe { [L::load(values[0].as_ptr()), L::load(values[1].as_ptr()), L::load(values[2].as_ptr())] }
}
