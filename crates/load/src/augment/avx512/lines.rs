//! Bytes that go from their registers past the cache, line by line.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Wide, pick};
use crate::augment::job::{Job, LINE, WIDE};
use crate::augment::lanes::Lanes;

/// Bytes whose samples are whole lines: each line goes from its register past the cache, as all of them lie in memory
/// one after the other; a group may begin in one row and end in the next.
///
/// # Safety
/// The processor must have AVX-512 F, BW, VL and VBMI.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
pub(super) unsafe fn lines(job: &mut Job<'_>) {
    type L = Wide<false>;
    let (width, record, out) = (job.width, job.record.as_ptr(), job.out.as_mut_ptr());
    let (mut row, mut column) = (0, 0);
    // SAFETY: the processor is the caller's promise. `Job` promises that pixels are a whole number of groups, that
    // rows are at least one group wide, and that the sample's vectors lie in `out` where `flat` says, on lines. A
    // group at (`row`, `column`) is read where `Job` says that it lies in the record; one that goes on into the next
    // row takes its `left` last pixels of the one and the first of the other, both of which lie there too.
    unsafe {
        let table = L::byte_table(job);
        for group in 0..width * job.rows / WIDE {
            let ahead = job.ahead(row);
            let left = (width - column).min(WIDE);
            let from = record.add(job.start(row, column, left));
            for line in (0..3 * WIDE).step_by(LINE) {
                L::prefetch(from.wrapping_add(ahead + line));
            }
            let bytes = if left == WIDE {
                L::bytes(from, &table)
            } else {
                let next = record.add(job.start(row + 1, 0, WIDE - left));
                // Mirrored, what comes first in the sample comes last in the registers.
                let (parts, first) =
                    if job.mirror { ([next, from], WIDE - left) } else { ([from, next], left) };
                pick(join(parts, 3 * first), &table)
            };
            for (k, bytes) in bytes.into_iter().enumerate() {
                L::store_u8::<true>(bytes, out.add(job.to.flat(k, group * WIDE)));
            }
            column += WIDE;
            if column >= width {
                (row, column) = (row + 1, column - width);
            }
        }
        L::fence();
    }
}

/// 192 bytes: the first `first` at one place, the rest at the other.
///
/// # Safety
/// The processor must have AVX-512 F and BW; `first` bytes can be read at `parts[0]`, `192 − first` at `parts[1]`.
#[inline(always)]
unsafe fn join(parts: [*const u8; 2], first: usize) -> [__m512i; 3] {
    // SAFETY: masked loads touch only the bytes of their masks: those below `first` of the one, the others of the other,
    // whose first byte stands at `first`.
    unsafe {
        let mut joined = [_mm512_setzero_si512(); 3];
        for (k, joined) in joined.iter_mut().enumerate() {
            let at = 64 * k;
            let low = match first.saturating_sub(at) {
                0 => 0,
                bytes @ 1..64 => (1u64 << bytes) - 1,
                _ => u64::MAX,
            };
            let one = _mm512_maskz_loadu_epi8(low, parts[0].wrapping_add(at).cast());
            *joined = _mm512_mask_loadu_epi8(one, !low, parts[1].wrapping_add(at).wrapping_sub(first).cast());
        }
        joined
    }
}
