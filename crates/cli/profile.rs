//! `train --profile`: the time of each layer, forward and both ways back, on the CPU or on CUDA devices, and how near it
//! comes to the cores' peak.

use std::collections::BTreeMap;

use alexnet_cpu::peak;
use alexnet_net::{Backend, DropoutKey, Net, Network, Parameters, Pass, Timing, UpdateRule};

use crate::device::Work;
use crate::input::cores;
use crate::messages::{Exit, say};
use crate::train::Args;

/// Steps that are measured; the fastest time of each part counts.
const STEPS: usize = 5;

/// Runs it, on synthetic pixels, where the run would compute.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let net = args.table.net(args.table.usual_classes(), args.crop)?;
    let batch = args.batch.unwrap_or(32).max(1) as usize;
    let threads = args.threads.unwrap_or_else(cores).max(1);
    let choice = args.place.choose(net.columns)?;
    // Only the cores' peak can be measured here.
    let peak = if choice.is_cpu() { Some(peak(threads)?) } else { None };
    let whereabouts = match peak {
        Some(peak) => format!("{threads} threads; the cores' peak is {:.0} GFLOP/s", peak / 1e9),
        None => choice.why.clone(),
    };
    choice.run(threads, Profile { net, batch, seed: args.seed, peak, whereabouts })
}

struct Profile {
    net: Net,
    batch: usize,
    seed: u64,
    /// FLOP/s, if known.
    peak: Option<f64>,
    whereabouts: String,
}

impl Work for Profile {
    type Done = Exit;

    fn run<B: Backend>(self, backend: B) -> anyhow::Result<Exit> {
        let Profile { net, batch, seed, peak, whereabouts } = self;
        let mut network = Network::new(backend, &net, batch)?;
        network.set_parameters(&Parameters::initial(&net, seed)?)?;
        let rule = UpdateRule::paper(1e-6, batch, network.parameter_table().len());
        let pixels: Vec<f32> =
            (0..batch * net.input_shape().len()).map(|i| (i * 7919 % 251) as f32 - 125.0).collect();
        let labels: Vec<u32> = (0..batch).map(|i| (i * 31 % net.classes) as u32).collect();
        network.set_timing(true);
        for step in 0..STEPS {
            let key = DropoutKey { seed: 1, epoch: 0, first_position: (step * batch) as u64 };
            network.train_and_update(&pixels, &labels, Some(key), &rule)?;
        }
        report(&net, batch, network.timings(), peak, &whereabouts)
    }
}

fn report(
    net: &Net,
    batch: usize,
    timings: &[Timing],
    peak: Option<f64>,
    whereabouts: &str,
) -> anyhow::Result<Exit> {
    say(format_args!("{}, {} columns, batch {batch}, {whereabouts}", net.preset, net.columns))?;
    say(format_args!(
        "{:<26}{:>9}{:>9}{:>6}{:>11}{:>9}{:>6}{:>11}{:>9}{:>6}",
        "layer", "forward", "GFLOP/s", "%", "back, in", "GFLOP/s", "%", "back, w", "GFLOP/s", "%"
    ))?;
    let work: BTreeMap<String, f64> = net
        .summary()?
        .layers
        .iter()
        .filter(|l| l.macs > 0)
        .map(|l| (l.name.clone(), 2.0 * (l.macs * batch) as f64))
        .collect();
    let mut total = 0.0;
    for (name, passes) in rows(timings) {
        total += passes.iter().flatten().sum::<f64>();
        let cells = passes.map(|seconds| cell(seconds, work.get(&name).copied(), peak));
        say(format!("{name:<26}{}", cells.join("  ")).trim_end())?;
    }
    say(
        "GFLOP/s count the multiply-adds of direct convolution; minimal filtering does fewer, so 100 % can be passed",
    )?;
    say(format_args!(
        "sum of the fastest times {:.1} ms: {:.1} images/s",
        1e3 * total,
        batch as f64 / total
    ))?;
    Ok(Exit::Done)
}

/// One row for each step of the program, in its order: forward (or update), back to the input, back to the weights.
fn rows(timings: &[Timing]) -> Vec<(String, [Option<f64>; 3])> {
    let mut rows: BTreeMap<usize, (String, [Option<f64>; 3])> = BTreeMap::new();
    for timing in timings {
        let row = rows.entry(timing.step).or_insert_with(|| (timing.name.clone(), [None; 3]));
        let place = match timing.pass {
            Pass::Forward | Pass::Update => 0,
            Pass::BackwardInput => 1,
            Pass::BackwardWeights => 2,
        };
        row.1[place] = Some(timing.seconds);
    }
    // A rectifier that is part of another step takes no time of its own.
    rows.into_values().filter(|(_, passes)| passes.iter().flatten().any(|s| *s > 1e-6)).collect()
}

/// Milliseconds, and of a layer with multiply-adds their rate.
fn cell(seconds: Option<f64>, work: Option<f64>, peak: Option<f64>) -> String {
    let Some(seconds) = seconds else { return " ".repeat(24) };
    let time = format!("{:>9.2}", 1e3 * seconds);
    match work {
        None => format!("{time:<24}"),
        Some(work) => {
            let rate = work / seconds;
            let share = peak.map_or(String::new(), |peak| format!("{:.0}", 100.0 * rate / peak));
            format!("{time}{:>9.1}{share:>6}", rate / 1e9)
        }
    }
}
