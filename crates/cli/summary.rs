//! `train --summary`: the network's layers and sizes.

use alexnet_net::Net;

use crate::messages::say;

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
    ))
}
