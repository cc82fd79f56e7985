//! `train`: from a packed set to a trained network, resumable by the same command.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alexnet_load::SplitOf;
use alexnet_net::{Backend, ClassName, Net, Network, Parameters};
use alexnet_shard::{Access, ShardSet, Split};
use alexnet_train::{Colour, Description, Ending, Evaluation, Folder, Job, Length, Recipe, train};
use anyhow::Context;
use clap::Parser;

use crate::data::{colour, validation};
use crate::device::{Graphs, Place, Work};
use crate::forecast::forecast;
use crate::initial;
use crate::input::{Check, OrderName, cores};
use crate::memory;
use crate::messages::{Exit, Refusal, say};
use crate::records::Recorder;
use crate::replicas::{self, Together};
use crate::stop;
use crate::summary;
use crate::table::Table;
use crate::watch::{Silent, Watch};

/// Options that the sample's own network and recipe leave no choice in.
const SETTLED_BY_SAMPLE: [&str; 15] = [
    "data",
    "summary",
    "profile",
    "dry_run",
    "net",
    "narrow",
    "without",
    "without_layer",
    "crossing",
    "activation",
    "recipe",
    "batch",
    "order",
    "crop",
    "log_every",
];

/// Train the AlexNet of 2012 on a packed set.
#[derive(Parser, Clone)]
#[command(name = "train", version, args_override_self = true)]
pub struct Args {
    /// Folder of a packed set
    #[arg(long, required_unless_present_any = ["sample", "summary", "profile"])]
    pub data: Option<PathBuf>,
    /// Folder of the run; the same command continues it [default with --sample: runs/sample]
    #[arg(long, required_unless_present_any = ["sample", "summary", "profile", "dry_run"])]
    pub out: Option<PathBuf>,
    /// Generate the built-in sample, pack it, train a narrow network on it and evaluate that
    #[arg(long, conflicts_with_all = SETTLED_BY_SAMPLE)]
    pub sample: bool,
    /// The network
    #[command(flatten)]
    pub table: Table,
    /// Recipe: paper, original-2010, original-2012, krizhevsky-2014, modern, cifar, or a TOML file [default: the one
    /// that belongs to --net]
    #[arg(long)]
    pub recipe: Option<String>,
    /// Where, and in what
    #[command(flatten)]
    pub place: Place,
    /// Whether CUDA devices replay a training step as a graph, one launch instead of one for each kernel; the bits are the same.
    /// auto: where the driver can (with several devices, the work between two exchanges), on: else it is an error, off: never
    #[arg(long, default_value = "auto", value_name = "WHEN")]
    pub graph: Graphs,
    /// Who else trains
    #[command(flatten)]
    pub together: Together,
    /// Width and height of the network's input [default: 7/8 of the records, 224 of 256; the whole record for cifar]
    #[arg(long)]
    pub crop: Option<usize>,
    /// Epochs to train [default: the recipe's]
    #[arg(long, conflicts_with = "steps")]
    pub epochs: Option<u32>,
    /// Updates to train, instead of epochs
    #[arg(long)]
    pub steps: Option<u64>,
    /// Samples in a batch, over all replicas [default: the recipe's]
    #[arg(long)]
    pub batch: Option<u32>,
    /// Seed of weights, order, draws and dropout
    #[arg(long, default_value_t = 2012)]
    pub seed: u64,
    /// Start from this checkpoint's parameters, as far as layers have the same name and shape; others are drawn anew
    #[arg(long, value_name = "CHECKPOINT")]
    pub init_from: Option<PathBuf>,
    /// Colour statistics for lighting: set, krizhevsky, or a file written by `imagenet-pca --json`
    #[arg(long, default_value = "set")]
    pub pca: String,
    /// Without a val split, this share of the training photos is held out for validation
    #[arg(long, default_value_t = 0.05)]
    pub hold_out: f64,
    /// Compute threads [default: all cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Loader threads of each replica
    #[arg(long, default_value_t = 1)]
    pub loader_threads: usize,
    /// Order of the photos in an epoch [default: the recipe's, else shuffled]
    #[arg(long, value_enum)]
    pub order: Option<OrderName>,
    /// Test each record's checksum at its first touch
    #[arg(long, value_enum, default_value = "never")]
    pub check: Check,
    /// Read records by pread instead of mapping the files
    #[arg(long)]
    pub pread: bool,
    /// Updates between two checkpoints within an epoch
    #[arg(long, default_value_t = 500)]
    pub checkpoint_every: u64,
    /// Updates between two lines of the log
    #[arg(long, default_value_t = 10)]
    pub log_every: u64,
    /// Print the network's layers and sizes, and stop
    #[arg(long)]
    pub summary: bool,
    /// Measure each layer on synthetic photos, forward and back, and stop
    #[arg(long, conflicts_with = "summary")]
    pub profile: bool,
    /// Print what would be done, with counts and memory, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// No progress
    #[arg(long)]
    pub quiet: bool,
}

/// A run that is ready to start.
pub struct Prepared {
    /// What to train.
    pub job: Job,
    /// What decides the result.
    pub description: Description,
}

/// Runs the program.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    alexnet_shard::catch_sigbus();
    if args.sample {
        let world = args.together.world()?;
        if world.count > 1 {
            let cause = format!("--sample, started {} times by {}", world.count, world.launcher);
            return Err(Refusal::new(
                cause,
                "the sample takes one process; --replicas 2 trains two copies in it",
            )
            .into());
        }
        return crate::sample::run(&args);
    }
    if args.summary {
        let net = args.table.net(args.table.usual_classes(), args.crop)?;
        return summary::print(&net).map(|()| Exit::Done);
    }
    if args.profile {
        return crate::profile::run(&args);
    }
    let data = args.data.clone().context("--data is required")?;
    let access = if args.pread { Access::Read } else { Access::Map };
    let set = Arc::new(ShardSet::open(&data, access)?);
    let prepared = prepare(&args, set, recipe(&args)?, None)?;
    if args.dry_run {
        return forecast(&args, &prepared.job).map(|()| Exit::Done);
    }
    let out = args.out.clone().context("--out is required")?;
    execute(&args, &prepared, &data, &out).map(|(exit, _)| exit)
}

fn recipe(args: &Args) -> anyhow::Result<Recipe> {
    let mut recipe = Recipe::find(args.recipe.as_deref().unwrap_or(args.table.usual_recipe()))?;
    args.table.adjust(&mut recipe);
    if let Some(batch) = args.batch {
        if batch == 0 {
            return Err(Refusal::new("--batch 0", "a batch needs at least one sample").into());
        }
        recipe.batch = batch;
    }
    if let Some(order) = args.order {
        recipe.input.order = order.into();
    }
    Ok(recipe)
}

/// Puts a run together from the arguments and an open set. `own_net` replaces the net of the arguments.
pub fn prepare(
    args: &Args,
    set: Arc<ShardSet>,
    recipe: Recipe,
    own_net: Option<Net>,
) -> anyhow::Result<Prepared> {
    let records = Arc::new(SplitOf::new(set.clone(), Split::Train)?);
    let split = records.split();
    let side = split.width().min(split.height());
    let crop = args.crop.unwrap_or_else(|| args.table.usual_crop(side));
    if crop == 0 || crop > side {
        let hint = format!("the set's records are {}×{}", split.width(), split.height());
        return Err(Refusal::new(format!("--crop {crop} does not fit"), hint).into());
    }
    let net = match own_net {
        Some(net) => net,
        None => args.table.net(set.classes().len(), Some(crop))?,
    };
    recipe.fits(&net)?;
    let (mean_image, colour_name, statistics) = colour(args, &records, &recipe)?;
    let (subset, validation, validation_name) = validation(args, &set, &records)?;
    if args.steps == Some(0) || args.epochs == Some(0) {
        return Err(Refusal::new("a run of no updates", "give --epochs or --steps at least 1").into());
    }
    let length = match (args.steps, args.epochs) {
        (Some(steps), _) => Length::Steps(steps),
        (None, Some(epochs)) => Length::Epochs(epochs),
        (None, None) => Length::Epochs(recipe.epochs),
    };
    let job = Job {
        net,
        recipe,
        seed: args.seed,
        length,
        records: args.check.of(records.clone()),
        subset,
        validation,
        colour: Colour { mean_image, vectors: statistics.0, variances: statistics.1 },
        classes: set
            .classes()
            .iter()
            .map(|c| ClassName { wnid: c.wnid.clone(), words: c.words.clone() })
            .collect(),
        loader_threads: args.loader_threads.max(1),
        checkpoint_every: args.checkpoint_every.max(1),
        log_every: args.log_every.max(1),
    };
    let description = Description {
        net: serde_json::to_value(&job.net)?,
        recipe: serde_json::to_value(&job.recipe)?,
        data: set.identity().to_string(),
        colour: colour_name,
        validation: validation_name,
        seed: args.seed,
        initial: args.init_from.as_deref().map(initial::digest).transpose()?,
        length: length.to_string(),
    };
    Ok(Prepared { job, description })
}

/// Trains; gives the last evaluation too.
pub fn execute(
    args: &Args,
    prepared: &Prepared,
    data: &Path,
    out: &Path,
) -> anyhow::Result<(Exit, Option<Evaluation>)> {
    let job = &prepared.job;
    let world = args.together.world()?;
    if world.count * args.together.replicas != 1 {
        let ending = replicas::run(args, prepared, &world, data, out)?;
        return conclude(job, out, ending, world.rank == 0);
    }
    let choice = args.place.choose(job.net.columns)?.with_graphs(args.graph)?;
    if choice.is_cpu() {
        memory::check(job)?;
    }
    let folder = Folder::take(out, &prepared.description)?;
    remember(&folder, job, data, &choice.why)?;
    let threads = args.threads.unwrap_or_else(cores).max(1);
    let (parameters, origin) = initial::parameters(job, args.init_from.as_deref())?;
    let mut watch = Watch::new(job, args.quiet);
    watch.say(&format!("{}; run folder {}", choice.why, out.display()));
    if let Some(origin) = origin {
        watch.say(&origin);
    }
    if job.waits_in_vain() {
        watch.say("nothing is held out for validation, so the recipe never sees it stall: its rates stay as they are");
    }
    let training =
        Training { job, parameters: &parameters, folder: &folder, watch: Some(&mut watch), replicas: 1 };
    let ending = choice.run(threads, training)?;
    conclude(job, out, ending, true)
}

/// Says how a run ended, if this process reports.
fn conclude(
    job: &Job,
    out: &Path,
    ending: Ending,
    reports: bool,
) -> anyhow::Result<(Exit, Option<Evaluation>)> {
    let last = Folder::follow(out).last();
    match ending {
        Ending::Finished(evaluation) if !reports => Ok((Exit::Done, evaluation)),
        Ending::WasFinished if !reports => Ok((Exit::Done, None)),
        Ending::Stopped if !reports => Ok((Exit::Complaints, None)),
        Ending::Finished(evaluation) => {
            say(format_args!("trained for {}; {}", job.length, last.display()))?;
            if let Some(e) = evaluation {
                say(crate::evaluate::sentence(&e))?;
            }
            Ok((Exit::Done, evaluation))
        }
        Ending::WasFinished => {
            say(format_args!("{} holds this run, complete; nothing to do", out.display()))?;
            Ok((Exit::Done, None))
        }
        Ending::Stopped => {
            say(format_args!("stopped; the same command goes on from {}", last.display()))?;
            Ok((Exit::Complaints, None))
        }
    }
}

/// The run, for any backend.
pub(crate) struct Training<'a> {
    pub job: &'a Job,
    pub parameters: &'a Parameters,
    pub folder: &'a Folder,
    /// Who reports; nobody on any replica but the first.
    pub watch: Option<&'a mut Watch>,
    /// In the whole run.
    pub replicas: usize,
}

impl Work for Training<'_> {
    type Done = Ending;

    fn run<B: Backend>(self, backend: B) -> anyhow::Result<Ending> {
        let Training { job, parameters, folder, watch, replicas } = self;
        let share = job.largest_share(replicas);
        let mut network = Network::new(backend, &job.net, share)?;
        network.set_parameters(parameters)?;
        let stop = stop::on_interrupt();
        let Some(watch) = watch else { return Ok(train(job, &mut network, folder, &mut Silent, stop)?) };
        let mut recorder = Recorder::new(watch, folder);
        let ending = train(job, &mut network, folder, &mut recorder, stop)?;
        watch.finish();
        let pauses = summary::pauses(&mut network)?;
        let rest = [
            summary::replays(&network),
            summary::traffic(&network, share as u64),
            summary::sums(&mut network),
        ];
        pauses.into_iter().chain(rest.into_iter().flatten()).try_for_each(say)?;
        Ok(ending)
    }
}

/// Leaves beside the checkpoints what a person needs to repeat the run: the recipe, the data's place, by which command and
/// version it was started and where it computed, a line for each change: a run may go on on another device.
pub(crate) fn remember(folder: &Folder, job: &Job, data: &Path, device: &str) -> anyhow::Result<()> {
    folder.write("recipe.toml", job.recipe.to_toml().as_bytes())?;
    let data = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    folder.write("data.txt", format!("{}\n", data.display()).as_bytes())?;
    let command = std::env::args_os().skip(1).map(|arg| quoted(&arg.to_string_lossy()));
    let command =
        command.fold(format!("train {}:", env!("CARGO_PKG_VERSION")), |line, arg| line + " " + &arg);
    for (file, line) in [("devices.txt", device), ("commands.txt", &command)] {
        let lines = std::fs::read_to_string(folder.file(file)).unwrap_or_default(); // none yet
        if lines.lines().last() != Some(line) {
            folder.write(file, format!("{lines}{line}\n").as_bytes())?;
        }
    }
    Ok(())
}

/// An argument as a shell takes it.
fn quoted(arg: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%".contains(c);
    if !arg.is_empty() && arg.chars().all(plain) {
        arg.to_owned()
    } else {
        format!("'{}'", arg.replace('\'', "'\\''"))
    }
}
