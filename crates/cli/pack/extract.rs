//! `imagenet-pack extract`: one record as a PNG.

use std::path::PathBuf;

use alexnet_shard::{Access, ShardSet, Split};
use clap::Parser;

use crate::messages::{Exit, Refusal, say};

/// Write one record as a PNG.
#[derive(Parser)]
pub struct Args {
    /// Folder of the set
    shards: PathBuf,
    /// Split of the record
    #[arg(long, default_value = "train")]
    split: Split,
    /// Number of the record in its split, from 0
    #[arg(long)]
    index: u64,
    /// The picture's file
    out: PathBuf,
}

pub fn run(args: Args) -> anyhow::Result<Exit> {
    let set = ShardSet::open(&args.shards, Access::Read)?;
    let Some(split) = set.split(args.split) else {
        let cause = format!("{} has no {} split", args.shards.display(), args.split.as_str());
        return Err(Refusal::new(cause, "`imagenet-pack inspect` lists the splits of a set").into());
    };
    if args.index >= split.len() {
        let cause = format!("there is no record {} in {}", args.index, args.split.as_str());
        return Err(
            Refusal::new(cause, format!("its records are 0 to {}", split.len().saturating_sub(1))).into()
        );
    }
    alexnet_pack::extract(split, args.index, &args.out)?;
    let label = split.label(args.index);
    let class = label.and_then(|l| set.classes().get(l as usize));
    let class = class.map_or("no label".to_owned(), |c| format!("{} {}", c.wnid, c.words));
    say(format_args!("{}: {} ({})", args.out.display(), split.name(args.index), class.trim_end()))?;
    Ok(Exit::Done)
}
