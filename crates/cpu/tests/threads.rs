//! Thread count and devices change nothing they must not change.

use alexnet_cpu::CpuBackend;
use alexnet_net::{DropoutKey, Net, Network, Parameters, UpdateRule};

fn batch(net: &Net, n: usize, step: usize) -> (Vec<f32>, Vec<u32>) {
    let value = |i: usize| ((i * 7919 + step * 104_729) % 251) as f32 - 125.0;
    let pixels = (0..n * net.input_shape().len()).map(value).collect();
    (pixels, (0..n).map(|i| ((3 * i + step) % net.classes) as u32).collect())
}

/// Three steps in two parts each; every bit of parameters, velocities, loss and probabilities.
fn train(net: &Net, devices: usize, threads: usize) -> (Vec<u32>, Vec<u64>) {
    let mut network = Network::new(CpuBackend::new(devices, threads).unwrap(), net, 5).unwrap();
    network.set_parameters(&Parameters::initial(net, 3).unwrap()).unwrap();
    let rule = UpdateRule::paper(1e-4, 8, network.parameter_table().len());
    let mut losses = Vec::new();
    for step in 0..3 {
        for (part, n) in [5, 3].into_iter().enumerate() {
            let (pixels, labels) = batch(net, n, 2 * step + part);
            let first_position = (8 * step + 5 * part) as u64;
            let key = DropoutKey { seed: 3, epoch: 1, first_position };
            network.train_batch(&pixels, &labels, Some(key)).unwrap();
            losses.push(network.score().unwrap().loss_sum.to_bits());
        }
        network.update(&rule).unwrap();
    }
    let mut bits = Vec::new();
    for values in [network.parameters().unwrap(), network.velocity().unwrap()] {
        bits.extend(values.iter().flatten().map(|x| x.to_bits()));
    }
    let (pixels, _) = batch(net, 4, 99);
    bits.extend(network.probabilities(&pixels).unwrap().iter().map(|x| x.to_bits()));
    (bits, losses)
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for net in [Net::paper(2, 10).narrowed(8, 64), Net::original(4, 10).narrowed(4, 72).with_input(96)] {
        let one = train(&net, 1, 1);
        assert!(one.1.iter().all(|bits| f64::from_bits(*bits).is_finite()));
        for threads in [2, 3] {
            assert!(train(&net, 1, threads) == one, "{} on {threads} threads", net.preset);
        }
        assert!(train(&net, 2, 1) == train(&net, 2, 3), "{} on two devices", net.preset);
    }
}

/// Dropout masks are named by unit and position over all columns, so devices change rounding only.
#[test]
fn devices_change_rounding_only() {
    let net = Net::original(4, 10).narrowed(8, 64).with_input(96);
    let (_, one) = train(&net, 1, 2);
    for devices in [2, 3, 4] {
        let (_, several) = train(&net, devices, 2);
        for (a, b) in one.iter().zip(several) {
            let (a, b) = (f64::from_bits(*a), f64::from_bits(b));
            assert!((a / b - 1.0).abs() < 1e-4, "{devices} devices: {a} against {b}");
        }
    }
}

/// Two half batches are one whole batch, up to the order of sums.
#[test]
fn gradients_accumulate() {
    let net = Net::paper(2, 10).narrowed(8, 64).with_input(96);
    let mut network = Network::new(CpuBackend::new(1, 2).unwrap(), &net, 6).unwrap();
    network.set_parameters(&Parameters::initial(&net, 3).unwrap()).unwrap();
    let key = |first_position| Some(DropoutKey { seed: 1, epoch: 0, first_position });
    let (pixels, labels) = batch(&net, 6, 0);
    network.train_batch(&pixels, &labels, key(10)).unwrap();
    let whole = network.gradients().unwrap();
    let frozen = UpdateRule::paper(0.0, 6, network.parameter_table().len());
    network.update(&frozen).unwrap();
    assert!(network.gradients().unwrap().iter().flatten().all(|g| *g == 0.0));

    let half = pixels.len() / 2;
    network.train_batch(&pixels[..half], &labels[..3], key(10)).unwrap();
    network.train_batch(&[], &[], key(13)).unwrap();
    network.train_batch(&pixels[half..], &labels[3..], key(13)).unwrap();
    let parts = network.gradients().unwrap();
    for (a, b) in whole.iter().zip(parts.iter()) {
        let largest = a.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        assert!(largest > 0.0);
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-4 * largest));
    }
}

/// A weight's rate of 0 freezes weight, bias and velocities, whatever the bias' rate.
#[test]
fn a_frozen_layer_stays() {
    let net = Net::paper(2, 10).narrowed(8, 64).with_input(96);
    let mut network = Network::new(CpuBackend::new(1, 2).unwrap(), &net, 2).unwrap();
    network.set_parameters(&Parameters::initial(&net, 3).unwrap()).unwrap();
    let (pixels, labels) = batch(&net, 2, 0);
    let mut rule = UpdateRule::paper(1e-3, 2, network.parameter_table().len());
    for _ in 0..2 {
        network.train_batch(&pixels, &labels, None).unwrap();
        network.update(&rule).unwrap();
        rule.rates[0].rate = 0.0;
    }
    let (before, velocity) = (network.parameters().unwrap(), network.velocity().unwrap());
    network.train_batch(&pixels, &labels, None).unwrap();
    network.update(&rule).unwrap();
    let (after, later) = (network.parameters().unwrap(), network.velocity().unwrap());
    for number in 0..before.len() {
        let moved = before.get(number) != after.get(number) || velocity.get(number) != later.get(number);
        assert_eq!(moved, number > 1, "parameter {number}");
    }
}

/// What a rule freezes gets no gradient, and what lies above it the same bits as ever; what moves must have one.
#[test]
fn frozen_layers_need_no_gradient() {
    let net = Net::original(2, 10).narrowed(16, 32).with_input(72);
    let (pixels, labels) = batch(&net, 2, 0);
    let gradients = |network: &mut Network<CpuBackend>| {
        network.train_batch(&pixels, &labels, None).unwrap();
        network.gradients().unwrap()
    };
    let mut network = Network::new(CpuBackend::new(1, 2).unwrap(), &net, 2).unwrap();
    network.set_parameters(&Parameters::initial(&net, 3).unwrap()).unwrap();
    let whole = gradients(&mut network);
    let rule = |frozen: &[usize]| {
        let mut rule = UpdateRule::paper(1e-3, 2, whole.len());
        frozen.iter().for_each(|&layer| rule.rates[2 * layer].rate = 0.0);
        rule
    };
    let waiting = network.freeze_by(&rule(&[0])).unwrap_err().to_string();
    assert!(waiting.contains("between a batch and its update"), "{waiting}");
    for frozen in [&[0][..], &[0, 1, 2], &[3], &[0, 7], &[0, 1, 2, 3, 4, 5, 6, 7], &[]] {
        network.update(&UpdateRule::paper(0.0, 2, whole.len())).unwrap();
        network.freeze_by(&rule(frozen)).unwrap();
        let some = gradients(&mut network);
        for number in 0..whole.len() {
            let nothing = some.get(number).iter().all(|g| *g == 0.0);
            let still = frozen.contains(&(number / 2));
            assert_eq!(nothing, still, "{frozen:?}, parameter {number}");
            assert!(still || some.get(number) == whole.get(number), "{frozen:?}, parameter {number}");
        }
        if !frozen.is_empty() {
            let moving = network.update(&rule(&[])).unwrap_err().to_string();
            assert!(moving.contains("was frozen when the batch was trained on"), "{moving}");
        }
    }
}

/// What cannot be trained on is said, not panicked on.
#[test]
fn wrong_batches_are_named() {
    let net = Net::paper(2, 10).narrowed(8, 64).with_input(96);
    let mut network = Network::new(CpuBackend::new(1, 1).unwrap(), &net, 2).unwrap();
    let (pixels, labels) = batch(&net, 3, 0);
    let mut fails = |pixels: &[f32], labels: &[u32], what: &str| {
        let message = network.train_batch(pixels, labels, None).unwrap_err().to_string();
        assert!(message.contains(what), "{message}");
    };
    fails(&pixels, &labels, "3 samples, but the network was made for 1 to 2");
    fails(&pixels[1..], &labels[..2], "pixel values for 2 samples of [3, 96, 96]");
    fails(&pixels[..2 * 3 * 96 * 96], &[1, 10], "sample 1 has label 10, the net has 10 classes");
    let rule = UpdateRule::paper(0.1, 2, 3);
    assert!(network.update(&rule).unwrap_err().to_string().contains("3 rates for 16 parameters"));
    assert!(
        Network::new(CpuBackend::new(3, 1).unwrap(), &net, 2)
            .err()
            .unwrap()
            .to_string()
            .contains("3 devices")
    );
}
