//! A file in memory. This and `guard.rs` are the crate's only unsafe code.
//!
//! A mapping is read-only and private, as long as the file was when it was opened, and never written through. It
//! leaves to its users to check what the bytes mean, and to offer `pread` to those who cannot trust the file to stay.
#![allow(unsafe_code)]

use memmap2::{Mmap, MmapOptions};
use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::sync::atomic::AtomicBool;

/// `len` bytes of a file, mapped read-only.
#[derive(Debug)]
pub(crate) struct Mapping {
    map: Mmap,
    /// Set once a page could not be read (see `guard.rs`); it shows zeros from then on.
    torn: AtomicBool,
    /// Whether the system tells us which pages are in memory: for files of others it calls every page resident.
    tells: bool,
}

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
        Ok(Mapping { map, torn: AtomicBool::new(false), tells: owned(file) })
    }

    /// Set once a page could not be read.
    pub(crate) fn torn(&self) -> &AtomicBool {
        &self.torn
    }

    /// Whether the page that holds byte `at` is in memory; nothing if the system does not tell.
    #[cfg(target_os = "linux")]
    pub(crate) fn resident(&self, at: usize) -> Option<bool> {
        let page = page_size();
        let start = at / page * page;
        if !self.tells || start >= self.map.len() {
            return None;
        }
        let mut pages = [0u8; 1];
        // SAFETY: the address is the first of a page of our mapping, and one page has one byte of answer.
        let answer = unsafe {
            let address = self.map.as_ptr().add(start).cast_mut().cast();
            libc::mincore(address, 1, pages.as_mut_ptr())
        };
        (answer == 0).then_some(pages[0] & 1 == 1)
    }
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn resident(&self, at: usize) -> Option<bool> {
        let _ = (at, self.tells);
        None
    }

    /// Asks the system to bring the pages of `range` into memory; returns at once. Advice may be ignored, so
    /// failure is no error.
    pub(crate) fn will_need(&self, range: Range<usize>) {
        #[cfg(unix)]
        if range.start <= range.end && range.end <= self.map.len() {
            let _ = self.map.advise_range(memmap2::Advice::WillNeed, range.start, range.end - range.start);
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

impl Deref for Mapping {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.map
    }
}

/// Whether the file is ours, so that `mincore` answers truly.
#[cfg(target_os = "linux")]
fn owned(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    // SAFETY: the call has no conditions.
    let user = unsafe { libc::geteuid() };
    user == 0 || file.metadata().is_ok_and(|metadata| metadata.uid() == user)
}
#[cfg(not(target_os = "linux"))]
fn owned(_: &File) -> bool {
    false
}

/// Bytes of a page.
#[cfg(target_os = "linux")]
pub(crate) fn page_size() -> usize {
    // SAFETY: the call has no conditions; every Linux knows its page size.
    (unsafe { libc::sysconf(libc::_SC_PAGESIZE) }) as usize
}
