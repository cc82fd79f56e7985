//! Writing one shard: records one after the other, then the index, then the header, under a name that only changes to
//! the final one when everything is on disk.
//!
//! It keeps the file a pure function of the plan and what is pushed, and refuses whatever a reader would refuse.
//! Decoding, checksums and moments are the callers' work, done on their threads.

use crate::class::{self, Class};
use crate::content::check_report;
use crate::digest::Digest;
use crate::error::Error;
use crate::file::{partial_path, seal};
use crate::header::{HEADER_BYTES, Header, MAX_INDEX_BYTES};
use crate::index::{self, MAX_NAME_BYTES, UNKNOWN_LABEL};
use crate::moments::Moments;
use crate::pixels::PixelSums;
use crate::recipe::{Recipe, canonical_json};
use crate::report::ReportEntry;
use crate::split::Split;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Which shard of which set is to be written. Everything else follows from the recipe.
#[derive(Clone, Copy, Debug)]
pub struct ShardPlan<'a> {
    /// The split.
    pub split: Split,
    /// Number of the shard in its split, from 0.
    pub number: u32,
    /// Planned entries of the whole split.
    pub split_entries: u64,
    /// The recipe of the set.
    pub recipe: &'a Recipe,
    /// The class table of the set.
    pub classes: &'a [Class],
}

impl ShardPlan<'_> {
    /// How many shards a split of this many entries has.
    pub fn shard_count(split_entries: u64, shard_records: u64) -> u64 {
        split_entries.div_ceil(shard_records.max(1))
    }

    /// The planned entries of this shard.
    pub fn entries(&self) -> std::ops::Range<u64> {
        let first = u64::from(self.number).saturating_mul(self.recipe.shard_records).min(self.split_entries);
        first..first.saturating_add(self.recipe.shard_records).min(self.split_entries)
    }

    fn header(&self) -> Result<Header, String> {
        if let Some(problem) = self.recipe.problem() {
            return Err(problem);
        }
        let shards = Self::shard_count(self.split_entries, self.recipe.shard_records);
        let shard_count =
            u32::try_from(shards).map_err(|_| format!("{shards} shards are too many for a split"))?;
        if self.number >= shard_count {
            return Err(format!("shard {} of {shard_count} was asked for", self.number));
        }
        let classes = class::class_table_digest(self.classes);
        if self.recipe.classes != classes {
            return Err(format!(
                "the class table's digest is {classes}, the recipe says {}",
                self.recipe.classes
            ));
        }
        let entries = self.entries();
        Ok(Header {
            width: self.recipe.size[0],
            height: self.recipe.size[1],
            record_count: 0,
            index_bytes: 0,
            split: self.split,
            class_count: u32::try_from(self.classes.len()).map_err(|_| "too many classes".to_owned())?,
            number: self.number,
            shard_count,
            first_entry: entries.start,
            planned_entries: entries.end - entries.start,
            split_entries: self.split_entries,
            recipe: self.recipe.digest(),
            classes,
            index: Digest::default(),
            index_crc: 0,
        })
    }
}

/// A shard being written.
#[derive(Debug)]
pub struct ShardWriter {
    path: PathBuf,
    partial: PathBuf,
    file: BufWriter<File>,
    header: Header,
    padding: Vec<u8>,
    labels: Vec<u8>,
    crcs: Vec<u8>,
    entries: Vec<u64>,
    name_offsets: Vec<u8>,
    name_text: Vec<u8>,
    moments: Moments,
    pixels: PixelSums,
    classes: Vec<u8>,
    recipe: Vec<u8>,
}

impl ShardWriter {
    /// Begins `<dir>/<split>-<number>.shard.partial`, replacing one that a killed run left.
    ///
    /// # Errors
    /// If the plan contradicts itself, the finished shard is there already, or the file cannot be created.
    pub fn create(dir: &Path, plan: ShardPlan<'_>) -> Result<Self, Error> {
        let path = dir.join(plan.split.file_name(plan.number));
        let header = plan.header().map_err(|problem| Error::Plan { path: path.clone(), problem })?;
        if path.exists() {
            return Err(Error::Exists { path });
        }
        let partial = partial_path(&path);
        let file = File::create(&partial).map_err(Error::io(&partial, "create"))?;
        let mut file = BufWriter::with_capacity(64 * 1024, file);
        file.write_all(&[0; HEADER_BYTES]).map_err(Error::io(&partial, "write"))?;
        Ok(ShardWriter {
            padding: vec![0; (header.record_stride() - header.record_bytes()) as usize],
            labels: Vec::new(),
            crcs: Vec::new(),
            entries: Vec::new(),
            name_offsets: vec![0; 8],
            name_text: Vec::new(),
            moments: Moments::default(),
            pixels: PixelSums::new(header.record_bytes() as usize),
            classes: class::encode(plan.classes),
            recipe: plan.recipe.to_json(),
            path,
            partial,
            file,
            header,
        })
    }

    /// Appends a record. `entry` is its planned entry number, larger than the last one's; `label` its class or
    /// [`UNKNOWN_LABEL`]; `record` its RGB bytes, `moments` and `crc` those of `record`
    /// ([`Moments::of`], [`record_crc`](crate::record_crc)).
    ///
    /// # Errors
    /// If a value is outside the plan, or the file cannot be written.
    pub fn push(
        &mut self,
        label: u32,
        entry: u64,
        name: &str,
        record: &[u8],
        moments: &Moments,
        crc: u32,
    ) -> Result<(), Error> {
        if let Some(problem) = self.problem(label, entry, name, record, moments) {
            return Err(Error::Plan { path: self.path.clone(), problem });
        }
        debug_assert_eq!((*moments, crc), (Moments::of(record), crate::record_crc(record)));
        let io = |source| Error::Io { path: self.partial.clone(), action: "write", source };
        self.file.write_all(record).map_err(io)?;
        self.file.write_all(&self.padding).map_err(io)?;
        self.labels.extend(label.to_le_bytes());
        self.crcs.extend(crc.to_le_bytes());
        self.entries.push(entry);
        self.name_text.extend(name.as_bytes());
        self.name_offsets.extend((self.name_text.len() as u64).to_le_bytes());
        self.moments = self.moments.merge(moments);
        self.pixels.add(record);
        self.header.record_count += 1;
        Ok(())
    }

    fn problem(
        &self,
        label: u32,
        entry: u64,
        name: &str,
        record: &[u8],
        moments: &Moments,
    ) -> Option<String> {
        let header = &self.header;
        let first = self.entries.last().map_or(header.first_entry, |last| last + 1);
        let end = header.first_entry + header.planned_entries;
        let pixels = header.record_bytes() / 3;
        if record.len() as u64 != header.record_bytes() {
            Some(format!("{name}: record of {} bytes where {} belong", record.len(), header.record_bytes()))
        } else if label >= header.class_count && label != UNKNOWN_LABEL {
            Some(format!("{name}: label {label}, but there are {} classes", header.class_count))
        } else if !(first..end).contains(&entry) {
            Some(format!("{name}: entry {entry} where one of {first}..{end} belongs"))
        } else if name.len() > MAX_NAME_BYTES {
            Some(format!("entry {entry}: a name of {} bytes is longer than {MAX_NAME_BYTES}", name.len()))
        } else {
            moments.problem(pixels).map(|problem| format!("{name}: moments {problem}"))
        }
    }

    /// Records pushed so far.
    pub fn record_count(&self) -> u64 {
        self.header.record_count
    }

    /// Writes index and header, syncs, renames. `report` is in ascending order of entries and names every planned
    /// entry that was not pushed as refused.
    ///
    /// Returns the shard's identity: SHA-256 of its header, which holds the SHA-256 of its index.
    ///
    /// # Errors
    /// If the report leaves a planned entry out, or the file cannot be written.
    pub fn finish(mut self, report: &[ReportEntry]) -> Result<Digest, Error> {
        let error = |problem| Error::Plan { path: self.path.clone(), problem };
        check_report(&self.header, &self.entries, report).map_err(error)?;
        let io = |source| Error::Io { path: self.partial.clone(), action: "write", source };
        let mut names = self.name_offsets;
        names.extend(self.name_text);
        let sections = [
            self.labels,
            self.crcs,
            self.entries.iter().flat_map(|entry| entry.to_le_bytes()).collect(),
            names,
            self.moments.to_bytes(),
            canonical_json(&report),
            self.classes,
            self.recipe,
            self.pixels.sums().iter().flat_map(|sum| sum.to_le_bytes()).collect(),
        ];
        let index = index::encode(self.header.index_offset(), &sections);
        self.header.index_bytes = index.len() as u64;
        if self.header.index_bytes > MAX_INDEX_BYTES {
            return Err(error(format!("an index of {} bytes is longer than {MAX_INDEX_BYTES}", index.len())));
        }
        self.header.index_crc = crc32c::crc32c(&index);
        self.header.index = Digest::of(&index);
        let header = self.header.encode();
        self.file.write_all(&index).map_err(io)?;
        self.file.seek(SeekFrom::Start(0)).map_err(io)?;
        self.file.write_all(&header).map_err(io)?;
        self.file.flush().map_err(io)?;
        seal(self.file.get_ref(), &self.partial, &self.path)?;
        Ok(Digest::of(&header))
    }
}
