//! The manifest and the report of a set: `manifest.json` names every shard with its identity, `report.jsonl` lists
//! every photo that did not go through untouched. Both are pure functions of the shards' headers and indices.
//!
//! The manifest keeps one form: its own SHA-256 is its last member, and read and written again it has the same bytes.

use crate::digest::Digest;
use crate::error::Error;
use crate::file::{read_limited, write_whole};
use crate::header::Header;
use crate::recipe::Recipe;
use crate::report::{ReportEntry, ReportKind, encode_lines};
use crate::shard::{Access, Shard};
use crate::split::Split;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// File name of the manifest.
pub const MANIFEST_NAME: &str = "manifest.json";
/// File name of the report.
pub const REPORT_NAME: &str = "report.jsonl";
const KIND: &str = "alexnet-shards";
/// 400,000 shards' worth.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// What a set consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `alexnet-shards`.
    pub kind: String,
    /// Version of the manifest: 1.
    pub version: u32,
    /// The recipe of all shards.
    pub recipe: Recipe,
    /// Digest of the recipe.
    pub recipe_digest: Digest,
    /// The splits that have shards.
    pub splits: BTreeMap<Split, ManifestSplit>,
    /// SHA-256 of `report.jsonl`.
    pub report: Digest,
    /// SHA-256 of this file with this member all zeros.
    pub sha256: Digest,
}

/// One split of a set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestSplit {
    /// Records.
    pub images: u64,
    /// Planned entries: records and refused photos.
    pub planned: u64,
    /// Photos repaired, converted and refused.
    pub repaired: u64,
    /// See `repaired`.
    pub converted: u64,
    /// See `repaired`.
    pub refused: u64,
    /// Bytes of all shards.
    pub bytes: u64,
    /// The shards, by number.
    pub shards: Vec<ManifestShard>,
}

/// One shard of a split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestShard {
    /// File name.
    pub file: String,
    /// Records.
    pub images: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// SHA-256 of the header.
    pub identity: Digest,
}

/// What a manifest needs to know of a shard, without its file staying open.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    path: PathBuf,
    header: Header,
    identity: Digest,
    recipe: Recipe,
    report: Vec<ReportEntry>,
}

impl Facts {
    pub(crate) fn of(shard: &Shard) -> Self {
        Facts {
            path: shard.path().to_owned(),
            header: shard.header().clone(),
            identity: shard.identity(),
            recipe: shard.recipe().clone(),
            report: shard.report().to_vec(),
        }
    }
}

impl Facts {
    /// Identity of the shard.
    pub(crate) fn identity(&self) -> Digest {
        self.identity
    }
}

impl Manifest {
    /// The manifest and the report that these shards make. Shards come in any order; `dir` is for errors.
    ///
    /// # Errors
    /// If there are none, one is missing, or they do not belong together.
    pub(crate) fn of(dir: &Path, mut shards: Vec<Facts>) -> Result<(Self, Vec<u8>), Error> {
        shards.sort_by_key(|shard| (shard.header.split, shard.header.number));
        let Some(first) = shards.first() else {
            return Err(Error::Incomplete { path: dir.join(Split::Train.file_name(0)) });
        };
        let (recipe, recipe_digest) = (first.recipe.clone(), first.header.recipe);
        let (mut splits, mut report) = (BTreeMap::<Split, ManifestSplit>::new(), Vec::new());
        for (at, shard) in shards.iter().enumerate() {
            let header = &shard.header;
            if header.recipe != recipe_digest {
                let path = shard.path.clone();
                return Err(Error::OtherRecipe { path, expected: recipe_digest, found: header.recipe });
            }
            let split = splits.entry(header.split).or_default();
            let number = split.shards.len() as u32;
            if header.number != number {
                return Err(Error::Incomplete { path: dir.join(header.split.file_name(number)) });
            }
            if at > 0 && shards[at - 1].header.split == header.split {
                same_split(&shard.path, header, &shards[at - 1].header)?;
            }
            if shards.get(at + 1).is_none_or(|next| next.header.split != header.split)
                && number + 1 != header.shard_count
            {
                return Err(Error::Incomplete { path: dir.join(header.split.file_name(number + 1)) });
            }
            split.add(shard);
            encode_lines(header.split, &shard.report, &mut report);
        }
        let manifest = Manifest {
            kind: KIND.to_owned(),
            version: 1,
            recipe,
            recipe_digest,
            splits,
            report: Digest::of(&report),
            sha256: Digest::default(),
        };
        Ok((manifest.sealed(), report))
    }

    fn sealed(mut self) -> Self {
        self.sha256 = Digest::default();
        self.sha256 = Digest::of(&self.encode());
        self
    }

    /// The bytes of `manifest.json`: JSON indented by two spaces, and a line feed.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("text, whole numbers and text keys serialise");
        bytes.push(b'\n');
        bytes
    }

    /// Reads and checks `manifest.json` of a folder.
    ///
    /// # Errors
    /// If there is none, or it is not byte for byte what a manifest must be.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(MANIFEST_NAME);
        if dir.is_dir() && !path.exists() {
            return Err(Error::Incomplete { path });
        }
        let bytes = read_limited(&path, MAX_MANIFEST_BYTES)?;
        Self::decode(&bytes).map_err(|problem| Error::Manifest { path, problem })
    }

    /// Parses the bytes of a manifest.
    ///
    /// # Errors
    /// In words, if they are not byte for byte what a manifest must be.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Manifest =
            serde_json::from_slice(bytes).map_err(|e| format!("is not a manifest: {e}"))?;
        if manifest.kind != KIND || manifest.version != 1 {
            return Err(format!(
                "is a {} of version {}, not {KIND} of version 1",
                manifest.kind, manifest.version
            ));
        }
        if manifest.encode() != bytes {
            return Err("is not in the one form that manifests have".to_owned());
        }
        let found = manifest.clone().sealed().sha256;
        if found != manifest.sha256 {
            return Err(format!("has SHA-256 {found}, but says {}", manifest.sha256));
        }
        if manifest.recipe.digest() != manifest.recipe_digest {
            return Err(format!(
                "recipe has digest {}, not {}",
                manifest.recipe.digest(),
                manifest.recipe_digest
            ));
        }
        for (split, files) in &manifest.splits {
            for (number, shard) in files.shards.iter().enumerate() {
                if Split::parse_file_name(&shard.file) != Some((*split, number as u32)) {
                    return Err(format!("shard {number} of {split} is called {:?}", shard.file));
                }
            }
        }
        Ok(manifest)
    }

    /// The identity of the set: the manifest's own digest, which covers the identity of every shard.
    pub fn identity(&self) -> Digest {
        self.sha256
    }
}

impl ManifestSplit {
    fn add(&mut self, shard: &Facts) {
        let header = &shard.header;
        self.images += header.record_count;
        self.planned += header.planned_entries;
        self.bytes += header.file_bytes();
        for line in &shard.report {
            *match line.kind {
                ReportKind::Repaired => &mut self.repaired,
                ReportKind::Converted => &mut self.converted,
                ReportKind::Refused => &mut self.refused,
            } += 1;
        }
        self.shards.push(ManifestShard {
            file: header.split.file_name(header.number),
            images: header.record_count,
            bytes: header.file_bytes(),
            identity: shard.identity,
        });
    }
}

/// Checks that a shard agrees with another of its split on how long the split is.
pub(crate) fn same_split(path: &Path, header: &Header, other: &Header) -> Result<(), Error> {
    let of = |header: &Header| (header.shard_count, header.split_entries);
    if of(header) == of(other) {
        return Ok(());
    }
    let problem = format!("(shards, entries) of its split are {:?}, elsewhere {:?}", of(header), of(other));
    Err(Error::Stranger { path: path.to_owned(), problem })
}

/// Builds `report.jsonl` and `manifest.json` from the shards in a folder, and returns the set's identity. The manifest
/// comes last: where it is, the set is complete.
///
/// # Errors
/// If a shard is missing, damaged or of another set, or a file cannot be written.
pub fn write_manifest(dir: &Path) -> Result<Digest, Error> {
    let mut shards = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(Error::io(dir, "list"))? {
        let path = entry.map_err(Error::io(dir, "list"))?.path();
        if named_shard(&path).is_some() {
            shards.push(Facts::of(&open_named(&path, Access::Read)?));
        }
    }
    let (manifest, report) = Manifest::of(dir, shards)?;
    write_whole(&dir.join(REPORT_NAME), &report)?;
    write_whole(&dir.join(MANIFEST_NAME), &manifest.encode())?;
    Ok(manifest.identity())
}

/// Which shard a path names.
pub(crate) fn named_shard(path: &Path) -> Option<(Split, u32)> {
    Split::parse_file_name(path.file_name()?.to_str()?)
}

/// Opens a shard and checks that it is the one that its name says.
pub(crate) fn open_named(path: &Path, access: Access) -> Result<Shard, Error> {
    let shard = Shard::open(path, access)?;
    let header = shard.header();
    if named_shard(path) != Some((header.split, header.number)) {
        let problem = format!("its header says it is {}", header.split.file_name(header.number));
        return Err(Error::Stranger { path: path.to_owned(), problem });
    }
    Ok(shard)
}
