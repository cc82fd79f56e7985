//! `loader-bench`: how fast the loader is on this machine, and what bounds it.
//!
//! Every rate stands beside that of a bare loop of as many threads, measured in the same process right after it, so
//! that shares of the bound survive a machine that others use too.

mod chart;
mod cold;
mod rate;
mod sheet;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use alexnet_load::{
    Augment, Blocks, Config, Drawer, Erasing, Jitter, Layout, Lighting, Loader, Mean, Order, Output, Path,
    Plan, Rank, Records, ResizedCrop, SplitOf, Subset, Vary, View,
};
use alexnet_pack::pca::Statistics;
use alexnet_shard::{Access, ShardSet, Split};
use anyhow::Context;
use clap::{Parser, ValueEnum};
use serde::Serialize;

use self::rate::{Rate, Windows, disk_bytes};
use crate::input::{Check, OrderName};
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
    /// Seconds to measure, after a warm-up of a tenth of that, not counting the bound
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Parts into which the seconds are divided; the median counts
    #[arg(long, default_value_t = 5)]
    repetitions: usize,
    /// Measure 1, 2, 4 … threads as well
    #[arg(long)]
    sweep: bool,
    /// Draw rate and bound against threads (with --sweep), as SVG
    #[arg(long, value_name = "FILE", requires = "sweep")]
    svg: Option<PathBuf>,
    /// Take batches no faster than a consumer of so many images a second, and report how long it waited
    #[arg(long, value_name = "RATE")]
    consumer: Option<f64>,
    /// Test each record's checksum at its first touch
    #[arg(long, value_enum, default_value = "never")]
    check: Check,
    /// Order of the photos in an epoch
    #[arg(long, value_enum, default_value = "shuffled")]
    order: OrderName,
    /// Blocks in a window of --order blocks
    #[arg(long, default_value_t = Blocks::default().window)]
    window: u32,
    /// Measure epochs with the files thrown out of the page cache, against plain reads of the same records
    #[arg(long, conflicts_with_all = ["sweep", "consumer", "show"])]
    cold: bool,
    /// Resized crops, tints and holes as well, as torchvision's references do them
    #[arg(long)]
    vary: bool,
    /// Draw one photo under 32 draws, as PNG, and measure nothing
    #[arg(long, value_name = "FILE")]
    show: Option<PathBuf>,
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
    #[serde(flatten)]
    rate: Rate,
    batch: u32,
    output: String,
    layout: String,
    /// The instruction set that was used.
    path: &'static str,
    /// From the start to the open set, headers and indices checked.
    open_ms: f64,
    /// From the open set to the first batch.
    first_batch_ms: f64,
    ring_bytes: usize,
    /// What the process read from disk meanwhile; absent where the system does not say.
    disk_bytes: Option<u64>,
    /// The same for other numbers of threads.
    sweep: Vec<Rate>,
}

/// Runs the program.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    for (name, value) in [("--seconds", Some(args.seconds)), ("--consumer", args.consumer)] {
        if let Some(value) = value.filter(|v| !v.is_finite() || *v <= 0.0) {
            return Err(Refusal::new(format!("{name} {value}"), "give a positive number").into());
        }
    }
    alexnet_shard::catch_sigbus();
    let access = if args.pread { Access::Read } else { Access::Map };
    let start = Instant::now();
    let set = Arc::new(ShardSet::open(&args.shards, access)?);
    let open_ms = start.elapsed().as_secs_f64() * 1e3;
    let split = SplitOf::new(set, args.split)?;
    let config = config(&args, &split)?;
    if args.cold {
        drop(split);
        let rounds = args.repetitions.max(1);
        let cold = cold::measure(&args.shards, args.split, access, &config, rounds)?;
        say(if args.json { serde_json::to_string_pretty(&cold)? } else { cold.sentence() })?;
        return Ok(Exit::Done);
    }
    let records: Arc<dyn Records> = args.check.of(Arc::new(split));
    if let Some(file) = &args.show {
        sheet::draw(&*records, &config, file)?;
        say(format_args!("{}: one photo under {} draws", file.display(), sheet::DRAWS))?;
        return Ok(Exit::Done);
    }
    let start = Instant::now();
    let mut loader = Loader::new(records.clone(), config.clone())?;
    let first = loader.next().context("the loader delivered no batch")??;
    let first_batch_ms = start.elapsed().as_secs_f64() * 1e3;
    drop(first);
    let windows =
        Windows { seconds: args.seconds, repetitions: args.repetitions.max(1), consumer: args.consumer };
    let disk = disk_bytes();
    let rate = windows.measure(&mut loader, &*records, &config)?;
    let disk_bytes = disk_bytes().zip(disk).map(|(after, before)| after - before);
    drop(loader);
    let mut sweep = vec![];
    if args.sweep {
        let fewer = std::iter::successors(Some(1), |n| Some(n * 2)).take_while(|n| *n < config.threads);
        for threads in fewer {
            let config = Config { threads, ..config.clone() };
            let mut loader = Loader::new(records.clone(), config.clone())?;
            sweep.push(windows.measure(&mut loader, &*records, &config)?);
        }
    }
    let report = Report {
        rate,
        batch: args.batch,
        output: format!("{:?}", config.augment.output).to_lowercase(),
        layout: format!("{:?}", config.augment.layout).to_lowercase(),
        path: Path::best().name(),
        open_ms,
        first_batch_ms,
        ring_bytes: config.ring_bytes(),
        disk_bytes,
        sweep,
    };
    if let Some(file) = &args.svg {
        let all: Vec<&Rate> = report.sweep.iter().chain([&report.rate]).collect();
        std::fs::write(file, chart::svg(&all)).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if args.json {
        say(serde_json::to_string_pretty(&report)?)?;
    } else {
        print(&report, args.consumer)?;
    }
    Ok(Exit::Done)
}

/// What `--vary` draws: torchvision's defaults, and the strength of 0.4 that its users give.
const VARY: Vary = Vary {
    crops_shared: 1,
    resized_crop: Some(ResizedCrop { area: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] }),
    jitter: Some(Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4 }),
    erasing: Some(Erasing { probability: 0.1, area: [0.02, 0.33], ratio: [0.3, 3.3] }),
};

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
            order: match args.order.into() {
                Order::Blocks(blocks) => Order::Blocks(Blocks { window: args.window, ..blocks }),
                order => order,
            },
            batch: args.batch,
            rank: Rank::ALONE,
        },
        drawer: Drawer {
            seed: args.seed,
            slack: [(width - crop) as u32, (height - crop) as u32],
            view: View::Random,
            lighting: lit.then(|| Lighting::by_eigenvalue(statistics.eigenvectors, variances)),
            vary: args.vary.then_some(([width as u32, height as u32], VARY)),
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

fn print(report: &Report, consumer: Option<f64>) -> anyhow::Result<()> {
    for rate in report.sweep.iter().chain([&report.rate]) {
        say(format_args!(
            "{:.0} images/s with {} threads ({:.0} a thread; median of {}, spread {:.0} %), {:.0} % of the bare loop's {:.0}",
            rate.images_per_second,
            rate.threads,
            rate.images_per_second_per_thread,
            rate.runs.len(),
            rate.spread * 100.0,
            rate.share_of_bound * 100.0,
            rate.bound_images_per_second,
        ))?;
    }
    let rate = &report.rate;
    say(format_args!(
        "batches of {}, {} {} by {}; {}/s in, {}/s out; memcpy {}/s",
        report.batch,
        report.output,
        report.layout,
        report.path,
        size(rate.bytes_in_per_second as u64),
        size(rate.bytes_out_per_second as u64),
        size(rate.copy_bytes_per_second as u64),
    ))?;
    say(format_args!(
        "open after {:.1} ms, first batch {:.1} ms later; ring of {}",
        report.open_ms,
        report.first_batch_ms,
        size(report.ring_bytes as u64)
    ))?;
    if let Some(consumer) = consumer {
        say(format_args!(
            "a consumer of {consumer:.0} images/s waited {:.1} % of the time",
            rate.stalled * 100.0
        ))?;
    }
    say(format_args!("bounded by {}", bound(report)))
}

/// What bounded the run.
fn bound(report: &Report) -> &'static str {
    let (rate, stages) = (&report.rate, &report.rate.stages);
    let read = rate.bytes_in_per_second * rate.seconds;
    if stages.blocked_seconds > stages.starved_seconds {
        "the consumer"
    } else if report.disk_bytes.is_some_and(|disk| disk as f64 > 0.1 * read) {
        "the disk"
    } else if rate.share_of_bound > 0.75 {
        "memory"
    } else {
        "the loader's threads"
    }
}
