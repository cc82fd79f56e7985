//! From archives of photos to shards: sources, decode, resize, write; statistics and PCA.

pub mod pca;
