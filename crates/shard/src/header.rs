//! The header of a shard: 4,096 bytes at fixed offsets (see the README). Encoding and decoding are pure.
//!
//! It keeps one form: every field that follows from others must have the value that follows, every unused byte must
//! be zero, and the last four bytes are the CRC-32C of the rest. So a decoded header can be trusted for arithmetic:
//! all its sizes are inside limits that cannot overflow.

use crate::digest::Digest;
use crate::error::Error;
use crate::recipe::{MAX_SHARD_RECORDS, MAX_SIDE};
use crate::split::Split;
use std::path::Path;

/// The first eight bytes of a shard.
pub const MAGIC: [u8; 8] = *b"ALXSHARD";
/// The version of the format.
pub const VERSION: u32 = 1;
/// The codec of this version: RGB, one byte per component, rows from the top, no padding inside a record.
pub const CODEC_RGB8: u32 = 0;
/// Bytes of a header; the first record begins there.
pub const HEADER_BYTES: usize = 4096;
/// Records begin at multiples of this.
pub const PAGE: u64 = 4096;

const CHANNELS: u32 = 3;
/// More classes than WordNet has synsets.
const MAX_CLASSES: u32 = 1 << 20;
/// The longest index that is read: 2³⁰ bytes.
pub(crate) const MAX_INDEX_BYTES: u64 = 1 << 30;
const CRC_AT: usize = HEADER_BYTES - 4;
const USED: usize = 232;

/// What the header of a shard says, without what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Width of a record in pixels, 1..=8192.
    pub width: u32,
    /// Height of a record in pixels, 1..=8192.
    pub height: u32,
    /// Records in this shard.
    pub record_count: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// The split that the shard is a part of.
    pub split: Split,
    /// Classes in the class table.
    pub class_count: u32,
    /// Number of this shard in its split, from 0.
    pub number: u32,
    /// Shards of the split.
    pub shard_count: u32,
    /// First planned entry of this shard.
    pub first_entry: u64,
    /// Planned entries of this shard; records are fewer if entries were refused.
    pub planned_entries: u64,
    /// Planned entries of the whole split.
    pub split_entries: u64,
    /// SHA-256 of the recipe.
    pub recipe: Digest,
    /// SHA-256 of the class table.
    pub classes: Digest,
    /// SHA-256 of the index.
    pub index: Digest,
    /// CRC-32C of the index.
    pub index_crc: u32,
}

impl Header {
    /// Bytes of a record: width · height · 3.
    pub fn record_bytes(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height) * u64::from(CHANNELS)
    }

    /// Distance from one record to the next: a record's bytes rounded up to whole pages.
    pub fn record_stride(&self) -> u64 {
        self.record_bytes().next_multiple_of(PAGE)
    }

    /// Where the index begins.
    pub fn index_offset(&self) -> u64 {
        HEADER_BYTES as u64 + self.record_count * self.record_stride()
    }

    /// Length of the whole file.
    pub fn file_bytes(&self) -> u64 {
        self.index_offset() + self.index_bytes
    }

    /// The bytes of this header. They are also what a shard's identity is the SHA-256 of.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &MAGIC);
        for (at, value) in [
            (8, VERSION),
            (16, CODEC_RGB8),
            (20, self.width),
            (24, self.height),
            (28, CHANNELS),
            (96, self.split.code()),
            (100, self.class_count),
            (104, self.number),
            (108, self.shard_count),
            (CRC_AT - 4, self.index_crc),
        ] {
            put(at, &value.to_le_bytes());
        }
        for (at, value) in [
            (32, self.record_bytes()),
            (40, self.record_stride()),
            (48, self.record_count),
            (56, HEADER_BYTES as u64),
            (64, self.index_offset()),
            (72, self.index_bytes),
            (112, self.first_entry),
            (120, self.planned_entries),
            (128, self.split_entries),
        ] {
            put(at, &value.to_le_bytes());
        }
        put(136, &self.recipe.0);
        put(168, &self.classes.0);
        put(200, &self.index.0);
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header of a file of `file_bytes` bytes; `path` is for errors only.
    ///
    /// # Errors
    /// If a byte is not what this version of the format puts there.
    pub fn decode(path: &Path, bytes: &[u8; HEADER_BYTES], file_bytes: u64) -> Result<Self, Error> {
        let fields = Fields { path, bytes };
        fields.form()?;
        let header = fields.values()?;
        fields.consistent(&header)?;
        let expected = header.file_bytes();
        if expected != file_bytes {
            return Err(Error::Length { path: path.to_owned(), expected, found: file_bytes });
        }
        Ok(header)
    }
}

/// Header bytes on the way to a [`Header`].
struct Fields<'a> {
    path: &'a Path,
    bytes: &'a [u8; HEADER_BYTES],
}

impl Fields<'_> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes[at..at + N].try_into().expect("a slice of N bytes is an array of N bytes")
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.array(at))
    }

    fn error(&self, at: usize, field: &'static str, problem: String) -> Error {
        Error::Header { path: self.path.to_owned(), offset: at as u64, field, problem }
    }

    fn check(&self, at: usize, field: &'static str, found: u64, expected: u64) -> Result<(), Error> {
        if found == expected {
            return Ok(());
        }
        Err(self.error(at, field, format!("is {found}, but {expected} follows from the other fields")))
    }

    fn within(&self, at: usize, field: &'static str, value: u64, low: u64, high: u64) -> Result<(), Error> {
        if (low..=high).contains(&value) {
            return Ok(());
        }
        Err(self.error(at, field, format!("is {value}, outside {low}..={high}")))
    }

    /// Magic, version, checksum, flags, codec, unused bytes.
    fn form(&self) -> Result<(), Error> {
        let path = || self.path.to_owned();
        if self.array(0) != MAGIC {
            return Err(Error::Magic { path: path(), found: self.array(0) });
        }
        // Another version may keep its checksum elsewhere, so the version is looked at first.
        let unsupported = |offset: usize, field, known| match self.u32(offset) {
            found if found == known => Ok(()),
            found => Err(Error::Unsupported { path: path(), offset: offset as u64, field, found, known }),
        };
        unsupported(8, "version", VERSION)?;
        let (stored, found) = (self.u32(CRC_AT), crc32c::crc32c(&self.bytes[..CRC_AT]));
        if stored != found {
            return Err(Error::Checksum {
                path: path(),
                offset: 0,
                what: "the header".into(),
                stored,
                found,
            });
        }
        unsupported(12, "flags", 0)?;
        unsupported(16, "codec", CODEC_RGB8)?;
        let unused = &self.bytes[USED..CRC_AT - 4];
        match unused.iter().position(|&byte| byte != 0) {
            Some(at) => Err(self.error(USED + at, "reserved", format!("is {}, not zero", unused[at]))),
            None => Ok(()),
        }
    }

    /// The independent fields, each inside its limits.
    fn values(&self) -> Result<Header, Error> {
        self.within(20, "width", self.u32(20).into(), 1, MAX_SIDE.into())?;
        self.within(24, "height", self.u32(24).into(), 1, MAX_SIDE.into())?;
        self.within(48, "record count", self.u64(48), 0, MAX_SHARD_RECORDS)?;
        self.within(72, "index bytes", self.u64(72), 0, MAX_INDEX_BYTES)?;
        self.within(100, "class count", self.u32(100).into(), 0, MAX_CLASSES.into())?;
        let split = Split::from_code(self.u32(96));
        Ok(Header {
            width: self.u32(20),
            height: self.u32(24),
            record_count: self.u64(48),
            index_bytes: self.u64(72),
            split: split
                .ok_or_else(|| self.error(96, "split", format!("is {}, outside 0..=2", self.u32(96))))?,
            class_count: self.u32(100),
            number: self.u32(104),
            shard_count: self.u32(108),
            first_entry: self.u64(112),
            planned_entries: self.u64(120),
            split_entries: self.u64(128),
            recipe: Digest(self.array(136)),
            classes: Digest(self.array(168)),
            index: Digest(self.array(200)),
            index_crc: self.u32(CRC_AT - 4),
        })
    }

    /// The fields that follow from others, and the place of the shard in its split.
    fn consistent(&self, header: &Header) -> Result<(), Error> {
        self.check(28, "channels", self.u32(28).into(), CHANNELS.into())?;
        self.check(32, "record bytes", self.u64(32), header.record_bytes())?;
        self.check(40, "record stride", self.u64(40), header.record_stride())?;
        self.check(56, "records offset", self.u64(56), HEADER_BYTES as u64)?;
        self.check(64, "index offset", self.u64(64), header.index_offset())?;
        self.check(80, "offset table offset", self.u64(80), 0)?;
        self.check(88, "offset table bytes", self.u64(88), 0)?;
        self.within(
            108,
            "shard count",
            header.shard_count.into(),
            u64::from(header.number) + 1,
            u32::MAX.into(),
        )?;
        self.within(
            120,
            "planned entries",
            header.planned_entries,
            header.record_count.max(1),
            MAX_SHARD_RECORDS,
        )?;
        let end = header.first_entry.checked_add(header.planned_entries);
        let end = end
            .ok_or_else(|| self.error(112, "first entry", format!("{} is too large", header.first_entry)))?;
        self.within(128, "split entries", header.split_entries, end, u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> Header {
        Header {
            width: 8,
            height: 8,
            record_count: 2,
            index_bytes: 100,
            split: Split::Val,
            class_count: 10,
            number: 1,
            shard_count: 3,
            first_entry: 4,
            planned_entries: 4,
            split_entries: 10,
            recipe: Digest([1; 32]),
            classes: Digest([2; 32]),
            index: Digest([3; 32]),
            index_crc: 0xDEAD_BEEF,
        }
    }

    fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Header, Error> {
        Header::decode(Path::new("x.shard"), bytes, 4096 + 2 * 4096 + 100)
    }

    /// Writes a header that differs at `at`, with a valid checksum.
    fn forged(at: usize, value: &[u8]) -> [u8; HEADER_BYTES] {
        let mut bytes = header().encode();
        bytes[at..at + value.len()].copy_from_slice(value);
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    #[test]
    fn round_trip() {
        assert_eq!(decode(&header().encode()).unwrap(), header());
    }

    /// Offsets are spelled out here a second time, on purpose: they are the format.
    #[test]
    fn offsets_are_frozen() {
        let bytes = header().encode();
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!(&bytes[..8], b"ALXSHARD");
        assert_eq!([8, 12, 16, 20, 24, 28].map(u32_at), [1, 0, 0, 8, 8, 3]);
        assert_eq!([32, 40, 48, 56, 64, 72, 80, 88].map(u64_at), [192, 4096, 2, 4096, 12288, 100, 0, 0]);
        assert_eq!([96, 100, 104, 108].map(u32_at), [1, 10, 1, 3]);
        assert_eq!([112, 120, 128].map(u64_at), [4, 4, 10]);
        assert_eq!(
            (bytes[136], bytes[167], bytes[168], bytes[199], bytes[200], bytes[231]),
            (1, 1, 2, 2, 3, 3)
        );
        assert_eq!(u32_at(4088), 0xDEAD_BEEF);
    }

    #[test]
    fn every_flipped_byte_is_found() {
        for at in 0..HEADER_BYTES {
            for bit in [0, 7] {
                let mut bytes = header().encode();
                bytes[at] ^= 1 << bit;
                assert!(decode(&bytes).is_err(), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn unknown_version_flags_codec_are_refused_by_name() {
        for (at, name) in [(8, "version"), (12, "flags"), (16, "codec")] {
            let error = decode(&forged(at, &[9])).unwrap_err();
            assert!(
                matches!(&error, Error::Unsupported { field, found: 9, .. } if *field == name),
                "{error}"
            );
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn forged_fields_are_refused_by_name() {
        let big = u64::MAX.to_le_bytes();
        for (at, value, name) in [
            (20, &big[..4], "width"),
            (24, &[0u8; 4][..], "height"),
            (28, &[1][..], "channels"),
            (32, &big, "record bytes"),
            (40, &[1], "record stride"),
            (48, &big, "record count"),
            (56, &[1], "records offset"),
            (64, &big, "index offset"),
            (72, &big, "index bytes"),
            (80, &[1], "offset table offset"),
            (88, &[1], "offset table bytes"),
            (96, &[3], "split"),
            (100, &big[..4], "class count"),
            (104, &[3], "shard count"),
            (112, &big, "first entry"),
            (120, &[1], "planned entries"),
            (128, &[7], "split entries"),
            (232, &[1], "reserved"),
            (4087, &[1], "reserved"),
        ] {
            let error = decode(&forged(at, value)).unwrap_err();
            assert!(matches!(&error, Error::Header { field, .. } if *field == name), "{at}: {error}");
        }
    }

    proptest! {
        #[test]
        fn forged_headers_never_panic(at in 8usize..4096 - 8, value: [u8; 8], length: u64) {
            let _ = Header::decode(Path::new("x"), &forged(at, &value), length);
        }
    }
}
