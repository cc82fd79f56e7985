//! The files behind a source, and whether they are still the ones that the walk saw.
//!
//! Few archives stay open, so that a file that is renamed or removed while packing does no harm; class tars in their
//! thousands are opened for each photo.

use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::tar;
use crate::error::Error;

/// Archives that stay open; systems commonly allow 1,024 open files a process.
pub(super) const MOST_OPEN: usize = 64;

/// What tells a file from a later state of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub length: u64,
    /// Seconds and nanoseconds of the last modification.
    modified: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Stamp { length: metadata.len(), modified: (metadata.mtime(), metadata.mtime_nsec()) }
    }

    /// Of no file: the place of a photo that lies in an archive.
    pub(super) fn none() -> Self {
        Stamp { length: 0, modified: (0, 0) }
    }

    /// Holds an open file to this stamp.
    fn hold(&self, path: &Path, file: &File) -> Result<(), Error> {
        let now = Stamp::of(&file.metadata().map_err(|e| Error::io(path, e))?);
        if now == *self {
            return Ok(());
        }
        let what = match now.length == self.length {
            true => "it was written to".to_owned(),
            false => format!("it had {} bytes and has {}", self.length, now.length),
        };
        Err(Error::Changed { path: path.to_path_buf(), what })
    }
}

/// An archive that holds many photos.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    stamp: Stamp,
    /// Kept open; else it is opened for each read.
    file: Option<File>,
}

impl Archive {
    pub(super) fn new(path: &Path, file: File) -> Result<Self, Error> {
        let stamp = Stamp::of(&file.metadata().map_err(|e| Error::io(path, e))?);
        Ok(Archive { path: path.to_path_buf(), stamp, file: Some(file) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Walks its members; `outer` names the class it is the tar of.
    pub(super) fn walk(
        &self,
        outer: Option<String>,
        found: &mut dyn FnMut(tar::Member),
    ) -> Result<(), Error> {
        let file = self.file.as_ref().expect("an archive is open until it is walked");
        tar::walk(&self.path, file, outer, found)
    }

    /// From now on opens it for each read.
    pub(super) fn close(&mut self) {
        self.file = None;
    }

    /// Fills `into` from `offset` on.
    pub(super) fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), Error> {
        let opened;
        let file = match &self.file {
            Some(file) => file,
            None => {
                opened = File::open(&self.path).map_err(|e| Error::io(&self.path, e))?;
                &opened
            }
        };
        let read = file.read_exact_at(into, offset);
        // Only after reading: then what was read is known to be of the file as it was. For an archive that stays
        // open that is asked once a shard, not once a photo.
        if read.is_err() || self.file.is_none() {
            self.stamp.hold(&self.path, file)?;
        }
        let length = into.len() as u64;
        read.map_err(|source| Error::Read { path: self.path.clone(), offset, length, source })
    }

    /// Holds it, if it stays open, to what it was at the walk.
    pub(super) fn unchanged(&self) -> Result<(), Error> {
        self.file.as_ref().map_or(Ok(()), |file| self.stamp.hold(&self.path, file))
    }
}

/// Reads a photo that is a file of its own.
pub(super) fn read_own(path: &Path, stamp: &Stamp, into: &mut [u8]) -> Result<(), Error> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let read = file.read_exact_at(into, 0);
    stamp.hold(path, &file)?;
    let length = into.len() as u64;
    read.map_err(|source| Error::Read { path: path.to_path_buf(), offset: 0, length, source })
}
