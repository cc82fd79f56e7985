//! Colour statistics of a packed set. See `imagenet-pca --help`.
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = alexnet_cli::pca::Args::parse();
    alexnet_cli::messages::conclude("imagenet-pca", || alexnet_cli::pca::run(args))
}
