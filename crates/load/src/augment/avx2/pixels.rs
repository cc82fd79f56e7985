//! Pictures by AVX2: what `picture.rs` asks of registers.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::Avx2;
use crate::augment::job::GROUP;
use crate::augment::picture::{self, Pixels};
use crate::augment::resize::{BITS, Weights};
use crate::augment::tint::{Part, Step};

impl Avx2 {
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
/// The processor must have AVX2 and F16C.
#[target_feature(enable = "avx2,f16c")]
unsafe fn greys(steps: &[Step], picture: &[u8], part: Part, indices: &[[u8; GROUP]; 3]) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { picture::greys::<Avx2>(steps, picture, part, indices) }
}

/// # Safety
/// The processor must have AVX2 and F16C.
#[target_feature(enable = "avx2,f16c")]
unsafe fn tint(steps: &[Step], picture: &mut [u8], part: Part, indices: &[[u8; GROUP]; 3]) {
    // SAFETY: the caller's promise.
    unsafe { picture::tint::<Avx2>(steps, picture, part, indices) }
}

/// # Safety
/// The processor must have AVX2 and F16C.
#[target_feature(enable = "avx2,f16c")]
unsafe fn across(weights: &Weights, row: &[u8], out: &mut [u8]) {
    // SAFETY: the caller's promise.
    unsafe { picture::across::<Avx2, BITS>(weights, row, out) }
}

/// # Safety
/// The processor must have AVX2 and F16C.
#[target_feature(enable = "avx2,f16c")]
unsafe fn down(weights: &[i32], rows: &[u8], out: &mut [u8]) -> usize {
    // SAFETY: the caller's promise.
    unsafe { picture::down::<Avx2, BITS>(weights, rows, out) }
}

// The methods below are inlined into the functions above, which enable the instruction set.
impl Pixels for Avx2 {
    type Ints = [__m256i; 2];

    #[inline(always)]
    unsafe fn float(x: f32) -> Self::Floats {
        // SAFETY: registers only.
        unsafe { [_mm256_set1_ps(x); 2] }
    }

    #[inline(always)]
    unsafe fn add(x: Self::Floats, y: Self::Floats) -> Self::Floats {
        // SAFETY: registers only.
        unsafe { [_mm256_add_ps(x[0], y[0]), _mm256_add_ps(x[1], y[1])] }
    }

    #[inline(always)]
    unsafe fn sub(x: Self::Floats, y: Self::Floats) -> Self::Floats {
        // SAFETY: registers only.
        unsafe { [_mm256_sub_ps(x[0], y[0]), _mm256_sub_ps(x[1], y[1])] }
    }

    #[inline(always)]
    unsafe fn mul(x: Self::Floats, y: Self::Floats) -> Self::Floats {
        // SAFETY: registers only.
        unsafe { [_mm256_mul_ps(x[0], y[0]), _mm256_mul_ps(x[1], y[1])] }
    }

    #[inline(always)]
    unsafe fn byte(x: Self::Floats) -> Self::Floats {
        // SAFETY: registers only. The larger of a NaN and 0 is the second of them.
        unsafe {
            let (least, most) = (_mm256_setzero_ps(), _mm256_set1_ps(255.0));
            let low = _mm256_min_ps(_mm256_max_ps(x[0], least), most);
            let high = _mm256_min_ps(_mm256_max_ps(x[1], least), most);
            const CUT: i32 = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
            [_mm256_round_ps::<CUT>(low), _mm256_round_ps::<CUT>(high)]
        }
    }

    #[inline(always)]
    unsafe fn whole(x: Self::Floats) -> Self::Ints {
        // SAFETY: registers only.
        unsafe { [_mm256_cvttps_epi32(x[0]), _mm256_cvttps_epi32(x[1])] }
    }

    #[inline(always)]
    unsafe fn int(x: i32) -> Self::Ints {
        // SAFETY: registers only.
        unsafe { [_mm256_set1_epi32(x); 2] }
    }

    #[inline(always)]
    unsafe fn ints(from: *const i32) -> Self::Ints {
        // SAFETY: two loads of 8 numbers are the 16 that the caller promises.
        unsafe { [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(8).cast())] }
    }

    #[inline(always)]
    unsafe fn widen(from: *const u8) -> Self::Ints {
        // SAFETY: two loads of 8 bytes are the 16 that the caller promises.
        unsafe {
            let (low, high) = (_mm_loadl_epi64(from.cast()), _mm_loadl_epi64(from.add(8).cast()));
            [_mm256_cvtepu8_epi32(low), _mm256_cvtepu8_epi32(high)]
        }
    }

    #[inline(always)]
    unsafe fn gather(from: *const u8, places: Self::Ints) -> [Self::Ints; 3] {
        // SAFETY: the caller promises four bytes at each place.
        unsafe {
            let low = _mm256_i32gather_epi32::<1>(from.cast(), places[0]);
            let high = _mm256_i32gather_epi32::<1>(from.cast(), places[1]);
            let byte = _mm256_set1_epi32(255);
            [
                [_mm256_and_si256(low, byte), _mm256_and_si256(high, byte)],
                [
                    _mm256_and_si256(_mm256_srli_epi32::<8>(low), byte),
                    _mm256_and_si256(_mm256_srli_epi32::<8>(high), byte),
                ],
                [
                    _mm256_and_si256(_mm256_srli_epi32::<16>(low), byte),
                    _mm256_and_si256(_mm256_srli_epi32::<16>(high), byte),
                ],
            ]
        }
    }

    #[inline(always)]
    unsafe fn weigh(sum: Self::Ints, x: Self::Ints, y: Self::Ints) -> Self::Ints {
        // SAFETY: registers only.
        unsafe {
            [
                _mm256_add_epi32(sum[0], _mm256_mullo_epi32(x[0], y[0])),
                _mm256_add_epi32(sum[1], _mm256_mullo_epi32(x[1], y[1])),
            ]
        }
    }

    #[inline(always)]
    unsafe fn pixel<const BITS: u32>(sum: Self::Ints) -> Self::Ints {
        // SAFETY: registers only.
        unsafe {
            let (bits, least, most) =
                (_mm_cvtsi32_si128(BITS as i32), _mm256_setzero_si256(), _mm256_set1_epi32(255));
            let low = _mm256_max_epi32(_mm256_sra_epi32(sum[0], bits), least);
            let high = _mm256_max_epi32(_mm256_sra_epi32(sum[1], bits), least);
            [_mm256_min_epi32(low, most), _mm256_min_epi32(high, most)]
        }
    }

    #[inline(always)]
    unsafe fn total(x: Self::Ints) -> i32 {
        // SAFETY: eight words are a register of them.
        unsafe { std::mem::transmute::<__m256i, [i32; 8]>(_mm256_add_epi32(x[0], x[1])).iter().sum() }
    }

    #[inline(always)]
    unsafe fn store(x: Self::Ints, to: *mut u8) {
        // SAFETY: one store of the 16 bytes that the caller promises room for.
        unsafe {
            // Packing works within 128-bit halves; the permutation puts the four quarters in order.
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(x[0], x[1]));
            let bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(to.cast(), bytes);
        }
    }

    #[inline(always)]
    unsafe fn store_pixels(rgb: [Self::Ints; 3], to: *mut u8) {
        // SAFETY: four stores of 8 and 4 bytes for each of two registers are the 48 that the caller promises room for.
        unsafe {
            let squeeze = _mm256_setr_epi8(
                0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13,
                14, -1, -1, -1, -1,
            );
            for (half, to) in [to, to.add(24)].into_iter().enumerate() {
                let [r, g, b] = [rgb[0][half], rgb[1][half], rgb[2][half]];
                let words = _mm256_or_si256(
                    r,
                    _mm256_or_si256(_mm256_slli_epi32::<8>(g), _mm256_slli_epi32::<16>(b)),
                );
                let bytes = _mm256_shuffle_epi8(words, squeeze);
                let (low, high) = (_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
                _mm_storel_epi64(to.cast(), low);
                to.add(8).cast::<i32>().write_unaligned(_mm_extract_epi32::<2>(low));
                _mm_storel_epi64(to.add(12).cast(), high);
                to.add(20).cast::<i32>().write_unaligned(_mm_extract_epi32::<2>(high));
            }
        }
    }
}
