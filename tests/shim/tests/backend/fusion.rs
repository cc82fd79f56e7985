//! Fused operations leave the bits of the separate ones: every preset and ablation, in both types, on one device and on two,
//! each layer's output among them.

use crate::{cache, driver, runs::BATCH};
use alexnet_cuda::{Convolutions, CudaBackend, Precision};
use alexnet_net::{Ablation, Activation, DropoutKey, Net, Network, Parameters, UpdateRule};
use alexnet_rng::{Purpose, Stream};

const SIDE: usize = 63; // first maps of 14, which windows clip

fn nets() -> Vec<Net> {
    let small = |name: &str| {
        let net = Net::preset(name, Net::usual_columns(name), 10).expect("a preset");
        if name == "cifar" { net } else { net.narrowed(8, 64).with_input(SIDE) }
    };
    let mut nets: Vec<Net> = Net::presets().map(small).collect();
    // Pooling that does not overlap leaves less.
    let wide = |net: Net, ablation| if ablation == Ablation::Overlap { net.with_input(99) } else { net };
    nets.extend(Ablation::ALL.map(|ablation| wide(small("paper").without(ablation), ablation)));
    nets.push(small("original").without(Ablation::Normalisation));
    nets.push(small("original").without(Ablation::Overlap).with_input(99));
    nets.push(small("paper").with_activation(Activation::Tanh));
    nets.push(small("paper").without_layer("conv4").expect("a layer"));
    nets
}

/// What two steps leave: scores, every layer's output, parameters; and the kernels that ran.
struct Left {
    bits: Vec<Vec<u32>>,
    kernels: Vec<&'static str>,
}

fn run(net: &Net, devices: usize, precision: Precision, convolutions: Convolutions, fuses: bool) -> Left {
    let ordinals: Vec<usize> = (0..devices).collect();
    let open = CudaBackend::new(&ordinals, &cache()).expect("devices").with_precision(precision);
    let backend = open.with_convolutions(convolutions).expect("cuDNN's stand-in").with_fusion(fuses);
    let mut network = Network::new(backend, net, BATCH).expect("a net");
    network.set_parameters(&Parameters::initial(net, 2012).expect("parameters")).expect("an upload");
    network.set_label_smoothing(if devices == 1 { 0.1 } else { 0.0 });
    network.backend_mut().start_profile();
    let rule = UpdateRule::paper(1e-4, BATCH, network.parameter_table().len());
    let mut pixels = vec![0.0; BATCH * net.input_shape().len()];
    let mut bits = Vec::new();
    let mut keep = |values: &[f32]| bits.push(values.iter().map(|x| x.to_bits()).collect());
    for step in 0..2 {
        Stream::new(5, 0, step, Purpose::Sample).fill_normal(60.0, &mut pixels);
        let key = DropoutKey { seed: 9, epoch: 1, first_position: step * BATCH as u64 };
        network.train_batch(&pixels, &[3, 0, 9, 1], Some(key)).expect("a step");
        let score = network.score().expect("a score");
        keep(&[score.loss_sum as f32, score.top1 as f32, score.top5 as f32]);
        for layer in 0..net.layers.len() {
            keep(&network.activation(layer).expect("a download"));
        }
        assert_eq!(network.first_not_finite().expect("a download"), None);
        network.update(&rule).expect("an update");
    }
    let kernels = network.backend_mut().profile().expect("times").iter().map(|t| t.kernel).collect();
    keep(&network.probabilities(&pixels).expect("probabilities"));
    network.parameters().expect("a download").iter().for_each(keep);
    Left { bits, kernels }
}

#[test]
fn fused_operations_leave_the_bits_of_separate_ones() {
    let Some((driver, _turn)) = driver() else { return };
    let mut kernels = std::collections::HashSet::new();
    for net in nets() {
        for devices in 1..=net.columns {
            for precision in [Precision::F32, Precision::Bf16] {
                driver.seed(devices as u64);
                let what = format!("{}, {precision}, {devices} devices", net.preset);
                let [ours, separate] =
                    [true, false].map(|fuses| run(&net, devices, precision, Convolutions::Own, fuses));
                for (i, (ours, separate)) in ours.bits.iter().zip(&separate.bits).enumerate() {
                    assert!(ours == separate, "{what}: tensor {i}");
                }
                assert!(ours.kernels.len() < separate.kernels.len(), "{what}: nothing is fused");
                kernels.extend(ours.kernels);
            }
        }
    }
    for kernel in ["response_pool_forward", "response_pool_backward", "softmax_both"] {
        assert!(kernels.contains(kernel), "{kernel}");
        assert!(kernels.contains(format!("{kernel}_bf16").as_str()), "{kernel} in bfloat16");
    }
}

/// What cuDNN computes is masked by a kernel of its own.
#[test]
fn what_a_library_computes_is_masked_too() {
    let Some((driver, _turn)) = driver() else { return };
    driver.seed(1);
    let net = Net::preset("original", 2, 10).expect("a preset").narrowed(6, 64).with_input(SIDE);
    let [ours, separate] =
        [true, false].map(|fuses| run(&net, 1, Precision::Bf16, Convolutions::Library, fuses));
    assert!(ours.bits == separate.bits);
    assert!(ours.kernels.contains(&"relu_backward_bf16") && ours.kernels.contains(&"cuDNN"));
}

/// AlexNet in bfloat16 by our own kernels: no pass of its own is left for normalisation below pooling, for a rectifier of maps
/// either way, for a score.
#[test]
fn nothing_is_left_that_could_be_fused() {
    let Some((driver, _turn)) = driver() else { return };
    driver.seed(0);
    for (name, left) in [("paper", vec![]), ("original", vec!["lrn_forward_bf16", "lrn_backward_bf16"])] {
        // Wide enough for whole vectors in every column.
        let net = Net::preset(name, 2, 10).expect("a preset").narrowed(2, 64).with_input(SIDE);
        let [ours, separate] =
            [true, false].map(|fuses| run(&net, 1, Precision::Bf16, Convolutions::Own, fuses));
        assert!(ours.bits == separate.bits, "{name}");
        let kernels = ours.kernels;
        let count = |kernel: &str| kernels.iter().filter(|k| k.starts_with(kernel)).count();
        for kernel in ["lrn_forward_bf16", "lrn_backward_bf16"] {
            // `original` normalises once more, without pooling; its first layer is shown, which nobody wrote.
            let shown =
                if kernel == "lrn_forward_bf16" { 2 * if name == "paper" { 2 } else { 1 } } else { 0 };
            let expected = if left.contains(&kernel) { 2 } else { 0 };
            // first_not_finite looks at them as well.
            assert_eq!(count(kernel), expected + 2 * shown, "{kernel} in {name}");
        }
        assert_eq!(count("relu_forward"), 0, "{name}");
        assert_eq!(count("relu_backward"), 2 * 2, "{name}: behind fc6 and fc7, whose dropout stands between");
        assert_eq!(count("softmax_score") + count("softmax_gradient"), 0, "{name}");
    }
}
