//! Images a second of the full-size net on synthetic pixels:
//! `cargo run --release -p alexnet-cpu --example throughput -- [paper|original] [batch] [threads] [steps] [columns] [time]`
//!
//! With `time`, the fastest time of each layer and pass is printed as well.

use std::time::Instant;

use alexnet_cpu::CpuBackend;
use alexnet_net::{DropoutKey, Net, Network, Parameters, UpdateRule};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: usize| arguments.get(i).map_or(Ok(default), |text| text.parse());
    let preset = arguments.first().map_or("paper", String::as_str);
    let (batch, threads, steps, columns) = (number(1, 32)?, number(2, 2)?, number(3, 5)?, number(4, 2)?);

    let net = Net::preset(preset, columns, 1000)?;
    let mut network = Network::new(CpuBackend::new(1, threads)?, &net, batch)?;
    network.set_parameters(&Parameters::initial(&net, 2012)?)?;
    let rule = UpdateRule::paper(1e-3, batch, network.parameter_table().len());
    let pixels: Vec<f32> =
        (0..batch * net.input_shape().len()).map(|i| (i * 7919 % 251) as f32 - 125.0).collect();
    let labels: Vec<u32> = (0..batch as u32).map(|i| i * 31 % 1000).collect();

    network.set_timing(arguments.iter().any(|a| a == "time"));
    let mut step = |position: u64| -> Result<f64, Box<dyn std::error::Error>> {
        let key = DropoutKey { seed: 1, epoch: 0, first_position: position };
        network.train_and_update(&pixels, &labels, Some(key), &rule)?;
        Ok(network.score()?.loss_sum / batch as f64)
    };
    step(0)?;
    let start = Instant::now();
    let mut loss = 0.0;
    for i in 0..steps {
        loss = step((i * batch) as u64)?;
    }
    let training = (steps * batch) as f64 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    for _ in 0..steps {
        network.evaluate(&pixels, &labels)?;
    }
    let forward = (steps * batch) as f64 / start.elapsed().as_secs_f64();
    let timings = network.timings();
    for timing in timings {
        println!("{:<14}{:<18}{:>9.2}", timing.name, format!("{:?}", timing.pass), 1e3 * timing.seconds);
    }
    println!(
        "{preset}, {columns} columns, batch {batch}, {threads} threads: {training:.1} images/s in training, {forward:.1} forward; loss {loss:.4}"
    );
    Ok(())
}
