//! A net that starts from another's checkpoint: layers of the same name and shape, whole or not at all.

use alexnet_net::{Checkpoint, Net, Parameters, Position};

fn checkpoint(net: Net) -> Checkpoint {
    Checkpoint {
        parameters: Parameters::initial(&net, 1).unwrap(),
        velocity: None,
        mean_image: None,
        classes: vec![],
        position: Position::default(),
        seed: 1,
        recipe: serde_json::Value::Null,
        extra: serde_json::Value::Null,
        net,
    }
}

/// Adopts and gives the layers that were taken; checks each value against where it must have come from.
fn adopt(net: &Net, from: &Checkpoint) -> Vec<String> {
    let mut parameters = Parameters::initial(net, 2).unwrap();
    let fresh = parameters.clone();
    let adoptions = parameters.adopt(net, from).unwrap();
    let (own, other) = (net.parameters().unwrap(), from.net.parameters().unwrap());
    assert_eq!(2 * adoptions.len(), own.len());
    for (number, parameter) in own.iter().enumerate() {
        let want = match adoptions[number / 2].kept {
            Some(_) => fresh.get(number),
            None => from.parameters.get(other.iter().position(|p| p.name == parameter.name).unwrap()),
        };
        assert!(parameters.get(number) == want, "{}", parameter.name);
    }
    adoptions.into_iter().filter(|a| a.kept.is_none()).map(|a| a.layer).collect()
}

fn narrow(net: Net) -> Net {
    net.narrowed(16, 16).with_input(96)
}

/// The road of section 6: add a layer, change the classes, and back.
#[test]
fn layers_are_added_and_replaced() {
    let original = checkpoint(narrow(Net::original(2, 5)));
    let convolutions = ["conv1", "conv2", "conv3", "conv4", "conv5"];
    // fc6 reads conv6's maps now, as many as pool5's: it is taken.
    let six = narrow(Net::conv6(2, 7));
    assert_eq!(adopt(&six, &original), [&convolutions[..], &["fc6", "fc7"]].concat());
    let back = adopt(&narrow(Net::original(2, 5)), &checkpoint(six));
    assert_eq!(back, [&convolutions[..], &["fc6", "fc7"]].concat());
    // One column reads all maps: layers that were private have other shapes.
    assert_eq!(adopt(&narrow(Net::original(1, 5)), &original), ["conv1", "conv3", "fc6", "fc7", "fc8"]);
}

#[test]
fn the_same_weights_with_another_meaning_are_refused() {
    let original = checkpoint(narrow(Net::original(1, 5)));
    let modern = narrow(Net::modern(1, 5));
    let mut parameters = Parameters::initial(&modern, 2).unwrap();
    let message = parameters.adopt(&modern, &original).unwrap_err().to_string();
    assert!(message.contains("ScaledInTraining"), "{message}");
    let mut other = narrow(Net::original(1, 5));
    other.unit = 64.0;
    let message = parameters.adopt(&other, &original).unwrap_err().to_string();
    assert!(message.contains("units of 64 grey levels"), "{message}");
}
