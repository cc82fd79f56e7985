//! `alexnet filters`: figure 3 of the paper, the kernels of the first convolution.

use std::path::PathBuf;

use alexnet_net::Checkpoint;
use anyhow::Context;
use clap::Parser;

use crate::messages::{Exit, say};

/// Draw the kernels of the first convolution, 16 a row, and say how colourful each column is.
#[derive(Parser)]
#[command(name = "alexnet filters")]
pub struct Args {
    /// Folder of a run, or a checkpoint file
    run: PathBuf,
    /// The picture, PNG
    #[arg(long, default_value = "filters.png")]
    out: PathBuf,
    /// Pixels of the picture for each weight, across and down
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    zoom: u8,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    let file = if args.run.is_dir() { args.run.join("last.safetensors") } else { args.run.clone() };
    let checkpoint = Checkpoint::read(&file)?;
    let picture = alexnet_report::filters(&checkpoint, usize::from(args.zoom))?;
    picture.save(&args.out).with_context(|| args.out.display().to_string())?;
    for (column, index) in alexnet_report::colour_indices(&checkpoint)?.iter().enumerate() {
        let coloured = index.kernels.iter().filter(|k| **k > 0.5).count();
        say(format_args!(
            "column {}: {:.1} % of the kernels' energy is colour; {coloured} of {} kernels are mostly colour",
            column + 1,
            100.0 * index.mean(),
            index.kernels.len()
        ))?;
    }
    say(format_args!("{}×{} pixels in {}", picture.width(), picture.height(), args.out.display()))?;
    Ok(Exit::Done)
}
