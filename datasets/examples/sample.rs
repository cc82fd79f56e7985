//! Writes the built-in sample's archives into a folder: `cargo run --release --example sample -- FOLDER [SEED [TRAIN]]`,
//! with TRAIN training photos a class and a quarter of that for validation.

use std::path::Path;

use alexnet_datasets::sample::{SampleOptions, generate};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: sample FOLDER [SEED [TRAIN]]")?;
    let mut options = SampleOptions {
        threads: std::thread::available_parallelism().map_or(1, |threads| threads.get()),
        ..SampleOptions::default()
    };
    if let Some(seed) = arguments.next() {
        options.seed = seed.parse()?;
    }
    if let Some(photos) = arguments.next() {
        options.train_per_class = photos.parse()?;
        options.val_per_class = options.train_per_class.div_ceil(4);
    }
    let start = std::time::Instant::now();
    let archives = generate(Path::new(&folder), &options, &mut |_| {})?;
    println!("{archives:#?}\n{} photos in {:.2} s", options.photos(), start.elapsed().as_secs_f64());
    Ok(())
}
