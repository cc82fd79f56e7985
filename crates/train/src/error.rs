//! What can stop a run, each with what to do about it.

use std::path::PathBuf;

/// A failure of training or evaluation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No built-in recipe and no file of that name.
    #[error("recipe {name}: {source}")]
    NoRecipe {
        /// As given.
        name: String,
        /// Why the file could not be read.
        source: std::io::Error,
    },
    /// A recipe that cannot be followed.
    #[error("recipe {origin}: {cause}")]
    Recipe {
        /// Name or file.
        origin: String,
        /// What is wrong.
        cause: String,
    },
    /// The run's folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The run's folder belongs to something else.
    #[error("{}: {cause}", path.display())]
    Foreign {
        /// The folder or the file in it.
        path: PathBuf,
        /// What does not fit.
        cause: String,
    },
    /// Another process trains in the folder.
    #[error("{}: another process is training here", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// Data and network do not fit.
    #[error("{0}")]
    Mismatch(String),
    /// The loss is no number any more.
    #[error("the loss is {loss} in step {step}; the first value that is no finite number stands in {place}")]
    Diverged {
        /// The step.
        step: u64,
        /// The loss.
        loss: f64,
        /// Where in the network, from the input on.
        place: String,
    },
    /// A parameter is no number any more; no checkpoint was written.
    #[error(
        "{parameters} holds a value that is no finite number after step {step}; the last checkpoint is as it was"
    )]
    Overflowed {
        /// The step.
        step: u64,
        /// Layer and kind, the first from the input on.
        parameters: String,
    },
    /// The launcher's environment cannot be followed, or the processes do not find each other.
    #[error("{cause}")]
    Launch {
        /// What is wrong, with the names and values.
        cause: String,
        /// What to do.
        hint: String,
    },
    /// The replicas are not where they have to be: all in the same place.
    #[error("{0}")]
    Apart(String),
    /// The loader failed.
    #[error(transparent)]
    Load(#[from] alexnet_load::Error),
    /// The network or a checkpoint failed.
    #[error(transparent)]
    Net(#[from] alexnet_net::Error),
}

impl Error {
    /// What to do, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        let names = || crate::recipe::Recipe::names().collect::<Vec<_>>().join(", ");
        match self {
            Error::NoRecipe { .. } => {
                Some(format!("built-in recipes are {}; others are TOML files", names()))
            }
            Error::Recipe { .. } => {
                Some("`--recipe original-2012` is a complete example, in crates/train/recipes".into())
            }
            Error::Foreign { .. } => Some("choose another --out, or give the same options as before".into()),
            Error::Launch { hint, .. } => Some(hint.clone()),
            Error::Apart(_) => Some(
                "all ranks need the same --out, on a file system that all machines see, and the same program"
                    .into(),
            ),
            Error::Busy { .. } => Some("wait for it, or choose another --out".into()),
            Error::Diverged { .. } | Error::Overflowed { .. } => Some(
                "lower the rates of the recipe, or take another --seed, in a new --out; --init-from this run's last.safetensors \
                 starts from its weights"
                    .into(),
            ),
            Error::Load(alexnet_load::Error::Record { .. }) => {
                Some("`imagenet-pack verify` finds every damaged byte of a set".into())
            }
            Error::Load(alexnet_load::Error::Crop { .. }) => Some("choose a smaller --crop".into()),
            Error::Net(error) => error.hint(),
            Error::Io { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => Some("check the path".into()),
                std::io::ErrorKind::NotADirectory | std::io::ErrorKind::AlreadyExists => {
                    Some("name a folder, or a place where one can be made".into())
                }
                std::io::ErrorKind::StorageFull => {
                    Some("free some space and run the same command again: it goes on".into())
                }
                _ => None,
            },
            _ => None,
        }
    }
}
