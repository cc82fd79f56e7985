//! The bytes that columns exchange, counted and by formula.

use alexnet_net::oracle::Oracle;
use alexnet_net::{Net, Network, Parameters, UpdateRule};

/// The formula of the paper's scheme: per device and sample 4·2·(N − 1)/N · 60,672 bytes, where 60,672 = pool2 +
/// pool5 + fc6 + fc7; the logits' gather, one way, is extra.
#[test]
fn full_width_plan_is_the_formula() {
    for net in [Net::paper(4, 1000), Net::original(4, 1000)] {
        for devices in [2u64, 4] {
            let sites = net.exchanges(devices as usize).unwrap();
            let readers: Vec<_> = sites.iter().map(|site| site.reader.as_str()).collect();
            assert_eq!(readers, ["conv3", "fc6", "fc7", "fc8", "softmax"]);
            for device in 0..devices as usize {
                let bytes: u64 = sites[..4].iter().map(|site| site.bytes(device)).sum();
                assert_eq!(bytes, 4 * 2 * (devices - 1) * 60_672 / devices);
                assert_eq!(sites[4].bytes(device), 4 * 1000 / devices * (devices - 1));
            }
        }
    }
    // Batch 128: 31.1 MB a device with two, 46.6 MB with four.
    let megabytes = |devices| {
        let sites = Net::paper(devices, 1000).exchanges(devices).unwrap();
        sites[..4].iter().map(|site| 128.0 * site.bytes(0) as f64 / 1e6).sum::<f64>()
    };
    assert!((megabytes(2) - 31.1).abs() < 0.05, "{}", megabytes(2));
    assert!((megabytes(4) - 46.6).abs() < 0.05, "{}", megabytes(4));
    assert!(Net::paper(2, 1000).exchanges(1).unwrap().is_empty());
}

#[test]
fn a_step_sends_what_the_plan_says() {
    let net = Net::paper(4, 10).narrowed(8, 16).with_input(64);
    for devices in 1..=4 {
        let mut network = Network::new(Oracle::new(devices), &net, 2).unwrap();
        network.set_parameters(&Parameters::initial(&net, 1).unwrap()).unwrap();
        let pixels = vec![1.0; 2 * 3 * 64 * 64];
        network.train_batch(&pixels, &[1, 2], None).unwrap();
        network.update(&UpdateRule::paper(0.01, 2, network.parameter_table().len())).unwrap();
        let planned = |device| network.exchanges().iter().map(|site| site.bytes(device)).sum::<u64>();
        let planned = 2 * (0..devices).map(planned).sum::<u64>();
        assert_eq!(network.exchanged_bytes(), planned, "{devices} devices");
        assert_eq!(planned > 0, devices > 1);
    }
}
