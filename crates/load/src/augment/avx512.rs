//! AVX-512 with VBMI: 16 values are one register, and one byte permutation picks them out of 48 bytes; 64 bytes are one
//! too, picked by two permutations out of three registers.
//!
//! For floats the permutation puts each byte at the bottom of its own 32-bit word and zeroes the rest, so that it
//! widens as well; for bf16 another one takes the upper halves of 16 words, where the processor does not round itself.
#![allow(unsafe_code)]

mod lines;
mod pixels;

use std::arch::x86_64::*;

use half::{bf16, f16};

use super::Output;
use super::job::{GROUP, Job, Store, WIDE};
use super::lanes::{self, Lanes};

/// Proof that the processor has AVX-512 F, BW, VL and VBMI.
#[derive(Clone, Copy, Debug)]
pub struct Avx512 {
    /// It has AVX512_BF16 too.
    brain: bool,
}

impl Avx512 {
    /// Nothing if the processor lacks one of the four.
    pub fn new() -> Option<Self> {
        let all = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vbmi");
        all.then(|| Avx512 { brain: is_x86_feature_detected!("avx512bf16") })
    }

    /// Rounds to bf16 by arithmetic on the bits, as a processor without AVX512_BF16 must.
    #[must_use]
    pub fn plain(self) -> Self {
        Avx512 { brain: false }
    }

    pub(super) fn run(self, job: &mut Job<'_>) {
        // SAFETY: `self` exists, so the processor has all four; `brain` says that it has the fifth.
        unsafe {
            match (job.output, job.store) {
                (Output::U8, Store::Stream) => lines::lines(job),
                _ if self.brain && !job.subnormal => run_brain(job),
                _ => run(job),
            }
        }
    }

    /// Copies past the cache; `to` is a multiple of 64 bytes, aligned to 64.
    pub(super) fn copy(self, from: &[u8], to: &mut [u8]) {
        // SAFETY: as for `run`.
        unsafe { copy(from, to) }
    }
}

/// # Safety
/// The processor must have AVX-512 F, BW, VL and VBMI.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
unsafe fn run(job: &mut Job<'_>) {
    // SAFETY: the caller's promise.
    unsafe { lanes::run::<Wide<false>>(job) }
}

/// # Safety
/// The processor must have AVX-512 F, BW, VL, VBMI and BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512bf16")]
unsafe fn run_brain(job: &mut Job<'_>) {
    // SAFETY: the caller's promise.
    unsafe { lanes::run::<Wide<true>>(job) }
}

/// The bytes of three vectors, out of three registers.
///
/// # Safety
/// The processor must have AVX-512 F, BW and VBMI.
#[inline(always)]
unsafe fn pick(part: [__m512i; 3], table: &ByteTable) -> [__m512i; 3] {
    // SAFETY: registers only.
    unsafe {
        let mut vectors = part;
        for (vector, (&index, &third)) in vectors.iter_mut().zip(table.indices.iter().zip(&table.third)) {
            // Both permutations take as many low bits of an index as they need.
            let two = _mm512_permutex2var_epi8(part[0], index, part[1]);
            *vector = _mm512_mask_permutexvar_epi8(two, third, index, part[2]);
        }
        vectors
    }
}

/// # Safety
/// The processor must have AVX-512 F, BW, VL and VBMI.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
unsafe fn copy(from: &[u8], to: &mut [u8]) {
    // SAFETY: the caller's promise.
    unsafe { lanes::copy::<Wide<false>>(from, to) }
}

/// The registers; `BRAIN` if AVX512_BF16 rounds to bf16.
struct Wide<const BRAIN: bool>;

/// Indices into 192 bytes: three registers.
#[derive(Clone, Copy)]
pub(super) struct ByteTable {
    indices: [__m512i; 3],
    /// Which of them lie in the third register.
    third: [__mmask64; 3],
}

/// The first 48 bytes.
const SOURCE: u64 = (1 << 48) - 1;

// The methods below are inlined into the functions above, which enable the instruction set.
impl<const BRAIN: bool> Lanes for Wide<BRAIN> {
    type Floats = __m512;
    type Bytes = __m512i;
    /// Each byte at the bottom of a word.
    type Table = [__m512i; 3];
    type ByteTable = ByteTable;
    const BYTES: usize = WIDE;

    #[inline(always)]
    unsafe fn table(indices: &[[u8; GROUP]; 3]) -> Self::Table {
        // The source's last byte is zero: only 48 are loaded.
        let mut words = [[63u8; 64]; 3];
        for (words, indices) in words.iter_mut().zip(indices) {
            for (j, &index) in indices.iter().enumerate() {
                words[4 * j] = index;
            }
        }
        // SAFETY: 64 bytes of indices are a register of them.
        unsafe { std::mem::transmute::<[[u8; 64]; 3], [__m512i; 3]>(words) }
    }

    #[inline(always)]
    unsafe fn byte_table(job: &Job<'_>) -> Self::ByteTable {
        // SAFETY: each load reads one array of 64 bytes.
        unsafe {
            let mut table = ByteTable { indices: [_mm512_setzero_si512(); 3], third: [0; 3] };
            for (k, indices) in job.wide.iter().enumerate() {
                table.indices[k] = _mm512_loadu_si512(indices.as_ptr().cast());
                // What lies past 127 has its highest bit set.
                table.third[k] = _mm512_movepi8_mask(table.indices[k]);
            }
            table
        }
    }

    #[inline(always)]
    unsafe fn bytes(from: *const u8, table: &Self::ByteTable) -> [__m512i; 3] {
        // SAFETY: three loads of 64 bytes are the 192 that the caller promises.
        unsafe {
            let part = [
                _mm512_loadu_si512(from.cast()),
                _mm512_loadu_si512(from.add(64).cast()),
                _mm512_loadu_si512(from.add(128).cast()),
            ];
            pick(part, table)
        }
    }

    #[inline(always)]
    unsafe fn pixels(from: *const u8, table: &Self::Table) -> [Self::Floats; 3] {
        // SAFETY: the masked load touches the 48 bytes that the caller promises and no others.
        unsafe {
            let source = _mm512_maskz_loadu_epi8(SOURCE, from.cast());
            let [a, b, c] = *table;
            [
                _mm512_cvtepi32_ps(_mm512_permutexvar_epi8(a, source)),
                _mm512_cvtepi32_ps(_mm512_permutexvar_epi8(b, source)),
                _mm512_cvtepi32_ps(_mm512_permutexvar_epi8(c, source)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Floats {
        // SAFETY: the caller promises 16 floats.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn finish(x: __m512, mean: __m512, shift: __m512, scale: __m512) -> __m512 {
        // SAFETY: registers only.
        unsafe { _mm512_mul_ps(_mm512_add_ps(_mm512_sub_ps(x, mean), shift), scale) }
    }

    #[inline(always)]
    unsafe fn store_f32<const STREAM: bool>(y: Self::Floats, to: *mut f32) {
        // SAFETY: the caller promises room for 16 floats, aligned to 64 bytes if streamed.
        unsafe { if STREAM { _mm512_stream_ps(to, y) } else { _mm512_storeu_ps(to, y) } }
    }

    #[inline(always)]
    unsafe fn store_bf16<const STREAM: bool>(y: Self::Floats, to: *mut bf16) {
        // SAFETY: the caller promises room for 16 halves, aligned to 32 bytes if streamed. `BRAIN` is set only in a
        // function that enables the instruction; it takes subnormal numbers for zero, and the job has none then.
        unsafe {
            if BRAIN {
                let halves = std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(y));
                return store_halves::<STREAM>(halves, to.cast());
            }
            let bits = _mm512_castps_si512(y);
            let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
            let upper = _mm512_permutexvar_epi8(upper_halves(), rounded);
            store_halves::<STREAM>(_mm512_castsi512_si256(upper), to.cast());
        }
    }

    #[inline(always)]
    unsafe fn store_f16<const STREAM: bool>(y: Self::Floats, to: *mut f16) {
        // SAFETY: as for bf16.
        unsafe { store_halves::<STREAM>(_mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(y), to.cast()) }
    }

    #[inline(always)]
    unsafe fn store_u8<const STREAM: bool>(bytes: __m512i, to: *mut u8) {
        // SAFETY: one store of 64 bytes, which the caller promises, aligned to 64 bytes if streamed.
        unsafe {
            if STREAM { _mm512_stream_si512(to.cast(), bytes) } else { _mm512_storeu_si512(to.cast(), bytes) }
        }
    }

    #[inline(always)]
    unsafe fn stream_line(from: *const u8, to: *mut u8) {
        // SAFETY: the caller promises 64 bytes at both, aligned at `to`.
        unsafe {
            _mm512_stream_si512(to.cast(), _mm512_loadu_si512(from.cast()));
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

/// Indices of bytes 2 and 3 of each of 16 words.
///
/// # Safety
/// The processor must have AVX-512 F.
#[inline(always)]
unsafe fn upper_halves() -> __m512i {
    const INDICES: [u8; 64] = {
        let mut indices = [0; 64];
        let mut i = 0;
        while i < 32 {
            indices[i] = (i / 2 * 4 + 2 + i % 2) as u8;
            i += 1;
        }
        indices
    };
    // SAFETY: reads one array of 64 bytes.
    unsafe { _mm512_loadu_si512(INDICES.as_ptr().cast()) }
}

/// # Safety
/// The processor must have AVX-512 F; `to` has room for 32 bytes, aligned to 32 if streamed.
#[inline(always)]
unsafe fn store_halves<const STREAM: bool>(halves: __m256i, to: *mut __m256i) {
    // SAFETY: the caller's promise.
    unsafe { if STREAM { _mm256_stream_si256(to, halves) } else { _mm256_storeu_si256(to, halves) } }
}
