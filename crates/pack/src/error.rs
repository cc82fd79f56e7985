//! What stops a packing run.
//!
//! Only fatal things are here: each names the file, the place in it and both values. A photo that cannot be decoded
//! is not an error but a line of the report (see [`crate::decode`]).

use std::io;
use std::path::{Path, PathBuf};

/// Why packing, reading a source or reading the devkit stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, listed, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A read at a known offset of a source failed.
    #[error("{}: reading {length} bytes at offset {offset}: {source}", path.display())]
    Read {
        /// The archive or photo.
        path: PathBuf,
        /// Where the read began, in bytes from the start of the file.
        offset: u64,
        /// How many bytes were wanted.
        length: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The file (or the member at this offset) is something else than a tar archive.
    #[error("{}: no tar archive at offset {offset}: {what}", path.display())]
    NotTar {
        /// The archive.
        path: PathBuf,
        /// Where a tar header was expected.
        offset: u64,
        /// What was found instead.
        what: String,
    },
    /// The archive ends before its contents do.
    #[error("{}: truncated: {what} at offset {offset} needs {needed} bytes, {available} are left", path.display())]
    Truncated {
        /// The archive.
        path: PathBuf,
        /// Start of the thing that is cut.
        offset: u64,
        /// What is cut.
        what: String,
        /// Bytes it needs from `offset` on.
        needed: u64,
        /// Bytes there are from `offset` on.
        available: u64,
    },
    /// A header in the middle of an archive is damaged.
    #[error("{}: damaged tar header at offset {offset}: {reason}", path.display())]
    TarHeader {
        /// The archive.
        path: PathBuf,
        /// Start of the header.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The source holds no photo at all.
    #[error("{}: no photos found ({ignored} other files ignored{})", path.display(), example(first))]
    NoPhotos {
        /// The archive or folder.
        path: PathBuf,
        /// How many members were there that are no photos.
        ignored: u64,
        /// The name of the first of them.
        first: Option<String>,
    },
    /// A member of an archive is a photo by its name, and its bytes are not there as they are.
    #[error("{}: member {name} at offset {offset} is {what}: its photos would be lost", path.display())]
    Lost {
        /// The archive.
        path: PathBuf,
        /// Where its data would begin.
        offset: u64,
        /// The member.
        name: String,
        /// What it is instead of a file stored as it is.
        what: &'static str,
    },
    /// Photos lie in a folder below a class folder, or class tars inside one.
    #[error("{}: photos lie too deep in this class folder, the first is {}", path.display(), photo.display())]
    Below {
        /// The class folder.
        path: PathBuf,
        /// The first of them, or the first class tar.
        photo: PathBuf,
    },
    /// A file of the source is not what it was when its headers were walked.
    #[error("{}: changed while it was being packed: {what}", path.display())]
    Changed {
        /// The archive or photo.
        path: PathBuf,
        /// How it differs.
        what: String,
    },
    /// A folder holds one class as a folder and as a tar.
    #[error("{}: class {wnid} is there twice, as a folder and as {wnid}.tar", path.display())]
    ClassTwice {
        /// The folder.
        path: PathBuf,
        /// The class.
        wnid: String,
    },
    /// A MAT file is damaged or uses something outside the subset that is read.
    #[error("{}: {source}", path.display())]
    Mat {
        /// The devkit the file came from.
        path: PathBuf,
        /// Where and what.
        source: crate::matfile::MatError,
    },
    /// The devkit lacks something or contradicts itself.
    #[error("{}: {reason}", path.display())]
    Devkit {
        /// The devkit.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A list of classes cannot be used.
    #[error("{}: line {line}: {reason}", path.display())]
    ClassList {
        /// The list.
        path: PathBuf,
        /// Line number from 1; 0 for the list as a whole.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// Two options, or an option and the source, contradict each other.
    #[error("{reason}")]
    Options {
        /// What is wrong.
        reason: String,
        /// What to do instead.
        hint: String,
    },
    /// The output's file system has too little room.
    #[error("{}: {needed} bytes needed, {free} free", path.display())]
    NoSpace {
        /// The output folder.
        path: PathBuf,
        /// Bytes the shards still to be written take.
        needed: u64,
        /// Bytes free for this user.
        free: u64,
    },
    /// A photo was refused or repaired while `--on-bad fail` was asked for.
    #[error("{}: photo {name} at offset {offset}: {reason}", path.display())]
    BadPhoto {
        /// The archive or photo file.
        path: PathBuf,
        /// The photo's name.
        name: String,
        /// Its offset in the archive.
        offset: u64,
        /// Why it is bad.
        reason: String,
    },
    /// The caller asked to stop. Finished shards stay; the same call goes on from them.
    #[error("stopped after {done} of {planned} photos of this run")]
    Cancelled {
        /// Photos of this run that are in finished shards or were on their way.
        done: u64,
        /// Photos this run set out to pack.
        planned: u64,
    },
    /// The shards or their folder.
    #[error(transparent)]
    Shard(#[from] alexnet_shard::Error),
    /// A picture (PNG) could not be written.
    #[error("{}: {source}", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// What the encoder said.
        source: image::ImageError,
    },
}

fn example(first: &Option<String>) -> String {
    first.as_ref().map(|name| format!(", the first is {name}")).unwrap_or_default()
}

impl Error {
    pub(crate) fn io(path: impl AsRef<Path>, source: io::Error) -> Self {
        Error::Io { path: path.as_ref().to_path_buf(), source }
    }

    pub(crate) fn devkit(path: &Path, reason: impl Into<String>) -> Self {
        Error::Devkit { path: path.to_path_buf(), reason: reason.into() }
    }

    /// What the user can do about it, in one line, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "check the path; it is relative to the folder the command runs in".into()
            }
            Error::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "the file or folder must be accessible to this user".into()
            }
            Error::NotTar { what, .. } if what.contains("gzip") => {
                "photos are read by offset, so the archive must not be compressed: gunzip it first".into()
            }
            Error::NotTar { offset, .. } if *offset > 0 => {
                "a tar inside the archive is damaged: compare the MD5 with the publisher's and fetch it again".into()
            }
            Error::NotTar { .. } => {
                "give ILSVRC2012_img_train.tar or ILSVRC2012_img_val.tar as downloaded, or a folder of class folders"
                    .into()
            }
            Error::Truncated { .. } => {
                "the download or copy is incomplete: compare size and MD5 with the publisher's and fetch it again".into()
            }
            Error::TarHeader { .. } => {
                "the archive is damaged: compare its MD5 with the publisher's and fetch it again".into()
            }
            Error::NoPhotos { .. } => {
                "photos are files named *.JPEG, *.jpeg or *.jpg, in tars per class or in class folders; a folder of \
                 downloaded archives is given with --from"
                    .into()
            }
            Error::Lost { .. } => {
                "pack the archive again with `tar --dereference --hard-dereference` and without `--sparse`, or give the \
                 folder it was made of"
                    .into()
            }
            Error::Below { path, .. } => format!(
                "a class folder holds its photos itself: move them up; or, if {} holds the class folders or class tars, \
                 give that",
                path.display()
            ),
            Error::Mat { .. } | Error::Devkit { .. } => {
                "give ILSVRC2012_devkit_t12.tar.gz as downloaded (devkit_t3 is another task's), or its unpacked folder"
                    .into()
            }
            Error::Changed { .. } => {
                "finished shards stay; once the file is whole again and rests, the same command goes on".into()
            }
            Error::ClassTwice { .. } => "remove one of them, or move the tars to a folder of their own".into(),
            Error::ClassList { .. } => "one WNID a line, for example n01440764; `#` starts a comment".into(),
            Error::Options { hint, .. } => hint.clone(),
            Error::NoSpace { .. } => "free some space, choose another --out, or pack fewer classes or a smaller --size".into(),
            Error::BadPhoto { .. } => "`--on-bad skip` names such photos in the report and goes on".into(),
            Error::Cancelled { .. } => "run the same command again to go on".into(),
            Error::Shard(e) => return e.hint(),
            _ => return None,
        };
        Some(hint)
    }
}
