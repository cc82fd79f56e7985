//! `loader-bench`: how fast the loader is on this machine, and what bounds it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alexnet_load::{
    Augment, Config, Drawer, Layout, Lighting, Loader, Mean, Order, Output, Plan, Rank, SplitOf, Stages,
    Subset, View,
};
use alexnet_pack::pca::Statistics;
use alexnet_shard::{Access, ShardSet, Split};
use anyhow::Context;
use clap::{Parser, ValueEnum};
use serde::Serialize;

use crate::messages::{Exit, Refusal, say};
use crate::progress::size;

/// Measure the loader: random crops, mirrored and lit, in batches.
#[derive(Parser)]
#[command(name = "loader-bench", version)]
pub struct Args {
    /// Folder of a packed set
    shards: PathBuf,
    /// Split to load
    #[arg(long, default_value = "train")]
    split: Split,
    /// Worker threads [default: all cores]
    #[arg(long)]
    threads: Option<usize>,
    /// Samples in a batch
    #[arg(long, default_value_t = 128)]
    batch: u32,
    /// Width and height of the crop [default: 7/8 of the records, 224 of 256]
    #[arg(long)]
    crop: Option<usize>,
    /// Element type; u8 is crop and mirror only, raw the whole record for a GPU to crop
    #[arg(long, value_enum, default_value = "f32")]
    output: OutputName,
    /// Order of the dimensions in memory
    #[arg(long, value_enum, default_value = "nchw")]
    layout: LayoutName,
    /// Seconds to measure, after a warm-up of a tenth of that
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Seed of order and draws
    #[arg(long, default_value_t = 2012)]
    seed: u64,
    /// Read records by pread instead of mapping the files
    #[arg(long)]
    pread: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum OutputName {
    Raw,
    U8,
    Bf16,
    F16,
    F32,
}

#[derive(Clone, Copy, ValueEnum)]
enum LayoutName {
    Nchw,
    Nhwc,
}

#[derive(Serialize)]
struct Report {
    images_per_second: f64,
    images_per_second_per_thread: f64,
    threads: usize,
    batch: u32,
    output: String,
    layout: String,
    first_batch_ms: f64,
    bytes_out_per_second: f64,
    ring_bytes: usize,
    stages: Stages,
}

/// Runs the program.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    if !args.seconds.is_finite() || args.seconds <= 0.0 {
        return Err(Refusal::new(format!("--seconds {}", args.seconds), "give a positive number").into());
    }
    let access = if args.pread { Access::Read } else { Access::Map };
    let start = Instant::now();
    let set = Arc::new(ShardSet::open(&args.shards, access)?);
    let records = Arc::new(SplitOf::new(set, args.split)?);
    let config = config(&args, &records)?;
    let (threads, ring_bytes) = (config.threads, config.ring_bytes());
    let (output, layout) = (config.augment.output, config.augment.layout);
    let mut loader = Loader::new(records, config)?;
    let first = loader.next().context("the loader delivered no batch")??;
    let first_batch_ms = start.elapsed().as_secs_f64() * 1e3;
    drop(first);

    pull(&mut loader, Duration::from_secs_f64(args.seconds / 10.0))?;
    let before = loader.stages();
    let start = Instant::now();
    let (images, bytes) = pull(&mut loader, Duration::from_secs_f64(args.seconds))?;
    let seconds = start.elapsed().as_secs_f64();
    let report = Report {
        images_per_second: images as f64 / seconds,
        images_per_second_per_thread: images as f64 / seconds / threads as f64,
        threads,
        batch: args.batch,
        output: format!("{output:?}").to_lowercase(),
        layout: format!("{layout:?}").to_lowercase(),
        first_batch_ms,
        bytes_out_per_second: bytes as f64 / seconds,
        ring_bytes,
        stages: difference(loader.stages(), before),
    };
    if args.json {
        say(serde_json::to_string_pretty(&report)?)?;
    } else {
        print(&report)?;
    }
    Ok(Exit::Done)
}

fn config(args: &Args, records: &SplitOf) -> anyhow::Result<Config> {
    let split = records.split();
    let [width, height] = [split.width(), split.height()];
    let crop = args.crop.unwrap_or(width.min(height) * 7 / 8);
    if crop == 0 || crop > width.min(height) {
        let hint = format!("records are {width}×{height}; choose 1 ..= {}", width.min(height));
        return Err(Refusal::new(format!("--crop {crop} does not fit"), hint).into());
    }
    let statistics = Statistics::from_moments(&split.moments()).context("the split has no photos")?;
    let variances = statistics.eigenvalues;
    let output = match args.output {
        OutputName::Raw => Output::Raw,
        OutputName::U8 => Output::U8,
        OutputName::Bf16 => Output::Bf16,
        OutputName::F16 => Output::F16,
        OutputName::F32 => Output::F32,
    };
    let lit = output != Output::U8;
    Ok(Config {
        plan: Plan {
            seed: args.seed,
            subset: Subset::all(split.len()),
            order: Order::Shuffled,
            batch: args.batch,
            rank: Rank::ALONE,
        },
        drawer: Drawer {
            seed: args.seed,
            slack: [(width - crop) as u32, (height - crop) as u32],
            view: View::Random,
            lighting: lit.then(|| Lighting::by_eigenvalue(statistics.eigenvectors, variances)),
        },
        augment: Augment {
            record: [width, height],
            crop: [crop, crop],
            mean: Mean::Channel(statistics.mean.map(|m| m as f32)),
            scale: statistics.std.map(|s| (1.0 / s) as f32),
            output,
            layout: match args.layout {
                LayoutName::Nchw => Layout::Nchw,
                LayoutName::Nhwc => Layout::Nhwc,
            },
        },
        start: (0, 0),
        end: u32::MAX,
        threads: args.threads.unwrap_or_else(crate::input::cores).max(1),
        slots: 4,
        labelled: false,
    })
}

/// Takes batches for `length`; gives images and bytes.
fn pull(loader: &mut Loader, length: Duration) -> anyhow::Result<(u64, u64)> {
    let (start, mut images, mut bytes) = (Instant::now(), 0, 0);
    while start.elapsed() < length {
        let batch = loader.next().context("the loader stopped")??;
        images += batch.len() as u64;
        bytes += batch.bytes().len() as u64;
    }
    Ok((images, bytes))
}

fn difference(after: Stages, before: Stages) -> Stages {
    Stages {
        work_seconds: after.work_seconds - before.work_seconds,
        blocked_seconds: after.blocked_seconds - before.blocked_seconds,
        starved_seconds: after.starved_seconds - before.starved_seconds,
        samples: after.samples - before.samples,
    }
}

fn print(report: &Report) -> anyhow::Result<()> {
    say(format_args!(
        "{:.0} images/s with {} threads ({:.0} a thread), batches of {}, {} {}",
        report.images_per_second,
        report.threads,
        report.images_per_second_per_thread,
        report.batch,
        report.output,
        report.layout
    ))?;
    say(format_args!(
        "{}/s out, first batch after {:.1} ms, ring of {}",
        size(report.bytes_out_per_second as u64),
        report.first_batch_ms,
        size(report.ring_bytes as u64)
    ))?;
    let s = &report.stages;
    let bound = if s.blocked_seconds > s.work_seconds { "the consumer" } else { "the loader's threads" };
    say(format_args!(
        "worked {:.1} s, waited for the consumer {:.1} s, made it wait {:.1} s: bounded by {bound}",
        s.work_seconds, s.blocked_seconds, s.starved_seconds
    ))
}
