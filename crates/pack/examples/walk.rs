//! What the header walk of an archive costs, and how much memory it and packing take at most.
//!
//! ```sh
//! cargo run --release -p alexnet-pack --example walk -- ARCHIVE [OUT PHOTOS THREADS]
//! ```
//!
//! With more arguments the first photos are packed into OUT, which must not exist. `tools/sparse-archive.py` makes an
//! archive as large as ImageNet's. Peaks are of resident memory (VmHWM), the program's own pages included; archives are
//! read, not mapped.

use std::path::Path;
use std::time::Instant;

use alexnet_pack::{Inputs, Options, Plan, Run, Source, pack};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (path, packing) = arguments.split_first().ok_or("an archive is needed")?;
    println!("before            {}", peak()?);
    let start = Instant::now();
    let source = Source::open(Path::new(path))?;
    println!("walk              {}, {} photos in {:.2?}", peak()?, source.photos().len(), start.elapsed());
    let limit = packing.get(1).map(|n| n.parse()).transpose()?;
    let plan = Plan::new(
        Inputs { train: Some(source), ..Inputs::default() },
        Options { limit, ..Options::default() },
    )?;
    println!("plan              {}", peak()?);
    let [out, _, threads] = packing else { return Ok(()) };
    let threads = threads.parse()?;
    pack(&plan, &Run { threads, ..Run::new(out) }, &())?;
    println!("packed, {threads} threads {}", peak()?);
    std::fs::remove_dir_all(out)?;
    Ok(())
}

fn peak() -> std::io::Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or(" unknown");
    Ok(line.trim().to_owned())
}
