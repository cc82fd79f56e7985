//! The golden files: numbers made with PyTorch, independently of this project (`tests/golden/`, or the folder that
//! `GOLDEN_DIR` names). A missing file is a failure, not a skip.

use std::path::PathBuf;

use safetensors::{Dtype, SafeTensors};

/// The bytes of a golden file.
pub fn read(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("GOLDEN_DIR")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden"));
    let path = folder.join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("golden file {}: {e}", path.display()))
}

/// A float32 tensor's values.
pub fn floats(tensors: &SafeTensors, name: &str) -> Vec<f32> {
    let tensor = tensors.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(tensor.dtype(), Dtype::F32, "{name}");
    tensor.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().expect("four bytes"))).collect()
}

/// An int32 tensor's values.
pub fn integers(tensors: &SafeTensors, name: &str) -> Vec<i32> {
    let tensor = tensors.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(tensor.dtype(), Dtype::I32, "{name}");
    tensor.data().chunks(4).map(|b| i32::from_le_bytes(b.try_into().expect("four bytes"))).collect()
}
