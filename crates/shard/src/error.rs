//! The errors of this crate. Each names the file, and the offset or section in it; [`Error::hint`] says what to do.

use crate::digest::Digest;
use crate::index::Section;
use std::io;
use std::path::{Path, PathBuf};

/// What went wrong with a shard, a set or its folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the messages are the documentation of the fields
pub enum Error {
    #[error("cannot {action} {}: {source}", .path.display())]
    Io { path: PathBuf, action: &'static str, source: io::Error },
    #[error("{} is not a shard: it begins with {found:02x?}, not with \"ALXSHARD\"", .path.display())]
    Magic { path: PathBuf, found: [u8; 8] },
    #[error("{}, offset {offset}: {field} {found} is unknown; this program knows {known}", .path.display())]
    Unsupported { path: PathBuf, offset: u64, field: &'static str, found: u32, known: u32 },
    #[error("{} has {found} bytes where {expected} belong", .path.display())]
    Length { path: PathBuf, expected: u64, found: u64 },
    #[error("{}, offset {offset}: header field {field}: {problem}", .path.display())]
    Header { path: PathBuf, offset: u64, field: &'static str, problem: String },
    #[error("{}, offset {offset}: section {section}: {problem}", .path.display())]
    Section { path: PathBuf, offset: u64, section: Section, problem: String },
    #[error("{}, offset {offset}: section table: {problem}", .path.display())]
    Table { path: PathBuf, offset: u64, problem: String },
    #[error("{}, offset {offset}: crc32c of {what} is {found:#010x} where {stored:#010x} is stored", .path.display())]
    Checksum { path: PathBuf, offset: u64, what: String, stored: u32, found: u32 },
    #[error("{}: record {record} asked for, but there are {count}", .path.display())]
    OutOfRange { path: PathBuf, record: u64, count: u64 },
    #[error("{} shrank or failed while record {record} was read from its mapping", .path.display())]
    Torn { path: PathBuf, record: u64 },
    #[error("{}: {problem}", .path.display())]
    Manifest { path: PathBuf, problem: String },
    #[error("{} does not belong to the set: {problem}", .path.display())]
    Stranger { path: PathBuf, problem: String },
    #[error("{} holds no finished set: {} is missing", .path.parent().unwrap_or(Path::new("")).display(), .path.display())]
    Incomplete { path: PathBuf },
    #[error("{} is a foreign file in an output folder", .path.display())]
    ForeignFile { path: PathBuf },
    #[error("{} belongs to recipe {found}, not to {expected}", .path.display())]
    OtherRecipe { path: PathBuf, expected: Digest, found: Digest },
    #[error("{} is locked: another process is packing into this folder", .path.display())]
    Locked { path: PathBuf },
    #[error("{} is unfinished: its part is still to be packed", .path.display())]
    Unfinished { path: PathBuf },
    #[error("{} is of a finished set, not of a part of one", .path.display())]
    Finished { path: PathBuf },
    #[error("{} is already there", .path.display())]
    Exists { path: PathBuf },
    #[error("{}: {problem}", .path.display())]
    Plan { path: PathBuf, problem: String },
}

impl Error {
    /// What to do about it, in one sentence; the programs print it after `hint:`.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Error::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => "check the path",
                io::ErrorKind::PermissionDenied => "check who may read and write there",
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "free some space and run the same command again: it goes on"
                }
                io::ErrorKind::FileTooLarge => {
                    "raise the limit on the size of files (ulimit -f) and run the same command again: it goes on"
                }
                io::ErrorKind::NotADirectory => "name a folder",
                _ => return None,
            },
            Error::Magic { .. } => "give a folder written by imagenet-pack, with its .shard files unchanged",
            Error::Unsupported { .. } => {
                "read it with the version of this program that wrote it, or pack again"
            }
            Error::Length { .. }
            | Error::Header { .. }
            | Error::Section { .. }
            | Error::Table { .. }
            | Error::Checksum { .. } => {
                "run `imagenet-pack verify` to see all the damage; copy the file again, or remove it and \
                 manifest.json and run the same imagenet-pack command, which packs what is missing"
            }
            Error::Torn { .. } => {
                "shards must stay as they were written: see who changes the folder and whether its disk is sound, then run \
                 `imagenet-pack verify`"
            }
            Error::OutOfRange { .. } => "records are numbered from 0",
            Error::Manifest { .. } | Error::Stranger { .. } => {
                "remove manifest.json and run the same imagenet-pack command again: it checks the shards and \
                 writes the manifest anew"
            }
            Error::Incomplete { .. } => {
                "name the folder that imagenet-pack wrote; if it was interrupted, its command goes on when run again"
            }
            Error::ForeignFile { .. } => "name another output folder, or move the file away",
            Error::OtherRecipe { .. } => {
                "source and options differ from those this folder was begun with: name another output folder, \
                 or repeat the first command's options"
            }
            Error::Unfinished { .. } => "run the command that packs this part again: it goes on; then merge",
            Error::Finished { .. } => "name folders packed with --part; a finished set needs no merge",
            Error::Locked { .. } => "wait for the other process, or name another output folder",
            Error::Exists { .. } | Error::Plan { .. } => return None,
        };
        Some(text.to_owned())
    }

    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { path: path.to_owned(), action, source }
    }
}
