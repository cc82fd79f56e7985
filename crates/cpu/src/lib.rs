//! The reference backend: every operation of the network on the CPU's cores.
//!
//! [`CpuBackend`] runs a net on its own threads and gives the same bytes for any number of them. It also stands in
//! for several devices: each has buffers of its own, and what columns exchange is copied between them, so that the
//! program of several GPUs can be run and held against one.
//!
//! ```
//! use alexnet_cpu::CpuBackend;
//! use alexnet_net::{Net, Network, Parameters, UpdateRule};
//!
//! # fn main() -> Result<(), alexnet_net::Error> {
//! let net = Net::paper(2, 10).narrowed(8, 64).with_input(64);
//! let mut network = Network::new(CpuBackend::new(1, 2)?, &net, 4)?;
//! network.set_parameters(&Parameters::initial(&net, 2012)?)?;
//! let (pixels, labels) = (vec![1.0; 4 * 3 * 64 * 64], [0, 1, 2, 3]);
//! network.train_batch(&pixels, &labels, None)?;
//! network.update(&UpdateRule::paper(0.01, 4, network.parameter_table().len()))?;
//! assert!(network.score()?.loss_sum.is_finite());
//! # Ok(())
//! # }
//! ```

mod backend;
mod convolution;
mod dense;
mod devices;
mod dropout;
mod elementwise;
mod fused;
mod gemm;
mod lowering;
mod normalisation;
mod peak;
mod pooling;
mod response_pool;
mod softmax;
mod winograd;
mod within_map;
mod workers;

pub use devices::CpuBackend;
pub use peak::peak;
