//! Tensors in the two types that every kernel of activations has, and in the two layouts: channels last, as the kernels
//! read them, and channels first, as PyTorch's golden numbers lie.
//!
//! A test in both types works on values of its type, so that oracles in float32 or float64 meet no rounding but the
//! kernel's own.
use crate::{Bits, Grid, grid, values};
use half::bf16;

/// A value of a tensor: float32, or bfloat16 by a library.
pub trait Element: Bits + std::fmt::Debug + Into<f32> + Into<f64> {
    /// What the names of the type's kernels end in.
    const SUFFIX: &str;
    /// Values of one access of 16 bytes.
    const LANES: usize;
    /// By how much one rounding to the type may change a float32, as a part of it.
    const ROUNDING: f64;

    /// The nearest value, ties to even.
    fn rounded(value: f32) -> Self;

    /// The kernel of this type.
    fn kernel(name: &str) -> String {
        format!("{name}{}", Self::SUFFIX)
    }

    /// As float32, exactly.
    fn widened(self) -> f32 {
        self.into()
    }
}

impl Element for f32 {
    const SUFFIX: &str = "";
    const LANES: usize = 4;
    const ROUNDING: f64 = 0.0;

    fn rounded(value: f32) -> f32 {
        value
    }
}

impl Element for bf16 {
    const SUFFIX: &str = "_bf16";
    const LANES: usize = 8;
    const ROUNDING: f64 = 1.0 / 256.0;

    fn rounded(value: f32) -> bf16 {
        bf16::from_f32(value)
    }
}

/// Each test in float32 and in bfloat16.
macro_rules! in_both_types {
    ($($test:ident),+) => {
        mod float32 {
            $(#[test] fn $test() { super::$test::<f32>(); })+
        }
        mod bfloat16 {
            $(#[test] fn $test() { super::$test::<half::bf16>(); })+
        }
    };
}
pub(crate) use in_both_types;

/// The nearest value of each.
pub fn rounded<T: Element>(values: &[f32]) -> Vec<T> {
    values.iter().map(|&v| T::rounded(v)).collect()
}

/// `n` normal values of the type; see [`values`].
pub fn elements<T: Element>(n: usize, salt: u64) -> Vec<T> {
    rounded(&values(n, salt))
}

/// `n` values that no kernel may leave.
pub fn unwritten<T: Element>(n: usize) -> Vec<T> {
    vec![T::rounded(f32::NAN); n]
}

/// [`grid`] for `n` values taken 16 bytes at a time.
pub fn lanes<T: Element>(n: usize) -> Grid {
    grid(n.div_ceil(T::LANES))
}

/// `[batch][channels][pixels]` to `[batch][pixels][channels]`.
pub fn channels_last<T: Copy>(x: &[T], channels: usize, pixels: usize) -> Vec<T> {
    let places = (0..x.len()).map(|i| (i / channels / pixels, i / channels % pixels, i % channels));
    places.map(|(n, p, c)| x[(n * channels + c) * pixels + p]).collect()
}
