//! Steps as CUDA graphs: whatever changes from step to step, replayed steps leave the bits of launched ones.
//!
//! The reference is a run under a profile, in which every kernel is launched as soon as it is asked for.

use alexnet_cuda::{CudaBackend, Graphs, Precision};
use alexnet_net::{
    Augmentation, Draw, DropoutKey, Layer, Mean, Net, Network, Parameters, Rate, Replays, UpdateRule,
};
use alexnet_rng::{Purpose, Stream};

use crate::records::Spoilt;
use crate::{Driver, cache, driver, net};

const BATCH: usize = 3;
const SIDE: usize = 56;
const RECORD: usize = 63;
const STEPS: u64 = 40;

/// How a run goes.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// Each kernel at once.
    AtOnce,
    /// Held back and launched, or replayed.
    Held(Graphs),
}

/// A narrow net whose maps fill vectors in each group, so that bfloat16 takes our convolutions.
fn vectors() -> Net {
    let mut net = net("paper", 2, SIDE);
    for layer in &mut net.layers {
        if let Layer::Convolution { maps, .. } = layer {
            *maps = 32;
        }
    }
    net
}

/// A batch's pixels or records, and labels.
struct Batch {
    pixels: Vec<f32>,
    records: Vec<u8>,
    draws: Vec<Draw>,
    labels: Vec<u32>,
}

fn batch(step: u64, n: usize) -> Batch {
    let stream = Stream::new(6, 0, step, Purpose::Sample);
    let mut pixels = vec![0.0; n * 3 * SIDE * SIDE];
    stream.fill_normal(60.0, &mut pixels);
    let slack = (RECORD - SIDE) as u32 + 1;
    let draw = |i: u64| Draw {
        left: stream.below(4 * i, slack),
        top: stream.below(4 * i + 1, slack),
        mirror: stream.coin(4 * i + 2),
        shift: [3.0, -2.5, i as f32],
    };
    Batch {
        pixels,
        records: (0..n * RECORD * RECORD * 3).map(|i| stream.word(i as u64) as u8).collect(),
        draws: (0..n as u64).map(draw).collect(),
        labels: (0..n as u64).map(|i| stream.below(1 << 20 | i, 10)).collect(),
    }
}

/// All that a run leaves: the bits of each loss, of what dropout let through after each step, of weights and velocities.
#[derive(Debug, PartialEq)]
struct Left {
    losses: Vec<u64>,
    masked: Vec<Vec<u32>>,
    parameters: Parameters,
    velocity: Parameters,
}

struct Run {
    network: Network<CudaBackend>,
    raw: bool,
}

impl Run {
    fn new(net: &Net, devices: &[usize], precision: Precision, way: Way, raw: bool) -> Run {
        let graphs = if let Way::Held(graphs) = way { graphs } else { Graphs::Off };
        let mut backend = CudaBackend::new(devices, &cache()).expect("devices").with_precision(precision);
        backend = backend.with_graphs(graphs);
        if way == Way::AtOnce {
            backend.start_profile();
        }
        let mut network = Network::new(backend, net, BATCH).expect("a net");
        network.set_parameters(&Parameters::initial(net, 2012).expect("parameters")).expect("an upload");
        if raw {
            let mean = Mean::Aligned((0..RECORD * RECORD * 3).map(|i| 100.0 + (i % 40) as f32).collect());
            let (record, crop) = ([RECORD; 2], [SIDE; 2]);
            network.prepare_records(Augmentation { record, crop, mean, scale: [1.0; 3] }).expect("areas");
        }
        Run { network, raw }
    }

    fn stage(&mut self, batch: &Batch) {
        if !self.raw {
            return;
        }
        let mut memory = self.network.host_memory(batch.records.len()).expect("memory");
        memory.bytes_mut().copy_from_slice(&batch.records);
        self.network.stage(Box::new(Spoilt { memory, draws: batch.draws.clone() })).expect("a copy");
    }

    fn train(&mut self, batch: &Batch, key: Option<DropoutKey>) -> Result<(), alexnet_net::Error> {
        if self.raw {
            self.network.train_staged(&batch.labels, key)
        } else {
            self.network.train_batch(&batch.pixels, &batch.labels, key)
        }
    }

    fn evaluate(&mut self, batch: &Batch) -> f64 {
        self.stage(batch);
        let score = if self.raw {
            self.network.evaluate_staged(&batch.labels)
        } else {
            self.network.evaluate(&batch.pixels, &batch.labels)
        };
        score.expect("a score").loss_sum
    }
}

/// Steps in which all changes that training knows: rates, keys, smoothing, sizes, sums over batches, frozen layers, dropout,
/// evaluations and a checkpoint in between.
fn train(net: &Net, devices: &[usize], precision: Precision, way: Way, raw: bool) -> (Left, Option<Replays>) {
    let mut run = Run::new(net, devices, precision, way, raw);
    let table = run.network.parameter_table().len();
    let masked: Vec<usize> =
        (0..net.layers.len()).filter(|&i| matches!(net.layers[i], Layer::Dropout { .. })).collect();
    let (mut losses, mut left, mut saved) = (Vec::new(), Vec::new(), None);
    let size = |step: u64| if step % 6 > 3 { BATCH - 1 } else { BATCH };
    run.stage(&batch(0, size(0)));
    for step in 0..STEPS {
        let key = DropoutKey { seed: 9, epoch: 1 + step as u32 / 9, first_position: step * BATCH as u64 };
        let key = (!(26..34).contains(&step)).then_some(key);
        if step == 30 {
            run.network.set_label_smoothing(0.1);
        }
        run.train(&batch(step, size(step)), key).expect("a step");
        if step == 20 || step == 21 {
            // A second batch before the update.
            run.stage(&batch(100, BATCH));
            run.train(&batch(100, BATCH), key).expect("a step");
        }
        let rate = |i: usize| {
            let frozen = (10..20).contains(&step) && i < 4;
            let rate = if frozen { 0.0 } else { 1e-5 * (1 + step % 7 + i as u64 % 3) as f64 };
            Rate { rate, decay: 5e-4 }
        };
        let momentum = if step == 38 { 0.8 } else { 0.9 };
        let rule = UpdateRule { momentum, global_batch: size(step), rates: (0..table).map(rate).collect() };
        run.network.update(&rule).expect("an update");
        if step + 1 < STEPS && step != 8 && step != 16 {
            run.stage(&batch(step + 1, size(step + 1)));
        }
        if step % 5 == 4 {
            losses.extend(run.network.scores().expect("scores").iter().map(|score| score.loss_sum.to_bits()));
        }
        if step % 4 == 1 {
            for &layer in &masked {
                let values = run.network.activation(layer).expect("a download");
                left.push(values.into_iter().map(f32::to_bits).collect());
            }
        }
        if step == 8 || step == 16 {
            losses.push(run.evaluate(&batch(200 + step, BATCH)).to_bits());
            run.stage(&batch(step + 1, size(step + 1)));
        }
        if step == 9 {
            saved = Some((run.network.parameters().expect("weights"), run.network.velocity().expect("them")));
        }
        if let (13, Some((parameters, velocity))) = (step, &saved) {
            run.network.set_parameters(parameters).expect("an upload");
            run.network.set_velocity(velocity).expect("an upload");
        }
    }
    losses.extend(run.network.scores().expect("scores").iter().map(|score| score.loss_sum.to_bits()));
    let parameters = run.network.parameters().expect("weights");
    let velocity = run.network.velocity().expect("velocities");
    (Left { losses, masked: left, parameters, velocity }, run.network.replays())
}

/// Holds the ways of launching against each other.
fn compare(driver: &Driver, net: &Net, devices: &[usize], precision: Precision, raw: bool) -> Replays {
    driver.seed(0);
    let (expected, never) = train(net, devices, precision, Way::AtOnce, raw);
    assert_eq!(never.expect("counts").lists, 0, "nothing is held back under a profile");
    assert!(expected.losses.iter().all(|&bits| f64::from_bits(bits).is_finite()));
    let mut replays = Replays::default();
    for (seed, graphs) in [(1, Graphs::Off), (2, Graphs::Auto), (3, Graphs::On)] {
        driver.seed(seed);
        let (left, told) = train(net, devices, precision, Way::Held(graphs), raw);
        assert!(left == expected, "{precision}, {graphs}, raw: {raw}, on {devices:?}");
        let told = told.expect("counts");
        assert_eq!(told.refused, None);
        assert_eq!(told.replayed > 0, graphs != Graphs::Off, "{told:?}");
        replays = told;
    }
    replays
}

#[test]
fn replayed_steps_leave_the_bits_of_launched_ones() {
    let Some((driver, _turn)) = driver() else { return };
    let net = vectors();
    for precision in [Precision::F32, Precision::Bf16] {
        for raw in [false, true] {
            let Replays { lists, replayed, .. } = compare(driver, &net, &[0], precision, raw);
            // Launched: each list's first time.
            assert!(lists >= STEPS && 2 * replayed >= lists, "{replayed} of {lists}");
        }
    }
}
