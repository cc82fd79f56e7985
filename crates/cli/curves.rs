//! `alexnet curves`: loss and error of a run as a picture.

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;

use crate::messages::{Exit, Refusal, say};

/// Draw loss and error of a run over its epochs.
#[derive(Parser)]
#[command(name = "alexnet curves")]
pub struct Args {
    /// Folder of a run
    run: PathBuf,
    /// The picture, SVG
    #[arg(long, default_value = "curves.svg")]
    out: PathBuf,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    let log = args.run.join("log.jsonl");
    if !log.is_file() {
        let cause = format!("{} is not there", log.display());
        return Err(Refusal::new(cause, "give the folder of a run").into());
    }
    let records = alexnet_train::read_log(&log)?;
    let title = args.run.display().to_string();
    let svg = alexnet_report::curves(&title, &records).with_context(|| log.display().to_string())?;
    std::fs::write(&args.out, svg).with_context(|| args.out.display().to_string())?;
    say(format_args!("{} records drawn in {}", records.len(), args.out.display()))?;
    Ok(Exit::Done)
}
