//! Fused operations leave the bits of the separate ones: every preset and ablation, each layer's output among them.

use alexnet_cpu::CpuBackend;
use alexnet_net::{Ablation, Activation, DropoutKey, Net, Network, Parameters, UpdateRule};

fn small(name: &str) -> Net {
    let net = Net::preset(name, Net::usual_columns(name), 10).unwrap();
    // First maps of 14, which windows clip.
    if name == "cifar" { net } else { net.narrowed(8, 64).with_input(63) }
}

fn nets() -> Vec<Net> {
    let mut nets: Vec<Net> = Net::presets().map(small).collect();
    for name in ["paper", "original"] {
        // Pooling that does not overlap leaves less.
        nets.extend(Ablation::ALL.map(|ablation| small(name).without(ablation).with_input(99)));
    }
    nets.push(small("paper").with_activation(Activation::Tanh));
    nets.push(small("paper").without_layer("conv4").unwrap());
    nets
}

/// Scores, every layer's output, gradients and parameters of two steps, and what a step was made of.
fn left(net: &Net, devices: usize, fuses: bool) -> (Vec<Vec<u32>>, Vec<String>) {
    let backend = CpuBackend::new(devices, 2).unwrap().with_fusion(fuses);
    let mut network = Network::new(backend, net, 4).unwrap();
    network.set_parameters(&Parameters::initial(net, 2012).unwrap()).unwrap();
    network.set_label_smoothing(if devices == 1 { 0.1 } else { 0.0 });
    network.set_timing(true);
    let rule = UpdateRule::paper(1e-4, 4, network.parameter_table().len());
    let mut bits = Vec::new();
    let mut keep = |values: &[f32]| bits.push(values.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
    for step in 0..2 {
        let pixels = (0..4 * net.input_shape().len()).map(|i| ((i + step) * 7919 % 251) as f32 - 125.0);
        let pixels: Vec<f32> = pixels.collect();
        let key = DropoutKey { seed: 9, epoch: 1, first_position: 4 * step as u64 };
        network.train_batch(&pixels, &[3, 0, 9, 1], Some(key)).unwrap();
        let score = network.score().unwrap();
        assert!(score.loss_sum.is_finite(), "{}", net.preset);
        keep(&[score.loss_sum as f32, score.top1 as f32, score.top5 as f32]);
        (0..net.layers.len()).for_each(|layer| keep(&network.activation(layer).unwrap()));
        network.gradients().unwrap().iter().for_each(&mut keep);
        network.update(&rule).unwrap();
        keep(&network.probabilities(&pixels).unwrap());
    }
    network.parameters().unwrap().iter().for_each(keep);
    (bits, network.timings().iter().map(|timing| timing.name.clone()).collect())
}

#[test]
fn leaves_the_same_bits() {
    let mut fused_once = false;
    for net in nets() {
        for devices in 1..=net.columns.min(2) {
            let ((fused, made_of), (separate, _)) = (left(&net, devices, true), left(&net, devices, false));
            assert!(fused == separate, "{} on {devices} devices", net.preset);
            fused_once |= made_of.iter().any(|name| name.contains(" + "));
        }
    }
    assert!(fused_once, "nothing was ever fused");
}

/// An update within the backward pass leaves the bits of one after it, whatever stands still.
#[test]
fn updates_the_same_bits() {
    let nets = [
        small("paper"),
        small("one-column"),
        small("original").without(Ablation::Crossing).with_input(99),
        // Wider than a tile, and columns of 75 units.
        Net::paper(1, 10).narrowed(2, 150).with_input(127),
        Net::paper(2, 10).narrowed(8, 150).with_input(99).without(Ablation::Crossing),
    ];
    for net in nets {
        for devices in 1..=net.columns.min(2) {
            let run = |ahead: bool| {
                let mut network = Network::new(CpuBackend::new(devices, 2).unwrap(), &net, 4).unwrap();
                network.set_parameters(&Parameters::initial(&net, 2012).unwrap()).unwrap();
                network.set_timing(true);
                let mut rule = UpdateRule::paper(1e-3, 4, network.parameter_table().len());
                for step in 0..4 {
                    // fc6, fc7's bias, then all below fc8 stand still.
                    let fc6 = rule.rates.len() - 6;
                    [(fc6, 1), (fc6 + 3, 2)]
                        .iter()
                        .for_each(|&(i, at)| rule.rates[i].rate = 1e-3 * f64::from(step != at));
                    (0..fc6 + 4).for_each(|i| rule.rates[i].rate *= f64::from(step != 3));
                    network.freeze_by(&rule).unwrap();
                    let pixels =
                        (0..4 * net.input_shape().len()).map(|i| ((i + step) * 7919 % 251) as f32 - 125.0);
                    let pixels: Vec<f32> = pixels.collect();
                    let key = Some(DropoutKey { seed: 9, epoch: 1, first_position: 4 * step as u64 });
                    if ahead {
                        network.train_and_update(&pixels, &[3, 0, 9, 1], key, &rule).unwrap();
                    } else {
                        network.train_batch(&pixels, &[3, 0, 9, 1], key).unwrap();
                        network.update(&rule).unwrap();
                    }
                }
                let all = [network.parameters().unwrap(), network.velocity().unwrap()];
                all.map(|p| p.iter().flatten().map(|x| x.to_bits()).collect::<Vec<_>>())
            };
            assert!(run(true) == run(false), "{} on {devices} devices", net.preset);
        }
    }
}

/// A batch that waits for its update is added to as ever, and a batch that does not fit leaves nothing behind.
#[test]
fn an_update_ahead_is_for_one_batch() {
    let net = small("paper");
    let rule = UpdateRule::paper(1e-3, 8, 2 * 8);
    let pixels = |step: usize| -> Vec<f32> {
        (0..4 * net.input_shape().len()).map(|i| ((i + step) * 7919 % 251) as f32 - 125.0).collect()
    };
    let run = |ahead: bool| {
        let mut network = Network::new(CpuBackend::new(1, 2).unwrap(), &net, 4).unwrap();
        network.set_parameters(&Parameters::initial(&net, 2012).unwrap()).unwrap();
        if ahead {
            assert!(network.train_and_update(&pixels(0), &[3, 0, 9, 10], None, &rule).is_err());
        }
        network.train_batch(&pixels(1), &[3, 0, 9, 1], None).unwrap();
        assert!(network.gradients().unwrap().iter().all(|g| g.iter().any(|x| *x != 0.0)));
        if ahead {
            network.train_and_update(&pixels(2), &[3, 0, 9, 1], None, &rule).unwrap();
        } else {
            network.train_batch(&pixels(2), &[3, 0, 9, 1], None).unwrap();
            network.update(&rule).unwrap();
        }
        network.parameters().unwrap()
    };
    let (ahead, after) = (run(true), run(false));
    assert!(ahead.iter().flatten().eq(after.iter().flatten()));
}
