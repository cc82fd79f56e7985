//! What the cores could do: multiply-adds in registers, nothing else. Rates of layers are held against it.

use std::time::Instant;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Independent chains of multiply-adds: enough to hide the latency on two ports, few enough for sixteen registers.
const CHAINS: usize = 12;

/// Rounds of all chains in one measurement: some milliseconds.
const ROUNDS: usize = 4_000_000;

struct Chains;

impl WithSimd for Chains {
    /// Floating-point operations done, and their result, so that they cannot be left out.
    type Output = (f64, f32);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> (f64, f32) {
        let (factor, term) = (simd.splat_f32s(0.999), simd.splat_f32s(0.001));
        let mut sums = [term; CHAINS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(*sum, factor, term);
            }
        }
        let total = sums.into_iter().fold(term, |a, b| simd.add_f32s(a, b));
        ((2 * CHAINS * ROUNDS * S::F32_LANES) as f64, simd.reduce_sum_f32s(total))
    }
}

/// Floating-point operations a second of `threads` threads together, the best of five tries.
///
/// # Errors
/// The system gives no threads.
pub fn peak(threads: usize) -> Result<f64, rayon::ThreadPoolBuildError> {
    let threads = threads.max(1);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let arch = Arch::new();
    let measure = |_| {
        let start = Instant::now();
        let done: Vec<(f64, f32)> = pool.install(|| {
            (0..threads).into_par_iter().with_max_len(1).map(|_| arch.dispatch(Chains)).collect()
        });
        let seconds = start.elapsed().as_secs_f64();
        std::hint::black_box(&done);
        done.iter().map(|d| d.0).sum::<f64>() / seconds
    };
    Ok((0..5).map(measure).fold(0.0, f64::max))
}
