//! What columns exchange on the CUDA backend.
use crate::{cache, driver, net};
use alexnet_cuda::CudaBackend;
use alexnet_net::{Backend, Exchange, Network, Parameters};

/// Exchanges without a pause: the next one, or a new value, must not overtake a copy that is still to come.
#[test]
fn exchanges_follow_each_other_at_once() {
    let Some((driver, _turn)) = driver() else { return };
    let (n, exchange) = (3usize, Exchange { parts: vec![5, 2, 4] });
    let count = exchange.parts.len();
    for number in 0..20 {
        driver.seed(number);
        let mut b = CudaBackend::new(&[0, 1, 2], &cache()).expect("devices");
        let value = |device: usize, i: usize| (100 * device + i) as f32;
        let mut floats = |len: &dyn Fn(usize) -> usize| {
            (0..count).map(|d| b.floats(d, n * len(d)).expect("memory")).collect::<Vec<_>>()
        };
        let (mut parts, mut whole, mut again) =
            (floats(&|d| exchange.parts[d]), floats(&|_| 11), floats(&|_| 11));
        let mut sums = floats(&|d| exchange.parts[d]);
        for (d, part) in parts.iter_mut().enumerate() {
            let values: Vec<f32> = (0..n * exchange.parts[d]).map(|i| value(d, i)).collect();
            b.upload(d, &values, part, 0).expect("an upload");
        }
        b.gather(&exchange, n, &parts, &mut whole).expect("a gather");
        for (d, part) in parts.iter_mut().enumerate() {
            b.scale(d, n * exchange.parts[d], 2.0, part).expect("a launch");
        }
        b.gather(&exchange, n, &parts, &mut again).expect("a gather");
        b.reduce(&exchange, n, &whole, &mut sums).expect("a sum");
        b.reduce(&exchange, n, &again, &mut parts).expect("a sum");
        for d in 0..count {
            for (buffers, factor) in [(&whole, 1.0), (&again, 2.0)] {
                let mut ours = vec![0.0; n * 11];
                b.download(d, &buffers[d], 0, &mut ours).expect("a download");
                let row = |sample: usize| {
                    let part = |owner: usize| {
                        let length = exchange.parts[owner];
                        (0..length).map(move |i| factor * value(owner, sample * length + i))
                    };
                    (0..count).flat_map(part).collect::<Vec<_>>()
                };
                assert_eq!(ours, (0..n).flat_map(row).collect::<Vec<_>>(), "device {d}, seed {number}");
            }
            for (buffers, factor) in [(&sums, 3.0), (&parts, 6.0)] {
                let mut ours = vec![0.0; n * exchange.parts[d]];
                b.download(d, &buffers[d], 0, &mut ours).expect("a download");
                let expected: Vec<f32> = (0..ours.len()).map(|i| factor * value(d, i)).collect();
                assert_eq!(ours, expected, "sums of device {d}, seed {number}");
            }
        }
    }
}

/// Bytes of a training step as the backend counted them, as the driver did, and by the formula: every value that all
/// columns read goes to D − 1 readers and comes back as D − 1 gradients; the logits go one way.
#[test]
fn bytes_of_a_step_are_those_of_the_formula() {
    let Some((driver, _turn)) = driver() else { return };
    let (side, batch) = (64usize, 3usize);
    for (preset, columns, devices) in
        [("paper", 2, 1), ("paper", 2, 2), ("original", 2, 2), ("paper", 4, 2), ("paper", 4, 4)]
    {
        let net = net(preset, columns, side);
        let ordinals: Vec<usize> = (0..devices).collect();
        let backend = CudaBackend::new(&ordinals, &cache()).expect("devices");
        let mut network = Network::new(backend, &net, batch).expect("a net");
        network.set_parameters(&Parameters::initial(&net, 1).expect("parameters")).expect("an upload");
        let before = driver.peer_bytes();
        network.train_batch(&vec![1.0; batch * 3 * side * side], &[0, 1, 2], None).expect("a step");
        network.score().expect("a score");
        for _ in 0..2 {
            // Not training, so not counted.
            network.evaluate(&vec![1.0; 3 * side * side], &[4]).expect("an evaluation");
        }
        let summary = net.summary().expect("sizes");
        let outputs = |name: &str| {
            let named = summary.layers.iter().filter(|layer| layer.name == name);
            named.map(|l| l.output.channels * l.output.height * l.output.width).collect::<Vec<_>>()
        };
        let pools = outputs("max pool");
        let crossed = pools[1] + pools[2] + outputs("fc6")[0] + outputs("fc7")[0];
        let others = devices - 1;
        let formula = 8 * others * crossed * batch + 4 * others * net.classes * batch;
        let what = format!("{preset}, {columns} columns on {devices}");
        assert_eq!(network.traffic().bytes, formula as u64, "{what}");
        assert_eq!(network.traffic().samples, batch as u64, "{what}");
        let evaluated = 2 * (4 * others * (crossed + net.classes));
        assert_eq!(driver.peer_bytes() - before, (formula + evaluated) as u64, "{what}");
    }
}
