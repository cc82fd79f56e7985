//! Finding damage: every byte of every file of a set is compared with something that depends on it.
//!
//! Records are held against their checksums and against the stored sums, padding against zero, sections against their
//! checksums, header against its own, shards against the manifest, report and manifest against what the shards make.
//! One piece of damage does not hide another, except that behind a damaged header nothing can be found. Files are
//! read by offset, never mapped. Repair is left to packing again.

use crate::content;
use crate::digest::Digest;
use crate::error::Error;
use crate::file::read_exact_at;
use crate::folder::list;
use crate::header::{HEADER_BYTES, Header};
use crate::index::{self, Section, Sections, u32_at};
use crate::manifest::{Facts, MANIFEST_NAME, Manifest, REPORT_NAME, named_shard, open_named};
use crate::moments::Moments;
use crate::pixels::PixelSums;
use crate::shard::{Access, read_header};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// Which part of a file is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole: missing, foreign, unreadable, of wrong length.
    File,
    /// The header of a shard.
    Header,
    /// The table of sections at the start of the index, or the padding between sections.
    SectionTable,
    /// A section of the index.
    Section(Section),
    /// A record, by its number in the shard.
    Record(u64),
    /// The zeros between a record and the next page.
    Padding(u64),
    /// The manifest.
    Manifest,
    /// The report.
    Report,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File => f.write_str("file"),
            Place::Header => f.write_str("header"),
            Place::SectionTable => f.write_str("section table"),
            Place::Section(section) => write!(f, "index section {section}"),
            Place::Record(record) => write!(f, "record {record}"),
            Place::Padding(record) => write!(f, "padding after record {record}"),
            Place::Manifest => f.write_str("manifest"),
            Place::Report => f.write_str("report"),
        }
    }
}

/// One piece of damage.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Which part of it.
    pub what: Place,
    /// What is wrong with it.
    pub detail: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.file.display(), self.what, self.detail)
    }
}

/// Checks every byte of the set in a folder, with `threads` threads (a shard each). `progress` is called on this
/// thread with the number of bytes checked since its last call. Returns all damage, ordered by file and place; an
/// empty list means that every byte is as it was written.
///
/// # Errors
/// If the folder cannot be listed, or holds nothing of a set.
pub fn verify(dir: &Path, threads: usize, progress: &dyn Fn(u64)) -> Result<Vec<Damage>, Error> {
    let files = list(dir)?;
    let mut damage = Vec::new();
    let manifest_path = dir.join(MANIFEST_NAME);
    let mut shards: Vec<PathBuf> = files.iter().filter(|path| named_shard(path).is_some()).cloned().collect();
    let manifest = match Manifest::read(dir) {
        Ok(manifest) => Some(manifest),
        Err(Error::Incomplete { path }) if shards.is_empty() => return Err(Error::Incomplete { path }),
        Err(error) => {
            damage.push(found(&manifest_path, Place::Manifest, &error));
            None
        }
    };
    let identities: BTreeMap<PathBuf, Digest> = (manifest.iter())
        .flat_map(|manifest| manifest.splits.values().flat_map(|split| &split.shards))
        .map(|shard| (dir.join(&shard.file), shard.identity))
        .collect();
    for path in identities.keys().filter(|path| !files.contains(path)) {
        damage.push(found(path, Place::File, &"is missing"));
    }
    let known = |path: &PathBuf| {
        let other = path.ends_with(MANIFEST_NAME) || path.ends_with(REPORT_NAME);
        other || named_shard(path).is_some() && (manifest.is_none() || identities.contains_key(path))
    };
    for path in files.iter().filter(|path| !known(path)) {
        damage.push(found(path, Place::File, &"does not belong to the set"));
    }
    shards.sort_by_key(|path| named_shard(path));
    let mut facts = Vec::new();
    for checked in check_shards(&shards, threads, progress) {
        damage.extend(checked.damage);
        if let (Some(identity), Some(stored)) = (checked.identity, identities.get(&checked.path))
            && identity != *stored
        {
            let detail = format!("identity is {identity}, the manifest says {stored}");
            damage.push(found(&checked.path, Place::Header, &detail));
        }
        facts.extend(checked.facts);
    }
    let made = if facts.len() == shards.len() {
        Manifest::of(dir, facts).map_err(|e| e.to_string())
    } else {
        Err(String::new())
    };
    if let (Some(manifest), Ok((made, _))) = (&manifest, &made)
        && made != manifest
    {
        damage.push(found(&manifest_path, Place::Manifest, &"is not the one that the shards make"));
    }
    // Without a manifest to say which shards there are, the shards themselves tell which one is missing.
    if let (None, Err(problem)) = (&manifest, &made)
        && !problem.is_empty()
    {
        damage.push(found(&manifest_path, Place::Manifest, problem));
    }
    let digest = made.as_ref().ok().map(|(made, _)| made.report).or(manifest.map(|manifest| manifest.report));
    damage.extend(check_report(&dir.join(REPORT_NAME), digest));
    damage.sort();
    Ok(damage)
}

fn found(path: &Path, what: Place, detail: &dyn fmt::Display) -> Damage {
    Damage { file: path.to_owned(), what, detail: detail.to_string() }
}

/// Holds the report against the digest that shards or manifest give it.
fn check_report(path: &Path, digest: Option<Digest>) -> Option<Damage> {
    let Some(digest) = digest else {
        return Some(found(path, Place::Report, &"cannot be checked while manifest and shards are damaged"));
    };
    // In pieces: a file of this name may be of any length.
    let mut hasher = Sha256::new();
    match File::open(path).and_then(|mut file| std::io::copy(&mut file, &mut hasher)) {
        Err(error) => Some(found(path, Place::Report, &format!("cannot be read: {error}"))),
        Ok(_) if Digest(hasher.finalize().into()) == digest => None,
        Ok(_) => Some(found(path, Place::Report, &"is not the one that the shards make")),
    }
}

/// What came of checking one shard.
struct Checked {
    path: PathBuf,
    damage: Vec<Damage>,
    identity: Option<Digest>,
    facts: Option<Facts>,
}

/// Checks shards on `threads` threads; results are in the order of `paths`.
fn check_shards(paths: &[PathBuf], threads: usize, progress: &dyn Fn(u64)) -> Vec<Checked> {
    let next = AtomicUsize::new(0);
    let (bytes, ticks) = mpsc::channel();
    let mut all: Vec<(usize, Checked)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.clamp(1, paths.len().max(1)))
            .map(|_| {
                let (bytes, next) = (bytes.clone(), &next);
                scope.spawn(move || {
                    let mut mine = Vec::new();
                    while let Some((at, path)) = {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        paths.get(at).map(|path| (at, path))
                    } {
                        let tick = |n| bytes.send(n).expect("the receiver lives until all workers are done");
                        mine.push((at, check_shard(path, &tick)));
                    }
                    mine
                })
            })
            .collect();
        drop(bytes);
        ticks.iter().for_each(progress);
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("checking a shard does not panic"))
            .collect()
    });
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, checked)| checked).collect()
}

fn check_shard(path: &Path, tick: &dyn Fn(u64)) -> Checked {
    let mut checked = Checked { path: path.to_owned(), damage: Vec::new(), identity: None, facts: None };
    let opened = File::open(path).map_err(Error::io(path, "open"));
    let (file, (header, identity)) = match opened.and_then(|file| Ok((read_header(path, &file)?, file))) {
        Ok((header, file)) => (file, header),
        Err(error) => {
            let what = match error {
                Error::Io { .. } | Error::Length { .. } => Place::File,
                _ => Place::Header,
            };
            checked.damage.push(found(path, what, &error));
            return checked;
        }
    };
    checked.identity = Some(identity);
    let mut index = vec![0; header.index_bytes as usize];
    if let Err(error) = read_exact_at(&file, &mut index, header.index_offset()) {
        checked.damage.push(found(path, Place::File, &format!("cannot read the index: {error}")));
        return checked;
    }
    let sections = Sections::find(path, &header, &index);
    match &sections {
        Err(error) => checked.damage.push(found(path, Place::SectionTable, error)),
        Ok(sections) => checked.damage.extend(check_index(path, &header, &index, sections)),
    }
    if checked.damage.is_empty() {
        match open_named(path, Access::Read) {
            Ok(shard) => checked.facts = Some(Facts::of(&shard)),
            Err(error) => checked.damage.push(found(path, place(&error), &error)),
        }
    }
    tick(HEADER_BYTES as u64 + header.index_bytes);
    if let Ok(sections) = &sections {
        let records = Records { path, header: &header, file: &file, index: &index, sections };
        checked.damage.extend(records.check(tick));
    }
    checked
}

/// The part of a shard that an error speaks of.
fn place(error: &Error) -> Place {
    match error {
        Error::Section { section, .. } => Place::Section(*section),
        Error::Table { .. } | Error::Checksum { .. } => Place::SectionTable,
        Error::Stranger { .. } | Error::Io { .. } | Error::Length { .. } => Place::File,
        _ => Place::Header,
    }
}

/// Holds each section against its checksum, and the index against those in the header.
fn check_index(path: &Path, header: &Header, index: &[u8], sections: &Sections) -> Vec<Damage> {
    let mut damage = Vec::new();
    for section in Section::ALL {
        let (stored, sum) = (sections.crc(section), crc32c::crc32c(&index[sections.range(section)]));
        if stored != sum {
            let detail = format!("crc32c is {sum:#010x} where {stored:#010x} is stored");
            damage.push(found(path, Place::Section(section), &detail));
        }
    }
    if damage.is_empty() && (crc32c::crc32c(index), Digest::of(index)) != (header.index_crc, header.index) {
        damage.push(found(path, Place::SectionTable, &"checksums of the index differ from the header's"));
    }
    if damage.is_empty()
        && let Err(error) = content::classes(path, header, index, sections)
    {
        damage.push(found(path, Place::Section(Section::Classes), &error));
    }
    damage
}

/// The records of a shard whose section table is sound.
struct Records<'a> {
    path: &'a Path,
    header: &'a Header,
    file: &'a File,
    index: &'a [u8],
    sections: &'a Sections,
}

impl Records<'_> {
    /// A section, if it is as it was written.
    fn sound(&self, section: Section) -> Option<&[u8]> {
        let bytes = &self.index[self.sections.range(section)];
        (crc32c::crc32c(bytes) == self.sections.crc(section)).then_some(bytes)
    }

    fn check(&self, tick: &dyn Fn(u64)) -> Vec<Damage> {
        let mut damage = Vec::new();
        let (bytes, stride) = (self.header.record_bytes() as usize, self.header.record_stride());
        let mut buffer = vec![0; stride as usize];
        let (mut moments, mut sums) = (Moments::default(), PixelSums::new(bytes));
        let crcs = self.sound(Section::Checksums);
        for i in 0..self.header.record_count {
            if let Err(error) = read_exact_at(self.file, &mut buffer, HEADER_BYTES as u64 + i * stride) {
                damage.push(found(self.path, Place::Record(i), &format!("cannot be read: {error}")));
                continue;
            }
            let (record, padding) = buffer.split_at(bytes);
            let sum = crc32c::crc32c(record);
            if let Some(stored) =
                crcs.map(|crcs| u32_at(crcs, i as usize * 4)).filter(|&stored| stored != sum)
            {
                let detail = format!("{}crc32c is {sum:#010x} where {stored:#010x} is stored", self.name(i));
                damage.push(found(self.path, Place::Record(i), &detail));
            }
            if let Some(at) = padding.iter().position(|&byte| byte != 0) {
                let detail = format!("byte {at} is {}, not zero", padding[at]);
                damage.push(found(self.path, Place::Padding(i), &detail));
            }
            moments = moments.merge(&Moments::of(record));
            sums.add(record);
            tick(stride);
        }
        if damage.is_empty() {
            // All records are sound, so the sums must be theirs.
            if self.sound(Section::Moments).is_some_and(|stored| Moments::from_bytes(stored) != moments) {
                let detail = format!("records have {moments:?}");
                damage.push(found(self.path, Place::Section(Section::Moments), &detail));
            }
            let same = |stored: &[u8]| {
                sums.sums().iter().zip(stored.chunks_exact(4)).all(|(&a, b)| a == u32_at(b, 0))
            };
            if !self.sound(Section::PixelSums).is_none_or(same) {
                damage.push(found(
                    self.path,
                    Place::Section(Section::PixelSums),
                    &"not the sums of the records",
                ));
            }
        }
        damage
    }

    /// The source name of a record and a colon, if the names are sound.
    fn name(&self, i: u64) -> String {
        let name =
            self.sound(Section::Names).and_then(|names| index::name(names, self.header.record_count, i));
        name.map_or(String::new(), |name| format!("{name}: "))
    }
}
