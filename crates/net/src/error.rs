//! What can go wrong with a net, its parameters, its files and its devices. Every message names the thing and both
//! values; nothing here ends in a panic.

use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layer of the table makes no sense.
    #[error("layer {layer} ({name}): {problem}")]
    Layer {
        /// Place in the table, from 0.
        layer: usize,
        /// Name of the layer, or what it does.
        name: String,
        /// What is wrong, with the numbers.
        problem: String,
    },
    /// The net as a whole makes no sense.
    #[error("net {preset}: {problem}")]
    Net {
        /// Name of its preset.
        preset: String,
        /// What is wrong, with the numbers.
        problem: String,
    },
    /// More devices than columns, or none.
    #[error("{devices} devices for {columns} columns: a net runs on 1 to {columns}")]
    Devices {
        /// Devices of the backend.
        devices: usize,
        /// Columns of the net.
        columns: usize,
    },
    /// A parameter does not have the shape that the net gives it.
    #[error("parameter {name}: {found}, but the net has {expected}")]
    Parameter {
        /// Its name, such as `conv1.weight`.
        name: String,
        /// What was given.
        found: String,
        /// What the net has.
        expected: String,
    },
    /// A batch is larger than the network was made for, or its parts do not fit each other.
    #[error("batch: {problem}")]
    Batch {
        /// What is wrong, with the numbers.
        problem: String,
    },
    /// An update rule does not fit the net.
    #[error("update rule: {problem}")]
    Rule {
        /// What is wrong, with the numbers.
        problem: String,
    },
    /// JSON text that is not what it should be.
    #[error("{what}: {source}")]
    Json {
        /// What it should have been.
        what: &'static str,
        /// The parser's complaint, with line and column.
        source: serde_json::Error,
    },
    /// A file that is not a sound checkpoint.
    #[error("{}: {problem}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the numbers.
        problem: String,
    },
    /// A file could not be read or written.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A device could not do what it was asked.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

impl Error {
    /// What to do, where there is something to do; the programs print it after `hint:`.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Error::Layer { .. } => "choose another number of columns, larger widths or a larger input",
            Error::Net { .. } => "`train --summary` shows a network that works",
            Error::Devices { .. } => "name fewer devices, or give the network more columns",
            Error::Checkpoint { .. } => "the file is damaged or of another program; take an older checkpoint",
            Error::Io { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => "check the path",
                std::io::ErrorKind::StorageFull => {
                    "free some space and run the same command again: it goes on"
                }
                _ => return None,
            },
            Error::Device(error) if error.cause.is::<OutOfMemory>() => {
                "give a smaller --batch, more devices, or --device cpu"
            }
            Error::Device(error) if error.cause.is::<std::collections::TryReserveError>() => {
                "give a smaller --batch"
            }
            Error::Device(error) if error.cause.is::<crate::replica::LostReplica>() => {
                "what that rank said itself tells more; the same command goes on from the last checkpoint"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// A device could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("device {device}: {operation}: {cause}")]
pub struct DeviceError {
    /// Number of the device in its backend, from 0.
    pub device: usize,
    /// What was asked of it.
    pub operation: &'static str,
    /// Why it failed.
    pub cause: Box<dyn std::error::Error + Send + Sync>,
}

/// The cause of a [`DeviceError`] when memory ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("out of memory: {asked} bytes asked for, {free} of {total} free")]
pub struct OutOfMemory {
    /// Bytes asked for.
    pub asked: u64,
    /// Bytes free on the device.
    pub free: u64,
    /// Bytes of the device.
    pub total: u64,
}
