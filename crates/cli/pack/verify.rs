//! `imagenet-pack verify`: every byte of a set against its checksums.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Instant;

use alexnet_shard::verify;
use clap::Parser;

use crate::input::cores;
use crate::messages::{Exit, say};
use crate::progress::{Progress, size};

/// Check every byte of a packed set; damage is named by file and record or section.
#[derive(Parser)]
pub struct Args {
    /// Folder of the set
    shards: PathBuf,
    /// Threads [default: all cores]
    #[arg(long)]
    threads: Option<usize>,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

pub fn run(args: Args) -> anyhow::Result<Exit> {
    let total = std::fs::read_dir(&args.shards)
        .map(|entries| entries.flatten().filter_map(|e| Some(e.metadata().ok()?.len())).sum())
        .unwrap_or(0);
    let progress = Progress::new("verifying", "bytes", total, args.quiet);
    let done = Cell::new(0);
    let start = Instant::now();
    let damage = verify(&args.shards, args.threads.unwrap_or_else(cores).max(1), &|bytes| {
        done.set(done.get() + bytes);
        progress.at(done.get(), "");
    })?;
    progress.finish();
    let seconds = start.elapsed().as_secs_f64();
    for piece in &damage {
        say(format_args!("damaged: {piece}"))?;
    }
    let rate = size((done.get() as f64 / seconds) as u64);
    match damage.len() {
        0 => {
            say(format_args!("sound: {} checked at {rate}/s", size(done.get())))?;
            Ok(Exit::Done)
        }
        n => {
            say(format_args!("{n} damaged places in {} ({rate}/s)", size(done.get())))?;
            Ok(Exit::Complaints)
        }
    }
}
