//! Layers as data, presets, parameters, the trait of operations with its slow oracle, checkpoints.
