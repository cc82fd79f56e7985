//! `imagenet-pack`: from archives to shards, and what can be asked of a packed set.

mod check;
mod extract;
mod forecast;
mod inputs;
mod inspect;
mod merge;
mod outcome;
mod verify;

use std::cell::Cell;
use std::path::PathBuf;

use alexnet_pack::{
    Filter, LabelOrder, OnBad, Options, Packed, Part, Plan, Run, Summary, pack_part, read_class_list,
};
use anyhow::Context;
use clap::{Args as Flags, Parser, Subcommand};

use self::inputs::inputs;
use crate::input::cores;
use crate::messages::Exit;
use crate::progress::{Progress, size};
use crate::stop;

/// Pack ImageNet's official archives (or class folders) into shards of raw RGB records.
#[derive(Parser)]
#[command(
    name = "imagenet-pack",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    pack: Pack,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Args),
    Merge(merge::Args),
    Verify(verify::Args),
    Inspect(inspect::Args),
    Extract(extract::Args),
}

/// The flags of packing itself.
#[derive(Flags, Clone)]
pub struct Pack {
    /// A folder of downloads: finds train, val, test, devkit and patch by their official names, Kaggle's tree, or folders
    /// train and val
    #[arg(long, value_name = "FOLDER")]
    pub from: Option<PathBuf>,
    /// Training photos: ILSVRC2012_img_train.tar, or a folder of class folders or class tars
    #[arg(long, value_name = "TAR|FOLDER")]
    pub train: Option<PathBuf>,
    /// Validation photos: ILSVRC2012_img_val.tar, flat or in class folders
    #[arg(long, value_name = "TAR|FOLDER")]
    pub val: Option<PathBuf>,
    /// Test photos: ILSVRC2012_img_test_v10102019.tar (no labels are published), ILSVRC2010_images_test.tar
    #[arg(long, value_name = "TAR|FOLDER")]
    pub test: Option<PathBuf>,
    /// ILSVRC2012_devkit_t12.tar.gz: the class table, and the labels of a flat val archive; or LOC_synset_mapping.txt
    #[arg(long, value_name = "TAR.GZ|FOLDER|TXT")]
    pub devkit: Option<PathBuf>,
    /// ILSVRC2010_test_ground_truth.txt: the labels of the test photos; needs the devkit
    #[arg(long, value_name = "TXT")]
    pub test_truth: Option<PathBuf>,
    /// patch_images.tar: photos that replace those of the same names
    #[arg(long, value_name = "TAR")]
    pub patch: Option<PathBuf>,
    /// Folder of the set; the same command goes on in it
    #[arg(long, value_name = "FOLDER", required = true)]
    pub out: Option<PathBuf>,
    /// Width and height of a record, pixels
    #[arg(long, default_value_t = 256)]
    pub size: u32,
    /// Filter: bilinear (antialiased), area (as the 2012 code), catmull-rom, lanczos3
    #[arg(long, default_value = "bilinear")]
    pub filter: Filter,
    /// Store the training photos in an order shuffled with this seed
    #[arg(long, value_name = "SEED")]
    pub shuffle_seed: Option<u64>,
    /// Numbering of the classes: wnid (sorted, as torchvision and Caffe) or devkit (ILSVRC2012_ID - 1)
    #[arg(long, default_value = "wnid")]
    pub label_order: LabelOrder,
    /// Only the classes listed in this file, one WNID a line
    #[arg(long, value_name = "FILE")]
    pub classes: Option<PathBuf>,
    /// Photos in a shard
    #[arg(long, default_value_t = 4096)]
    pub shard_records: u64,
    /// Only the first so many photos of each split, in the order they would be packed in
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Only every n-th shard, from shard i on; `imagenet-pack merge` brings the parts together
    #[arg(long, value_name = "I/N", default_value = "0/1")]
    pub part: Part,
    /// What to do about a photo that cannot be taken as it is: skip (and report it) or fail
    #[arg(long, default_value = "skip")]
    pub on_bad: OnBad,
    /// Threads [default: all cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Print what would be done, with counts, bytes and free space, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// No progress
    #[arg(long)]
    pub quiet: bool,
}

/// Runs the program.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        None => packing(&args.pack),
        Some(Command::Check(args)) => check::run(args),
        Some(Command::Merge(args)) => merge::run(args),
        Some(Command::Verify(args)) => verify::run(args),
        Some(Command::Inspect(args)) => inspect::run(args),
        Some(Command::Extract(args)) => extract::run(args),
    }
}

fn packing(args: &Pack) -> anyhow::Result<Exit> {
    let plan = plan(args)?;
    outcome::remark(&plan);
    if args.dry_run {
        return forecast::forecast(args, &plan).map(|()| Exit::Done);
    }
    match execute_part(args, &plan) {
        Err(error) => stopped(error),
        Ok(packed) => outcome::outcome(args, &plan, packed),
    }
}

/// Walks the sources' headers and plans the set.
pub fn plan(args: &Pack) -> anyhow::Result<Plan> {
    let inputs = inputs(args)?;
    let options = Options {
        size: args.size,
        filter: args.filter,
        label_order: args.label_order,
        classes: args.classes.as_deref().map(read_class_list).transpose()?,
        shard_records: args.shard_records,
        shuffle_seed: args.shuffle_seed,
        limit: args.limit,
    };
    Ok(Plan::new(inputs, options)?)
}

/// Packs the whole plan, with progress and Ctrl-C.
pub fn execute(args: &Pack, plan: &Plan) -> anyhow::Result<Summary> {
    match execute_part(&Pack { part: Part::WHOLE, ..args.clone() }, plan)? {
        Packed::Set(summary) => Ok(*summary),
        Packed::Part { .. } => unreachable!("the whole is all shards"),
    }
}

fn execute_part(args: &Pack, plan: &Plan) -> anyhow::Result<Packed> {
    let run = Run {
        threads: args.threads.unwrap_or_else(cores).max(1),
        on_bad: args.on_bad,
        cancel: Some(stop::on_interrupt()),
        ..Run::new(args.out.clone().context("--out is required")?)
    };
    Ok(pack_part(plan, &run, args.part, &Bar::new(args.quiet))?)
}

/// A run that was asked to stop is no failure: it says how to go on.
fn stopped(error: anyhow::Error) -> anyhow::Result<Exit> {
    let Some(alexnet_pack::Error::Cancelled { done, planned }) = error.downcast_ref() else {
        return Err(error);
    };
    eprintln!(
        "stopped after {done} of {planned} photos. Finished shards are kept; the same command goes on from them."
    );
    Ok(Exit::Complaints)
}

/// The packer's progress as a bar.
struct Bar {
    quiet: bool,
    progress: std::cell::OnceCell<Progress>,
    done: Cell<(u64, u64)>,
}

impl Bar {
    fn new(quiet: bool) -> Self {
        Bar { quiet, progress: std::cell::OnceCell::new(), done: Cell::new((0, 0)) }
    }
}

impl alexnet_pack::Progress for Bar {
    fn begin(&self, photos: u64, _: u64) {
        let _ = self.progress.set(Progress::new("packing", "photos", photos, self.quiet));
    }

    fn advance(&self, photos: u64, bytes: u64) {
        let (p, b) = self.done.get();
        self.done.set((p + photos, b + bytes));
        if let Some(progress) = self.progress.get() {
            progress.at(p + photos, &size(b + bytes));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(progress) = self.progress.get() {
            progress.finish();
        }
    }
}

impl Default for Pack {
    /// What the flags default to.
    fn default() -> Self {
        #[derive(Parser)]
        struct Alone {
            #[command(flatten)]
            pack: Pack,
        }
        Alone::parse_from(["imagenet-pack", "--out", "shards"]).pack
    }
}
