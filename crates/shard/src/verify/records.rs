//! The records of a shard against their checksums, and all of them together against the shard's sums.

use super::{Damage, Place, found};
use crate::file::read_exact_at;
use crate::header::{HEADER_BYTES, Header};
use crate::index::{self, Section, Sections, u32_at};
use crate::moments::Moments;
use crate::pixels::PixelSums;
use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;

/// What came of some records of a shard.
pub(super) struct Part {
    records: u64,
    damage: Vec<Damage>,
    moments: Moments,
    sums: PixelSums,
}

impl Part {
    /// Of none.
    pub(super) fn new(record_bytes: usize) -> Self {
        let sums = PixelSums::new(record_bytes);
        Part { records: 0, damage: Vec::new(), moments: Moments::default(), sums }
    }

    /// How many records it is of.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Adds other records.
    pub(super) fn merge(&mut self, other: Part) {
        self.records += other.records;
        self.damage.extend(other.damage);
        self.moments = self.moments.merge(&other.moments);
        self.sums.merge(other.sums);
    }
}

/// The records of a shard whose section table is sound.
pub(super) struct Records<'a> {
    path: PathBuf,
    header: &'a Header,
    file: &'a File,
    index: &'a [u8],
    sections: &'a Sections,
    /// The checksums, if they are as they were written.
    crcs: Option<&'a [u8]>,
}

impl<'a> Records<'a> {
    pub(super) fn new(
        path: PathBuf,
        header: &'a Header,
        file: &'a File,
        index: &'a [u8],
        sections: &'a Sections,
    ) -> Self {
        let mut records = Records { path, header, file, index, sections, crcs: None };
        records.crcs = records.sound(Section::Checksums);
        records
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.header.record_count
    }

    /// Bytes of one.
    pub(super) fn record_bytes(&self) -> usize {
        self.header.record_bytes() as usize
    }

    /// A section, if it is as it was written.
    fn sound(&self, section: Section) -> Option<&'a [u8]> {
        let bytes = &self.index[self.sections.range(section)];
        (crc32c::crc32c(bytes) == self.sections.crc(section)).then_some(bytes)
    }

    /// Checks these records, adding what came of it to `part`.
    pub(super) fn check(&self, records: Range<u64>, part: &mut Part, tick: &dyn Fn(u64)) {
        let (bytes, stride) = (self.record_bytes(), self.header.record_stride());
        let mut buffer = vec![0; stride as usize];
        for i in records {
            part.records += 1;
            tick(stride);
            if let Err(error) = read_exact_at(self.file, &mut buffer, HEADER_BYTES as u64 + i * stride) {
                part.damage.push(found(&self.path, Place::Record(i), &format!("cannot be read: {error}")));
                continue;
            }
            let (record, padding) = buffer.split_at(bytes);
            let sum = crc32c::crc32c(record);
            let stored = self.crcs.map(|crcs| u32_at(crcs, i as usize * 4));
            if let Some(stored) = stored.filter(|&stored| stored != sum) {
                let detail = format!("{}crc32c is {sum:#010x} where {stored:#010x} is stored", self.name(i));
                part.damage.push(found(&self.path, Place::Record(i), &detail));
            }
            if let Some(at) = padding.iter().position(|&byte| byte != 0) {
                let detail = format!("byte {at} is {}, not zero", padding[at]);
                part.damage.push(found(&self.path, Place::Padding(i), &detail));
            }
            part.moments = part.moments.merge(&Moments::of(record));
            part.sums.add(record);
        }
    }

    /// All damage there is, once `total` is of all records: if they are sound, the stored sums must be theirs.
    pub(super) fn finish(&self, total: &mut Part) -> Vec<Damage> {
        let mut damage = std::mem::take(&mut total.damage);
        if !damage.is_empty() {
            return damage;
        }
        let moments = total.moments;
        if self.sound(Section::Moments).is_some_and(|stored| Moments::from_bytes(stored) != moments) {
            let detail = format!("records have {moments:?}");
            damage.push(found(&self.path, Place::Section(Section::Moments), &detail));
        }
        let sums = total.sums.sums();
        let same = |stored: &[u8]| sums.iter().zip(stored.chunks_exact(4)).all(|(&a, b)| a == u32_at(b, 0));
        if !self.sound(Section::PixelSums).is_none_or(same) {
            let place = Place::Section(Section::PixelSums);
            damage.push(found(&self.path, place, &"not the sums of the records"));
        }
        damage
    }

    /// The source name of a record and a colon, if the names are sound.
    fn name(&self, i: u64) -> String {
        let names = self.sound(Section::Names);
        let name = names.and_then(|names| index::name(names, self.header.record_count, i));
        name.map_or(String::new(), |name| format!("{name}: "))
    }
}
