//! End-to-end tests: a table of contents.

// Numbers from PyTorch.
mod golden;
mod golden_augment;
mod golden_nets;
mod golden_ops;

// The programs, run as a user runs them.
#[macro_use]
mod program;
mod evaluating;
mod loading;
mod options;
mod packing;
mod refusals;
mod sample;
mod statistics;
mod training;
