//! A layer's parameters within the flat buffers of a device.

use std::ops::Range;

/// A layer's weights and bias in a device's flat parameter buffer.
#[derive(Debug)]
pub struct Weights<'a, B> {
    /// The flat buffer.
    pub buffer: &'a B,
    /// Where the weights lie.
    pub weight: Range<usize>,
    /// Where the bias lies.
    pub bias: Range<usize>,
}

/// Where a layer's gradients go in a device's flat gradient buffer.
#[derive(Debug)]
pub struct Gradients<'a, B> {
    /// The flat buffer.
    pub buffer: &'a mut B,
    /// Where the weights' gradients lie.
    pub weight: Range<usize>,
    /// Where the bias' gradients lie.
    pub bias: Range<usize>,
    /// Whether to add to what is there (further batches before an update) or to replace it.
    pub accumulate: bool,
}
