//! Checkpoints: round trip, stable bytes, and every way a file can be wrong.

use std::fs;
use std::path::Path;

use alexnet_net::{Checkpoint, ClassName, MeanImage, Net, Parameters, Position};

fn checkpoint() -> Checkpoint {
    let net = Net::original(2, 3).narrowed(16, 8).with_input(64);
    let class = |i| ClassName { wnid: format!("n0000000{i}"), words: "a \"word\", another".to_owned() };
    Checkpoint {
        parameters: Parameters::initial(&net, 1).unwrap(),
        velocity: Some(Parameters::initial(&net, 2).unwrap()),
        mean_image: Some(MeanImage {
            height: 5,
            width: 4,
            values: (0..60).map(|i| i as f32 / 7.0).collect(),
        }),
        classes: (0..3).map(class).collect(),
        position: Position { epoch: 3, batch: 17, step: 1234 },
        seed: 1 << 60,
        recipe: serde_json::json!({"zeta": 1, "alpha": [0.1, 3e-5], "name": "paper"}),
        extra: serde_json::json!(null),
        net,
    }
}

#[test]
fn round_trip() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let mut checkpoint = checkpoint();
    checkpoint.write(&path).unwrap();
    assert_eq!(Checkpoint::read(&path).unwrap(), checkpoint);
    (checkpoint.velocity, checkpoint.mean_image) = (None, None);
    checkpoint.write(&path).unwrap();
    assert_eq!(Checkpoint::read(&path).unwrap(), checkpoint);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing but the file remains");
}

/// Two writes of equal content are equal bytes, and the metadata is the canonical text.
#[test]
fn bytes_are_a_function_of_the_content() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    for path in [&a, &b] {
        checkpoint().write(path).unwrap();
    }
    let bytes = fs::read(&a).unwrap();
    assert_eq!(bytes, fs::read(&b).unwrap());
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    let start =
        r#"{"__metadata__":{"alexnet":"{\"format\":1,\"net\":{\"preset\":\"original\",\"columns\":2,"#;
    assert!(header.starts_with(start), "{header}");
    assert!(
        header.contains(r#"\"recipe\":{\"alpha\":[0.1,0.00003],\"name\":\"paper\",\"zeta\":1}"#),
        "{header}"
    );
    assert!(header.contains(r#""conv2.weight":{"dtype":"F32","shape":[16,3,5,5]"#), "{header}");
}

fn message(path: &Path) -> String {
    Checkpoint::read(path).unwrap_err().to_string()
}

/// Rewrites the file's header text; `change` must keep its length or grow it by spaces' worth.
fn with_header(bytes: &[u8], change: impl Fn(String) -> String) -> Vec<u8> {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = change(String::from_utf8(bytes[8..8 + length].to_vec()).unwrap());
    let mut changed = (header.len() as u64).to_le_bytes().to_vec();
    changed.extend(header.as_bytes());
    changed.extend(&bytes[8 + length..]);
    changed
}

#[test]
fn wrong_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    assert!(message(&path).contains("a.safetensors: cannot read it"), "{}", message(&path));
    checkpoint().write(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    type Change = fn(String) -> String;
    let cases: [(Change, &str); 7] = [
        (|h| h.replace("\"conv2.weight\"", "\"conv2.weighs\""), "tensor conv2.weight is missing"),
        (|h| h.replace("\"shape\":[16,3,5,5]", "\"shape\":[16,5,3,5]"), "its net has F32 [16, 3, 5, 5]"),
        (
            |h| h.replace("\\\"columns\\\":2", "\\\"columns\\\":1"),
            "conv2.weight is F32 [16, 3, 5, 5], but its net has F32 [16, 6, 5, 5]",
        ),
        (|h| h.replace("\\\"columns\\\":2", "\\\"columns\\\":3"), "cannot be divided evenly among 3 columns"),
        (|h| h.replace("\\\"format\\\":1", "\\\"format\\\":9"), "format 9, but this program reads format 1"),
        (|h| h.replace("\"alexnet\":", "\"alexnot\":"), "no metadata key alexnet"),
        (|h| h.replace("\\\"classes\\\":3", "\\\"classes\\\":2"), "3 units cannot be divided evenly"),
    ];
    for (change, expected) in cases {
        let changed = with_header(&bytes, change);
        assert_ne!(changed, bytes, "{expected}");
        fs::write(&path, changed).unwrap();
        assert!(message(&path).contains(expected), "{}", message(&path));
    }
    for cut in [0, 4, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..cut]).unwrap();
        assert!(message(&path).contains("not a sound safetensors file"), "{}", message(&path));
    }
    fs::write(&path, [&bytes[..], b"x"].concat()).unwrap();
    assert!(message(&path).contains("not a sound safetensors file"), "{}", message(&path));
}

#[test]
fn content_that_does_not_fit_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let mut wrong = checkpoint();
    wrong.net.columns = 1;
    assert!(wrong.write(&path).unwrap_err().to_string().contains("conv2.weight"));
    let mut wrong = checkpoint();
    wrong.classes.pop();
    assert!(wrong.write(&path).unwrap_err().to_string().contains("2 class names for 3 classes"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let missing = folder.path().join("no/such/folder/a.safetensors");
    assert!(checkpoint().write(&missing).unwrap_err().to_string().contains("cannot write it"));
}

#[test]
fn differences_between_nets_are_named() {
    let net = checkpoint().net;
    assert_eq!(net.difference(&net.clone()), None);
    let mut other = net.clone();
    other.columns = 1;
    assert_eq!(net.difference(&other).unwrap(), "2 columns against 1");
    let paper = Net::paper(2, 3).narrowed(16, 8).with_input(64);
    assert!(net.difference(&paper).unwrap().contains("layers"));
}
