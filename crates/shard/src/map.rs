//! A file in memory: the crate's only unsafe code.
//!
//! A mapping is read-only and private, as long as the file was when it was opened, and never written through. It
//! leaves to its users to check what the bytes mean, and to offer `pread` to those who cannot trust the file to stay.
#![allow(unsafe_code)]

use memmap2::{Mmap, MmapOptions};
use std::fs::File;
use std::io;
use std::ops::{Deref, Range};

/// `len` bytes of a file, mapped read-only.
#[derive(Debug)]
pub(crate) struct Mapping(Mmap);

impl Mapping {
    /// Maps the first `len` bytes of `file`, which must have that many.
    ///
    /// # Errors
    /// If the system refuses, or `len` does not fit the address space.
    pub(crate) fn new(file: &File, len: u64) -> io::Result<Self> {
        let len = usize::try_from(len)
            .map_err(|_| io::Error::new(io::ErrorKind::OutOfMemory, "larger than the address space"))?;
        // SAFETY: a mapping is unsound only if the file changes under it. Finished shards are immutable by the
        // format's contract: they are written under another name, renamed when whole, and nothing in this project
        // opens a `.shard` file for writing, so their pages keep their bytes for as long as we hold them. Someone
        // outside the project who rewrites or truncates a shard in place breaks that contract: a truncated file
        // raises SIGBUS at the touch (the programs turn it into an error), a rewritten one shows other bytes, which
        // this crate only copies, compares and checks again before use as text (`from_utf8` at every look at a
        // name, bounds checks at every offset). Those who share storage with such writers use `Access::Read`.
        let map = unsafe { MmapOptions::new().len(len).map(file)? };
        Ok(Mapping(map))
    }

    /// Asks the system to bring the pages of `range` into memory; returns at once. Advice may be ignored, so
    /// failure is no error.
    pub(crate) fn will_need(&self, range: Range<usize>) {
        #[cfg(unix)]
        if range.start <= range.end && range.end <= self.0.len() {
            let _ = self.0.advise_range(memmap2::Advice::WillNeed, range.start, range.end - range.start);
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

impl Deref for Mapping {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.0
    }
}
