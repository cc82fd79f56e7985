//! A folder of shards as one set, and each of its splits as one row of records.
//!
//! It keeps the set whole: a set opens only if every shard that the manifest names is there with the identity that
//! the manifest says. Which record is used when is left to the loader.

use crate::class::Class;
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{MANIFEST_NAME, Manifest, ManifestSplit, open_named, same_split};
use crate::moments::Moments;
use crate::recipe::Recipe;
use crate::report::ReportEntry;
use crate::shard::{Access, Shard};
use crate::split::Split;
use std::path::{Path, PathBuf};

/// A finished set of shards.
#[derive(Debug)]
pub struct ShardSet {
    dir: PathBuf,
    manifest: Manifest,
    classes: Vec<Class>,
    splits: Vec<SplitSet>,
}

impl ShardSet {
    /// Opens the set in a folder: manifest, and header and index of every shard. Records are not read.
    ///
    /// # Errors
    /// If the folder holds no finished set, or one that differs from its manifest.
    pub fn open(dir: &Path, access: Access) -> Result<Self, Error> {
        let manifest = Manifest::read(dir)?;
        let splits: Vec<SplitSet> = (manifest.splits.iter())
            .map(|(&split, files)| SplitSet::open(dir, split, files, &manifest, access))
            .collect::<Result<_, _>>()?;
        let Some(first) = splits.first().and_then(|split| split.shards.first()) else {
            let problem = "names no shards".to_owned();
            return Err(Error::Manifest { path: dir.join(MANIFEST_NAME), problem });
        };
        // Every shard has the same recipe, which holds the digest of the table: one shard speaks for all.
        let classes = first.classes()?;
        Ok(ShardSet { dir: dir.to_owned(), manifest, classes, splits })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A split; `None` if the set has no such records.
    pub fn split(&self, split: Split) -> Option<&SplitSet> {
        self.splits.iter().find(|set| set.split == split)
    }

    /// All splits, in the order train, val, test.
    pub fn splits(&self) -> &[SplitSet] {
        &self.splits
    }

    /// The class table; a label is a place in it.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// What the bytes of the set depend on.
    pub fn recipe(&self) -> &Recipe {
        &self.manifest.recipe
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 that covers every byte of every shard, through identities, indices and checksums.
    pub fn identity(&self) -> Digest {
        self.manifest.identity()
    }
}

/// One split of a set: records 0 .. [`len`](Self::len), shard after shard.
#[derive(Debug)]
pub struct SplitSet {
    split: Split,
    shards: Vec<Shard>,
    /// First record of each shard, and the number of all records.
    starts: Vec<u64>,
    shard_records: u64,
    moments: Moments,
}

impl SplitSet {
    fn open(
        dir: &Path,
        split: Split,
        files: &ManifestSplit,
        manifest: &Manifest,
        access: Access,
    ) -> Result<Self, Error> {
        let mut set = SplitSet {
            split,
            shards: Vec::with_capacity(files.shards.len()),
            starts: vec![0],
            shard_records: manifest.recipe.shard_records,
            moments: Moments::default(),
        };
        let paths: Vec<PathBuf> = files.shards.iter().map(|named| dir.join(&named.file)).collect();
        for ((named, path), shard) in files.shards.iter().zip(&paths).zip(open_all(&paths, access)) {
            let shard = shard?;
            let stranger = |problem| Error::Stranger { path: path.clone(), problem };
            if shard.identity() != named.identity {
                let problem =
                    format!("identity is {}, the manifest says {}", shard.identity(), named.identity);
                return Err(stranger(problem));
            }
            if shard.header().recipe != manifest.recipe_digest {
                let (expected, found) = (manifest.recipe_digest, shard.header().recipe);
                return Err(Error::OtherRecipe { path: path.clone(), expected, found });
            }
            if (named.images, named.bytes) != (shard.len(), shard.header().file_bytes()) {
                return Err(stranger("counts differ from the manifest's".to_owned()));
            }
            if shard.header().shard_count as usize != files.shards.len() {
                return Err(stranger(format!("the manifest names {} shards", files.shards.len())));
            }
            if let Some(other) = set.shards.last() {
                same_split(path, shard.header(), other.header())?;
            }
            let moments = set.moments.checked_merge(&shard.moments());
            set.moments = moments.ok_or_else(|| stranger("moments of the split leave u64".to_owned()))?;
            set.starts.push(set.len() + shard.len());
            set.shards.push(shard);
        }
        if set.shards.is_empty() || set.len() != files.images {
            let problem = format!("{} images of {split} where its shards have {}", files.images, set.len());
            return Err(Error::Manifest { path: dir.join(MANIFEST_NAME), problem });
        }
        Ok(set)
    }

    /// Which split this is.
    pub fn split(&self) -> Split {
        self.split
    }

    /// How many records there are.
    #[inline]
    pub fn len(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Width of every record, in pixels.
    pub fn width(&self) -> usize {
        self.shards[0].header().width as usize
    }

    /// Height of every record, in pixels.
    pub fn height(&self) -> usize {
        self.shards[0].header().height as usize
    }

    /// Bytes of every record: height · width · 3.
    pub fn record_bytes(&self) -> usize {
        self.shards[0].header().record_bytes() as usize
    }

    /// The shards, by number.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// The shard of record `i`, and the record's number in it; `None` if there is no such record.
    #[inline]
    pub fn locate(&self, i: u64) -> Option<(&Shard, u64)> {
        if i >= self.len() {
            return None;
        }
        // Shards are only ever shorter than planned, so a record is in its planned shard or a few after it.
        let mut at = ((i / self.shard_records) as usize).min(self.shards.len() - 1);
        while i >= self.starts[at + 1] {
            at += 1;
        }
        Some((&self.shards[at], i - self.starts[at]))
    }

    #[inline]
    fn shard_of(&self, i: u64) -> (&Shard, u64) {
        self.locate(i).unwrap_or_else(|| panic!("record {i} of {} in {}", self.len(), self.split))
    }

    fn try_locate(&self, i: u64) -> Result<(&Shard, u64), Error> {
        let path = || self.shards[0].path().with_file_name(self.split.as_str());
        self.locate(i).ok_or_else(|| Error::OutOfRange { path: path(), record: i, count: self.len() })
    }

    /// The class of record `i`; `None` if unknown.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len).
    #[inline]
    pub fn label(&self, i: u64) -> Option<u32> {
        let (shard, i) = self.shard_of(i);
        shard.label(i)
    }

    /// The source name of record `i`.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len).
    pub fn name(&self, i: u64) -> &str {
        let (shard, i) = self.shard_of(i);
        shard.name(i)
    }

    /// The planned entry number of record `i`; differs from `i` after a refused photo.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len).
    pub fn entry(&self, i: u64) -> u64 {
        let (shard, i) = self.shard_of(i);
        shard.entry(i)
    }

    /// Record `i`: height rows of width pixels of R, G, B. Mapped, it borrows from the page cache and leaves
    /// `scratch` alone; read, it is read into `scratch`.
    ///
    /// # Errors
    /// If there is no such record, or reading fails.
    #[inline]
    pub fn record<'a>(&'a self, i: u64, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], Error> {
        let (shard, i) = self.try_locate(i)?;
        shard.record(i, scratch)
    }

    /// Asks the system to bring record `i` into memory, and returns at once.
    pub fn prefetch(&self, i: u64) {
        if let Some((shard, i)) = self.locate(i) {
            shard.prefetch(i);
        }
    }

    /// Whether record `i` is in memory already; nothing if that cannot be told.
    pub fn resident(&self, i: u64) -> Option<bool> {
        let (shard, i) = self.locate(i)?;
        shard.resident(i)
    }

    /// Compares record `i` with its checksum.
    ///
    /// # Errors
    /// If they differ, there is no such record, or reading fails.
    pub fn check_record(&self, i: u64) -> Result<(), Error> {
        let (shard, i) = self.try_locate(i)?;
        shard.check_record(i)
    }

    /// The exact moments of all pixels of the split.
    pub fn moments(&self) -> Moments {
        self.moments
    }

    /// The sum over all records of each component: height · width · 3 values, in the order of a record's bytes.
    ///
    /// # Errors
    /// If reading fails.
    pub fn pixel_sums(&self) -> Result<Vec<u64>, Error> {
        let mut total = vec![0; self.record_bytes()];
        for shard in &self.shards {
            for (total, sum) in total.iter_mut().zip(shard.pixel_sums()?) {
                *total += u64::from(sum);
            }
        }
        Ok(total)
    }

    /// The photos of the split that were repaired, converted or refused, in planned order.
    pub fn report(&self) -> Vec<ReportEntry> {
        self.shards.iter().flat_map(|shard| shard.report().iter().cloned()).collect()
    }
}

/// Threads that open shards: each waits for a disk most of the time.
const OPENERS: usize = 16;

/// Every shard, in order, opened by several threads.
fn open_all(paths: &[PathBuf], access: Access) -> Vec<Result<Shard, Error>> {
    let open = |paths: &[PathBuf]| paths.iter().map(|path| open_named(path, access)).collect();
    if paths.len() == 1 {
        return open(paths);
    }
    std::thread::scope(|scope| {
        let part = paths.len().div_ceil(OPENERS).max(1);
        let parts: Vec<_> = paths.chunks(part).map(|paths| scope.spawn(move || open(paths))).collect();
        // Only a panic of ours could fail the join, and it goes on as one.
        let join = |part: std::thread::ScopedJoinHandle<'_, Vec<_>>| {
            part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        parts.into_iter().flat_map(join).collect()
    })
}
