//! `alexnet evaluate`.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

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
