//! End-to-end tests: a table of contents.

/// Single operations against PyTorch's numbers.
mod golden_ops;

/// Narrow nets of the full topology against PyTorch's numbers: activations, gradients, three steps.
mod golden_nets;
