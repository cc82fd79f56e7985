//! Moments by AVX512_VNNI: its products of bytes add up in 32 bits without taking the components apart.
//!
//! The instruction multiplies a byte 0..=255 by one of −128..=127, four neighbours a sum. The second factor is x − 128,
//! zero at all but one component; the first is the record from the same byte on (RR, GG, BB), one further (RG, GB) or
//! two further (RB). Since Σ x·(y − 128) = Σ x·y − 128·Σ x, what is too little is added at the end. Exact, as the
//! oracle is: [`super::Moments::of_slow`], which does the last pixels too.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::Moments;

/// 64 pixels: three registers, whose first bytes are an R, a G and a B.
const GROUP: usize = 192;
/// Bytes that a group reads beyond its own.
const BEYOND: usize = 2;
/// Groups whose sums are sure to stay in 32 bits: three steps each, of four products below 2¹⁵ in size: 2¹⁴ · 2¹⁷ = 2³¹.
const GROUPS: usize = (1 << 14) / 3;
/// Every third byte of a register from the first, second and third on.
const THIRDS: [u64; 3] = [every_third(0), every_third(1), every_third(2)];

/// Proof that the processor has AVX-512 F, BW and VNNI.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vnni(());

impl Vnni {
    /// Nothing if the processor lacks one of the three.
    pub(super) fn new() -> Option<Self> {
        let all = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni");
        all.then_some(Vnni(()))
    }

    /// The moments of a record of whole pixels.
    pub(super) fn of(self, record: &[u8]) -> Moments {
        let groups = record.len().saturating_sub(BEYOND) / GROUP;
        let (mut total, mut at) = (Moments::default(), 0);
        while at < groups {
            let some = (groups - at).min(GROUPS);
            let bytes = &record[at * GROUP..(at + some) * GROUP + BEYOND];
            // SAFETY: `self` exists, so the processor has all three.
            total = total.merge(&unsafe { sum(bytes) });
            at += some;
        }
        total.merge(&Moments::of_slow(&record[groups * GROUP..]))
    }
}

/// Of at most [`GROUPS`] groups and the bytes they read beyond.
///
/// # Safety
/// The processor must have AVX-512 F, BW and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn sum(bytes: &[u8]) -> Moments {
    let mut sums = [_mm512_setzero_si512(); 3];
    let mut products = [_mm512_setzero_si512(); 6];
    let (centre, ones) = (_mm512_set1_epi8(i8::MIN), _mm512_set1_epi8(1));
    let groups = (bytes.len() - BEYOND) / GROUP;
    for group in 0..groups {
        for register in 0..3 {
            let at = group * GROUP + register * 64;
            let load = |offset: usize| {
                let from = &bytes[at + offset..][..64];
                // SAFETY: `from` is 64 bytes, and the load asks for no alignment.
                unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
            };
            let (x, next, after) = (load(0), load(1), load(2));
            let y = _mm512_xor_si512(x, centre); // x − 128, as a signed byte
            // Where a register begins with a G (or a B), its first R is two bytes (or one) on.
            let first = [0, 2, 1][register];
            let [red, green, blue] = [0, 1, 2].map(|component| THIRDS[(first + component) % 3]);
            let only = |mask: u64, values| _mm512_maskz_mov_epi8(mask, values);
            let [r, g, b] = [red, green, blue].map(|mask| only(mask, y));
            let pairs = [(x, r), (next, r), (after, r), (x, g), (next, g), (x, b)];
            for (product, (x, y)) in products.iter_mut().zip(pairs) {
                *product = _mm512_dpbusd_epi32(*product, x, y);
            }
            for (sum, mask) in sums.iter_mut().zip([red, green, blue]) {
                *sum = _mm512_dpbusd_epi32(*sum, x, only(mask, ones));
            }
        }
    }
    // Sixteen lanes below 2³¹ in size each: in 64 bits.
    let lanes = |register: __m512i| {
        let mut lanes = [0i32; 16];
        // SAFETY: `lanes` is 64 bytes, and the store asks for no alignment.
        unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), register) };
        lanes.iter().map(|&lane| i64::from(lane)).sum::<i64>()
    };
    let [r, g, b] = sums.map(lanes);
    let mut rest = [r, g, b, g, b, b].map(|sum| 128 * sum).into_iter();
    let products = products.map(|product| (lanes(product) + rest.next().unwrap_or(0)).cast_unsigned());
    let pixels = (groups * GROUP / 3) as u64;
    Moments { pixels, sum: [r, g, b].map(i64::cast_unsigned), products }
}

const fn every_third(first: u32) -> u64 {
    let (mut mask, mut at) = (0, first);
    while at < 64 {
        mask |= 1 << at;
        at += 3;
    }
    mask
}
