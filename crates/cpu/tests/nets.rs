//! Every preset and ablation as a whole net: the CPU's gradients against the oracle's, dropout and smoothing included,
//! on one device and on as many as there are columns.

use alexnet_cpu::CpuBackend;
use alexnet_net::oracle::Oracle;
use alexnet_net::{Ablation, Activation, Backend, DropoutKey, Net, Network, Parameters, SCORES};

/// Loss and gradients of one batch of three.
fn gradients<B: Backend>(net: &Net, backend: B) -> (f64, Parameters) {
    let mut network = Network::new(backend, net, 3).unwrap();
    network.set_parameters(&Parameters::initial(net, 7).unwrap()).unwrap();
    network.set_label_smoothing(0.1);
    let pixels = (0..3 * net.input_shape().len()).map(|i| (i * 7919 % 251) as f32 - 125.0);
    let pixels: Vec<f32> = pixels.map(|x| x / net.unit as f32).collect();
    let key = DropoutKey { seed: 1, epoch: 0, first_position: 5 };
    network.train_batch(&pixels, &[0, 3, 9], Some(key)).unwrap();
    (network.score().unwrap().loss_sum, network.gradients().unwrap())
}

fn agree(net: &Net) {
    let (loss, ours) = gradients(net, CpuBackend::new(1, 2).unwrap());
    for devices in 1..=net.columns {
        let (their_loss, theirs) = gradients(net, Oracle::new(devices));
        let name = format!("{} on {devices}", net.preset);
        assert!((loss / their_loss - 1.0).abs() < 1e-4, "{name}: {loss} against {their_loss}");
        // Each parameter by itself: in one norm for all, the last layer's would hide the others'.
        for (parameter, (ours, theirs)) in
            net.parameters().unwrap().iter().zip(ours.iter().zip(theirs.iter()))
        {
            let norm = |values: &mut dyn Iterator<Item = f32>| {
                values.map(|x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
            };
            let difference = norm(&mut ours.iter().zip(theirs).map(|(a, b)| a - b));
            let whole = norm(&mut theirs.iter().copied());
            let what = format!("{name}, {}: {difference:e} of {whole:e}", parameter.name);
            assert!(whole > 0.0 && difference < 1e-3 * whole, "{what}");
        }
    }
}

fn small(name: &str) -> Net {
    let net = Net::preset(name, Net::usual_columns(name), 10).unwrap();
    if name == "cifar" { net } else { net.narrowed(16, 32).with_input(72) }
}

#[test]
fn presets() {
    for name in Net::presets() {
        agree(&small(name));
    }
}

#[test]
fn ablations() {
    for ablation in Ablation::ALL {
        agree(&small("original").without(ablation));
    }
    for layer in ["conv3", "conv4", "fc7"] {
        agree(&small("original").without_layer(layer).unwrap());
    }
    // Dropout that scales in training stands behind a tanh here.
    for name in ["original", "modern", "cifar"] {
        // At pixels of the usual size the first tanh is saturated, and 1 − y² all rounding.
        agree(&Net { unit: 125.0, ..small(name).with_activation(Activation::Tanh) });
    }
}

/// Scores read together, after several batches, are those of the batches one by one; only the newest are kept.
#[test]
fn scores_wait_until_they_are_asked_for() {
    let net = small("paper");
    let network = || {
        let mut network = Network::new(CpuBackend::new(1, 2).unwrap(), &net, 2).unwrap();
        network.set_parameters(&Parameters::initial(&net, 7).unwrap()).unwrap();
        network
    };
    let batch = |step: usize| {
        let pixels = (0..2 * net.input_shape().len()).map(|i| ((i + step) * 7919 % 251) as f32 - 125.0);
        (pixels.collect::<Vec<f32>>(), [step as u32 % 10, (step as u32 + 1) % 10])
    };
    let train = |network: &mut Network<CpuBackend>, step| {
        let (pixels, labels) = batch(step);
        network.train_batch(&pixels, &labels, None).unwrap();
    };
    let mut one_by_one = network();
    let each = |network: &mut Network<CpuBackend>, step| {
        train(network, step);
        network.score().unwrap()
    };
    let expected: Vec<_> = (0..SCORES + 3).map(|step| each(&mut one_by_one, step)).collect();
    let mut together = network();
    (0..3).for_each(|step| train(&mut together, step));
    assert_eq!(together.scores().unwrap(), expected[..3]);
    assert!(together.scores().unwrap().is_empty(), "they were read");
    let (pixels, labels) = batch(0);
    assert_eq!(together.evaluate(&pixels, &labels).unwrap().n, 2);
    assert!(together.scores().unwrap().is_empty(), "an evaluation has given its own");
    together.train_batch(&[], &[], None).unwrap();
    assert_eq!(together.scores().unwrap(), [Default::default()], "an empty batch scores nothing");
    (0..SCORES + 3).for_each(|step| train(&mut together, step));
    assert_eq!(together.scores().unwrap(), expected[3..]);
}
