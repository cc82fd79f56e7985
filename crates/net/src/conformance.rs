//! One test for every backend: random cases of each operation, held against the oracle.
//!
//! A backend's tests draw [`Case::random`] for many seeds and pass each to [`check`]; what must agree to rounding
//! is compared at 1e-5 of the largest value, what must agree exactly (pooling, dropout, rectifier, update,
//! exchanges) bit for bit. Shapes are small and awkward on purpose: odd sides, windows that hang over, uneven
//! exchanges, buffers longer than the batch.

mod cases;
mod run;

use crate::backend::Backend;
use crate::error::DeviceError;
use crate::oracle::Oracle;

pub use cases::Case;

/// A tensor that an operation wrote.
pub(crate) struct Output {
    name: &'static str,
    values: Vec<f32>,
    exact: bool,
}

/// Runs `case` on device 0 of `backend` (exchanges on all of its devices) and on the oracle.
///
/// # Errors
/// A sentence naming the case, the tensor and the values that differ; or the backend's own error.
pub fn check<B: Backend>(backend: &mut B, case: &Case, seed: u64) -> Result<(), String> {
    check_with(backend, case, seed, Grain::Float32)
}

/// As [`check`], for a backend that keeps activations in bfloat16: inputs are drawn from its values, results may be off by
/// its rounding (1 % of the largest value; what must agree exactly by 1/256 of itself).
///
/// # Errors
/// As [`check`].
pub fn check_coarsely<B: Backend>(backend: &mut B, case: &Case, seed: u64) -> Result<(), String> {
    check_with(backend, case, seed, Grain::Bfloat16)
}

/// What activations are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grain {
    Float32,
    Bfloat16,
}

fn check_with<B: Backend>(backend: &mut B, case: &Case, seed: u64, grain: Grain) -> Result<(), String> {
    let failed = |error: DeviceError| format!("{case:?}: {error}");
    let ours = run::run(backend, case, seed, grain).map_err(failed)?;
    let theirs = run::run(&mut Oracle::new(backend.devices()), case, seed, grain).map_err(failed)?;
    for (ours, theirs) in ours.iter().zip(&theirs) {
        compare(ours, theirs, grain).map_err(|difference| format!("{case:?}, seed {seed}: {difference}"))?;
    }
    Ok(())
}

fn compare(ours: &Output, theirs: &Output, grain: Grain) -> Result<(), String> {
    let largest = theirs.values.iter().fold(0.0f32, |m, x| if x.is_finite() { m.max(x.abs()) } else { m });
    for (i, (a, b)) in ours.values.iter().zip(&theirs.values).enumerate() {
        let equal = a == b || (a.is_nan() && b.is_nan());
        let difference = (a - b).abs();
        let tolerance = match (grain, theirs.exact) {
            (Grain::Float32, true) => 0.0,
            (Grain::Float32, false) => 1e-5 * largest,
            (Grain::Bfloat16, true) => b.abs() / 256.0,
            (Grain::Bfloat16, false) => 1e-2 * largest,
        };
        if !equal && (difference.is_nan() || difference > tolerance) {
            let name = theirs.name;
            return Err(format!("{name}[{i}] is {a:e}, the oracle has {b:e}, the largest is {largest:e}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_found() {
        let output = |values: &[f32], exact| Output { name: "y", values: values.to_vec(), exact };
        let theirs = [1.0, -100.0, f32::NAN];
        let grain = Grain::Float32;
        assert!(compare(&output(&theirs, false), &output(&theirs, false), grain).is_ok());
        assert!(compare(&output(&[1.0005, -100.0, f32::NAN], false), &output(&theirs, false), grain).is_ok());
        for wrong in [[1.002, -100.0, f32::NAN], [1.0, f32::NAN, f32::NAN], [1.0, -100.0, 0.0]] {
            assert!(compare(&output(&wrong, false), &output(&theirs, false), grain).is_err(), "{wrong:?}");
        }
        let next = f32::from_bits(1.0f32.to_bits() + 1);
        assert!(compare(&output(&[next, -100.0, f32::NAN], true), &output(&theirs, true), grain).is_err());
        let coarse = Grain::Bfloat16;
        assert!(compare(&output(&[1.003, -100.3, f32::NAN], true), &output(&theirs, true), coarse).is_ok());
        assert!(compare(&output(&[1.005, -100.0, f32::NAN], true), &output(&theirs, true), coarse).is_err());
        assert!(compare(&output(&[2.1, -100.0, f32::NAN], false), &output(&theirs, false), coarse).is_err());
    }

    #[test]
    fn every_operation_is_drawn() {
        let kind = |seed| std::mem::discriminant(&Case::random(seed, 2));
        let kinds: std::collections::HashSet<_> = (0..200).map(kind).collect();
        assert_eq!(kinds.len(), 12);
    }
}
