//! Runs of a few steps: what one leaves behind, and how near two of them have to be.
//!
//! A rectifier and a pooling window choose, and the gradient follows the choice. Which way they choose where a value lies
//! nearer to the border than the rounding of its own sum is nothing that float32 settles: two right programs may differ
//! there, and from then on their gradients do, in these small nets by hundredths. (In one of 20 steps a unit of conv3 was
//! 4e-8 for the CPU and 0 for the kernels and the oracle in float64, the values around it being 0.3 and right to 5e-7 on
//! both sides.) So runs are held against each other on inputs where all choices agree; where they do not, each that differs
//! first has to be one that rounding explains, and the run is made again with other pixels.

use alexnet_net::oracle::max_pool;
use alexnet_net::{Backend, DropoutKey, Layer, MaxPool, Net, Network, Parameters, UpdateRule};
use alexnet_rng::{Purpose, Stream};

pub const BATCH: usize = 4;

/// How far from the border a choice may lie that rounding explains, beside the layer's root mean square: an outlier among
/// sums of some hundred products.
const ROUNDING: f64 = 4e-6;

/// Inputs tried until all choices agree.
const DRAWS: u64 = 5;

/// What a run of a few steps leaves behind.
pub struct Trace {
    pub losses: Vec<f64>,
    pub parameters: Parameters,
    velocity: Parameters,
    probabilities: Vec<f32>,
    pub exchanged: u64,
    pub sent: u64,
    /// Of each step, every layer's output.
    activations: Vec<Vec<Vec<f32>>>,
}

/// Trains `net` on noise; another `draw` is other noise.
pub fn train<B: Backend>(backend: B, net: &Net, side: usize, steps: u64, draw: u64) -> Trace {
    let mut network = Network::new(backend, net, BATCH).expect("a net");
    network.set_parameters(&Parameters::initial(net, 2012).expect("parameters")).expect("an upload");
    let mut pixels = vec![0.0; BATCH * 3 * side * side];
    let rule = UpdateRule::paper(1e-4, BATCH, network.parameter_table().len());
    let (mut losses, mut activations) = (Vec::new(), Vec::new());
    for step in 0..steps {
        Stream::new(5, draw as u32, step % 3, Purpose::Sample).fill_normal(60.0, &mut pixels);
        let labels: Vec<u32> = (0..BATCH as u32).map(|i| (i * 3 + step as u32 % 3) % 10).collect();
        let key = DropoutKey { seed: 9, epoch: 1, first_position: step * BATCH as u64 };
        network.train_batch(&pixels, &labels, Some(key)).expect("a step");
        losses.push(network.score().expect("a score").loss_sum / BATCH as f64);
        let outputs = (0..net.layers.len()).map(|layer| network.activation(layer).expect("a download"));
        activations.push(outputs.collect());
        network.update(&rule).expect("an update");
    }
    Trace {
        losses,
        parameters: network.parameters().expect("a download"),
        velocity: network.velocity().expect("a download"),
        probabilities: network.probabilities(&pixels).expect("probabilities"),
        exchanged: network.exchanged_bytes(),
        sent: network.traffic().bytes,
        activations,
    }
}

/// Holds two programs' runs against each other, on inputs that leave nothing to rounding.
pub fn compare(what: &str, net: &Net, run: impl Fn(u64) -> [Trace; 2]) {
    for draw in 0..DRAWS {
        let [ours, theirs] = run(draw);
        if choose_alike(what, net, &ours, &theirs) {
            return assert_same(what, &ours, &theirs);
        }
    }
    panic!("{what}: choices differ on each of {DRAWS} inputs");
}

/// Whether all rectifiers and pooling windows chose alike; panics if the first that did not had no reason in rounding.
fn choose_alike(what: &str, net: &Net, ours: &Trace, theirs: &Trace) -> bool {
    let shapes = net.shapes().expect("a net");
    for (step, (ours, theirs)) in ours.activations.iter().zip(&theirs.activations).enumerate() {
        let mut alike = true;
        for (layer, row) in net.layers.iter().enumerate() {
            // How far each choice that differs is from the border, and the values that were chosen from.
            let (margins, values): (Vec<f64>, _) = match *row {
                Layer::Rectifier => {
                    let pairs = ours[layer].iter().zip(&theirs[layer]);
                    let apart = pairs.filter(|(a, b)| (**a > 0.0) != (**b > 0.0));
                    (apart.map(|(a, b)| f64::from(a.max(*b))).collect(), &theirs[layer])
                }
                Layer::MaxPool { size, stride } => {
                    let (from, to) = (shapes[layer - 1], shapes[layer]);
                    let op = MaxPool {
                        channels: to.channels,
                        height: from.height,
                        width: from.width,
                        size,
                        stride,
                        out_height: to.height,
                        out_width: to.width,
                    };
                    let below = [&ours[layer - 1], &theirs[layer - 1]];
                    (winners_apart(&op, below), below[1])
                }
                _ => continue,
            };
            let border = ROUNDING * norm(values.iter().copied()) / (values.len() as f64).sqrt();
            for margin in margins {
                assert!(
                    margin <= border,
                    "{what}: step {step}, layer {layer}: a choice missed by {margin:e}"
                );
                eprintln!("{what}: step {step}, layer {layer}: a choice within {margin:e} of the border");
                alike = false;
            }
        }
        // What follows a different choice differs for that reason.
        if !alike {
            return false;
        }
    }
    true
}

/// Of the windows whose winners differ between two inputs: how far apart the two winners' values are.
fn winners_apart(op: &MaxPool, inputs: [&Vec<f32>; 2]) -> Vec<f64> {
    let [ours, theirs] = inputs.map(|x| {
        let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        let (best, places) = max_pool(op, BATCH, &wide);
        (best, places, wide)
    });
    let map = op.height * op.width;
    let positions = op.out_height * op.out_width;
    let apart = (0..ours.1.len()).filter(|&output| ours.1[output] != theirs.1[output]);
    apart
        .map(|output| {
            let (row, column) = (output % positions / op.out_width, output % op.out_width);
            let place = usize::from(theirs.1[output]);
            let (y, x) = (row * op.stride + place / op.size, column * op.stride + place % op.size);
            ours.0[output] - ours.2[output / positions * map + y * op.width + x]
        })
        .collect()
}

fn norm(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt()
}

fn assert_near(what: &str, ours: &Parameters, theirs: &Parameters, tolerance: f64) {
    for (i, (ours, theirs)) in ours.iter().zip(theirs.iter()).enumerate() {
        let difference = norm(ours.iter().zip(theirs).map(|(a, b)| a - b));
        assert!(
            difference <= tolerance * norm(theirs.iter().copied()) + 1e-12,
            "{what}, parameter {i}: {difference:e}"
        );
    }
}

fn assert_same(what: &str, ours: &Trace, theirs: &Trace) {
    for (step, (a, b)) in ours.losses.iter().zip(&theirs.losses).enumerate() {
        let tolerance = if step == 0 { 1e-5 } else { 1e-3 };
        assert!((a / b - 1.0).abs() <= tolerance, "{what}: loss {step}: {a}, expected {b}");
    }
    assert_near(&format!("{what}: parameters"), &ours.parameters, &theirs.parameters, 1e-3);
    assert_near(&format!("{what}: velocity"), &ours.velocity, &theirs.velocity, 2e-2);
    let difference = norm(ours.probabilities.iter().zip(&theirs.probabilities).map(|(a, b)| a - b));
    assert!(
        difference <= 1e-3 * norm(theirs.probabilities.iter().copied()),
        "{what}: probabilities: {difference:e}"
    );
    assert_eq!(ours.exchanged, theirs.exchanged, "{what}: bytes exchanged");
}
