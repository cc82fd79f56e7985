//! The index of a shard: a table of sections, then the sections, each 8-aligned, to the exact end of the file.
//!
//! It keeps one form: all sections are there, in order, without gaps other than zero padding. Encoding and finding
//! sections are pure; what the sections say is checked in `content.rs`.

use crate::error::Error;
use crate::header::Header;
use std::fmt;
use std::ops::Range;
use std::path::Path;

/// The label of a record whose class is unknown.
pub const UNKNOWN_LABEL: u32 = u32::MAX;
/// The longest source name, in bytes.
pub const MAX_NAME_BYTES: usize = 4096;

const HEAD_BYTES: usize = 8;
const ROW_BYTES: usize = 24;
const TABLE_BYTES: usize = HEAD_BYTES + Section::ALL.len() * ROW_BYTES;
const MOMENTS_BYTES: u64 = 80;

/// A section of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Section {
    /// u32 per record; [`UNKNOWN_LABEL`] is none.
    Labels = 1,
    /// CRC-32C per record, u32.
    Checksums = 2,
    /// Planned entry number per record, u64, ascending.
    Entries = 3,
    /// Source names: record count + 1 offsets (u64) into the UTF-8 text after them.
    Names = 4,
    /// Pixel count, Σx of R, G, B, Σxx of RR, RG, RB, GG, GB, BB, u64 each.
    Moments = 5,
    /// Report entries, JSON.
    Report = 6,
    /// Class table, JSON.
    Classes = 7,
    /// Recipe, JSON.
    Recipe = 8,
    /// Sum over all records of each component, u32. Last, so that a reader can leave it on disk.
    PixelSums = 9,
}

impl Section {
    /// All sections, in the order of the file.
    pub const ALL: [Section; 9] = [
        Section::Labels,
        Section::Checksums,
        Section::Entries,
        Section::Names,
        Section::Moments,
        Section::Report,
        Section::Classes,
        Section::Recipe,
        Section::PixelSums,
    ];

    /// Its place in the order of the file, from 0.
    pub(crate) fn place(self) -> usize {
        self as usize - 1
    }

    /// Its length, where the header fixes it.
    fn fixed_bytes(self, header: &Header) -> Option<u64> {
        match self {
            Section::Labels | Section::Checksums => Some(4 * header.record_count),
            Section::Entries => Some(8 * header.record_count),
            Section::Moments => Some(MOMENTS_BYTES),
            Section::PixelSums => Some(4 * header.record_bytes()),
            Section::Names | Section::Report | Section::Classes | Section::Recipe => None,
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Section::Labels => "labels",
            Section::Checksums => "checksums",
            Section::Entries => "entries",
            Section::Names => "names",
            Section::Moments => "moments",
            Section::Report => "report",
            Section::Classes => "classes",
            Section::Recipe => "recipe",
            Section::PixelSums => "pixel sums",
        })
    }
}

/// An index made of its sections, in the order of [`Section::ALL`]; `offset` is where in the file it will begin.
pub(crate) fn encode(offset: u64, sections: &[Vec<u8>; 9]) -> Vec<u8> {
    let mut table = Vec::with_capacity(TABLE_BYTES);
    table.extend((sections.len() as u64).to_le_bytes());
    let mut body = Vec::with_capacity(sections.iter().map(|s| s.len().next_multiple_of(8)).sum());
    for (section, bytes) in Section::ALL.into_iter().zip(sections) {
        body.resize(body.len().next_multiple_of(8), 0);
        table.extend((section as u32).to_le_bytes());
        table.extend(crc32c::crc32c(bytes).to_le_bytes());
        table.extend((offset + (TABLE_BYTES + body.len()) as u64).to_le_bytes());
        table.extend((bytes.len() as u64).to_le_bytes());
        body.extend_from_slice(bytes);
    }
    table.extend(body);
    table
}

/// Where the sections of an index are.
#[derive(Clone, Debug)]
pub(crate) struct Sections {
    ranges: [Range<usize>; 9],
    crcs: [u32; 9],
}

impl Sections {
    /// Finds the sections in the bytes of an index, checking every offset and length against the form.
    pub(crate) fn find(path: &Path, header: &Header, index: &[u8]) -> Result<Self, Error> {
        let start = header.index_offset();
        let error = |at: usize, problem: String| Error::Table {
            path: path.to_owned(),
            offset: start + at as u64,
            problem,
        };
        if index.len() < TABLE_BYTES {
            return Err(error(
                0,
                format!("the index has {} bytes, its table alone needs {TABLE_BYTES}", index.len()),
            ));
        }
        let (count, known) = (u64_at(index, 0), Section::ALL.len() as u64);
        if count != known {
            return Err(error(0, format!("lists {count} sections, not {known}")));
        }
        let mut sections = Sections { ranges: [const { 0..0 }; 9], crcs: [0; 9] };
        let mut end = TABLE_BYTES;
        for section in Section::ALL {
            let row = HEAD_BYTES + section.place() * ROW_BYTES;
            let (kind, crc) = (u32_at(index, row), u32_at(index, row + 4));
            let (offset, bytes) = (u64_at(index, row + 8), u64_at(index, row + 16));
            if kind != section as u32 {
                return Err(error(row, format!("kind {kind} where {} ({section}) belongs", section as u32)));
            }
            let begin = end.next_multiple_of(8);
            if offset != start + begin as u64 {
                return Err(error(
                    row + 8,
                    format!("{section} at {offset} where {} belongs", start + begin as u64),
                ));
            }
            if let Some(expected) = section.fixed_bytes(header).filter(|&expected| expected != bytes) {
                return Err(error(row + 16, format!("{section} has {bytes} bytes where {expected} belong")));
            }
            let room = (index.len() as u64).saturating_sub(begin as u64);
            if bytes > room {
                return Err(error(
                    row + 16,
                    format!("{section} has {bytes} bytes, but the file only {room} more"),
                ));
            }
            if let Some(at) = index[end..begin].iter().position(|&byte| byte != 0) {
                return Err(error(end + at, format!("padding before {section} is not zero")));
            }
            end = begin + bytes as usize;
            sections.ranges[section.place()] = begin..end;
            sections.crcs[section.place()] = crc;
        }
        if end != index.len() {
            return Err(error(end, format!("{} bytes follow the last section", index.len() - end)));
        }
        Ok(sections)
    }

    /// Where a section is, counted from the start of the index.
    #[inline]
    pub(crate) fn range(&self, section: Section) -> Range<usize> {
        self.ranges[section.place()].clone()
    }

    /// The stored CRC-32C of a section.
    pub(crate) fn crc(&self, section: Section) -> u32 {
        self.crcs[section.place()]
    }
}

/// Name `i` of `count` in the names section; `None` if its offsets or bytes are not those of a name.
pub(crate) fn name(section: &[u8], count: u64, i: u64) -> Option<&str> {
    let (offsets, text) = section.split_at_checked((count as usize + 1).checked_mul(8)?)?;
    let at = |i: u64| usize::try_from(u64_at(offsets, i as usize * 8)).ok();
    std::str::from_utf8(text.get(at(i)?..at(i + 1)?)?).ok()
}

/// The little-endian u32 at `at`.
#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// The little-endian u64 at `at`.
#[inline]
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
