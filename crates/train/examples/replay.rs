//! Trains on a few batches and writes down all that another program needs to do the same, for `tools/replay.py`:
//! `cargo run --release -p alexnet-train --example replay -- SHARDS OUT [original|paper|…] [steps] [batch] [factor] [narrow] [crop] [states]`
//! `factor` multiplies the recipe's rates. At the full first rate on a batch of 32 any two correct programs part within
//! some ten steps: one pooling window whose two largest values differ in the last bit is enough. With `states`, nothing
//! is written to OUT; parameters and velocities after each step go to standard output (f32, global order), so that each
//! step can be judged from the same start.
//!
//! OUT holds `first.safetensors` and `final.safetensors` (checkpoints), `pixels.f32` [steps, batch, 3, crop, crop] and
//! `labels.u32` as the loader made them, `masks.u8` (for each step fc6's and fc7's, [batch, units] each), `test.f32` (logits
//! of the first batch at test, before the first step) and `steps.json`: loss and rates of each step.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use alexnet_cpu::CpuBackend;
use alexnet_load::{SplitOf, Subset};
use alexnet_net::{Checkpoint, DropoutKey, Layer, Net, Network, Parameters, Position};
use alexnet_rng::{Purpose, Stream};
use alexnet_shard::{Access, ShardSet, Split};
use alexnet_train::{Colour, Job, Length, Recipe, Stall, State};

type Any = Box<dyn std::error::Error>;

fn main() -> Result<(), Any> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [shards, out] = [0, 1].map(|i| arguments.get(i).map(Path::new));
    let (Some(shards), Some(out)) = (shards, out) else { return Err("give SHARDS and OUT".into()) };
    let preset = arguments.get(2).map_or("original", String::as_str);
    let number = |i: usize, default: usize| arguments.get(i).map_or(Ok(default), |text| text.parse());
    let (steps, batch, narrow, crop) = (number(3, 100)?, number(4, 32)?, number(6, 1)?, number(7, 224)?);
    let states = arguments.get(8).is_some_and(|text| text == "states");
    let factor: f64 = arguments.get(5).map_or(Ok(0.01), |text| text.parse())?;

    let job = job(shards, preset, batch, narrow, crop)?;
    let steps = steps.min(job.batches() as usize);
    std::fs::create_dir_all(out)?;
    let file = |name: &str| -> Result<Box<dyn Write>, Any> {
        Ok(if states {
            Box::new(std::io::sink())
        } else {
            Box::new(BufWriter::new(File::create(out.join(name))?))
        })
    };
    let (mut pixels, mut labels, mut masks) = (file("pixels.f32")?, file("labels.u32")?, file("masks.u8")?);

    let mut network = Network::new(CpuBackend::new(1, 0)?, &job.net, batch)?;
    let first = Parameters::initial(&job.net, job.seed)?;
    network.set_parameters(&first)?;
    if !states {
        save(&job, first, &out.join("first.safetensors"))?;
    }
    let mut lines = Vec::new();
    for (step, loaded) in job.loader(&State::default(), true)?.take(steps).enumerate() {
        let loaded = loaded?;
        loaded.floats().iter().try_for_each(|x| pixels.write_all(&x.to_le_bytes()))?;
        loaded.labels().iter().try_for_each(|x| labels.write_all(&x.to_le_bytes()))?;
        if step == 0 {
            network.evaluate(loaded.floats(), loaded.labels())?;
            let mut test = file("test.f32")?;
            network.logits()?.iter().try_for_each(|x| test.write_all(&x.to_le_bytes()))?;
        }
        let positions = loaded.positions();
        for (purpose, units, keep) in dropouts(&job.net)? {
            for position in positions.clone() {
                let stream = Stream::new(job.seed, loaded.epoch(), position, purpose);
                let kept = |unit: u64| f64::from(stream.word(unit)) < keep * (1u64 << 32) as f64;
                masks.write_all(&(0..units).map(|unit| u8::from(kept(unit))).collect::<Vec<u8>>())?;
            }
        }
        let key = DropoutKey { seed: job.seed, epoch: loaded.epoch(), first_position: positions.start };
        network.train_batch(loaded.floats(), loaded.labels(), Some(key))?;
        let rates = job.recipe.rates(0.0, f64::from(job.recipe.epochs), &Stall::default());
        let mut rule = job.rule(&network, &rates, loaded.global_len());
        rule.rates.iter_mut().for_each(|r| r.rate *= factor);
        network.update(&rule)?;
        let loss = network.score()?.loss_sum / loaded.labels().len() as f64;
        eprintln!("step {step}: loss {loss:.6}");
        if states {
            let mut stdout = BufWriter::new(std::io::stdout().lock());
            for values in [network.parameters()?, network.velocity()?] {
                for values in values.iter() {
                    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
                    stdout.write_all(&bytes)?;
                }
            }
            stdout.flush()?;
        }
        lines.push(serde_json::json!({
            "loss": loss,
            "rates": rule.rates.iter().map(|r| r.rate).collect::<Vec<_>>(),
            "decay": rule.rates[0].decay,
            "momentum": rule.momentum,
            "samples": loaded.labels().len(),
        }));
    }
    if states {
        return Ok(());
    }
    save(&job, network.parameters()?, &out.join("final.safetensors"))?;
    std::fs::write(out.join("steps.json"), serde_json::to_string(&lines)?)?;
    Ok(())
}

fn job(shards: &Path, preset: &str, batch: usize, narrow: usize, crop: usize) -> Result<Job, Any> {
    let set = Arc::new(ShardSet::open(shards, Access::Map)?);
    let records = Arc::new(SplitOf::new(set.clone(), Split::Train)?);
    let split = records.split();
    let photos = split.len() as f64;
    let full = Net::preset(preset, Net::usual_columns(preset), set.classes().len())?;
    let net = match narrow {
        0 | 1 => full,
        divisor => full.clone().narrowed(divisor, 4096 / divisor).keeping_gain(&full)?,
    };
    let mut recipe = Recipe::find(if preset == "paper" { "paper" } else { "original-2012" })?;
    recipe.batch = batch as u32;
    let axes = [[0.577, 0.577, 0.577], [0.707, 0.0, -0.707], [0.408, -0.816, 0.408]];
    Ok(Job {
        net: net.with_input(crop),
        recipe,
        seed: 2012,
        length: Length::Epochs(1),
        subset: Subset::all(split.len()),
        validation: None,
        colour: Colour {
            mean_image: split.pixel_sums()?.iter().map(|sum| (*sum as f64 / photos) as f32).collect(),
            vectors: axes,
            variances: [13_000.0, 1000.0, 300.0],
        },
        records: records.clone(),
        classes: vec![],
        loader_threads: 1,
        checkpoint_every: u64::MAX,
        log_every: 1,
    })
}

/// Stream, units and share of kept units of each dropout layer.
fn dropouts(net: &Net) -> Result<Vec<(Purpose, u64, f64)>, Any> {
    let shapes = net.shapes()?;
    let mut found = Vec::new();
    for (layer, shape) in net.layers.iter().zip(shapes) {
        if let Layer::Dropout { stream, keep } = layer {
            let purpose = match stream {
                alexnet_net::DropoutLayer::Fc6 => Purpose::DropoutFc6,
                alexnet_net::DropoutLayer::Fc7 => Purpose::DropoutFc7,
            };
            found.push((purpose, shape.len() as u64, *keep));
        }
    }
    Ok(found)
}

fn save(job: &Job, parameters: Parameters, path: &Path) -> Result<(), Any> {
    let checkpoint = Checkpoint {
        net: job.net.clone(),
        parameters,
        velocity: None,
        mean_image: None,
        classes: vec![],
        position: Position::default(),
        seed: job.seed,
        recipe: serde_json::to_value(&job.recipe)?,
        extra: serde_json::Value::Null,
    };
    Ok(checkpoint.write(path)?)
}
