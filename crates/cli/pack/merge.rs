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
    let copied = match merged.copied {
        0 => String::new(),
        n => format!(", {n} copied from other file systems (their originals are left)"),
    };
    say(format_args!("{} holds the set: {} shards moved{copied}", args.out.display(), merged.moved))?;
    say(format_args!("identity {}", merged.identity))?;
    Ok(Exit::Done)
}
