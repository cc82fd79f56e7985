//! Colour statistics of ImageNet as others published them, to compare one's own with and to train with.
//!
//! All in RGB order and grey levels 0 ..= 255 unless said otherwise. Signs of eigenvectors are arbitrary: compare
//! angles. Measuring is left to `alexnet-pack`.

/// Published statistics of pixels of training photos.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// Whose they are.
    pub name: &'static str,
    /// Where they can be read.
    pub source: &'static str,
    /// Mean of each channel, if published with them.
    pub mean: Option<[f64; 3]>,
    /// Standard deviations along the eigenvectors (square roots of the covariance's eigenvalues), descending.
    pub deviations: [f64; 3],
    /// Unit eigenvectors, in the order of the deviations; each is (R, G, B).
    pub eigenvectors: [[f64; 3]; 3],
}

/// Alex Krizhevsky's, of the training set of 2012 at 256×256: what the original network's lighting used.
pub const KRIZHEVSKY: Published = Published {
    name: "Krizhevsky",
    source: "cuda-convnet2, make-data/input_meta: keys color_pca (stored ascending, as standard deviations) and \
             data_mean (means over its 3×256×256 image)",
    mean: Some([127.30, 119.72, 104.91]),
    deviations: [121.780_061, 37.093_889, 19.720_833],
    eigenvectors: [
        [-0.563_510_45, -0.576_184_40, -0.592_002_96],
        [-0.712_579_45, -0.023_541_67, 0.701_196_34],
        [0.417_955_13, -0.816_980_62, 0.397_311_18],
    ],
};

/// Those of Facebook's ResNet training code, which most later code copies: "a random subset of train".
/// They were published as the covariance's eigenvalues of pixels in 0 ..= 1 (see [`FB_RESNET_EIGENVALUES`]).
pub const FB_RESNET: Published = Published {
    name: "fb.resnet.torch",
    source: "fb.resnet.torch, datasets/imagenet.lua: table pca",
    mean: None,
    deviations: [118.924_083, 34.963_838, 17.105_920],
    eigenvectors: [[-0.5675, -0.5808, -0.5836], [0.7192, -0.0045, -0.6948], [0.4009, -0.8140, 0.4203]],
};

/// The eigenvalues behind [`FB_RESNET`] as published, for pixels in 0 ..= 1.
pub const FB_RESNET_EIGENVALUES: [f64; 3] = [0.2175, 0.0188, 0.0045];

/// Mean of each channel as the same code subtracts it, for pixels in 0 ..= 1 (of photos, not of 256×256 records).
pub const FB_RESNET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn eigenvectors_are_orthonormal() {
        for set in [KRIZHEVSKY, FB_RESNET] {
            for i in 0..3 {
                for j in 0..3 {
                    let expected = if i == j { 1.0 } else { 0.0 };
                    let product = dot(set.eigenvectors[i], set.eigenvectors[j]);
                    assert!((product - expected).abs() < 5e-4, "{} {i} {j}: {product}", set.name);
                }
            }
            assert!(set.deviations.is_sorted_by(|a, b| a > b));
        }
    }

    #[test]
    fn deviations_are_the_roots_of_the_eigenvalues() {
        for (value, deviation) in FB_RESNET_EIGENVALUES.iter().zip(FB_RESNET.deviations) {
            assert!((value.sqrt() * 255.0 - deviation).abs() < 1e-5, "{}", value.sqrt() * 255.0);
        }
    }

    /// Two groups measured nearly the same covariance: within 2° of each other.
    #[test]
    fn the_two_sets_agree() {
        for i in 0..3 {
            let cosine = dot(KRIZHEVSKY.eigenvectors[i], FB_RESNET.eigenvectors[i]).abs();
            assert!(cosine.min(1.0).acos().to_degrees() < 2.0);
        }
    }
}
