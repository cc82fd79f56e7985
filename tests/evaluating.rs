//! `alexnet evaluate`.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use alexnet_cpu::CpuBackend;
use alexnet_load::{Mean, Records, SplitOf};
use alexnet_net::Network;
use alexnet_shard::{Access, ShardSet, Split};
use alexnet_train::Saved;

use crate::program::{run, scratch, shards};

/// A run of two updates.
fn trained() -> &'static PathBuf {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        let out = scratch().join("evaluated");
        let _ = fs::remove_dir_all(&out);
        let args = args![
            "--data",
            shards(),
            "--out",
            &out,
            "--narrow",
            "16",
            "--crop",
            "56",
            "--batch",
            "32",
            "--steps",
            "2",
            "--quiet"
        ];
        run("train", args).ends(0);
        out
    })
}

#[test]
fn it_repeats_the_validation_of_the_run() {
    let said = run("alexnet", args!["evaluate", trained(), "--json", "--quiet"]).ends(0).json();
    assert_eq!((said["images"].as_u64(), said["views"].as_u64()), (Some(40), Some(1)));
    let log = fs::read_to_string(trained().join("log.jsonl")).unwrap();
    let validation: serde_json::Value = log
        .lines()
        .rev()
        .map(|l| serde_json::from_str(l).unwrap())
        .find(|r: &serde_json::Value| r["kind"] == "validation")
        .unwrap();
    for key in ["top1_error", "top5_error", "loss"] {
        let (a, b) = (said[key].as_f64().unwrap(), validation[key].as_f64().unwrap());
        assert!((a - b).abs() < 1e-9, "{key}: {a} and {b}");
    }
    let other =
        run("alexnet", args!["evaluate", trained(), "--json", "--quiet", "--batch", "7"]).ends(0).json();
    assert_eq!(said["top1_error"], other["top1_error"]);
}

/// The paper's ten views, from the records and the network alone: crops cut here, softmax in float64, then the mean.
#[test]
fn ten_views_are_averaged() {
    // Larger weights, so that predictions depend on the view; still larger ones make the loss infinite.
    let mut saved = Saved::read(&trained().join("last.safetensors")).unwrap();
    for number in (0..saved.checkpoint.parameters.len()).step_by(2) {
        saved.checkpoint.parameters.get_mut(number).iter_mut().for_each(|weight| *weight *= 10.0);
    }
    let file = scratch().join("ten-views.safetensors");
    saved.checkpoint.write(&file).unwrap();
    let net = &saved.checkpoint.net;
    let set = Arc::new(ShardSet::open(shards(), Access::Map).unwrap());
    let records = SplitOf::new(set, Split::Val).unwrap();
    let [width, height] = records.size();
    let [_, crop, _] = net.input;
    let augment = saved.augment([width, height]).unwrap();
    let mut network = Network::new(CpuBackend::new(1, 2).unwrap(), net, 1).unwrap();
    network.set_parameters(&saved.checkpoint.parameters).unwrap();
    let (right, bottom) = (width - crop, height - crop);
    let corners = [(0, 0), (right, 0), (0, bottom), (right, bottom), (right / 2, bottom / 2)];
    let (mut loss, mut wrong) = (0.0, [0.0; 2]);
    for i in 0..records.len() {
        let mut scratch = Vec::new();
        let photo = records.record(i, &mut scratch).unwrap().to_vec();
        let mut mean = vec![0.0; net.classes];
        for (left, top) in corners {
            for mirror in [false, true] {
                let mut pixels = vec![0.0; 3 * crop * crop];
                for (at, pixel) in pixels.iter_mut().enumerate() {
                    let (channel, row, column) = (at / crop / crop, at / crop % crop, at % crop);
                    let x = left + if mirror { crop - 1 - column } else { column };
                    let source = ((top + row) * width + x) * 3 + channel;
                    let subtracted = match &augment.mean {
                        Mean::Channel(mean) => mean[channel],
                        Mean::Aligned(image) => image[source],
                        Mean::Centre(image) => {
                            image[((bottom / 2 + row) * width + right / 2 + column) * 3 + channel]
                        }
                    };
                    *pixel = (f32::from(photo[source]) - subtracted) * augment.scale[channel];
                }
                let softmax = network.probabilities(&pixels).unwrap();
                mean.iter_mut().zip(softmax).for_each(|(sum, p)| *sum += f64::from(p) / 10.0);
            }
        }
        let label = records.label(i).unwrap() as usize;
        let ahead = mean.iter().filter(|&&p| p > mean[label]).count();
        loss -= mean[label].ln() / records.len() as f64;
        wrong[0] += f64::from(u8::from(ahead >= 1)) / records.len() as f64;
        wrong[1] += f64::from(u8::from(ahead >= 5)) / records.len() as f64;
    }
    for batch in ["32", "7"] {
        let args = args![
            "evaluate",
            &file,
            "--data",
            shards(),
            "--views",
            "10",
            "--json",
            "--quiet",
            "--batch",
            batch
        ];
        let said = run("alexnet", args).ends(0).json();
        assert_eq!((said["images"].as_u64(), said["views"].as_u64()), (Some(records.len()), Some(10)));
        for (key, expected) in [("loss", loss), ("top1_error", wrong[0]), ("top5_error", wrong[1])] {
            let ours = said[key].as_f64().unwrap();
            assert!(
                (ours - expected).abs() < 1e-5 * expected.max(1.0),
                "{key} is {ours}, by hand {expected}"
            );
        }
    }
    let one =
        run("alexnet", args!["evaluate", &file, "--data", shards(), "--json", "--quiet"]).ends(0).json();
    assert!((one["loss"].as_f64().unwrap() - loss).abs() > 1e-3, "ten views are not one: {one}, {loss}");
    run("alexnet", args!["evaluate", trained(), "--views", "3"]).ends(2);
}

#[test]
fn a_checkpoint_alone_needs_only_the_data() {
    let file = scratch().join("alone.safetensors");
    fs::copy(trained().join("last.safetensors"), &file).unwrap();
    let said = run("alexnet", args!["evaluate", &file, "--data", shards(), "--quiet"]).ends(0);
    assert!(said.out.contains("on 40 photos"), "{said:?}");
    run("alexnet", args!["evaluate", &file, "--quiet"]).refuses("data.txt");
}

#[test]
fn what_contradicts_a_checkpoint_is_refused() {
    let args = args!["evaluate", trained(), "--columns", "1"];
    run("alexnet", args).refuses("--columns 1");
    let file = scratch().join("cut.safetensors");
    let whole = fs::read(trained().join("last.safetensors")).unwrap();
    for length in [0, 5, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        let said = run("alexnet", args!["evaluate", &file, "--data", shards()]).ends(2);
        assert!(said.err.contains("cut.safetensors") && !said.err.contains("panicked"), "{said:?}");
    }
}
