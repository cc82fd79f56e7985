//! What must hold of AlexNet at full size, whoever computes it.

use alexnet_cpu::CpuBackend;
use alexnet_net::{DropoutKey, Net, Network, Parameters};

fn network(net: &Net, parameters: &Parameters, batch: usize) -> Network<CpuBackend> {
    let mut network = Network::new(CpuBackend::new(1, 2).unwrap(), net, batch).unwrap();
    network.set_parameters(parameters).unwrap();
    network
}

/// Pixels about 0 with the spread of photos (some 70 grey levels), the same over patches of four by four, as photos are.
fn photos(net: &Net, n: usize) -> Vec<f32> {
    let [channels, height, width] = net.input;
    let pixel = |i: usize| {
        let (x, y, plane) = (i % width / 4, i / width % height / 4, i / (width * height));
        let hash = (x + 1009 * (y + 1013 * plane)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        ((hash % 241) as f32 - 120.0) / net.unit as f32
    };
    (0..n * channels * height * width).map(pixel).collect()
}

/// An untrained net of 1000 classes knows no more than a guess: its first loss is near ln 1000 = 6.91, and above it by half
/// the variance of its first logits. Krizhevsky's net of 2014 began at 7.16. (`modern` draws its weights by fan-in, which
/// max pooling lets grow from layer to layer: it begins higher, which is what its warm-up is for.)
#[test]
fn the_first_loss_is_that_of_a_guess() {
    for name in ["paper", "original", "one-column", "conv6"] {
        let net = Net::preset(name, Net::usual_columns(name), 1000).unwrap();
        let mut network = network(&net, &Parameters::initial(&net, 2012).unwrap(), 4);
        let key = DropoutKey { seed: 1, epoch: 0, first_position: 0 };
        network.train_batch(&photos(&net, 4), &[1, 999, 500, 0], Some(key)).unwrap();
        let loss = network.score().unwrap().loss_sum / 4.0;
        let guess = 1000f64.ln();
        assert!((loss - guess).abs() < 0.5, "{name} begins at {loss}, a guess is {guess}");
    }
}

/// Halving at test what dropout halved in training, as the paper does, is the same net as halved weights behind dropout
/// that doubles in training, as everyone does since; and neither is the same as forgetting it.
#[test]
fn the_two_conventions_of_dropout_agree_at_test() {
    let net = Net::paper(2, 10).narrowed(8, 64).with_input(96);
    let scaled = Net { dropout: Net::modern(2, 10).dropout, ..net.clone() };
    assert_ne!(net.dropout, scaled.dropout);
    let whole = Parameters::initial(&net, 3).unwrap();
    let mut halved = whole.clone();
    for (number, parameter) in net.parameters().unwrap().iter().enumerate() {
        if ["fc7.weight", "fc8.weight"].contains(&parameter.name.as_str()) {
            halved.get_mut(number).iter_mut().for_each(|w| *w *= 0.5);
        }
    }
    let pixels = photos(&net, 3);
    let probabilities = |net, parameters| network(net, parameters, 3).probabilities(&pixels).unwrap();
    let papers = probabilities(&net, &whole);
    let apart = |other: &[f32]| papers.iter().zip(other).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
    assert_eq!(apart(&probabilities(&scaled, &halved)), 0.0, "factors of two round nothing");
    assert!(apart(&probabilities(&scaled, &whole)) > 1e-4);
}
