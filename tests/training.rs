//! `train`: the same checkpoint bytes for any number of threads and after any kill.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{run, scratch, shards, start};

/// A narrow net on the generated photos: 120 training photos, batch 32, so 4 updates an epoch.
fn training(out: &Path, more: &[&str]) -> Vec<OsString> {
    let mut args = args![
        "--data",
        shards(),
        "--out",
        out,
        "--net",
        "original",
        "--narrow",
        "8",
        "--crop",
        "56",
        "--batch",
        "32",
        "--device",
        "cpu",
        "--quiet",
        "--log-every",
        "1"
    ]
    .to_vec();
    args.extend(more.iter().map(Into::into));
    args
}

fn fresh(name: &str) -> PathBuf {
    let out = scratch().join(name);
    let _ = fs::remove_dir_all(&out);
    out
}

fn checkpoints(out: &Path) -> [Vec<u8>; 2] {
    ["last", "best"].map(|name| fs::read(out.join(format!("{name}.safetensors"))).unwrap())
}

#[test]
fn threads_change_no_byte_of_a_checkpoint() {
    let [one, two] = ["train-1", "train-2"].map(fresh);
    run("train", training(&one, &["--steps", "10", "--threads", "1"])).ends(0);
    run("train", training(&two, &["--steps", "10", "--threads", "2", "--loader-threads", "3"])).ends(0);
    assert!(checkpoints(&one) == checkpoints(&two));
}

#[test]
fn killed_and_run_again_it_ends_in_the_same_bytes() {
    let whole = fresh("train-whole");
    let args = |out: &Path| training(out, &["--steps", "11", "--checkpoint-every", "1"]);
    run("train", args(&whole)).ends(0);
    let killed = fresh("train-killed");
    let mut kills = 0;
    // Each round gets as far as its first new checkpoint, then dies.
    loop {
        let before = fs::read(killed.join("last.safetensors")).ok();
        let mut child = start("train", args(&killed));
        let ended = loop {
            if child.try_wait().unwrap().is_some() {
                break true;
            }
            if fs::read(killed.join("last.safetensors")).ok() != before {
                break false;
            }
            std::thread::sleep(std::time::Duration::from_millis(3));
        };
        child.kill().unwrap();
        child.wait().unwrap();
        if ended {
            break;
        }
        kills += 1;
    }
    assert!(kills >= 2, "{kills} kills");
    run("train", args(&killed)).ends(0);
    assert!(checkpoints(&whole) == checkpoints(&killed), "after {kills} kills");
}

#[test]
fn a_complete_run_says_so_and_another_is_refused() {
    let out = fresh("train-complete");
    run("train", training(&out, &["--steps", "2"])).ends(0);
    let before = checkpoints(&out);
    let said = run("train", training(&out, &["--steps", "2"])).ends(0);
    assert!(said.out.contains("complete"), "{said:?}");
    run("train", training(&out, &["--steps", "2", "--columns", "4"])).refuses("columns is 2");
    run("train", training(&out, &["--steps", "2", "--seed", "9"])).refuses("seed is 2012");
    run("train", training(&out, &["--steps", "2", "--batch", "16"])).refuses("batch is 32");
    assert!(checkpoints(&out) == before);
}

#[test]
fn every_preset_and_number_of_columns_trains() {
    let nets = [
        ("paper", "paper", "1", "8"),
        ("paper", "modern", "2", "8"),
        ("original", "original-2010", "4", "8"),
        ("original", "original-2012", "8", "4"),
        ("one-column", "paper", "1", "8"),
        ("conv6", "original-2012", "2", "8"),
        ("modern", "modern", "1", "8"),
        ("cifar", "cifar", "1", "1"),
    ];
    for (net, recipe, columns, narrow) in nets {
        let out = fresh(&format!("train-{net}-{columns}-{recipe}"));
        let shape = ["--net", net, "--columns", columns, "--narrow", narrow];
        run("train", training(&out, &[&["--steps", "2", "--recipe", recipe], &shape[..]].concat())).ends(0);
        let log = fs::read_to_string(out.join("log.jsonl")).unwrap();
        let losses: Vec<f64> = log
            .lines()
            .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["loss"].as_f64().unwrap())
            .collect();
        assert_eq!(losses.len(), 3, "{log}");
        assert!((losses[0] - 10f64.ln()).abs() < 1.5, "{net} starts at {}", losses[0]);
        // What was trained is the net that was asked for.
        let described: serde_json::Value =
            serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
        assert_eq!(described["net"]["columns"].to_string(), columns, "{described}");
    }
}

#[test]
fn part_of_the_training_photos_is_held_out_where_there_is_no_val() {
    let packed = fresh("train-only");
    let archive = &crate::program::archives().train;
    run("imagenet-pack", args!["--train", archive, "--out", &packed, "--size", "64", "--quiet"]).ends(0);
    let out = fresh("train-held-out");
    let args = args![
        "--data",
        &packed,
        "--out",
        &out,
        "--narrow",
        "8",
        "--crop",
        "56",
        "--batch",
        "32",
        "--epochs",
        "1",
        "--hold-out",
        "0.25",
        "--quiet"
    ];
    run("train", args).ends(0);
    let log = fs::read_to_string(out.join("log.jsonl")).unwrap();
    assert!(log.contains("\"images\":30"), "{log}");
    let held_out = |share| args!["--data", &packed, "--out", fresh("train-none-left"), "--hold-out", share];
    run("train", held_out("0.999")).refuses("none of 120 photos");
    run("train", held_out("1.5")).refuses("--hold-out 1.5");
    // Rates that wait for validation to stall wait in vain.
    let out = fresh("train-in-vain");
    let args = args![
        "--data",
        &packed,
        "--out",
        &out,
        "--net",
        "paper",
        "--narrow",
        "8",
        "--crop",
        "56",
        "--steps",
        "1",
        "--hold-out",
        "0"
    ];
    let said = run("train", args).ends(0);
    assert!(said.err.contains("nothing is held out"), "{said:?}");
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let out = fresh("train-dry");
    let said = run("train", training(&out, &["--dry-run"])).ends(0);
    assert!(
        said.out.contains("120 photos, 4 updates an epoch") && said.out.contains("91 epochs"),
        "{said:?}"
    );
    assert!(said.out.contains("of 3×56×56"), "{said:?}");
    // The net of figure 1 sees whole records, the others seven eighths.
    for (net, input) in [("cifar", "3×64×64"), ("paper", "3×56×56")] {
        let said = run("train", args!["--data", shards(), "--net", net, "--dry-run"]).ends(0);
        assert!(said.out.contains(input), "{net}: {said:?}");
    }
    assert!(!out.exists());
}

#[test]
fn the_summary_has_the_papers_numbers() {
    let said = run("train", ["--summary"]).ends(0);
    for number in ["60965224", "724406816", "659272", "622312", "96×55×55"] {
        assert!(said.out.contains(number), "{number}: {said:?}");
    }
}

#[test]
fn a_profile_has_a_row_for_each_layer() {
    let args = args!["--profile", "--narrow", "16", "--crop", "56", "--batch", "2", "--device", "cpu"];
    let said = run("train", args).ends(0).out;
    for row in ["conv1", "conv5", "fc8", "update"] {
        assert!(said.lines().any(|line| line.starts_with(row)), "{row}: {said}");
    }
    assert!(said.contains("the cores' peak is ") && said.trim_end().ends_with("images/s"), "{said}");
}

#[test]
fn a_checkpoint_of_another_shape_is_refused() {
    let [two, four] = ["train-two", "train-four"].map(fresh);
    run("train", training(&two, &["--steps", "1"])).ends(0);
    run("train", training(&four, &["--steps", "1", "--columns", "4"])).ends(0);
    fs::copy(two.join("last.safetensors"), four.join("last.safetensors")).unwrap();
    let before = fs::read(four.join("last.safetensors")).unwrap();
    run("train", training(&four, &["--steps", "1", "--columns", "4"])).refuses("2 columns against 4");
    assert!(fs::read(four.join("last.safetensors")).unwrap() == before);
}

/// Lighting by the set's own axes, Krizhevsky's, or those of a file: other batches, so other weights.
#[test]
fn lighting_comes_from_where_the_user_says() {
    let axes = scratch().join("axes.json");
    fs::write(&axes, run("imagenet-pca", args![shards(), "--json"]).ends(0).out).unwrap();
    let axes = axes.to_str().expect("a path in the target folder");
    let weights = |name: &str, pca: &str| {
        let out = fresh(name);
        run("train", training(&out, &["--steps", "1", "--pca", pca])).ends(0);
        let bytes = fs::read(out.join("last.safetensors")).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        tensors.tensor("conv1.weight").unwrap().data().to_vec()
    };
    let set = weights("pca-set", "set");
    assert!(set == weights("pca-file", axes), "the set's own statistics, through a file");
    assert!(set != weights("pca-krizhevsky", "krizhevsky"));
    let out = fresh("pca-none");
    run("train", training(&out, &["--pca", "/nowhere.json"])).refuses("/nowhere.json");
}

/// How records are reached changes no byte; another order changes them, and is the same by threads.
#[test]
fn access_changes_nothing_and_order_does() {
    let [mapped, read, blocks, again] =
        ["train-map", "train-pread", "train-blocks", "train-blocks-2"].map(fresh);
    run("train", training(&mapped, &["--steps", "5"])).ends(0);
    run("train", training(&read, &["--steps", "5", "--pread", "--check", "first-epoch"])).ends(0);
    assert!(checkpoints(&mapped) == checkpoints(&read));
    run("train", training(&blocks, &["--steps", "5", "--order", "blocks"])).ends(0);
    run("train", training(&again, &["--steps", "5", "--order", "blocks", "--loader-threads", "3"])).ends(0);
    assert!(checkpoints(&blocks) == checkpoints(&again));
    assert!(checkpoints(&blocks) != checkpoints(&mapped));
}
