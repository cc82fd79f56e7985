//! File operations with exact outcomes: reads at an offset that fill the buffer or fail, and files that appear under
//! their name only when whole and on disk.

use crate::error::Error;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What a file is called while it is being written.
pub(crate) const PARTIAL_SUFFIX: &str = ".partial";

/// `path` with [`PARTIAL_SUFFIX`].
pub(crate) fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(PARTIAL_SUFFIX);
    name.into()
}

/// Fills `out` from `offset` on, without moving the file's position.
#[cfg(unix)]
pub(crate) fn read_exact_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, offset)
}

/// Fills `out` from `offset` on.
#[cfg(windows)]
pub(crate) fn read_exact_at(file: &File, mut out: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !out.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_read(file, out, offset)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        out = &mut out[n..];
        offset += n as u64;
    }
    Ok(())
}

/// Asks the system to bring bytes of a file into memory; returns at once. Advice may be ignored, so failure is no error.
#[cfg(target_os = "linux")]
pub(crate) fn will_need(file: &File, range: Range<u64>) {
    // A length of nothing would mean all the rest.
    if let Some(len) = range.end.checked_sub(range.start).and_then(std::num::NonZeroU64::new) {
        let _ = rustix::fs::fadvise(file, range.start, Some(len), rustix::fs::Advice::WillNeed);
    }
}
#[cfg(not(target_os = "linux"))]
pub(crate) fn will_need(_: &File, _: Range<u64>) {}

/// The whole of a file that must not be longer than `limit` bytes.
pub(crate) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
    if bytes.len() as u64 > limit {
        let problem = format!("is longer than {limit} bytes, which no such file is");
        return Err(Error::Manifest { path: path.to_owned(), problem });
    }
    Ok(bytes)
}

/// Writes `bytes` beside `path`, syncs, and renames: `path` is the old file or the whole new one, never a part.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let partial = partial_path(path);
    let mut file = File::create(&partial).map_err(Error::io(&partial, "create"))?;
    file.write_all(bytes).map_err(Error::io(&partial, "write"))?;
    seal(&file, &partial, path)
}

/// Syncs a written file, gives it its final name, and syncs the folder.
pub(crate) fn seal(file: &File, partial: &Path, path: &Path) -> Result<(), Error> {
    file.sync_all().map_err(Error::io(partial, "sync"))?;
    fs::rename(partial, path).map_err(Error::io(path, "rename into place"))?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Makes a folder and those above it that are not there, durably.
pub(crate) fn create_folder(dir: &Path) -> Result<(), Error> {
    let made: Vec<&Path> =
        dir.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    fs::create_dir_all(dir).map_err(Error::io(dir, "create"))?;
    made.iter().try_for_each(|dir| dir.parent().map_or(Ok(()), sync_folder))
}

/// Makes the folder's entries durable; on systems where a folder cannot be opened as a file, does nothing.
pub(crate) fn sync_folder(dir: &Path) -> Result<(), Error> {
    if cfg!(unix) {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        File::open(dir).and_then(|folder| folder.sync_all()).map_err(Error::io(dir, "sync"))?;
    }
    Ok(())
}
