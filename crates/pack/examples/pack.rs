//! The packer as a library: archives in, a folder of shards out.
//!
//! ```sh
//! cargo run --release -p alexnet-pack --example pack -- TRAIN.tar VAL.tar DEVKIT.tar.gz OUT
//! ```

use std::path::Path;
use std::time::Instant;

use alexnet_pack::{Devkit, Error, Inputs, Options, Plan, Run, Source, pack};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [train, val, devkit, out] = arguments.as_slice() else {
        return Err("four arguments: TRAIN.tar VAL.tar DEVKIT.tar.gz OUT".into());
    };
    packed(train.as_ref(), val.as_ref(), devkit.as_ref(), out.as_ref()).map_err(|error| {
        let hint = error.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        format!("{error}{hint}").into()
    })
}

fn packed(train: &Path, val: &Path, devkit: &Path, out: &Path) -> Result<(), Error> {
    let start = Instant::now();
    let inputs = Inputs {
        test: None,
        train: Some(Source::open(train)?),
        val: Some(Source::open(val)?),
        devkit: Some(Devkit::read(devkit)?),
    };
    let plan = Plan::new(inputs, Options::default())?;
    let walked = start.elapsed();
    let run = Run::new(out);
    let summary = pack(&plan, &run, &())?;
    let seconds = (start.elapsed() - walked).as_secs_f64();
    println!("{} photos in {seconds:.2} s on {} threads (walk {walked:.2?})", summary.photos, run.threads);
    let (repaired, converted, refused) = summary.complaints();
    println!("{repaired} repaired, {converted} converted, {refused} refused; set {}", summary.identity);
    Ok(())
}
