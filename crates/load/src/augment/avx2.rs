//! AVX2 and F16C: 16 values are two registers of eight.
//!
//! Bytes are picked by three shuffles of 16 bytes a vector, whose indices outside the register give zero:
//!
//! ```text
//! bytes  0..16 ─ shuffle ─┐
//! bytes 16..32 ─ shuffle ─┼─ or ─ vector k (16 bytes) ─ widen ─ 8 + 8 int32 ─ 8 + 8 float32
//! bytes 32..48 ─ shuffle ─┘
//! ```
#![allow(unsafe_code)]

mod pixels;

use std::arch::x86_64::*;

use half::{bf16, f16};

use super::job::{GROUP, Job};
use super::lanes::{self, Lanes};

/// Proof that the processor has AVX2 and F16C.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

impl Avx2 {
    /// Nothing if the processor lacks them.
    pub fn new() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c")).then_some(Avx2(()))
    }

    pub(super) fn run(self, job: &mut Job<'_>) {
        // SAFETY: `self` exists, so the processor has both.
        unsafe { run(job) }
    }

    /// Copies past the cache; `to` is a multiple of 64 bytes, aligned to 64.
    pub(super) fn copy(self, from: &[u8], to: &mut [u8]) {
        // SAFETY: as for `run`.
        unsafe { copy(from, to) }
    }
}

/// # Safety
/// The processor must have AVX2 and F16C.
#[target_feature(enable = "avx2,f16c")]
unsafe fn run(job: &mut Job<'_>) {
    // SAFETY: the caller's promise.
    unsafe { lanes::run::<Avx2>(job) }
}

/// # Safety
/// The processor must have AVX2 and F16C.
#[target_feature(enable = "avx2,f16c")]
unsafe fn copy(from: &[u8], to: &mut [u8]) {
    // SAFETY: the caller's promise.
    unsafe { lanes::copy::<Avx2>(from, to) }
}

// The methods below are inlined into `run`, which enables the instruction set.
impl Lanes for Avx2 {
    type Floats = [__m256; 2];
    type Bytes = __m128i;
    type Table = [[__m128i; 3]; 3];
    type ByteTable = Self::Table;
    const BYTES: usize = GROUP;

    #[inline(always)]
    unsafe fn table(indices: &[[u8; GROUP]; 3]) -> Self::Table {
        let mut table = [[[0u8; GROUP]; 3]; 3];
        for (k, indices) in indices.iter().enumerate() {
            for (j, &index) in indices.iter().enumerate() {
                for (part, table) in table[k].iter_mut().enumerate() {
                    let here = usize::from(index) / GROUP == part;
                    table[j] = if here { index % GROUP as u8 } else { 0x80 };
                }
            }
        }
        // SAFETY: 144 bytes of shuffle indices are nine registers of them.
        unsafe { std::mem::transmute::<[[[u8; GROUP]; 3]; 3], [[__m128i; 3]; 3]>(table) }
    }

    #[inline(always)]
    unsafe fn byte_table(job: &Job<'_>) -> Self::Table {
        // SAFETY: the caller's promise.
        unsafe { Self::table(job.indices) }
    }

    #[inline(always)]
    unsafe fn bytes(from: *const u8, table: &Self::Table) -> [__m128i; 3] {
        // SAFETY: three loads of 16 bytes are the 48 that the caller promises.
        unsafe {
            let from = from.cast::<__m128i>();
            let part = [_mm_loadu_si128(from), _mm_loadu_si128(from.add(1)), _mm_loadu_si128(from.add(2))];
            let mut vectors = [part[0]; 3];
            for k in 0..3 {
                let [t0, t1, t2] = table[k];
                let ends = _mm_or_si128(_mm_shuffle_epi8(part[0], t0), _mm_shuffle_epi8(part[2], t2));
                vectors[k] = _mm_or_si128(ends, _mm_shuffle_epi8(part[1], t1));
            }
            vectors
        }
    }

    #[inline(always)]
    unsafe fn pixels(from: *const u8, table: &Self::Table) -> [Self::Floats; 3] {
        // SAFETY: the caller's promise for `bytes`; the rest touches registers only.
        unsafe {
            let bytes = Self::bytes(from, table);
            [widen(bytes[0]), widen(bytes[1]), widen(bytes[2])]
        }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Floats {
        // SAFETY: two loads of 8 floats are the 16 that the caller promises.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }

    #[inline(always)]
    unsafe fn finish(
        x: Self::Floats,
        mean: Self::Floats,
        shift: Self::Floats,
        scale: Self::Floats,
    ) -> Self::Floats {
        // SAFETY: registers only.
        unsafe {
            let low = _mm256_mul_ps(_mm256_add_ps(_mm256_sub_ps(x[0], mean[0]), shift[0]), scale[0]);
            let high = _mm256_mul_ps(_mm256_add_ps(_mm256_sub_ps(x[1], mean[1]), shift[1]), scale[1]);
            [low, high]
        }
    }

    #[inline(always)]
    unsafe fn store_f32<const STREAM: bool>(y: Self::Floats, to: *mut f32) {
        // SAFETY: two stores of 8 floats are the 16 that the caller promises, aligned to 32 bytes if streamed.
        unsafe {
            if STREAM {
                _mm256_stream_ps(to, y[0]);
                _mm256_stream_ps(to.add(8), y[1]);
            } else {
                _mm256_storeu_ps(to, y[0]);
                _mm256_storeu_ps(to.add(8), y[1]);
            }
        }
    }

    #[inline(always)]
    unsafe fn store_bf16<const STREAM: bool>(y: Self::Floats, to: *mut bf16) {
        // SAFETY: one store of 16 halves, which the caller promises, aligned to 32 bytes if streamed.
        unsafe {
            // Packing works within 128-bit halves; the permutation puts the four quarters in order.
            let packed = _mm256_packus_epi32(round_to_bf16(y[0]), round_to_bf16(y[1]));
            store_halves::<STREAM>(_mm256_permute4x64_epi64::<0b11_01_10_00>(packed), to.cast());
        }
    }

    #[inline(always)]
    unsafe fn store_f16<const STREAM: bool>(y: Self::Floats, to: *mut f16) {
        // SAFETY: as for bf16.
        unsafe {
            let low = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(y[0]);
            let high = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(y[1]);
            store_halves::<STREAM>(_mm256_set_m128i(high, low), to.cast());
        }
    }

    #[inline(always)]
    unsafe fn store_u8<const STREAM: bool>(bytes: __m128i, to: *mut u8) {
        // SAFETY: one store of 16 bytes, which the caller promises, aligned to 16 bytes if streamed.
        unsafe {
            if STREAM { _mm_stream_si128(to.cast(), bytes) } else { _mm_storeu_si128(to.cast(), bytes) }
        }
    }

    #[inline(always)]
    unsafe fn stream_line(from: *const u8, to: *mut u8) {
        // SAFETY: the caller promises 64 bytes at both, aligned at `to`.
        unsafe {
            let (from, to) = (from.cast::<__m256i>(), to.cast::<__m256i>());
            _mm256_stream_si256(to, _mm256_loadu_si256(from));
            _mm256_stream_si256(to.add(1), _mm256_loadu_si256(from.add(1)));
        }
    }

    #[inline(always)]
    unsafe fn prefetch(from: *const u8) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
    }

    #[inline(always)]
    unsafe fn fence() {
        // SAFETY: every x86-64 processor has it.
        unsafe { _mm_sfence() }
    }
}

/// 16 bytes as floats.
///
/// # Safety
/// The processor must have AVX2.
#[inline(always)]
unsafe fn widen(bytes: __m128i) -> [__m256; 2] {
    // SAFETY: registers only.
    unsafe {
        let upper = _mm_unpackhi_epi64(bytes, bytes);
        [_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)), _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(upper))]
    }
}

/// The bits of eight float32, rounded to nearest even, in the low halves of eight words. None may be a NaN.
///
/// # Safety
/// The processor must have AVX2.
#[inline(always)]
unsafe fn round_to_bf16(y: __m256) -> __m256i {
    // SAFETY: registers only.
    unsafe {
        let bits = _mm256_castps_si256(y);
        let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
        let rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
        _mm256_srli_epi32::<16>(rounded)
    }
}

/// # Safety
/// The processor must have AVX2; `to` has room for 32 bytes, aligned to 32 if streamed.
#[inline(always)]
unsafe fn store_halves<const STREAM: bool>(halves: __m256i, to: *mut __m256i) {
    // SAFETY: the caller's promise.
    unsafe { if STREAM { _mm256_stream_si256(to, halves) } else { _mm256_storeu_si256(to, halves) } }
}
