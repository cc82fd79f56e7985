//! A run: packing a plan into a folder, or going on where a former run stopped.
//!
//! Shards that a former run finished are kept; a run that is stopped (or killed) leaves a folder that the same call
//! goes on with. How records are made and put in order is [`crate::pipeline`]'s part, how a folder is told from
//! another's is `alexnet_shard::Folder`'s.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use alexnet_shard::{Digest, Folder, Manifest, Split, State};

use crate::error::Error;
use crate::estimate::Estimate;
use crate::part::Part;
use crate::pipeline::{Pipeline, Work};
use crate::plan::Plan;

/// What to do about a photo that is damaged or has no label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBad {
    /// Name it in the report and go on.
    #[default]
    Skip,
    /// Stop at the first one, repaired or refused, with an error that names it.
    Fail,
}

impl fmt::Display for OnBad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OnBad::Skip => "skip",
            OnBad::Fail => "fail",
        })
    }
}

impl FromStr for OnBad {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "skip" => Ok(OnBad::Skip),
            "fail" => Ok(OnBad::Fail),
            _ => Err(format!("unknown choice {name:?} (skip, fail)")),
        }
    }
}

/// How one call packs; nothing here changes a byte of the set.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// The output folder; created if need be.
    pub out: PathBuf,
    /// Threads that decode, at least 1. One more writes.
    pub threads: usize,
    /// What to do about bad photos.
    pub on_bad: OnBad,
    /// Set by another thread (Ctrl-C) to stop; the run then ends with [`Error::Cancelled`].
    pub cancel: Option<&'a AtomicBool>,
}

impl Run<'_> {
    /// A run into `out` on all cores, skipping bad photos.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        Run { out: out.into(), threads, on_bad: OnBad::Skip, cancel: None }
    }

    pub(crate) fn cancelled(&self) -> bool {
        self.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }
}

/// Hears how far a run is. Called from the thread that called [`pack`], in order.
pub trait Progress {
    /// The run will go through so many photos of so many encoded bytes; finished shards do not count.
    fn begin(&self, photos: u64, bytes: u64) {
        let _ = (photos, bytes);
    }

    /// So many photos and encoded bytes more are done.
    fn advance(&self, photos: u64, bytes: u64) {
        let _ = (photos, bytes);
    }
}

/// No one listens.
impl Progress for () {}

/// What a run left.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Digest that covers every byte of the set.
    pub identity: Digest,
    /// Records, complaints, bytes and shards of each split, of the whole set.
    pub manifest: Manifest,
    /// Photos this run went through.
    pub photos: u64,
    /// Shards that were finished before this run.
    pub shards_before: u64,
    /// The set was complete before; nothing was done.
    pub was_complete: bool,
}

impl Summary {
    /// Photos of the whole set that were repaired, converted and refused.
    pub fn complaints(&self) -> (u64, u64, u64) {
        let splits = self.manifest.splits.values();
        splits.fold((0, 0, 0), |(a, b, c), s| (a + s.repaired, b + s.converted, c + s.refused))
    }
}

/// What a run of one part left.
#[derive(Clone, Debug)]
pub enum Packed {
    /// All shards of the set are in the folder: it is complete.
    Set(Box<Summary>),
    /// The part's shards are; others are missing.
    Part {
        /// Shards of the part.
        shards: u64,
        /// Shards in the folder before this run.
        shards_before: u64,
        /// Photos this run went through.
        photos: u64,
    },
}

/// Packs what is planned into `run.out`, or what a former run of the same plan left to do.
///
/// # Errors
/// If the folder belongs to something else, space is short, a source cannot be read or a shard not be written, the
/// run is stopped, or (if asked for) a photo is bad. Finished shards always stay.
pub fn pack(plan: &Plan, run: &Run<'_>, progress: &dyn Progress) -> Result<Summary, Error> {
    match pack_part(plan, run, Part::WHOLE, progress)? {
        Packed::Set(summary) => Ok(*summary),
        Packed::Part { .. } => unreachable!("the whole is all shards"),
    }
}

/// The same, of one part's shards. If it turns out to be the last of the parts in this folder, the set is completed;
/// parts in folders of their own are brought together by `alexnet_shard::merge`.
///
/// # Errors
/// As [`pack`].
pub fn pack_part(plan: &Plan, run: &Run<'_>, part: Part, progress: &dyn Progress) -> Result<Packed, Error> {
    let estimate = Estimate::of_part(plan, &run.out, part)?;
    if estimate.free_bytes.is_some_and(|free| free < estimate.needed_bytes) {
        let free = estimate.free_bytes.unwrap_or_default();
        return Err(Error::NoSpace { path: run.out.clone(), needed: estimate.needed_bytes, free });
    }
    let folder = Folder::open(&run.out, plan.recipe().digest())?;
    let summary = |photos, shards_before, was_complete| {
        let manifest = Manifest::read(&run.out)?;
        let identity = manifest.identity();
        Ok(Packed::Set(Box::new(Summary { identity, manifest, photos, shards_before, was_complete })))
    };
    let finished: HashSet<(Split, u32)> = match folder.state() {
        State::Complete => {
            let manifest = Manifest::read(&run.out)?;
            let shards = manifest.splits.values().map(|s| s.shards.len() as u64).sum();
            return summary(0, shards, true);
        }
        State::Partial(finished) => finished.iter().copied().collect(),
        State::Fresh => HashSet::new(),
    };
    let missing = Work::new(plan, |split, number| !finished.contains(&(split, number)));
    let work = Work::new(plan, |split, number| !finished.contains(&(split, number)) && part.has(number));
    let others = missing.shards() - work.shards();
    let (photos, shards_before) = (work.entries, finished.len() as u64);
    progress.begin(work.entries, work.bytes());
    Pipeline::new(plan, run, &work).run(progress)?;
    if others > 0 {
        folder.leave()?;
        let shards = Work::new(plan, |_, number| part.has(number)).shards();
        return Ok(Packed::Part { shards, shards_before, photos });
    }
    folder.complete()?;
    summary(photos, shards_before, false)
}
