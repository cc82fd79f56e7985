//! One operation on a device's stream, with all that decides what it does.
//!
//! Kernels, products, convolutions by cuDNN and copies within a device are values that can be compared, so that a step can
//! be held back until it is whole and known again when it comes again ([`crate::graph`]). Two operations that are equal do
//! the same to the same memory; what differs between steps and not between operations lies in memory
//! ([`crate::settings`]).

use alexnet_net::{Convolution, DeviceError};

use crate::dense::Product;
use crate::device::Device;
use crate::epilogue::Tailed;
use crate::launch::Grid;
use crate::plan::{Algorithm, Direction};

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Work {
    Kernel(Launch),
    Product(Product),
    /// A product with its bias, by cuBLASLt.
    Tailed(Tailed),
    /// A convolution by cuDNN.
    Library(Call),
    /// Bytes within the device.
    Copy {
        from: u64,
        to: u64,
        bytes: usize,
    },
}

/// A kernel with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Launch {
    pub kernel: &'static str,
    pub grid: Grid,
    /// The arguments' bytes, each from the beginning of a word, filled up with zeros.
    pub words: Vec<u64>,
    /// The word where each argument begins.
    pub places: Vec<usize>,
}

/// A convolution by cuDNN: of x, w and y the one that `direction` names is written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub algorithm: Algorithm,
    pub op: Convolution,
    pub n: usize,
    pub direction: Direction,
    pub buffers: [u64; 3],
    /// Address and bytes of the workspace.
    pub space: (u64, usize),
}

impl Device {
    /// Queues an operation on the stream, whether work is held back or not.
    pub fn submit(&self, work: &Work) -> Result<(), DeviceError> {
        match work {
            Work::Kernel(launch) => self.span(launch.kernel, || self.start(launch)),
            Work::Product(product) => self.span("matrix product", || self.multiply(product)),
            Work::Tailed(tailed) => self.span("matrix product, bias", || self.multiply_and(tailed)),
            Work::Library(call) => self.span("cuDNN", || self.call(call)),
            &Work::Copy { from, to, bytes } => self.copy_now(from, to, bytes),
        }
    }
}
