//! What can be done with a trained network. See `alexnet --help`.
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What can be done with a trained network.
#[derive(Parser)]
#[command(name = "alexnet", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Evaluate(alexnet_cli::evaluate::Args),
    Curves(alexnet_cli::curves::Args),
    Filters(alexnet_cli::filters::Args),
}

fn main() -> ExitCode {
    let args = Args::parse();
    alexnet_cli::messages::conclude("alexnet", || match args.command {
        Command::Evaluate(args) => alexnet_cli::evaluate::run(args),
        Command::Curves(args) => alexnet_cli::curves::run(args),
        Command::Filters(args) => alexnet_cli::filters::run(args),
    })
}
