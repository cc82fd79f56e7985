//! `imagenet-pack merge`: parts packed with `--part` become one set.

use std::path::PathBuf;

use clap::Parser;

use crate::messages::{Exit, say};

/// Bring the parts of a set (packed with --part i/n) into one folder; the same bytes as one run would have written.
#[derive(Parser)]
pub struct Args {
    /// Folders of the parts
    #[arg(required = true)]
    parts: Vec<PathBuf>,
    /// Folder of the set; may be one of the parts
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

pub fn run(args: Args) -> anyhow::Result<Exit> {
    let merged = alexnet_shard::merge(&args.parts, &args.out)?;
    let moved = match (merged.moved, merged.copied) {
        (0, 0) => "nothing was left to move".to_owned(),
        (moved, 0) => format!("{moved} shards moved"),
        (0, copied) => format!("{copied} shards copied from other file systems (their originals are left)"),
        (moved, copied) => format!(
            "{moved} shards moved, {copied} copied from other file systems (their originals are left)"
        ),
    };
    say(format_args!("{} holds the set: {moved}", args.out.display()))?;
    say(format_args!("identity {}", merged.identity))?;
    Ok(Exit::Done)
}
