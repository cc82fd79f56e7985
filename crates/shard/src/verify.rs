//! Finding damage: every byte of every file of a set is compared with something that depends on it.
//!
//! Records are held against their checksums and against the stored sums, padding against zero, sections against their
//! checksums, header against its own, shards against the manifest, report and manifest against what the shards make.
//! One piece of damage does not hide another, except that behind a damaged header nothing can be found. Files are
//! read by offset, never mapped. Repair is left to packing again.

mod job;
mod records;

use self::job::check_shards;
use crate::digest::Digest;
use crate::error::Error;
use crate::folder::list;
use crate::index::Section;
use crate::manifest::{MANIFEST_NAME, Manifest, REPORT_NAME, named_shard};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

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

/// Checks every byte of the set in a folder, with `threads` threads, which share the records of a
/// shard when there are fewer shards left than threads. `progress` is called on this
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
