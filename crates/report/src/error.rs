//! What can go wrong with a report.

use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Train(#[from] alexnet_train::Error),
    /// The network has nothing to show.
    #[error("{0}")]
    Nothing(String),
}
