//! The presets against the numbers of the paper, and tables that make no sense.

use alexnet_net::{Error, Layer, Net, Parameters, Placement};

#[test]
fn two_columns_have_the_papers_numbers() {
    for net in [Net::paper(2, 1000), Net::original(2, 1000)] {
        let summary = net.summary().unwrap();
        assert_eq!(summary.parameters, 60_965_224);
        assert_eq!(summary.macs, 724_406_816);
        assert_eq!(summary.neurons, 659_272);
        let rows = |name: &str| summary.layers.iter().find(|l| l.name == name).unwrap().clone();
        let counts = [
            ("conv1", 34_848, 96, 105_415_200),
            ("conv2", 307_200, 256, 223_948_800),
            ("conv3", 884_736, 384, 149_520_384),
            ("conv4", 663_552, 384, 112_140_288),
            ("conv5", 442_368, 256, 74_760_192),
            ("fc6", 37_748_736, 4096, 37_748_736),
            ("fc7", 16_777_216, 4096, 16_777_216),
            ("fc8", 4_096_000, 1000, 4_096_000),
        ];
        for (name, weights, biases, macs) in counts {
            let row = rows(name);
            assert_eq!((row.weights, row.biases, row.macs), (weights, biases, macs), "{name}");
        }
        let crossing: Vec<_> = summary.layers.iter().filter(|l| l.crosses).map(|l| l.name.as_str()).collect();
        assert_eq!(crossing, ["conv3", "fc6", "fc7", "fc8"]);
        let pools = summary.layers.iter().filter(|l| l.name == "max pool").map(|l| l.output.height);
        assert_eq!(pools.collect::<Vec<_>>(), [27, 13, 6]);
    }
}

/// Connectivity: the same layers read all columns however many there are; the others read their own, so their weights
/// shrink with the columns.
#[test]
fn columns_meet_in_the_same_layers() {
    for columns in [1, 2, 4, 8] {
        for net in [Net::paper(columns, 1000), Net::original(columns, 1000)] {
            let summary = net.summary().unwrap();
            let row = |name: &str| summary.layers.iter().find(|l| l.name == name).unwrap();
            for (name, weights, crosses) in [
                ("conv1", 96 * 3 * 121, false),
                ("conv2", 256 * 96 * 25 / columns, false),
                ("conv3", 384 * 256 * 9, true),
                ("conv4", 384 * 384 * 9 / columns, false),
                ("conv5", 256 * 384 * 9 / columns, false),
                ("fc6", 4096 * 9216, true),
                ("fc7", 4096 * 4096, true),
                ("fc8", 1000 * 4096, true),
            ] {
                let found = (row(name).weights, row(name).crosses);
                assert_eq!(found, (weights, crosses && columns > 1), "{name} of {columns} columns");
            }
        }
    }
}

/// Section 1.2 of the project's notes counts these by hand.
#[test]
fn one_column_has_its_numbers() {
    let summary = Net::paper(1, 1000).summary().unwrap();
    assert_eq!(summary.parameters, 62_378_344);
    assert_eq!(summary.macs, 1_135_256_096);
}

#[test]
fn names_and_shapes_are_those_of_torch() {
    let parameters = Net::paper(2, 1000).parameters().unwrap();
    let shape = |name: &str| parameters.iter().find(|p| p.name == name).unwrap().shape.clone();
    assert_eq!(parameters[0].name, "conv1.weight");
    assert_eq!(parameters[15].name, "fc8.bias");
    assert_eq!(shape("conv1.weight"), [96, 3, 11, 11]);
    assert_eq!(shape("conv2.weight"), [256, 48, 5, 5]);
    assert_eq!(shape("conv3.weight"), [384, 256, 3, 3]);
    assert_eq!(shape("fc6.weight"), [4096, 9216]);
    assert_eq!(shape("fc8.bias"), [1000]);
}

#[test]
fn json_round_trip_and_fixed_form() {
    let net = Net::original(2, 10).narrowed(8, 64);
    let text = net.to_json();
    assert_eq!(Net::from_json(&text).unwrap(), net);
    let start =
        r#"{"preset":"original","columns":2,"input":[3,224,224],"classes":10,"dropout":"scaled-at-test","#;
    assert!(text.starts_with(start), "{text}");
    assert!(
        text.contains(r#"{"kind":"local-response","size":5,"alpha":0.00002,"k":2.0,"beta":0.75}"#),
        "{text}"
    );
}

#[test]
fn tables_without_sense_are_refused() {
    let message = |net: &Net| net.shapes().unwrap_err().to_string();
    assert!(message(&Net::paper(0, 10)).contains("0 columns"));
    assert!(message(&Net::paper(5, 10)).contains("96 maps cannot be divided evenly among 5 columns"));
    assert!(message(&Net::paper(2, 10).with_input(8)).contains("do not fit 8x8"));
    let mut twice = Net::paper(2, 10);
    twice.layers[4] = twice.layers[0].clone();
    assert!(message(&twice).contains("taken"));
    let mut open = Net::paper(2, 10);
    open.layers.pop();
    assert!(message(&open).contains("last layer"));
    let mut first = Net::paper(2, 10);
    first.layers.insert(0, Layer::Rectifier);
    assert!(message(&first).contains("first layer"));
    assert!(matches!(Placement::new(&Net::paper(2, 10), 3), Err(Error::Devices { devices: 3, columns: 2 })));
    assert!(Net::preset("vgg", 2, 10).is_err());
}

/// Every value of every parameter belongs to exactly one device, and columns own contiguous rows.
#[test]
fn devices_share_the_parameters_without_gap_or_overlap() {
    for (columns, devices, classes) in [(1, 1, 10), (2, 2, 1000), (4, 3, 1000), (4, 4, 11), (8, 5, 9)] {
        let net = Net::paper(columns, classes).narrowed(2, 64);
        let placement = Placement::new(&net, devices).unwrap();
        for (number, parameter) in placement.parameters().iter().enumerate() {
            let mut end = 0;
            for device in 0..devices {
                let range = &placement.ranges(device)[number];
                assert_eq!(range.global.start, end);
                assert_eq!(range.global.len(), range.flat.len());
                assert_eq!(range.flat.start % 64, 0);
                end = range.global.end;
            }
            assert_eq!(end, parameter.len(), "{}", parameter.name);
        }
    }
}

/// mean|w| of a normal distribution is √(2/π)·σ = 0.798 σ; biases are 0 or 1.
#[test]
fn fresh_full_size_nets_have_the_presets_spread() {
    for (net, middle) in [(Net::paper(2, 1000), 0.01), (Net::original(2, 1000), 0.03)] {
        let parameters = Parameters::initial(&net, 1).unwrap();
        for (values, parameter) in parameters.iter().zip(net.parameters().unwrap()) {
            let mean = |f: fn(f64) -> f64| {
                values.iter().map(|&x| f(f64::from(x))).sum::<f64>() / values.len() as f64
            };
            let layer = parameter.name.split('.').next().unwrap();
            if parameter.name.ends_with("weight") {
                let sigma = if matches!(layer, "conv3" | "conv4" | "conv5") { middle } else { 0.01 };
                assert!(
                    (mean(f64::abs) / sigma - 0.798).abs() < 0.01,
                    "{}: {}",
                    parameter.name,
                    mean(f64::abs)
                );
                assert!(mean(|x| x).abs() < 0.03 * sigma, "{}", parameter.name);
            } else {
                let one = matches!(layer, "conv2" | "conv4" | "conv5" | "fc6" | "fc7");
                assert!(values.iter().all(|&b| b == f32::from(u8::from(one))), "{}", parameter.name);
            }
        }
    }
}

#[test]
fn initial_values_are_named_by_seed_and_parameter() {
    let net = Net::paper(2, 10).narrowed(8, 64);
    let (a, b) = (Parameters::initial(&net, 1).unwrap(), Parameters::initial(&net, 2).unwrap());
    assert_eq!(a, Parameters::initial(&net, 1).unwrap());
    assert_ne!(a.get(0)[..50], b.get(0)[..50]);
    assert_ne!(a.get(0)[..50], a.get(2)[..50]);
    let stream = alexnet_rng::Stream::new(1, 0, 2, alexnet_rng::Purpose::Weights);
    assert_eq!(a.get(2)[17], (0.01 * stream.normal(17)) as f32);
}

/// Parameters, velocities and gradients take 732 MB; two columns on two devices about half each.
#[test]
fn memory_is_counted() {
    let net = Net::paper(2, 1000);
    let one = net.device_bytes(1, 1).unwrap()[0];
    assert!((732_000_000..750_000_000).contains(&one), "{one}");
    let two = net.device_bytes(2, 1).unwrap();
    assert!(two[0] == two[1] && two[0] > one / 2 && two[0] < one * 51 / 100, "{two:?}");
    assert!(net.device_bytes(3, 1).is_err());
}
