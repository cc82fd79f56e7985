//! The loader with nothing in memory, against the disk alone.
//!
//! Each round throws the files of the set out of the page cache and reads all records by plain reads of a record each,
//! from 16 threads; then throws them out again and lets a loader deliver one epoch, from before the set is opened until
//! the last batch is there. Plain reads follow the disk's best case for the order: from end to end for block shuffle and
//! sequential order, in the loader's own random order for a full shuffle.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use alexnet_load::{Config, Loader, Order, Records, SplitOf};
use alexnet_shard::{Access, Split};
use anyhow::Context;
use serde::Serialize;

use super::rate::median;
use crate::progress::size;

/// Plain readers: enough to keep any one disk busy.
const READERS: u64 = 16;

/// What was measured.
#[derive(Serialize)]
pub struct Cold {
    /// Median bytes a second that plain reads got, `random` or from end to end.
    pub disk_bytes_per_second: f64,
    pub random: bool,
    /// Median bytes of records a second that went through the loader.
    pub loader_bytes_per_second: f64,
    pub images_per_second: f64,
    /// Median of the rounds' shares.
    pub share_of_disk: f64,
    pub shares: Vec<f64>,
    /// Bytes read from disk in the loader's rounds, over the bytes of the records; absent where the system does not say.
    pub read_amount: Option<f64>,
}

impl Cold {
    /// One line for people.
    pub fn sentence(&self) -> String {
        format!(
            "cold: {:.0} images/s, {}/s, {:.0} % of {} reads of a record each at {}/s ({} rounds)",
            self.images_per_second,
            size(self.loader_bytes_per_second as u64),
            100.0 * self.share_of_disk,
            if self.random { "random" } else { "sequential" },
            size(self.disk_bytes_per_second as u64),
            self.shares.len(),
        )
    }
}

/// Measures `rounds` rounds of one epoch of `config` over the set in `dir`, which nobody may have open.
pub fn measure(
    dir: &Path,
    split: Split,
    access: Access,
    config: &Config,
    rounds: usize,
) -> anyhow::Result<Cold> {
    let open = || -> anyhow::Result<SplitOf> {
        Ok(SplitOf::new(Arc::new(alexnet_shard::ShardSet::open(dir, access)?), split)?)
    };
    let set = open()?;
    let files: Vec<PathBuf> = set.split().shards().iter().map(|shard| shard.path().to_owned()).collect();
    let header = set.split().shards()[0].header().clone();
    let counts: Vec<u64> = set.split().shards().iter().map(|shard| shard.len()).collect();
    let (bytes, images) = (set.split().record_bytes() as f64, set.len());
    drop(set);
    let random = config.plan.order == Order::Shuffled;
    let places: Vec<(usize, u64)> = (counts.iter().enumerate())
        .flat_map(|(shard, count)| (0..*count).map(move |i| (shard, i)))
        .map(|(shard, i)| (shard, header.index_offset() - (header.record_count - i) * header.record_stride()))
        .collect();
    let (mut disks, mut rates, mut shares, mut read) = (vec![], vec![], vec![], Some(0));
    for _ in 0..rounds {
        forget(&files)?;
        let start = Instant::now();
        let epoch = config.plan.epoch(0);
        let record = |i: u64| if random { epoch.record(i) } else { i };
        read_all(&files, images, bytes as usize, &|i| places[record(i) as usize])?;
        disks.push(images as f64 * bytes / start.elapsed().as_secs_f64());
        forget(&files)?;
        let (start, before) = (Instant::now(), super::disk_bytes());
        let mut delivered = 0;
        let mut took = start.elapsed();
        for batch in Loader::new(Arc::new(open()?), Config { end: 1, ..config.clone() })? {
            delivered += batch?.len() as u64;
            took = start.elapsed();
        }
        anyhow::ensure!(delivered == images, "the loader delivered {delivered} of {images} records");
        rates.push(images as f64 / took.as_secs_f64());
        read = read.zip(super::disk_bytes().zip(before)).map(|(sum, (after, before))| sum + after - before);
        shares.push(rates[rates.len() - 1] * bytes / disks[disks.len() - 1]);
    }
    let images_per_second = median(&mut rates);
    Ok(Cold {
        disk_bytes_per_second: median(&mut disks),
        random,
        loader_bytes_per_second: images_per_second * bytes,
        images_per_second,
        share_of_disk: median(&mut shares.clone()),
        shares,
        read_amount: read.map(|read| read as f64 / (images as f64 * bytes * rounds as f64)),
    })
}

/// Reads `images` records of `bytes` each; `place` gives file and offset of each in turn.
fn read_all(
    files: &[PathBuf],
    images: u64,
    bytes: usize,
    place: &(dyn Fn(u64) -> (usize, u64) + Sync),
) -> anyhow::Result<()> {
    use std::os::unix::fs::FileExt;
    let open: Vec<File> = files
        .iter()
        .map(|path| File::open(path).with_context(|| format!("cannot open {}", path.display())))
        .collect::<Result<_, _>>()?;
    let next = AtomicU64::new(0);
    let work = || -> std::io::Result<()> {
        let mut buffer = vec![0; bytes];
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= images {
                return Ok(());
            }
            let (file, offset) = place(i);
            open[file].read_exact_at(&mut buffer, offset)?;
        }
    };
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(work)).collect();
        // Only a panic of ours could fail the join, and it goes on as one.
        readers
            .into_iter()
            .try_for_each(|r| r.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
    .context("cannot read a shard")
}

/// Throws files out of the page cache. Only whole systems can be asked to forget what is mapped, so nobody may map them.
fn forget(files: &[PathBuf]) -> anyhow::Result<()> {
    for path in files {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        // What is not yet on disk stays.
        file.sync_all().with_context(|| format!("cannot sync {}", path.display()))?;
        #[cfg(target_os = "linux")]
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)
            .with_context(|| format!("cannot drop {} from memory", path.display()))?;
    }
    Ok(())
}
