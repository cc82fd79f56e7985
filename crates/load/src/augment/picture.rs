//! Pictures resized and tinted 16 pixels at a time: the bits of `resize.rs` and `tint.rs`, which see to what is left of
//! a row and check every bound.
//!
//! Colours are float32 here, and as exact as bytes: products and sums of the grey level stay below 2²⁴, and a blend is
//! three operations each rounded once, as in the plain code.
#![allow(unsafe_code)]

use super::job::GROUP;
use super::lanes::Lanes;
use super::resize::Weights;
use super::tint::{GREY, Part, Step};

/// 16 whole numbers at a time, and what pictures ask of 16 floats.
///
/// # Safety
/// As for [`Lanes`].
pub(super) trait Pixels: Lanes {
    /// 16 int32.
    type Ints: Copy;

    /// 16 times the same.
    unsafe fn float(x: f32) -> Self::Floats;
    /// Sums.
    unsafe fn add(x: Self::Floats, y: Self::Floats) -> Self::Floats;
    /// Differences.
    unsafe fn sub(x: Self::Floats, y: Self::Floats) -> Self::Floats;
    /// Products.
    unsafe fn mul(x: Self::Floats, y: Self::Floats) -> Self::Floats;
    /// Clipped to 0 ..= 255, which NaNs become 0 by, and cut off.
    unsafe fn byte(x: Self::Floats) -> Self::Floats;
    /// Whole numbers, as such.
    unsafe fn whole(x: Self::Floats) -> Self::Ints;

    /// 16 times the same.
    unsafe fn int(x: i32) -> Self::Ints;
    /// 16 numbers at `from`.
    unsafe fn ints(from: *const i32) -> Self::Ints;
    /// 16 bytes at `from`.
    unsafe fn widen(from: *const u8) -> Self::Ints;
    /// The three bytes that follow each of 16 places from `from`; reads a fourth.
    unsafe fn gather(from: *const u8, places: Self::Ints) -> [Self::Ints; 3];
    /// `sum + x · y`.
    unsafe fn weigh(sum: Self::Ints, x: Self::Ints, y: Self::Ints) -> Self::Ints;
    /// Shifted right, and clipped to 0 ..= 255.
    unsafe fn pixel<const BITS: u32>(sum: Self::Ints) -> Self::Ints;
    /// All of them together.
    unsafe fn total(x: Self::Ints) -> i32;
    /// Writes 16 numbers of 0 ..= 255 as bytes.
    unsafe fn store(x: Self::Ints, to: *mut u8);
    /// Writes 16 pixels, 48 bytes, whose channels are 0 ..= 255.
    unsafe fn store_pixels(rgb: [Self::Ints; 3], to: *mut u8);
}

/// The greys of 16 pixels.
#[inline(always)]
unsafe fn grey<L: Pixels>(rgb: &[L::Floats; 3]) -> L::Floats {
    // SAFETY: the caller's promise; registers only.
    unsafe {
        let [r, g] = [L::mul(rgb[0], L::float(GREY[0] as f32)), L::mul(rgb[1], L::float(GREY[1] as f32))];
        let sum = L::add(L::add(r, g), L::mul(rgb[2], L::float(GREY[2] as f32)));
        L::byte(L::mul(L::add(sum, L::float(32_768.0)), L::float(1.0 / 65_536.0)))
    }
}

/// 16 pixels after some steps.
#[inline(always)]
unsafe fn after<L: Pixels>(steps: &[Step], rgb: [L::Floats; 3]) -> [L::Floats; 3] {
    // SAFETY: the caller's promise; registers only.
    unsafe {
        let mut rgb = rgb;
        for step in steps {
            let from = match step.from {
                Some(level) => L::float(f32::from(level)),
                None => grey::<L>(&rgb),
            };
            for x in &mut rgb {
                *x = L::byte(L::add(from, L::mul(L::float(step.factor), L::sub(*x, from))));
            }
        }
        rgb
    }
}

/// The sum of the greys of the whole groups of a part's rows after some steps; a group's bytes are picked by `indices`.
///
/// # Safety
/// The processor must have the instruction set of `L`, and the caller's caller must have enabled it.
#[inline(always)]
pub(super) unsafe fn greys<L: Pixels>(
    steps: &[Step],
    picture: &[u8],
    part: Part,
    indices: &[[u8; GROUP]; 3],
) -> u64 {
    // SAFETY: the processor is the caller's promise; each group is 48 bytes of a row.
    unsafe {
        let (table, one, mut sum) = (L::table(indices), L::int(1), 0);
        for row in part.rows() {
            let mut sums = L::int(0);
            for (i, group) in picture[row].chunks_exact(3 * GROUP).enumerate() {
                let grey = grey::<L>(&after::<L>(steps, L::pixels(group.as_ptr(), &table)));
                sums = L::weigh(sums, L::whole(grey), one);
                if i % 4096 == 4095 {
                    // Long before a sum of bytes leaves 32 bits.
                    (sum, sums) = (sum + L::total(sums) as u64, L::int(0));
                }
            }
            sum += L::total(sums) as u64;
        }
        sum
    }
}

/// Takes the whole groups of a part's rows through some steps.
///
/// # Safety
/// As for [`greys`].
#[inline(always)]
pub(super) unsafe fn tint<L: Pixels>(
    steps: &[Step],
    picture: &mut [u8],
    part: Part,
    indices: &[[u8; GROUP]; 3],
) {
    // SAFETY: the processor is the caller's promise; each group is 48 bytes of a row.
    unsafe {
        let table = L::table(indices);
        for row in part.rows() {
            for group in picture[row].chunks_exact_mut(3 * GROUP) {
                let rgb = after::<L>(steps, L::pixels(group.as_ptr(), &table));
                L::store_pixels([L::whole(rgb[0]), L::whole(rgb[1]), L::whole(rgb[2])], group.as_mut_ptr());
            }
        }
    }
}

/// The whole groups of a row's outputs, each a weighted sum of pixels of `row`.
///
/// # Safety
/// As for [`greys`].
///
/// # Panics
/// If `row` does not go one byte beyond the pixels that `weights` were computed for.
#[inline(always)]
pub(super) unsafe fn across<L: Pixels, const BITS: u32>(weights: &Weights, row: &[u8], out: &mut [u8]) {
    assert!(row.len() > 3 * weights.from());
    // SAFETY: the processor is the caller's promise. `weights` have 16 places and weights for each group of outputs
    // (checked by `column`), and no place is past the last pixel, behind which there is one more byte.
    unsafe {
        for (group, out) in out.chunks_exact_mut(3 * GROUP).enumerate() {
            let half = L::int(1 << (BITS - 1));
            let mut sums = [half; 3];
            for tap in 0..weights.taps() {
                let (places, factors) = weights.column(tap, group * GROUP);
                let rgb = L::gather(row.as_ptr(), L::ints(places.as_ptr()));
                let factors = L::ints(factors.as_ptr());
                for c in 0..3 {
                    sums[c] = L::weigh(sums[c], rgb[c], factors);
                }
            }
            let [r, g, b] = sums;
            let rgb = [L::pixel::<BITS>(r), L::pixel::<BITS>(g), L::pixel::<BITS>(b)];
            L::store_pixels(rgb, out.as_mut_ptr());
        }
    }
}

/// Bytes of a row that are summed in registers at a time.
const RUN: usize = 4 * GROUP;

/// The whole runs of one output row, a weighted sum of the rows of `rows`, each as long as `out`.
///
/// # Safety
/// As for [`greys`].
#[inline(always)]
pub(super) unsafe fn down<L: Pixels, const BITS: u32>(weights: &[i32], rows: &[u8], out: &mut [u8]) -> usize {
    let length = out.len();
    assert!(rows.len() >= weights.len() * length);
    // SAFETY: the processor is the caller's promise; 16 bytes are read at `start + 16 · k` of rows, and written there
    // in `out`, all of which lie below `length`.
    unsafe {
        for (run, out) in out.chunks_exact_mut(RUN).enumerate() {
            let mut sums = [L::int(1 << (BITS - 1)); 4];
            for (y, &weight) in weights.iter().enumerate() {
                let row = rows.as_ptr().add(y * length + run * RUN);
                for (k, sum) in sums.iter_mut().enumerate() {
                    *sum = L::weigh(*sum, L::widen(row.add(GROUP * k)), L::int(weight));
                }
            }
            for (k, sum) in sums.into_iter().enumerate() {
                L::store(L::pixel::<BITS>(sum), out.as_mut_ptr().add(GROUP * k));
            }
        }
    }
    length / RUN * RUN
}
