//! Reading one shard. Opening checks the header, the index and every offset in it; after that a look at a record is a
//! bounds check and a slice. Record bytes are not checked at opening (that is [`verify`](crate::verify())'s work, or
//! [`Shard::check_record`]'s for one).

use crate::class::Class;
use crate::content::{self, Content};
use crate::digest::Digest;
use crate::error::Error;
use crate::file::{read_exact_at, will_need};
use crate::guard::guard;
use crate::header::{HEADER_BYTES, Header};
use crate::index::{self, Section, Sections, UNKNOWN_LABEL, u32_at, u64_at};
use crate::map::Mapping;
use crate::moments::Moments;
use crate::recipe::Recipe;
use crate::report::ReportEntry;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// How the bytes of a shard are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Mapped into memory; records are borrowed from the page cache. The file must stay as it is.
    #[default]
    Map,
    /// Read by offset into the caller's buffer; a file that shrinks or fails gives an error, not a signal.
    Read,
}

enum Bytes {
    Map(Mapping),
    /// The file, and its index without the pixel sums, which are long and rarely asked for.
    Read(File, Vec<u8>),
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bytes::Map(_) => "Map",
            Bytes::Read(..) => "Read",
        })
    }
}

/// An open shard.
#[derive(Debug)]
pub struct Shard {
    path: PathBuf,
    header: Header,
    identity: Digest,
    sections: Sections,
    content: Content,
    bytes: Bytes,
}

impl Shard {
    /// Opens a shard and checks header and index.
    ///
    /// # Errors
    /// If the file cannot be read, or a byte of header or index is not what it must be.
    pub fn open(path: &Path, access: Access) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io(path, "open"))?;
        let (header, identity) = read_header(path, &file)?;
        let (start, len) = (header.index_offset(), header.index_bytes as usize);
        let mut bytes = match access {
            Access::Map => {
                let map = Mapping::new(&file, header.file_bytes()).map_err(Error::io(path, "map"))?;
                // Touched page by page, the system would read records around it.
                map.will_need(start as usize..start as usize + len);
                Bytes::Map(map)
            }
            Access::Read => {
                let mut index = vec![0; len];
                read_exact_at(&file, &mut index, start).map_err(Error::io(path, "read the index of"))?;
                Bytes::Read(file, index)
            }
        };
        let index = match &bytes {
            Bytes::Map(map) => &map[start as usize..],
            Bytes::Read(_, index) => index,
        };
        let found = crc32c::crc32c(index);
        if found != header.index_crc {
            let (path, what) = (path.to_owned(), "the index".to_owned());
            return Err(Error::Checksum { path, offset: start, what, stored: header.index_crc, found });
        }
        let sections = Sections::find(path, &header, index)?;
        let content = Content::check(path, &header, index, &sections)?;
        if let Bytes::Read(_, index) = &mut bytes {
            index.truncate(sections.range(Section::PixelSums).start);
            index.shrink_to_fit();
        }
        Ok(Shard { path: path.to_owned(), header, identity, sections, content, bytes })
    }

    /// The shard's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The shard's header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// SHA-256 of the header, which holds the SHA-256 of the index, which holds the CRC-32C of every record.
    pub fn identity(&self) -> Digest {
        self.identity
    }

    /// How many records there are.
    pub fn len(&self) -> u64 {
        self.header.record_count
    }

    /// Whether there are none (all planned entries were refused).
    pub fn is_empty(&self) -> bool {
        self.header.record_count == 0
    }

    /// The recipe of the set.
    pub fn recipe(&self) -> &Recipe {
        &self.content.recipe
    }

    /// The exact moments of all pixels of the shard.
    pub fn moments(&self) -> Moments {
        self.content.moments
    }

    /// The photos of this shard that were repaired, converted or refused.
    pub fn report(&self) -> &[ReportEntry] {
        &self.content.report
    }

    /// The class table, parsed anew at every call.
    ///
    /// # Errors
    /// If it is not the table that the header's digest and count promise.
    pub fn classes(&self) -> Result<Vec<Class>, Error> {
        content::classes(&self.path, &self.header, self.index(), &self.sections)
    }

    #[inline]
    fn index(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Map(map) => &map[self.header.index_offset() as usize..],
            Bytes::Read(_, index) => index,
        }
    }

    #[inline]
    fn section(&self, section: Section) -> &[u8] {
        &self.index()[self.sections.range(section)]
    }

    /// The class of record `i`; `None` if unknown.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len).
    #[inline]
    pub fn label(&self, i: u64) -> Option<u32> {
        Some(u32_at(self.section(Section::Labels), i as usize * 4)).filter(|&label| label != UNKNOWN_LABEL)
    }

    /// The stored CRC-32C of record `i`.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len).
    #[inline]
    pub fn crc(&self, i: u64) -> u32 {
        u32_at(self.section(Section::Checksums), i as usize * 4)
    }

    /// The planned entry number of record `i` in its split.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len).
    #[inline]
    pub fn entry(&self, i: u64) -> u64 {
        u64_at(self.section(Section::Entries), i as usize * 8)
    }

    /// The source name of record `i`.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len).
    pub fn name(&self, i: u64) -> &str {
        assert!(i < self.len(), "record {i} of {}", self.len());
        // Checked at opening; a mapped file that someone rewrites meanwhile must still not make us panic.
        index::name(self.section(Section::Names), self.len(), i)
            .unwrap_or("(the file changed while it was open)")
    }

    fn place(&self, i: u64) -> Result<Range<u64>, Error> {
        if i >= self.len() {
            return Err(Error::OutOfRange { path: self.path.clone(), record: i, count: self.len() });
        }
        let start = HEADER_BYTES as u64 + i * self.header.record_stride();
        Ok(start..start + self.header.record_bytes())
    }

    /// Record `i`: height rows of width pixels of R, G, B. Mapped, it borrows from the page cache and leaves
    /// `scratch` alone; read, it is read into `scratch`.
    ///
    /// # Errors
    /// If there is no such record, or reading fails.
    #[inline]
    pub fn record<'a>(&'a self, i: u64, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], Error> {
        let place = self.place(i)?;
        match &self.bytes {
            Bytes::Map(map) => Ok(&map[place.start as usize..place.end as usize]),
            Bytes::Read(file, _) => {
                scratch.resize((place.end - place.start) as usize, 0);
                read_exact_at(file, scratch, place.start)
                    .map_err(Error::io(&self.path, "read a record of"))?;
                Ok(scratch)
            }
        }
    }

    /// Asks the system to bring record `i` into memory, and returns at once. Does nothing if there is no such record.
    pub fn prefetch(&self, i: u64) {
        match (&self.bytes, self.place(i)) {
            (Bytes::Map(map), Ok(place)) => map.will_need(place.start as usize..place.end as usize),
            (Bytes::Read(file, _), Ok(place)) => will_need(file, place),
            (_, Err(_)) => {}
        }
    }

    /// Whether record `i` is in memory already, judged by the page in its middle; nothing if that cannot be told.
    pub fn resident(&self, i: u64) -> Option<bool> {
        let place = self.place(i).ok()?;
        match &self.bytes {
            Bytes::Map(map) => map.resident(((place.start + place.end) / 2) as usize),
            Bytes::Read(..) => None,
        }
    }

    /// Runs `job`, which reads record `i` or what the index says of it. With [`catch_sigbus`](crate::catch_sigbus), a
    /// mapped file that shrinks or fails meanwhile is an error; nothing that `job` made then means anything.
    ///
    /// # Errors
    /// If the file could not be read, now or in an earlier guard.
    #[inline]
    pub fn guard<T>(&self, i: u64, job: impl FnOnce() -> T) -> Result<T, Error> {
        let Bytes::Map(map) = &self.bytes else { return Ok(job()) };
        guard(map, map.torn(), job).ok_or_else(|| Error::Torn { path: self.path.clone(), record: i })
    }

    /// Compares record `i` with its checksum.
    ///
    /// # Errors
    /// If they differ, there is no such record, or reading fails.
    pub fn check_record(&self, i: u64) -> Result<(), Error> {
        let offset = self.place(i)?.start;
        let (mut scratch, stored) = (Vec::new(), self.crc(i));
        let found = crate::record_crc(self.record(i, &mut scratch)?);
        if found == stored {
            return Ok(());
        }
        let what = format!("record {i} ({})", self.name(i));
        Err(Error::Checksum { path: self.path.clone(), offset, what, stored, found })
    }

    /// The sum over all records of each component: height · width · 3 values, in the order of a record's bytes.
    ///
    /// # Errors
    /// If reading fails, or the sums changed since the shard was opened.
    pub fn pixel_sums(&self) -> Result<Vec<u32>, Error> {
        let range = self.sections.range(Section::PixelSums);
        let mut scratch = Vec::new();
        let bytes = match &self.bytes {
            Bytes::Map(_) => self.section(Section::PixelSums),
            Bytes::Read(file, _) => {
                scratch.resize(range.len(), 0);
                let offset = self.header.index_offset() + range.start as u64;
                read_exact_at(file, &mut scratch, offset).map_err(Error::io(&self.path, "read"))?;
                &scratch
            }
        };
        let (stored, found) = (self.sections.crc(Section::PixelSums), crc32c::crc32c(bytes));
        if stored != found {
            let offset = self.header.index_offset() + range.start as u64;
            let what = format!("section {}", Section::PixelSums);
            return Err(Error::Checksum { path: self.path.clone(), offset, what, stored, found });
        }
        Ok(bytes.chunks_exact(4).map(|sum| u32_at(sum, 0)).collect())
    }

    /// Addresses of the mapped file; `None` if it is not mapped. For handlers of SIGBUS.
    pub fn mapped(&self) -> Option<Range<usize>> {
        match &self.bytes {
            Bytes::Map(map) => {
                let range = map.as_ptr_range();
                Some(range.start as usize..range.end as usize)
            }
            Bytes::Read(..) => None,
        }
    }
}

/// The header of an open file, and the identity of the shard.
pub(crate) fn read_header(path: &Path, file: &File) -> Result<(Header, Digest), Error> {
    let length = file.metadata().map_err(Error::io(path, "ask for the length of"))?.len();
    if length < HEADER_BYTES as u64 {
        return Err(Error::Length { path: path.to_owned(), expected: HEADER_BYTES as u64, found: length });
    }
    let mut bytes = [0; HEADER_BYTES];
    read_exact_at(file, &mut bytes, 0).map_err(Error::io(path, "read the header of"))?;
    Ok((Header::decode(path, &bytes, length)?, Digest::of(&bytes)))
}
