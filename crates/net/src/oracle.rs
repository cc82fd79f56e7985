//! Every operation written as its definition: float64, one loop after another, no thought of speed.
//!
//! These functions define what a backend must compute; the formulas are to be read off them. [`Oracle`] makes a
//! backend of them (f32 in and out, one rounding at the end of each operation), so that whole nets can be run on it.
//! Sums run in the order of the indices as written.

mod convolution;
mod dense;
mod devices;
mod normalisation;
mod pooling;
mod rectifier;
mod softmax;
mod tanh;

pub use convolution::{convolution, convolution_input_gradient, convolution_weight_gradient};
pub use dense::{dense, dense_input_gradient, dense_weight_gradient};
pub use devices::Oracle;
pub use normalisation::{local_response, local_response_gradient, within_map, within_map_gradient};
pub use pooling::{average_pool, average_pool_gradient, max_pool, max_pool_gradient};
pub use rectifier::{rectifier, rectifier_gradient};
pub use softmax::{cross_entropy, rank, smoothed, softmax};
pub use tanh::{tanh, tanh_gradient};
