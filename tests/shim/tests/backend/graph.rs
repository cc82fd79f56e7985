//! Steps as CUDA graphs: whatever changes from step to step, replayed steps leave the bits of launched ones.
//!
//! The reference is a run under a profile, in which every kernel is launched as soon as it is asked for.

use std::ffi::CStr;

use alexnet_cuda::{CudaBackend, Graphs, Precision};
use alexnet_net::{
    Augmentation, Backend, Draw, DropoutKey, Layer, Mean, Net, Network, Parameters, Rate, Replays, UpdateRule,
};
use alexnet_rng::{Purpose, Stream};

use crate::records::Spoilt;
use crate::{Driver, cache, driver, net};

const BATCH: usize = 2;
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
            *maps = 16;
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

/// All that a run leaves: the bits of each loss, of what dropout let through, of a gradient, of weights and velocities.
#[derive(Debug, PartialEq)]
struct Left {
    losses: Vec<u64>,
    masked: Vec<Vec<u32>>,
    gradients: Parameters,
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
    let mut gradients = Parameters::zeros(net).expect("a net");
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
        if step == 24 {
            // Somebody evaluates and looks before the update.
            losses.push(run.evaluate(&batch(300, BATCH)).to_bits());
            gradients = run.network.gradients().expect("a download");
            let values = run.network.activation(0).expect("a download");
            left.push(values.into_iter().map(f32::to_bits).collect());
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
    (Left { losses, masked: left, gradients, parameters, velocity }, run.network.replays())
}

/// Holds the ways of launching against each other.
fn compare(driver: &Driver, net: &Net, devices: &[usize], precision: Precision, raw: bool) -> Replays {
    driver.seed(0);
    let (expected, never) = train(net, devices, precision, Way::AtOnce, raw);
    assert_eq!(never.expect("counts").lists, 0, "nothing is held back under a profile");
    assert!(expected.losses.iter().all(|&bits| f64::from_bits(bits).is_finite()));
    let mut replays = Replays::default();
    let held = [(Graphs::Off, 1), (Graphs::Auto, 2)];
    for (graphs, seed) in &held[usize::from(raw)..] {
        let graphs = *graphs;
        driver.seed(*seed);
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

/// Exchanges cannot be captured: what lies between them is, on each device.
#[test]
fn on_several_devices_the_work_between_exchanges_is_replayed() {
    let Some((driver, _turn)) = driver() else { return };
    for (columns, devices) in [(2, &[1, 0][..]), (4, &[0, 1])] {
        let net = net("original", columns, SIDE);
        let Replays { lists, replayed, .. } = compare(driver, &net, devices, Precision::Bf16, true);
        assert!(lists > 4 * STEPS && 2 * replayed > lists, "{replayed} of {lists}");
    }
}

/// Nobody waits for the devices in so many steps that the memory which settings leave from is written again and again.
#[test]
fn settings_are_kept_until_they_are_copied() {
    let Some((driver, _turn)) = driver() else { return };
    let net = net("paper", 2, SIDE);
    let train = |seed, waits: bool| {
        driver.seed(seed);
        let mut run = Run::new(&net, &[0], Precision::F32, Way::Held(Graphs::Auto), false);
        let table = run.network.parameter_table().len();
        let first = batch(0, 1);
        for step in 0..40 {
            let key = DropoutKey { seed: 9, epoch: 0, first_position: step };
            run.train(&first, Some(key)).expect("a step");
            run.network.update(&UpdateRule::paper(1e-5 * step as f64, 1, table)).expect("an update");
            if waits {
                run.network.backend_mut().synchronise().expect("the device");
            }
        }
        run.network.parameters().expect("weights")
    };
    let expected = train(0, true);
    for seed in [1, 2] {
        assert!(train(seed, false) == expected, "seed {seed}");
    }
}

/// A step from staged records: two small copies and one launch, and its batch's copies on their own stream.
#[test]
fn a_replayed_step_is_one_launch_and_two_small_copies() {
    let Some((driver, _turn)) = driver() else { return };
    driver.seed(0);
    const CALLS: [&CStr; 9] = [
        c"cuGraphLaunch",
        c"cuMemcpyHtoDAsync",
        c"cuLaunchKernel",
        c"library",
        c"cuMemcpyDtoDAsync",
        c"cuMemAllocAsync",
        c"cuStreamBeginCapture",
        c"cuStreamSynchronize",
        c"wait for an event",
    ];
    for (precision, graphs) in
        [(Precision::F32, Graphs::Auto), (Precision::Bf16, Graphs::On), (Precision::Bf16, Graphs::Off)]
    {
        let net = vectors();
        let mut run = Run::new(&net, &[0], precision, Way::Held(graphs), true);
        let table = run.network.parameter_table().len();
        let mut made = Vec::new();
        run.stage(&batch(0, BATCH));
        for step in 0..10 {
            let before = driver.calls(CALLS);
            let key = DropoutKey { seed: 9, epoch: 0, first_position: step * BATCH as u64 };
            run.train(&batch(step, BATCH), Some(key)).expect("a step");
            run.network.update(&UpdateRule::paper(1e-4, BATCH, table)).expect("an update");
            let after = driver.calls(CALLS);
            made.push(std::array::from_fn(|i| after[i] - before[i]));
            run.stage(&batch(step + 1, BATCH));
        }
        let launched: [u64; 9] = made[1]; // the first step allocates and fills
        assert_eq!((launched[0], launched[6]), (0, 0), "{launched:?}");
        assert!(launched[2] > 50 && launched[1] == 2, "{launched:?}");
        for step in &made[3..] {
            // Labels and settings; where one waits for the area's last copy but one, nothing is asked of this stream.
            let expected = if graphs == Graphs::Off { launched } else { [1, 2, 0, 0, 0, 0, 0, 0, 0] };
            assert_eq!(*step, expected, "{precision}, {graphs}");
        }
        assert_eq!(made[2][6], u64::from(graphs != Graphs::Off), "captured once");
        println!("{precision}, {graphs}: launched {launched:?}");
    }
}

/// A driver that refuses captures, or spoils them: the same bits by launches, the reason told once; an error if graphs were
/// demanded.
#[test]
fn refused_captures_are_told_and_change_nothing() {
    let Some((driver, _turn)) = driver() else { return };
    driver.seed(0);
    let net = net("paper", 2, SIDE);
    let steps = |graphs, how| {
        driver.refuse_captures(how);
        let mut run = Run::new(&net, &[0], Precision::F32, Way::Held(graphs), false);
        let table = run.network.parameter_table().len();
        let done = (0..5).try_for_each(|step| {
            run.train(&batch(step, BATCH), None)?;
            run.network.update(&UpdateRule::paper(1e-4, BATCH, table))
        });
        driver.refuse_captures(0);
        let parameters = run.network.parameters().expect("weights");
        (done.map_err(|e| e.to_string()), parameters, run.network.replays().expect("counts"))
    };
    let (done, expected, told) = steps(Graphs::Auto, 0);
    assert_eq!((done, told.replayed > 0, told.refused), (Ok(()), true, None));
    for (how, why) in [(1, "CUDA_ERROR_NOT_SUPPORTED"), (2, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED")] {
        let (done, parameters, told) = steps(Graphs::Auto, how);
        assert_eq!((done, told.replayed), (Ok(()), 0));
        assert!(parameters == expected, "{why}");
        let refused = told.refused.expect("a reason");
        assert!(refused.contains("capture a step") && refused.contains(why), "{refused}");
        let (done, _, _) = steps(Graphs::On, how);
        let error = done.expect_err("graphs were demanded");
        assert!(error.contains("capture a step") && error.contains(why), "{error}");
    }
}

/// Launches of a step at full width, which is queued here and not run: `--ignored --nocapture launches_at_full_width`, alone.
#[test]
#[ignore = "prints the counts of benches/runs/2026-11-24-h100; by hand, since it takes gigabytes and leaves work in the queue"]
fn launches_at_full_width() {
    let Some((driver, _turn)) = driver() else { return };
    const CALLS: [&CStr; 3] = [c"cuLaunchKernel", c"library", c"cuMemcpyHtoDAsync"];
    for (preset, precision) in
        [("original", Precision::Bf16), ("paper", Precision::Bf16), ("original", Precision::F32)]
    {
        let net = Net::preset(preset, 2, 1000).expect("a preset").with_input(SIDE * 4);
        let mut run = Run::new(&net, &[0], precision, Way::Held(Graphs::Off), false);
        let mut wide = batch(0, BATCH);
        wide.pixels = vec![1.0; BATCH * net.input_shape().len()];
        let rule = UpdateRule::paper(1e-4, BATCH, run.network.parameter_table().len());
        let key = Some(DropoutKey { seed: 1, epoch: 0, first_position: 0 });
        for _ in 0..2 {
            let before = driver.calls(CALLS);
            run.train(&wide, key).expect("a step");
            run.network.update(&rule).expect("an update");
            let after = driver.calls(CALLS);
            let [kernels, products, copies] = std::array::from_fn(|i| after[i] - before[i]);
            println!("{preset}, {precision}: {kernels} kernels, {products} products, {copies} copies");
        }
        std::mem::forget(run); // its end would wait for the work
    }
}
