//! The network's layers and sizes, for `train --summary`, and what its columns exchanged, at the end of a run.

use alexnet_net::{Backend, Net, Network};

use crate::messages::say;
use crate::progress::size;

/// Prints the table.
pub fn print(net: &Net) -> anyhow::Result<()> {
    let summary = net.summary()?;
    say(format_args!("{}, {} columns, {} classes", net.preset, net.columns, net.classes))?;
    say(format_args!(
        "{:<16} {:>14} {:>12} {:>9} {:>14}  crosses columns",
        "layer", "output", "weights", "biases", "multiply-adds"
    ))?;
    for layer in &summary.layers {
        let shape = format!("{}×{}×{}", layer.output.channels, layer.output.height, layer.output.width);
        let number = |n: usize| if n == 0 { String::new() } else { n.to_string() };
        let line = format!(
            "{:<16} {shape:>14} {:>12} {:>9} {:>14}  {}",
            layer.name,
            number(layer.weights),
            number(layer.biases),
            number(layer.macs),
            if layer.crosses { "yes" } else { "" },
        );
        say(line.trim_end())?;
    }
    say(format_args!("parameters     {}", summary.parameters))?;
    say(format_args!("multiply-adds  {} forward, per photo", summary.macs))?;
    say(format_args!(
        "neurons        {} (the caption of figure 2 counts 55×48×96 for the first layer: 622312 in all at full width)",
        summary.neurons
    ))?;
    // Without room for a sample, what is left are parameters, velocities and gradients.
    let [fixed, one] = [0, 1].map(|batch| net.device_bytes(1, batch).map(|bytes| bytes[0]));
    let (fixed, one) = (fixed?, one?);
    say(format_args!(
        "memory         {} for parameters, velocities and gradients; {} more for each photo of a batch",
        size(fixed),
        size(one - fixed)
    ))
}

/// What a full batch sent between devices, counted, beside the formula for D devices: every value that all columns
/// read goes to D − 1 readers and comes back as D − 1 gradients, the logits go one way. Nothing with one device.
pub fn traffic<B: Backend>(network: &Network<B>, batch: u64) -> Option<String> {
    let (sites, traffic) = (network.exchanges(), network.traffic());
    let others = sites.first()?.exchange.parts.len() as u64 - 1;
    let values = |both: bool| {
        sites.iter().filter(|site| site.reduced == both).map(|site| site.exchange.whole() as u64).sum::<u64>()
    };
    let both = 2 * network.activation_bytes(); // there and back
    let formula = both * others * values(true) * batch + 4 * others * values(false) * batch;
    let counted = traffic.bytes.checked_div(traffic.samples)? * batch;
    Some(format!(
        "the {} devices exchanged {counted} bytes an update of {batch}; formula: {both}·{others}·{}·{batch} for the layers + \
         4·{others}·{}·{batch} for the logits = {formula}",
        others + 1,
        values(true),
        values(false),
    ))
}

/// What replicas summed; nothing for one.
pub fn sums<B: Backend>(network: &mut Network<B>) -> Option<String> {
    let (count, [buckets, bytes]) = (network.replica().count, network.buckets());
    let s = if buckets == 1 { "" } else { "s" };
    let sentence =
        format!("{count} replicas summed {bytes} bytes of gradients an update, in {buckets} bucket{s} each");
    (count > 1).then_some(sentence)
}

/// How long the devices waited for the host, if they measure it.
pub fn pauses<B: Backend>(network: &mut Network<B>) -> anyhow::Result<Option<String>> {
    let pauses = network.paused()?.filter(|[_, all]| !all.is_zero());
    Ok(pauses.map(|[waited, all]| {
        let (waited, all) = (waited.as_secs_f64(), all.as_secs_f64());
        let share = 100.0 * waited / all;
        format!("the devices stood still {share:.1} % of {all:.1} s: for data, checkpoints and launches")
    }))
}

/// How many steps were replayed as graphs, or why none could be; nothing where none were tried.
pub fn replays<B: Backend>(network: &Network<B>) -> Option<String> {
    let replays = network.replays().filter(|replays| replays.lists > 0)?;
    let what = if network.exchanges().is_empty() { "steps" } else { "parts of steps between exchanges" };
    let count = format!("{} of {} {what} were replayed as CUDA graphs", replays.replayed, replays.lists);
    Some(match replays.refused {
        None => count,
        Some(why) => {
            format!("{count}; the others were launched kernel by kernel, since the driver refused: {why}")
        }
    })
}
