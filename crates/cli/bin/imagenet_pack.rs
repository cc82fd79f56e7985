//! Packs archives of photos into shards, and looks after them. See `imagenet-pack --help`.
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = alexnet_cli::pack::Args::parse();
    alexnet_cli::messages::conclude("imagenet-pack", || alexnet_cli::pack::run(args))
}
