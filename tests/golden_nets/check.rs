//! One narrow net of the golden files on any backend: activations, gradients, losses, parameters, logits.

use alexnet_net::{Backend, Layer, Net, Network, Parameters, UpdateRule};

use crate::golden::{Golden, assert_close};

/// The nets of tests/golden: widths ÷ 8, fc6 and fc7 of 64 units, 10 classes.
fn narrow(preset: &str, columns: usize) -> (Net, Golden) {
    let net = Net::preset(preset, columns, 10).unwrap().narrowed(8, 64);
    (net, Golden::open(&format!("net-{preset}-{columns}col.safetensors")))
}

fn parameters(net: &Net, golden: &Golden, prefix: &str) -> Parameters {
    let table = net.parameters().unwrap();
    let values = table.iter().map(|p| golden.floats(&format!("{prefix}.{}", p.name))).collect();
    Parameters::new(net, values).unwrap()
}

/// ‖ours − theirs‖ ≤ 1e-4 · ‖theirs‖ for each parameter.
fn assert_near(what: &str, net: &Net, ours: &Parameters, scale: f32, theirs: &Parameters) {
    for ((ours, theirs), parameter) in ours.iter().zip(theirs.iter()).zip(net.parameters().unwrap()) {
        let norm =
            |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let difference = norm(&mut ours.iter().zip(theirs).map(|(a, b)| a * scale - b));
        let whole = norm(&mut theirs.iter().copied());
        assert!(difference <= 1e-4 * whole, "{what} {}: {difference:e} of {whole:e}", parameter.name);
    }
}

/// The last row of the table that works on the output of `name`, up to but without the next pooling or parameters.
fn after(net: &Net, name: &str, pooled: bool) -> usize {
    let start = net.layers.iter().position(|l| l.name() == Some(name)).unwrap();
    if !pooled {
        return start;
    }
    let next = net.layers[start + 1..].iter().position(|l| l.name().is_some()).unwrap();
    start + next
}

/// Holds a backend to every number of a file.
pub fn run<B: Backend>(backend: B, preset: &str, columns: usize) {
    let what = format!("{preset} {columns} columns on {}", backend.devices());
    let (net, golden) = narrow(preset, columns);
    let mut network = Network::new(backend, &net, 4).unwrap();
    let first = parameters(&net, &golden, "param");
    network.set_parameters(&first).unwrap();
    assert_eq!(network.parameters().unwrap(), first);
    let (pixels, labels) = (golden.floats("input"), golden.labels("label"));
    let n = labels.len();

    network.evaluate(&pixels, &labels).unwrap();
    assert_close(&format!("{what} logits.test"), &network.logits().unwrap(), &golden.floats("logits.test"));

    let rule = UpdateRule::paper(3e-5, n, net.parameters().unwrap().len());
    let losses = golden.floats("losses");
    for (step, theirs) in losses.iter().enumerate() {
        network.train_batch(&pixels, &labels, None).unwrap();
        let ours = network.score().unwrap().loss_sum / n as f64;
        let off = (ours / f64::from(*theirs) - 1.0).abs();
        assert!(off <= 1e-5, "{what} loss {step}: {ours} against {theirs}");
        if step == 0 {
            activations(&mut network, &net, &golden, &what);
            let gradients = network.gradients().unwrap();
            assert_near(
                &format!("{what} grad"),
                &net,
                &gradients,
                1.0 / n as f32,
                &parameters(&net, &golden, "grad"),
            );
        }
        network.update(&rule).unwrap();
    }
    let after3 = parameters(&net, &golden, "after3");
    assert_near(&format!("{what} after3"), &net, &network.parameters().unwrap(), 1.0, &after3);
}

fn activations<B: Backend>(network: &mut Network<B>, net: &Net, golden: &Golden, what: &str) {
    let rectified_after = |layer: usize| matches!(net.layers.get(layer + 1), Some(Layer::Rectifier));
    for (tensor, name, pooled) in [
        ("conv1", "conv1", false),
        ("stage1", "conv1", true),
        ("conv2", "conv2", false),
        ("stage2", "conv2", true),
        ("conv3", "conv3", true),
        ("conv4", "conv4", true),
        ("stage5", "conv5", true),
        ("fc6", "fc6", true),
        ("fc7", "fc7", true),
        ("fc8", "fc8", false),
    ] {
        let layer = after(net, name, pooled);
        let ours = network.activation(layer).unwrap();
        let mut theirs = golden.floats(&format!("act.{tensor}"));
        // The file has conv1 and conv2 before their rectifier, which we fuse.
        if !pooled && rectified_after(layer) {
            theirs.iter_mut().for_each(|x| *x = x.max(0.0));
        }
        assert_close(&format!("{what} act.{tensor}"), &ours, &theirs);
    }
}
