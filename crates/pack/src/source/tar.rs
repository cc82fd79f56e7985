//! The header walk: where every member of a tar archive, and of the tars inside it, lies in the outer file.
//!
//! Nested tars are stored uncompressed, so each photo has a fixed absolute offset; only the 512-byte headers (and
//! long names) are read, nothing is unpacked. A member is reported only if all of its bytes are inside the archive.
//! The walk knows nothing of photos or classes: that is [`super::Source`]'s part.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use tar::{EntryType, Header, PaxExtensions};

use crate::error::Error;

const BLOCK: u64 = 512;
/// Long names and pax records above this are no names any more.
const MAX_NAME_BYTES: u64 = 1 << 20;
/// Zeros at the end above this are no padding: GNU tar fills up to 10,240 bytes, with `-b` more.
const MAX_END_BYTES: u64 = 4 << 20;
/// Paths above this are refused; a shard keeps names up to this length.
const MAX_PATH_BYTES: usize = alexnet_shard::MAX_NAME_BYTES;
/// A train archive nests once; deeper is not followed.
const MAX_DEPTH: usize = 4;

/// One member of an archive that is no folder.
pub(super) struct Member {
    /// Path inside its own tar, as stored (lossy UTF-8).
    pub path: String,
    /// Names without `.tar` of the inner tars it lies in, outermost first.
    pub tars: Vec<String>,
    /// Absolute offset of its first byte in the outer file.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
    /// What it is instead, if its bytes are not simply those at `offset`: a link, a file stored with holes.
    pub other: Option<&'static str>,
}

/// Calls `found` for each member but folders in archive order, entering regular files named `*.tar`. `outer` is the name
/// without `.tar` of the archive itself, if that counts as one of the tars a member lies in.
pub(super) fn walk(
    path: &Path,
    file: &File,
    outer: Option<String>,
    found: &mut dyn FnMut(Member),
) -> Result<(), Error> {
    let end = file.metadata().map_err(|e| Error::io(path, e))?.len();
    Walk { path, file, found, tars: outer.into_iter().collect() }.archive(0, end)
}

struct Walk<'a> {
    path: &'a Path,
    file: &'a File,
    found: &'a mut dyn FnMut(Member),
    tars: Vec<String>,
}

impl Walk<'_> {
    /// Walks the archive in bytes `start .. end` of the file.
    fn archive(&mut self, start: u64, end: u64) -> Result<(), Error> {
        let mut at = start;
        let mut told = Told::default();
        loop {
            let Some(header) = self.header(at, start, end)? else { return self.ends(at, end) };
            let kind = header.entry_type();
            let data = at + BLOCK + self.map_of_holes(at, end, &header)?;
            let size = match told.size.filter(|_| !is_extension(kind)) {
                Some(size) => size,
                None => header.entry_size().map_err(|e| self.damaged(at, e.to_string()))?,
            };
            let padded = size.checked_next_multiple_of(BLOCK);
            let next = padded.and_then(|n| data.checked_add(n));
            let available = end.saturating_sub(data);
            if size > available {
                let what = format!("member {}", told.path(&header));
                return Err(self.truncated(data, what, size, available));
            }
            match kind {
                EntryType::GNULongName => told.name = Some(self.name_data(at, data, size)?),
                EntryType::XHeader => {
                    let records = self.name_data(at, data, size)?;
                    told.hear(&records).map_err(|reason| self.damaged(at, reason))?;
                }
                EntryType::GNULongLink | EntryType::XGlobalHeader => {}
                _ => {
                    let told = std::mem::take(&mut told);
                    let path = told.path(&header);
                    // Before there were types, a folder was told by the end of its name.
                    if kind != EntryType::Directory && !path.ends_with('/') {
                        if path.len() > MAX_PATH_BYTES {
                            return Err(self.damaged(at, format!("a path of {} bytes", path.len())));
                        }
                        self.member(path, data, size, other(kind, told.holes))?;
                    }
                }
            }
            // `size` fits, so `next` may pass the end only by padding; the header read reports that.
            at = next.ok_or_else(|| self.damaged(at, format!("size {size}")))?;
        }
    }

    /// Bytes of the blocks between a header and its data: old GNU tars list a file's holes there, if the header has not
    /// enough room for them.
    fn map_of_holes(&self, at: u64, end: u64, header: &Header) -> Result<u64, Error> {
        const MORE: [usize; 2] = [482, 504];
        let mut more = header.entry_type() == EntryType::GNUSparse && header.as_bytes()[MORE[0]] != 0;
        let (mut blocks, mut block) = (0, [0; BLOCK as usize]);
        while more {
            blocks += BLOCK;
            let next = at + blocks;
            if end.saturating_sub(next) < BLOCK {
                let what = "the list of a file's holes".to_owned();
                return Err(self.truncated(next, what, BLOCK, end.saturating_sub(next)));
            }
            self.read(next, &mut block)?;
            more = block[MORE[1]] != 0;
        }
        Ok(blocks)
    }

    /// Whether the zeros at `at` are the end: a header of zeros in the middle would hide all that comes after it.
    fn ends(&self, at: u64, end: u64) -> Result<(), Error> {
        let rest = end - at;
        let mut bytes = vec![0; rest.min(MAX_END_BYTES) as usize];
        self.read(at, &mut bytes)?;
        if rest > MAX_END_BYTES || bytes.iter().any(|&b| b != 0) {
            return Err(
                self.damaged(at, format!("it is all zeros, but {} bytes come after it", rest - BLOCK))
            );
        }
        Ok(())
    }

    fn member(
        &mut self,
        path: String,
        offset: u64,
        length: u64,
        other: Option<&'static str>,
    ) -> Result<(), Error> {
        let base = path.rsplit('/').next().unwrap_or(&path);
        let inner = inner_tar(base).filter(|_| other.is_none());
        if let Some(stem) = inner.filter(|_| self.tars.len() < MAX_DEPTH) {
            self.tars.push(stem.to_owned());
            self.archive(offset, offset + length)?;
            self.tars.pop();
            return Ok(());
        }
        (self.found)(Member { path, tars: self.tars.clone(), offset, length, other });
        Ok(())
    }

    /// The header at `at`, or `None` at the end marker.
    fn header(&self, at: u64, start: u64, end: u64) -> Result<Option<Header>, Error> {
        let available = end.saturating_sub(at);
        if available < BLOCK {
            if at == start {
                let mut bytes = vec![0; available as usize];
                self.read(at, &mut bytes)?;
                return Err(self.not_tar(at, looks_like(&bytes)));
            }
            // A tar ends with blocks of zeros. Without them it was cut, even if the cut fell between two members.
            return Err(self.truncated(at, "the next header or the end marker".into(), BLOCK, available));
        }
        let mut header = Header::new_old();
        self.read(at, header.as_mut_bytes())?;
        let bytes = header.as_bytes();
        if bytes.iter().all(|&b| b == 0) {
            return Ok(None);
        }
        if !checksum_holds(&header) {
            return Err(if at == start {
                self.not_tar(at, looks_like(bytes))
            } else {
                self.damaged(at, "its checksum does not hold".into())
            });
        }
        Ok(Some(header))
    }

    fn name_data(&self, at: u64, offset: u64, size: u64) -> Result<Vec<u8>, Error> {
        if size > MAX_NAME_BYTES {
            return Err(self.damaged(at, format!("a name of {size} bytes")));
        }
        let mut data = vec![0; size as usize];
        self.read(offset, &mut data)?;
        // GNU long names end with a zero byte; pax records with a line feed, which stays.
        while data.last() == Some(&0) {
            data.pop();
        }
        Ok(data)
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), Error> {
        self.file.read_exact_at(into, offset).map_err(|source| Error::Read {
            path: self.path.to_path_buf(),
            offset,
            length: into.len() as u64,
            source,
        })
    }

    fn damaged(&self, offset: u64, reason: String) -> Error {
        Error::TarHeader { path: self.path.to_path_buf(), offset, reason }
    }

    fn not_tar(&self, offset: u64, what: String) -> Error {
        Error::NotTar { path: self.path.to_path_buf(), offset, what }
    }

    fn truncated(&self, offset: u64, what: String, needed: u64, available: u64) -> Error {
        Error::Truncated { path: self.path.to_path_buf(), offset, what, needed, available }
    }
}

/// What preceding long-name and pax headers said about the next member.
#[derive(Default)]
struct Told {
    name: Option<Vec<u8>>,
    size: Option<u64>,
    /// Its file has holes that are not stored; `name` is then the file's, whatever a path says.
    holes: bool,
}

impl Told {
    /// Takes up pax records.
    fn hear(&mut self, records: &[u8]) -> Result<(), String> {
        let mut name_of_holes = None;
        for record in PaxExtensions::new(records) {
            let record = record.map_err(|e| format!("pax record: {e}"))?;
            match record.key_bytes() {
                b"path" => self.name = Some(record.value_bytes().to_vec()),
                b"size" => {
                    let value = record.value().ok().and_then(|v| v.parse().ok());
                    self.size = Some(value.ok_or("pax size is no number")?);
                }
                b"GNU.sparse.name" => name_of_holes = Some(record.value_bytes().to_vec()),
                key if key.starts_with(b"GNU.sparse.") => self.holes = true,
                _ => {}
            }
        }
        self.holes |= name_of_holes.is_some();
        self.name = name_of_holes.or(self.name.take());
        Ok(())
    }

    /// The path of the member that has this header.
    fn path(&self, header: &Header) -> String {
        match &self.name {
            Some(name) => String::from_utf8_lossy(name).into_owned(),
            None => String::from_utf8_lossy(&header.path_bytes()).into_owned(),
        }
    }
}

/// What a member is if it is no file stored as it is.
fn other(kind: EntryType, holes: bool) -> Option<&'static str> {
    match kind {
        EntryType::Regular | EntryType::Continuous if holes => Some("stored without its holes (sparse)"),
        EntryType::Regular | EntryType::Continuous => None,
        EntryType::Link => Some("a hard link"),
        EntryType::Symlink => Some("a symbolic link"),
        EntryType::GNUSparse => Some("stored without its holes (sparse)"),
        _ => Some("no regular file"),
    }
}

/// The name without `.tar` of a file that is an inner tar by its name.
pub(super) fn inner_tar(name: &str) -> Option<&str> {
    name.strip_suffix(".tar").filter(|_| !name.starts_with('.'))
}

fn is_extension(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | EntryType::XGlobalHeader
    )
}

/// The stored checksum is the sum of all bytes with its own field as spaces; some old writers summed signed bytes.
fn checksum_holds(header: &Header) -> bool {
    let Ok(stored) = header.cksum() else { return false };
    let bytes = header.as_bytes();
    let spaced = |i: usize| if (148..156).contains(&i) { b' ' } else { bytes[i] };
    let unsigned: u32 = (0..bytes.len()).map(|i| u32::from(spaced(i))).sum();
    let signed: i32 = (0..bytes.len()).map(|i| i32::from(spaced(i) as i8)).sum();
    stored == unsigned || i64::from(stored) == i64::from(signed)
}

fn looks_like(bytes: &[u8]) -> String {
    match bytes {
        [] => "it is empty".into(),
        [0x1f, 0x8b, ..] => "this is gzip data".into(),
        [b'B', b'Z', b'h', ..] => "this is bzip2 data".into(),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "this is xz data".into(),
        [b'P', b'K', 3, 4, ..] => "this is a zip archive".into(),
        [0xff, 0xd8, 0xff, ..] => "this is a JPEG".into(),
        [b'<', ..] => "this looks like a web page".into(),
        _ => format!("it starts with the bytes {:02x?}", &bytes[..8.min(bytes.len())]),
    }
}
