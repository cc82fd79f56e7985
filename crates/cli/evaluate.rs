//! `alexnet evaluate`: the error of a checkpoint on a packed split.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alexnet_load::{Augment, SplitOf, Subset};
use alexnet_net::{Backend, Network};
use alexnet_shard::{Access, ShardSet, Split};
use alexnet_train::{Evaluation, Photos, Saved, evaluate, evaluate_ten_views};
use clap::Parser;

use crate::device::{Place, Work};
use crate::input::cores;
use crate::messages::{Exit, Refusal, say};
use crate::progress::Progress;

/// Top-1 and top-5 error of a run or checkpoint, on the centre view of each photo or on ten.
#[derive(Parser)]
#[command(name = "alexnet evaluate")]
pub struct Args {
    /// Folder of a run, or a checkpoint file
    run: PathBuf,
    /// Folder of a packed set [default: the one the run was trained on]
    #[arg(long)]
    data: Option<PathBuf>,
    /// Split to evaluate on
    #[arg(long, default_value = "val")]
    split: Split,
    /// Views of each photo: 1, the centre; or 10, whose predictions are averaged: four corners, the centre, and these
    /// mirrored (section 4.1 of the paper)
    #[arg(long, default_value = "1", value_parser = ["1", "10"])]
    views: String,
    /// Refuse a checkpoint with another number of columns
    #[arg(long)]
    columns: Option<usize>,
    /// Where, and in what
    #[command(flatten)]
    place: Place,
    /// Photos in a batch; the result does not depend on it
    #[arg(long, default_value_t = 32)]
    batch: u32,
    /// Compute threads [default: all cores]
    #[arg(long)]
    threads: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    alexnet_shard::catch_sigbus();
    let file = if args.run.is_dir() { args.run.join("last.safetensors") } else { args.run.clone() };
    let saved = Saved::read(&file)?;
    let net = &saved.checkpoint.net;
    let choice = args.place.choose(net.columns)?;
    if let Some(columns) = args.columns.filter(|c| *c != net.columns) {
        let cause = format!("--columns {columns}, but {} has {}", file.display(), net.columns);
        return Err(Refusal::new(cause, "leave --columns away: a checkpoint knows its own").into());
    }
    if args.batch == 0 {
        return Err(Refusal::new("--batch 0", "a batch needs at least one photo").into());
    }
    let data = match &args.data {
        Some(data) => data.clone(),
        None => remembered(&args.run)?,
    };
    let set = Arc::new(ShardSet::open(&data, Access::Map)?);
    saved.fits(set.classes().iter().map(|c| c.wnid.as_str()))?;
    let records = Arc::new(SplitOf::new(set, args.split)?);
    let [width, height] = [records.split().width(), records.split().height()];
    let augment = saved.augment([width, height])?;

    let threads = args.threads.unwrap_or_else(cores).max(1);
    let work = Evaluating { args: &args, saved: &saved, records, augment };
    let evaluation = choice.run(threads, work)?;
    if args.json {
        say(serde_json::to_string_pretty(&evaluation)?)?;
    } else {
        say(sentence(&evaluation))?;
    }
    Ok(Exit::Done)
}

/// The evaluation, for any backend.
struct Evaluating<'a> {
    args: &'a Args,
    saved: &'a Saved,
    records: Arc<SplitOf>,
    augment: Augment,
}

impl Work for Evaluating<'_> {
    type Done = Evaluation;

    fn run<B: Backend>(self, backend: B) -> anyhow::Result<Evaluation> {
        let checkpoint = &self.saved.checkpoint;
        let mut network = Network::new(backend, &checkpoint.net, self.args.batch as usize)?;
        network.set_parameters(&checkpoint.parameters)?;
        let count = self.records.split().len();
        let ten = self.args.views == "10";
        let (unit, all) = if ten { ("views", 10 * count) } else { ("photos", count) };
        let progress = Progress::new("evaluating", unit, all, self.args.quiet);
        let photos = Photos { records: self.records, subset: Subset::all(count) };
        let mut done = |n| progress.at(n, "");
        let evaluation = if ten {
            evaluate_ten_views(&mut network, &photos, &self.augment, 1, &mut done)?
        } else {
            evaluate(&mut network, &photos, &self.augment, 1, &mut done)?
        };
        progress.finish();
        Ok(evaluation)
    }
}

/// An evaluation in words.
pub fn sentence(e: &Evaluation) -> String {
    format!(
        "top-1 error {:.2} %, top-5 error {:.2} %, loss {:.3} on {} photos, {} view{} each",
        100.0 * e.top1_error,
        100.0 * e.top5_error,
        e.loss,
        e.images,
        e.views,
        if e.views == 1 { "" } else { "s" }
    )
}

/// The set that a run was trained on.
fn remembered(run: &Path) -> anyhow::Result<PathBuf> {
    let folder = if run.is_dir() { run } else { run.parent().unwrap_or(Path::new("")) };
    let text = std::fs::read_to_string(folder.join("data.txt")).map_err(|e| {
        Refusal::new(format!("{}: {e}", folder.join("data.txt").display()), "name the packed set with --data")
    })?;
    Ok(PathBuf::from(text.trim_end()))
}
