//! Measures the loader. See `loader-bench --help`.
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = alexnet_cli::bench::Args::parse();
    alexnet_cli::messages::conclude("loader-bench", || alexnet_cli::bench::run(args))
}
