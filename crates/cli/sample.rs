//! `train --sample`: the whole road on generated photos, so that it can be walked without ImageNet.
//!
//! Generate archives in the official layout, pack them, look at their colours, train a narrow AlexNet of the same
//! topology, evaluate it. Each step is the same code as for real archives, and each goes on where it was.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alexnet_datasets::sample::{self, SampleOptions};
use alexnet_net::Net;
use alexnet_pack::pca::Statistics;
use alexnet_shard::{Access, ShardSet, Split};
use alexnet_train::Recipe;
use anyhow::Context;
use clap::Parser;

use crate::input::cores;
use crate::messages::{Exit, say};
use crate::progress::{Progress, clock};
use crate::train::{Args, execute, prepare};

/// Records of the sample: half of ImageNet's side, so that a few minutes are enough.
const SIZE: u32 = 128;

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let start = std::time::Instant::now();
    let root = args.out.clone().unwrap_or_else(|| PathBuf::from("runs/sample"));
    let threads = args.threads.unwrap_or_else(cores).max(1);

    say("1. generate photos, in the layout of ILSVRC2012's archives")?;
    let options = SampleOptions { threads, ..SampleOptions::default() };
    let progress = Progress::new("generating", "photos", options.photos(), args.quiet);
    let archives = sample::generate(&root.join("archives"), &options, &mut |n| progress.at(n, ""))?;
    progress.finish();
    let name = |path: &Path| path.display().to_string();
    say(format_args!(
        "   {}\n   {}\n   {}",
        name(&archives.train),
        name(&archives.val),
        name(&archives.devkit)
    ))?;

    let shards = root.join("shards");
    let command = [
        "imagenet-pack".to_owned(),
        format!("--train {}", name(&archives.train)),
        format!("--val {}", name(&archives.val)),
        format!("--devkit {}", name(&archives.devkit)),
        format!("--size {SIZE}"),
        format!("--out {}", name(&shards)),
    ];
    say(format_args!("2. {}", command.join(" ")))?;
    pack(args, &archives, &shards)?;

    let set = Arc::new(ShardSet::open(&shards, Access::Map)?);
    let train = set.split(Split::Train).context("the sample has training photos")?;
    let statistics = Statistics::from_moments(&train.moments()).context("the sample has pixels")?;
    let [r, g, b] = statistics.mean;
    let [one, two, three] = statistics.eigenvalues.map(f64::sqrt);
    say(format_args!("3. imagenet-pca {}", name(&shards)))?;
    say(format_args!("   mean {r:.1} {g:.1} {b:.1}, √eigenvalues {one:.1} {two:.1} {three:.1}"))?;

    let recipe = Recipe::parse(include_str!("sample.toml"), "sample")?;
    let run = root.join("run");
    let classes = set.classes().len();
    let net = narrow(args.table.columns(), classes)?;
    say(format_args!(
        "4. train a narrow AlexNet ({} parameters, {} columns) for {} epochs",
        net.summary()?.parameters,
        args.table.columns(),
        args.epochs.unwrap_or(recipe.epochs)
    ))?;
    let settings = Args { log_every: 60, ..args.clone() };
    let prepared = prepare(&settings, set, recipe, Some(net))?;
    let (exit, _) = execute(&settings, &prepared, &shards, &run)?;
    if exit != Exit::Done {
        return Ok(exit);
    }

    say(format_args!("5. alexnet evaluate {}", name(&run)))?;
    let words =
        ["evaluate".into(), run.into_os_string()].into_iter().chain(args.quiet.then(|| "--quiet".into()));
    crate::evaluate::run(crate::evaluate::Args::parse_from(words))?;
    say(format_args!(
        "\nAll of it took {}. With ImageNet's archives the same road is:\n",
        clock(start.elapsed().as_secs_f64())
    ))?;
    say(NEXT)?;
    Ok(Exit::Done)
}

/// AlexNet's layers at an eighth of their widths, for records of half the side. So narrow a net, shown each photo twenty
/// times, has nothing to gain from dropout.
fn narrow(columns: usize, classes: usize) -> anyhow::Result<Net> {
    let full = Net::original(columns, classes);
    Ok(full
        .clone()
        .narrowed(8, 128)
        .with_input(SIZE as usize * 7 / 8)
        .keeping_gain(&full)?
        .without_dropout()
        .with_zero_biases())
}

const NEXT: &str = "  \
  imagenet-pack --train ILSVRC2012_img_train.tar --val ILSVRC2012_img_val.tar \\
                --devkit ILSVRC2012_devkit_t12.tar.gz --out shards
  imagenet-pca shards
  train --data shards --net original --out runs/a
  alexnet evaluate runs/a

The programs are in target/release after `cargo build --release`; where the archives come from is in
datasets/README.md.";

fn pack(args: &Args, archives: &sample::SampleArchives, out: &Path) -> anyhow::Result<()> {
    let flags = crate::pack::Pack {
        train: Some(archives.train.clone()),
        val: Some(archives.val.clone()),
        devkit: Some(archives.devkit.clone()),
        out: Some(out.to_owned()),
        size: SIZE,
        threads: args.threads,
        quiet: args.quiet,
        ..crate::pack::Pack::default()
    };
    let plan = crate::pack::plan(&flags)?;
    let summary = crate::pack::execute(&flags, &plan)?;
    for (split, s) in &summary.manifest.splits {
        say(format_args!(
            "   {}: {} records, {} classes",
            split.as_str(),
            s.images,
            plan.classes().classes().len()
        ))?;
    }
    Ok(())
}
