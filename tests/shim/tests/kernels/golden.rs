//! `ops.safetensors`: operations computed by PyTorch in float64, independently of this project.
use safetensors::{SafeTensors, tensor::TensorView};
use std::path::PathBuf;

/// The tensors of one file.
pub struct Golden(Vec<u8>);

/// The file from `$GOLDEN_DIR`, `tests/golden/`, or a shared folder beside the checkout; `None`, said aloud, if there is
/// none (a failure with `REQUIRE_DATA=1`).
pub fn ops() -> Option<Golden> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folders = [
        std::env::var_os("GOLDEN_DIR").map(PathBuf::from),
        Some(root.join("tests/golden")),
        Some(root.join("../shared/golden")),
    ];
    for folder in folders.into_iter().flatten() {
        if let Ok(bytes) = std::fs::read(folder.join("ops.safetensors")) {
            return Some(Golden(bytes));
        }
    }
    assert!(std::env::var_os("REQUIRE_DATA").is_none(), "ops.safetensors was not found");
    eprintln!("skipped: golden operations (ops.safetensors was not found)");
    None
}

impl Golden {
    fn with<T>(&self, name: &str, read: impl FnOnce(TensorView) -> T) -> T {
        let file = SafeTensors::deserialize(&self.0).expect("a valid file");
        read(file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}")))
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.with(name, |t| t.shape().to_vec())
    }

    /// A tensor of bytes.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        self.with(name, |t| t.data().to_vec())
    }

    /// A tensor of f32.
    pub fn floats(&self, name: &str) -> Vec<f32> {
        self.words(name).into_iter().map(f32::from_bits).collect()
    }

    /// A tensor of 32-bit words.
    pub fn words(&self, name: &str) -> Vec<u32> {
        let bytes = self.bytes(name);
        bytes.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect()
    }
}
