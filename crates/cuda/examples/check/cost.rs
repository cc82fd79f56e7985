//! What operations take, and what they must move and do.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use alexnet_net::{Convolution, Dense, Weights};

/// What the calls of one operation took and had to do.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    pub calls: u64,
    /// Milliseconds by kernel.
    pub kernels: BTreeMap<&'static str, f64>,
    pub bytes: f64,
    pub flops: f64,
}

/// Costs by operation.
pub type Records = Rc<RefCell<BTreeMap<String, Cost>>>;

/// An operation's name.
pub fn convolution(op: &Convolution, way: &str) -> String {
    format!("convolution {}→{} {way}", op.inputs, op.outputs)
}

/// An operation's name.
pub fn dense(op: &Dense, way: &str) -> String {
    format!("dense {}→{} {way}", op.inputs, op.outputs)
}

/// Bytes and FLOPs of one way, with activations of `width` bytes.
pub fn convolution_cost(op: &Convolution, n: usize, width: usize) -> (usize, usize) {
    let flops = 2 * n * op.output_len() * op.window();
    (width * n * (op.input_len() + op.output_len()) + 4 * op.weight_len(), flops)
}

/// As [`convolution_cost`]. Products read a copy of the weights that is as wide as activations; the gradient is f32.
pub fn dense_cost(op: &Dense, n: usize, width: usize, gradient: bool) -> (usize, usize) {
    let weight = if gradient { 4 } else { width };
    (width * n * (op.inputs + op.outputs) + weight * op.weight_len(), 2 * n * op.weight_len())
}

/// The same view again.
pub fn weights<'a, T>(w: &Weights<'a, T>) -> Weights<'a, T> {
    Weights { buffer: w.buffer, weight: w.weight.clone(), bias: w.bias.clone() }
}
