//! The golden files: numbers made with PyTorch, independently of this project, in `tests/golden/` or in the folder that
//! `GOLDEN_DIR` names. A missing file or tensor is a failure, not a skip.

use std::path::PathBuf;

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

/// A file of golden numbers.
pub struct Golden {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Golden {
    /// Opens a file of the folder.
    pub fn open(name: &str) -> Golden {
        // This package's or, for tests/shim, that of the package above.
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let default = || [here.join("tests/golden"), here.join("../golden")].into_iter().find(|f| f.is_dir());
        let default = || default().unwrap_or_else(|| here.join("tests/golden"));
        let path = std::env::var_os("GOLDEN_DIR").map_or_else(default, PathBuf::from).join(name);
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Golden { path, bytes }
    }

    fn view<R>(&self, name: &str, read: impl FnOnce(&TensorView) -> R) -> R {
        let file =
            SafeTensors::deserialize(&self.bytes).unwrap_or_else(|e| panic!("{}: {e}", self.path.display()));
        let view = file.tensor(name).unwrap_or_else(|e| panic!("{}: {name}: {e}", self.path.display()));
        read(&view)
    }

    /// A float32 tensor's values.
    pub fn floats(&self, name: &str) -> Vec<f32> {
        self.view(name, |view| {
            assert_eq!(view.dtype(), safetensors::Dtype::F32, "{name}");
            view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
        })
    }

    /// The values of an int32 tensor without negative ones.
    pub fn labels(&self, name: &str) -> Vec<u32> {
        self.view(name, |view| {
            assert_eq!(view.dtype(), safetensors::Dtype::I32, "{name}");
            view.data().chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect()
        })
    }

    /// The values of a tensor of bytes.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        self.view(name, |view| {
            assert_eq!(view.dtype(), safetensors::Dtype::U8, "{name}");
            view.data().to_vec()
        })
    }

    /// A tensor's shape.
    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.view(name, |view| view.shape().to_vec())
    }
}

/// max|a − b| ≤ 1e-5 · max|b|, the tolerance of the golden numbers' README.
pub fn assert_close(what: &str, ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let largest = theirs.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    let difference = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
    // A NaN must not slip through a maximum.
    assert!(ours.iter().all(|x| x.is_finite()), "{what}: not finite");
    let worst = difference.fold(0.0f32, f32::max);
    assert!(worst <= 1e-5 * largest, "{what}: off by {worst:e}, largest value {largest:e}");
}
