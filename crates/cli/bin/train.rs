//! Trains a network. See `train --help`.
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = alexnet_cli::train::Args::parse();
    alexnet_cli::messages::conclude("train", || alexnet_cli::train::run(args))
}
