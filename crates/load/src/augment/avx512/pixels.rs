//! Pictures by AVX-512: what `picture.rs` asks of registers.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Avx512, Wide};
use crate::augment::job::GROUP;
use crate::augment::picture::{self, Pixels};
use crate::augment::resize::{BITS, Weights};
use crate::augment::tint::{Part, Step};

impl Avx512 {
    /// See [`picture::greys`].
    pub(in crate::augment) fn greys(
        self,
        steps: &[Step],
        picture: &[u8],
        part: Part,
        indices: &[[u8; GROUP]; 3],
    ) -> u64 {
        // SAFETY: as for `run`.
        unsafe { greys(steps, picture, part, indices) }
    }

    /// See [`picture::tint`].
    pub(in crate::augment) fn tint(
        self,
        steps: &[Step],
        picture: &mut [u8],
        part: Part,
        indices: &[[u8; GROUP]; 3],
    ) {
        // SAFETY: as for `run`.
        unsafe { tint(steps, picture, part, indices) }
    }

    /// See [`picture::across`]; gives how many outputs were made.
    pub(in crate::augment) fn across(self, weights: &Weights, row: &[u8], out: &mut [u8]) -> usize {
        // SAFETY: as for `run`.
        unsafe { across(weights, row, out) }
        out.len() / (3 * GROUP) * GROUP
    }

    /// See [`picture::down`]; gives how many bytes were made.
    pub(in crate::augment) fn down(self, weights: &[i32], rows: &[u8], out: &mut [u8]) -> usize {
        // SAFETY: as for `run`.
        unsafe { down(weights, rows, out) }
    }
}

/// # Safety
/// The processor must have AVX-512 F, BW, VL and VBMI.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
unsafe fn greys(steps: &[Step], picture: &[u8], part: Part, indices: &[[u8; GROUP]; 3]) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { picture::greys::<Wide<false>>(steps, picture, part, indices) }
}

/// # Safety
/// The processor must have AVX-512 F, BW, VL and VBMI.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
unsafe fn tint(steps: &[Step], picture: &mut [u8], part: Part, indices: &[[u8; GROUP]; 3]) {
    // SAFETY: the caller's promise.
    unsafe { picture::tint::<Wide<false>>(steps, picture, part, indices) }
}

/// # Safety
/// The processor must have AVX-512 F, BW, VL and VBMI.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
unsafe fn across(weights: &Weights, row: &[u8], out: &mut [u8]) {
    // SAFETY: the caller's promise.
    unsafe { picture::across::<Wide<false>, BITS>(weights, row, out) }
}

/// # Safety
/// The processor must have AVX-512 F, BW, VL and VBMI.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
unsafe fn down(weights: &[i32], rows: &[u8], out: &mut [u8]) -> usize {
    // SAFETY: the caller's promise.
    unsafe { picture::down::<Wide<false>, BITS>(weights, rows, out) }
}

// The methods below are inlined into the functions above, which enable the instruction set.
impl<const BRAIN: bool> Pixels for Wide<BRAIN> {
    type Ints = __m512i;

    #[inline(always)]
    unsafe fn float(x: f32) -> __m512 {
        // SAFETY: registers only.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn add(x: __m512, y: __m512) -> __m512 {
        // SAFETY: registers only.
        unsafe { _mm512_add_ps(x, y) }
    }

    #[inline(always)]
    unsafe fn sub(x: __m512, y: __m512) -> __m512 {
        // SAFETY: registers only.
        unsafe { _mm512_sub_ps(x, y) }
    }

    #[inline(always)]
    unsafe fn mul(x: __m512, y: __m512) -> __m512 {
        // SAFETY: registers only.
        unsafe { _mm512_mul_ps(x, y) }
    }

    #[inline(always)]
    unsafe fn byte(x: __m512) -> __m512 {
        // SAFETY: registers only. The larger of a NaN and 0 is the second of them.
        unsafe {
            let clipped = _mm512_min_ps(_mm512_max_ps(x, _mm512_setzero_ps()), _mm512_set1_ps(255.0));
            _mm512_roundscale_ps::<{ _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC }>(clipped)
        }
    }

    #[inline(always)]
    unsafe fn whole(x: __m512) -> __m512i {
        // SAFETY: registers only.
        unsafe { _mm512_cvttps_epi32(x) }
    }

    #[inline(always)]
    unsafe fn int(x: i32) -> __m512i {
        // SAFETY: registers only.
        unsafe { _mm512_set1_epi32(x) }
    }

    #[inline(always)]
    unsafe fn ints(from: *const i32) -> __m512i {
        // SAFETY: the caller promises 16 numbers.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn widen(from: *const u8) -> __m512i {
        // SAFETY: the caller promises 16 bytes.
        unsafe { _mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    unsafe fn gather(from: *const u8, places: __m512i) -> [__m512i; 3] {
        // SAFETY: the caller promises four bytes at each place.
        unsafe {
            let words = _mm512_i32gather_epi32::<1>(places, from.cast());
            let byte = _mm512_set1_epi32(255);
            [
                _mm512_and_si512(words, byte),
                _mm512_and_si512(_mm512_srli_epi32::<8>(words), byte),
                _mm512_and_si512(_mm512_srli_epi32::<16>(words), byte),
            ]
        }
    }

    #[inline(always)]
    unsafe fn weigh(sum: __m512i, x: __m512i, y: __m512i) -> __m512i {
        // SAFETY: registers only.
        unsafe { _mm512_add_epi32(sum, _mm512_mullo_epi32(x, y)) }
    }

    #[inline(always)]
    unsafe fn pixel<const BITS: u32>(sum: __m512i) -> __m512i {
        // SAFETY: registers only.
        unsafe {
            let level = _mm512_max_epi32(_mm512_srai_epi32::<BITS>(sum), _mm512_setzero_si512());
            _mm512_min_epi32(level, _mm512_set1_epi32(255))
        }
    }

    #[inline(always)]
    unsafe fn total(x: __m512i) -> i32 {
        // SAFETY: registers only.
        unsafe { _mm512_reduce_add_epi32(x) }
    }

    #[inline(always)]
    unsafe fn store(x: __m512i, to: *mut u8) {
        // SAFETY: one store of the 16 bytes that the caller promises room for.
        unsafe { _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(x)) }
    }

    #[inline(always)]
    unsafe fn store_pixels([r, g, b]: [__m512i; 3], to: *mut u8) {
        // SAFETY: stores of 32 and 16 bytes are the 48 that the caller promises room for.
        unsafe {
            let words =
                _mm512_or_si512(r, _mm512_or_si512(_mm512_slli_epi32::<8>(g), _mm512_slli_epi32::<16>(b)));
            let bytes = _mm512_permutexvar_epi8(_mm512_loadu_si512(THREE_OF_FOUR.as_ptr().cast()), words);
            // A masked store would make the next load wait, if that lies behind it.
            _mm256_storeu_si256(to.cast(), _mm512_castsi512_si256(bytes));
            _mm_storeu_si128(to.add(32).cast(), _mm512_extracti32x4_epi32::<2>(bytes));
        }
    }
}

/// Indices of bytes 0, 1 and 2 of each of 16 words.
const THREE_OF_FOUR: [u8; 64] = {
    let mut indices = [0; 64];
    let mut i = 0;
    while i < 48 {
        indices[i] = (i / 3 * 4 + i % 3) as u8;
        i += 1;
    }
    indices
};
