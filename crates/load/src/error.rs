//! What can go wrong while loading, each with what to do about it.

/// A failure of the loader.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The crop does not fit into the record.
    #[error("a crop of {}×{} pixels does not fit into records of {}×{}", crop[0], crop[1], record[0], record[1])]
    Crop {
        /// Crop width and height.
        crop: [usize; 2],
        /// Record width and height.
        record: [usize; 2],
    },
    /// The mean image has another size than the records.
    #[error("the mean image has {got} values, records of {}×{} need {}", record[0], record[1], record[0] * record[1] * 3)]
    MeanSize {
        /// Values in the mean image.
        got: usize,
        /// Record width and height.
        record: [usize; 2],
    },
    /// There is nothing to load, or the batch is empty.
    #[error("{0}")]
    Empty(&'static str),
    /// A range of draws is impossible.
    #[error("cannot draw {0}")]
    Vary(String),
    /// A record could not be read.
    #[error("sample {record} ({name}): {source}")]
    Record {
        /// Number of the record in its split.
        record: u64,
        /// Its name.
        name: String,
        /// What the shard says.
        source: alexnet_shard::Error,
    },
    /// A sample without a label was drawn for training or evaluation.
    #[error("sample {record} ({name}) has no label")]
    Unlabelled {
        /// Number of the record in its split.
        record: u64,
        /// Its name.
        name: String,
    },
    /// A thread could not be started.
    #[error("no loader threads: {0}")]
    Threads(String),
    /// A worker panicked; the message is its own.
    #[error("a loader thread failed: {0}")]
    Worker(String),
}

impl Error {
    /// What to do, where there is something to do; the programs print it after `hint:`.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Error::Crop { .. } => "choose a smaller crop, or pack larger records",
            Error::Empty(_) => "give a batch of at least 1, and a split that has photos",
            Error::Vary(_) => {
                "areas are shares from above 0 to 1, ratios positive, each from the least to the largest"
            }
            Error::Record { .. } => "`imagenet-pack verify` finds every damaged byte of a set",
            Error::Unlabelled { .. } => "pack the photos with the devkit that knows their labels",
            Error::Threads(_) => "ask for fewer threads",
            Error::MeanSize { .. } | Error::Worker(_) => return None,
        };
        Some(text.to_owned())
    }
}
