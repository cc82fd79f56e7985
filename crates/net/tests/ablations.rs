//! The other presets and the paper's claims taken away, against counts made by hand.

use alexnet_net::{Ablation, Activation, Layer, Net};

fn counts(net: &Net) -> (usize, usize) {
    let summary = net.summary().unwrap();
    (summary.parameters, summary.macs)
}

fn pools(net: &Net) -> Vec<usize> {
    let layers = net.summary().unwrap().layers;
    layers.iter().filter(|l| l.name.ends_with("pool")).map(|l| l.output.height).collect()
}

fn crossing(net: &Net) -> Vec<String> {
    net.summary().unwrap().layers.iter().filter(|l| l.crosses).map(|l| l.name.clone()).collect()
}

#[test]
fn presets_have_the_counts_of_their_sources() {
    let parameters = |name: &str| counts(&Net::preset(name, Net::usual_columns(name), 1000).unwrap()).0;
    assert_eq!(parameters("one-column"), 59_798_312);
    assert_eq!(parameters("conv6"), parameters("original") + 590_080);
    assert_eq!(parameters("modern"), 62_378_344);
    assert_eq!(crossing(&Net::conv6(2, 1000)), ["conv3", "conv6", "fc6", "fc7", "fc8"]);
    // 32·75+32, 32·800+32, 64·800+64, 10·1024+10.
    assert_eq!(counts(&Net::cifar(10)).0, 2432 + 25_632 + 51_264 + 10_250);
    assert_eq!(pools(&Net::cifar(10)), [16, 8, 4]);
    assert!(Net::preset("one-column", 2, 10).unwrap_err().to_string().contains("it has 1 column, not 2"));
    for name in Net::presets() {
        let net = Net::preset(name, Net::usual_columns(name), 1000).unwrap();
        assert_eq!(net.preset, name);
        assert_eq!(Net::from_json(&net.to_json()).unwrap(), net);
    }
}

/// √(2 / fan-in), so a signal behind a rectifier keeps its mean square.
#[test]
fn modern_weights_keep_the_size_of_a_signal() {
    let net = Net::modern(1, 1000);
    let parameters = net.parameters().unwrap();
    let sigma = |name: &str| parameters.iter().find(|p| p.name == name).unwrap().sigma;
    assert!((sigma("conv1.weight") - (2.0f64 / 363.0).sqrt()).abs() < 1e-12);
    assert!((sigma("fc6.weight") - (2.0f64 / 9216.0).sqrt()).abs() < 1e-12);
    assert_eq!(sigma("fc8.weight"), 0.01);
    assert!(parameters.iter().all(|p| p.mean == 0.0));
}

#[test]
fn normalisation_goes_whole() {
    for net in [Net::paper(2, 1000), Net::original(2, 1000)] {
        let bare = net.clone().without(Ablation::Normalisation);
        assert_eq!(counts(&bare), counts(&net));
        assert!(!bare.layers.iter().any(|l| matches!(l, Layer::LocalResponse(_) | Layer::WithinMap(_))));
        assert_eq!(bare.preset, format!("{} without normalisation", net.preset));
    }
}

/// 55 → 28 → (26) 13 → (11) 6: the dense layers see what they saw.
#[test]
fn pooling_without_overlap_keeps_the_dense_layers() {
    let net = Net::original(2, 1000).without(Ablation::Overlap);
    assert_eq!(pools(&net), [28, 13, 6]);
    assert_eq!(counts(&net).0, 60_965_224);
    assert_eq!(pools(&Net::cifar(10).without(Ablation::Overlap)), [16, 8, 4]);
}

#[test]
fn columns_that_never_meet_halve_the_crossing_layers() {
    let net = Net::original(2, 1000).without(Ablation::Crossing);
    assert_eq!(crossing(&net), ["fc8"]);
    let halved = (884_736 + 37_748_736 + 16_777_216) / 2;
    assert_eq!(counts(&net).0, 60_965_224 - halved);
}

#[test]
fn a_middle_layer_hands_its_crossing_on() {
    let full = Net::original(2, 1000);
    let without3 = full.clone().without_layer("conv3").unwrap();
    assert_eq!(crossing(&without3), ["conv4", "fc6", "fc7", "fc8"]);
    // conv4 sees the 256 maps of conv2, not 192 of conv3.
    assert_eq!(counts(&without3).0, 60_965_224 - 885_120 - 663_552 + 384 * 256 * 9);
    let without4 = full.clone().without_layer("conv4").unwrap();
    assert_eq!(counts(&without4).0, 60_965_224 - 663_936);
    let without5 = full.clone().without_layer("conv5").unwrap();
    assert_eq!(pools(&without5), [27, 13, 6]);
    let without7 = full.clone().without_layer("fc7").unwrap();
    assert_eq!(counts(&without7).0, 60_965_224 - 16_781_312);
    assert_eq!(without7.layers.iter().filter(|l| matches!(l, Layer::Dropout { .. })).count(), 1);
    for (name, problem) in [("conv9", "no layer conv9"), ("conv1", "cannot"), ("fc8", "cannot")] {
        let message = full.clone().without_layer(name).unwrap_err().to_string();
        assert!(message.contains(problem), "{message}");
    }
}

#[test]
fn the_rest_change_no_shape() {
    let net = Net::original(2, 1000);
    let bare = net.clone().without(Ablation::Dropout).without(Ablation::Biases);
    assert_eq!(bare.preset, "original without dropout without biases");
    assert_eq!(counts(&bare), counts(&net));
    assert!(bare.parameters().unwrap().iter().all(|p| p.mean == 0.0));
    let tanh = net.with_activation(Activation::Tanh);
    let count = |f: fn(&Layer) -> bool| tanh.layers.iter().filter(|l| f(l)).count();
    assert_eq!((count(|l| *l == Layer::Tanh), count(|l| *l == Layer::Rectifier)), (7, 0));
    for ablation in Ablation::ALL {
        assert_eq!(ablation.as_str().parse(), Ok(ablation));
    }
}
