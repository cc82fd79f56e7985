//! What this machine's memory allows: bare loops over as many bytes as a sample has, with nothing to decide.
//!
//! A loader cannot be faster than reading every cropped byte once and writing every value once, past the cache. These
//! loops do just that with the loader's own records, one after the other, without crop, mirror, mean or lighting; a
//! loader's rate is measured against theirs in the same process and on as many threads. That they read the records
//! themselves matters: a small buffer stays in the cache, where a set of photos never is.
#![allow(unsafe_code)]

use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::augment::Output;
use crate::records::Records;
use crate::ring::{HeapMemory, Memory};

/// Samples that each thread of a bare loop writes in turn: far more than its cache holds.
const SAMPLES: usize = 128;
/// Values widened at a time.
const STEP: usize = 64;

/// A loop with nothing to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare {
    /// Bytes become elements of this type, by streaming stores: the bound of finished samples.
    Widen(Output),
    /// The standard library's copy of bytes.
    Copy,
}

impl Bare {
    /// Samples a second that `threads` threads make of the first `values` bytes of each record, for about `length`.
    ///
    /// # Errors
    /// If a record cannot be read.
    pub fn rate(
        self,
        records: &dyn Records,
        values: usize,
        threads: usize,
        length: Duration,
    ) -> Result<f64, alexnet_shard::Error> {
        let values = values / STEP * STEP;
        let out = match self {
            Bare::Widen(output) => values * output.bytes(),
            Bare::Copy => values,
        };
        let start = Barrier::new(threads);
        let work = &|first: usize| {
            let (mut scratch, mut sink) = (Vec::new(), HeapMemory::new(SAMPLES * out));
            // Writing gives it its pages, so that the loop measures none of that.
            sink.bytes_mut().fill(1);
            start.wait();
            let (begin, mut samples) = (Instant::now(), 0usize);
            let mut run = || {
                while begin.elapsed() < length {
                    for to in sink.bytes_mut().chunks_exact_mut(out.max(1)) {
                        let record = (first + samples * threads) as u64 % records.len();
                        let mut made = Ok(());
                        records.guard(record, &mut || {
                            made = records.record(record, &mut scratch).map(|bytes| match self {
                                Bare::Widen(output) => widen(output, &bytes[..values], to),
                                Bare::Copy => to.copy_from_slice(&bytes[..values]),
                            });
                        })?;
                        made?;
                        samples += 1;
                    }
                }
                Ok(())
            };
            let result = run();
            let rate = samples as f64 / begin.elapsed().as_secs_f64();
            std::hint::black_box(sink.bytes());
            result.map(|()| rate)
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|first| scope.spawn(move || work(first))).collect();
            // Nothing in a bare loop panics but `records`, and then its panic is passed on.
            threads
                .into_iter()
                .map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .sum()
        })
    }
}

/// Turns bytes into as many elements, past the cache where the processor can.
fn widen(output: Output, from: &[u8], to: &mut [u8]) {
    assert!(from.len().is_multiple_of(STEP) && to.len() == from.len() * output.bytes());
    assert!(to.as_ptr().addr().is_multiple_of(64));
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has AVX-512 F; lengths and alignment were checked above.
            return unsafe { widen_avx512(output, from, to) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c") {
            // SAFETY: the processor has AVX2 and F16C; lengths and alignment were checked above.
            return unsafe { widen_avx2(output, from, to) };
        }
    }
    for (&x, to) in from.iter().zip(to.chunks_exact_mut(output.bytes())) {
        match output {
            Output::Raw | Output::U8 => to[0] = x,
            Output::Bf16 => to.copy_from_slice(&half::bf16::from_f32(f32::from(x)).to_ne_bytes()),
            Output::F16 => to.copy_from_slice(&half::f16::from_f32(f32::from(x)).to_ne_bytes()),
            Output::F32 => to.copy_from_slice(&f32::from(x).to_ne_bytes()),
        }
    }
}

/// # Safety
/// The processor has AVX-512 F; `from` is a multiple of [`STEP`] long, `to` as many elements of `output`, aligned to 64.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn widen_avx512(output: Output, from: &[u8], to: &mut [u8]) {
    use std::arch::x86_64::*;
    let bytes = output.bytes();
    for i in (0..from.len()).step_by(STEP) {
        // SAFETY: `i + 64` bytes of `from` and as many elements of `to` exist; every store lies on its own size.
        unsafe {
            let (from, to) = (from.as_ptr().add(i), to.as_mut_ptr().add(i * bytes));
            if matches!(output, Output::Raw | Output::U8) {
                _mm512_stream_si512(to.cast(), _mm512_loadu_si512(from.cast()));
                continue;
            }
            for j in 0..4 {
                let words = _mm512_cvtepu8_epi32(_mm_loadu_si128(from.add(16 * j).cast()));
                let (y, to) = (_mm512_cvtepi32_ps(words), to.add(16 * j * bytes));
                match output {
                    Output::F32 => _mm512_stream_ps(to.cast(), y),
                    Output::F16 => {
                        let halves = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(y);
                        _mm256_stream_si256(to.cast(), halves);
                    }
                    // A byte has no more than the 8 bits that bf16 keeps: its upper half is the exact value.
                    _ => {
                        let upper = _mm512_srli_epi32::<16>(_mm512_castps_si512(y));
                        _mm256_stream_si256(to.cast(), _mm512_cvtepi32_epi16(upper));
                    }
                }
            }
        }
    }
    _mm_sfence();
}

/// # Safety
/// The processor has AVX2 and F16C; the rest as for [`widen_avx512`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,f16c")]
unsafe fn widen_avx2(output: Output, from: &[u8], to: &mut [u8]) {
    use std::arch::x86_64::*;
    let bytes = output.bytes();
    for i in (0..from.len()).step_by(16) {
        // SAFETY: `i + 16` bytes of `from` and as many elements of `to` exist; every store lies on its own size.
        unsafe {
            let (from, to) = (from.as_ptr().add(i), to.as_mut_ptr().add(i * bytes));
            let sixteen = _mm_loadu_si128(from.cast());
            if matches!(output, Output::Raw | Output::U8) {
                _mm_stream_si128(to.cast(), sixteen);
                continue;
            }
            let low = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(sixteen));
            let high = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_unpackhi_epi64(sixteen, sixteen)));
            match output {
                Output::F32 => {
                    _mm256_stream_ps(to.cast(), low);
                    _mm256_stream_ps(to.cast::<f32>().add(8), high);
                }
                Output::F16 => {
                    _mm_stream_si128(to.cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(low));
                    _mm_stream_si128(to.add(16).cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(high));
                }
                _ => {
                    let upper = |y| _mm256_srli_epi32::<16>(_mm256_castps_si256(y));
                    let packed = _mm256_packus_epi32(upper(low), upper(high));
                    _mm256_stream_si256(to.cast(), _mm256_permute4x64_epi64::<0b11_01_10_00>(packed));
                }
            }
        }
    }
    _mm_sfence();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_loops_write_the_values_of_the_bytes() {
        let from: Vec<u8> = (0..=255).collect();
        for output in [Output::U8, Output::Bf16, Output::F16, Output::F32] {
            let mut memory = HeapMemory::new(256 * output.bytes());
            widen(output, &from, memory.bytes_mut());
            for (i, element) in memory.bytes().chunks_exact(output.bytes()).enumerate() {
                let value = match *element {
                    [byte] => f32::from(byte),
                    [a, b] if output == Output::Bf16 => half::bf16::from_ne_bytes([a, b]).to_f32(),
                    [a, b] => half::f16::from_ne_bytes([a, b]).to_f32(),
                    _ => f32::from_ne_bytes(element.try_into().expect("four bytes")),
                };
                assert_eq!(value, i as f32, "{output:?}");
            }
        }
    }
}
