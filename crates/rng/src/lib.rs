//! Random numbers as a pure function of a name.
//!
//! Every random decision of the project (order, crop, mirror, lighting, dropout, initial weights, the sample's
//! photos) is read from a [`Stream`] named by *(seed, epoch, index, [`Purpose`])*. A stream has no state: word `i`
//! is computed from the name alone, so the same word comes out on any thread, any rank, any device and after any
//! resume. The CUDA twin (`kernels/philox.cuh`) computes the same words.
//!
//! ```
//! use alexnet_rng::{Purpose, Stream};
//!
//! let crop = Stream::new(2012, 0, 1_281_166, Purpose::Crop);
//! let left = crop.below(0, 33); // 0 ..= 32
//! assert_eq!(left, Stream::new(2012, 0, 1_281_166, Purpose::Crop).below(0, 33));
//! ```
//!
//! The crate leaves to its users which index means what; it depends on nothing.
#![forbid(unsafe_code)]

mod normal;
mod permutation;
mod philox;
mod stream;

pub use normal::{exp, ln, standard_normal_quantile};
pub use permutation::Permutation;
pub use philox::philox4x32_10;
pub use stream::{Purpose, Stream};
