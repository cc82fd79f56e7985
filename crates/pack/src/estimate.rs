//! What a plan will cost: photos, bytes, memory, and the room there is.
//!
//! Nothing is written and no photo is read. Sizes of shards are upper bounds, exact up to report and names.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use alexnet_shard::{Folder, HEADER_BYTES, PAGE, ShardPlan, Split, State};

use crate::error::Error;
use crate::part::Part;
use crate::pipeline::{shard_plan, slots};
use crate::plan::Plan;

/// What packing one split will cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitEstimate {
    /// The split.
    pub split: Split,
    /// Photos that will be looked at.
    pub photos: u64,
    /// Of them without a label: they will be refused.
    pub unlabelled: u64,
    /// Photos left out because their class was not chosen.
    pub left_out: u64,
    /// Members of the source that are no photos.
    pub ignored: u64,
    /// Bytes of the photos as they are.
    pub encoded_bytes: u64,
    /// Shards of the split, finished ones included.
    pub shards: u64,
    /// Bytes of those shards, at most.
    pub shard_bytes: u64,
}

/// What a run into a folder will cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// How far the folder is.
    pub state: State,
    /// Classes in the table.
    pub classes: u64,
    /// The splits.
    pub splits: Vec<SplitEstimate>,
    /// Bytes the shards still to be written take, at most.
    pub needed_bytes: u64,
    /// Bytes free for this user where the folder is or will be, and those of unfinished files that a run begins
    /// anew; `None` if the system does not say.
    pub free_bytes: Option<u64>,
}

impl Estimate {
    /// Looks at plan and folder without touching anything.
    ///
    /// # Errors
    /// If the folder belongs to another recipe or holds foreign files.
    pub fn new(plan: &Plan, out: &Path) -> Result<Estimate, Error> {
        Self::of_part(plan, out, Part::WHOLE)
    }

    /// The same, where only the shards of a part are to be written; the splits are estimated whole.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_part(plan: &Plan, out: &Path, part: Part) -> Result<Estimate, Error> {
        let state = Folder::inspect(out, plan.recipe().digest())?;
        let is_finished = |split: Split, number: u32| match &state {
            State::Fresh => false,
            State::Partial(finished) => finished.binary_search(&(split, number)).is_ok(),
            State::Complete => true,
        };
        let mut needed_bytes = 0;
        let mut splits = Vec::new();
        for split in plan.splits() {
            let shards = ShardPlan::shard_count(split.entries(), plan.recipe().shard_records);
            let mut shard_bytes = 0;
            for number in 0..u32::try_from(shards).unwrap_or(u32::MAX) {
                let entries = shard_plan(plan, split, number).entries();
                let bytes = shard_upper_bound(plan, entries.end - entries.start);
                shard_bytes += bytes;
                if part.has(number) && !is_finished(split.split(), number) {
                    needed_bytes += bytes;
                }
            }
            splits.push(SplitEstimate {
                split: split.split(),
                photos: split.entries(),
                unlabelled: split.unlabelled(),
                left_out: split.left_out(),
                ignored: split.source().ignored().0,
                encoded_bytes: split.encoded_bytes(),
                shards,
                shard_bytes,
            });
        }
        let classes = plan.classes().classes().len() as u64;
        let free_bytes = free_bytes(out).map(|free| free.saturating_add(unfinished_bytes(out)));
        Ok(Estimate { state, classes, splits, needed_bytes, free_bytes })
    }

    /// Bytes of memory a run on so many threads takes, about: the program, the plan, buffers of records under way, and
    /// for each thread the decoding of a progressive photo of `pixels`, up to [`crate::decode::DIRECT_PIXELS`].
    pub fn memory_bytes(plan: &Plan, threads: usize, pixels: u64) -> u64 {
        const PROGRAM: u64 = 6_000_000;
        const PHOTO: u64 = 90;
        const PIXEL: u64 = 9;
        let record = u64::from(plan.options().size).pow(2) * 3;
        let photos: u64 = plan.splits().iter().map(|split| split.source().photos().len() as u64).sum();
        PROGRAM + photos * PHOTO + slots(threads) as u64 * record + threads as u64 * pixels * PIXEL
    }
}

fn shard_upper_bound(plan: &Plan, entries: u64) -> u64 {
    let record = u64::from(plan.options().size).pow(2) * 3;
    let stride = record.next_multiple_of(PAGE);
    let words = |c: &alexnet_shard::Class| (c.words.len() + c.wnid.len() + 32) as u64;
    let classes: u64 = plan.classes().classes().iter().map(words).sum();
    // Label, checksum, entry number, name with its offset; then sums, table, recipe.
    const NAME: u64 = 64;
    HEADER_BYTES as u64 + entries * (stride + 4 + 4 + 8 + 8 + NAME) + record * 4 + classes + PAGE
}

/// Bytes on disk of what a stopped run left unfinished.
fn unfinished_bytes(out: &Path) -> u64 {
    let entries = fs::read_dir(out).into_iter().flatten().flatten();
    let unfinished = entries.filter(|e| e.path().extension().is_some_and(|extension| extension == "partial"));
    unfinished.filter_map(|e| e.metadata().ok()).map(|metadata| metadata.blocks() * 512).sum()
}

/// Free bytes of the file system that holds the nearest existing folder of `path`.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let absolute: PathBuf = std::path::absolute(path).ok()?;
    let existing = absolute.ancestors().find(|p| p.exists())?;
    let stat = rustix::fs::statvfs(existing).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a stopped run left unfinished is written anew, so its room counts as free; finished shards do not.
    #[test]
    fn unfinished_files_count_as_room() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(unfinished_bytes(&dir.path().join("not there")), 0);
        for (name, bytes) in [("train-00000.shard", 70_000), ("train-00001.shard.partial", 50_000)] {
            fs::write(dir.path().join(name), vec![7; bytes]).expect("a file");
            fs::File::open(dir.path().join(name)).and_then(|f| f.sync_all()).expect("a synced file");
        }
        assert!((50_000..60_000).contains(&unfinished_bytes(dir.path())), "{}", unfinished_bytes(dir.path()));
    }
}
