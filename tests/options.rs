//! The options of `train` that change the network, the rates or the start, and the pictures of a run.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{Said, run, scratch, shards};

/// Trains a narrow net on the generated photos: batch 32, 4 updates an epoch.
fn training(out: &Path, more: &[&str]) -> Said {
    let mut args =
        args!["--data", shards(), "--out", out, "--narrow", "16", "--crop", "64", "--batch", "32"].to_vec();
    args.extend(args!["--device", "cpu", "--quiet", "--log-every", "1"]);
    args.extend(more.iter().map(Into::into));
    run("train", args)
}

fn fresh(name: &str) -> PathBuf {
    let out = scratch().join("options").join(name);
    let _ = fs::remove_dir_all(&out);
    fs::create_dir_all(out.parent().unwrap()).unwrap();
    out
}

/// Records of one kind in a run's log.
fn records(out: &Path, kind: &str) -> Vec<Value> {
    let log = fs::read_to_string(out.join("log.jsonl")).unwrap();
    log.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()).filter(|r| r["kind"] == kind).collect()
}

fn numbers(out: &Path, key: &str) -> Vec<f64> {
    records(out, "train").iter().map(|r| r[key].as_f64().unwrap()).collect()
}

/// A tensor of a checkpoint, as bits.
fn tensor(file: &Path, name: &str) -> Vec<u8> {
    let bytes = fs::read(file).unwrap();
    safetensors::SafeTensors::deserialize(&bytes).unwrap().tensor(name).unwrap().data().to_vec()
}

fn last(out: &Path, name: &str) -> Vec<u8> {
    tensor(&out.join("last.safetensors"), name)
}

/// A recipe of the user's own: the built-in `modern` with another schedule and more lines at the top.
fn recipe(name: &str, top: &str, schedule: &str) -> PathBuf {
    let file = scratch().join(format!("{name}.toml"));
    let text = format!(
        "name = \"{name}\"\nbatch = 32\nepochs = 2\nmomentum = 0.9\nweight_decay = 0.0005\n{top}\n\
         [input]\nmean = \"channel\"\nlighting = \"stddev\"\nattenuate = false\n{schedule}\n"
    );
    fs::write(&file, text).unwrap();
    file
}

fn trained_by(name: &str, top: &str, schedule: &str, more: &[&str]) -> PathBuf {
    let (out, file) = (fresh(name), recipe(name, top, schedule));
    let mut args = vec!["--net", "modern", "--recipe", file.to_str().unwrap()];
    args.extend(more);
    training(&out, &args).ends(0);
    out
}

fn near(found: &[f64], wanted: &[f64]) {
    let same = found.len() == wanted.len() && found.iter().zip(wanted).all(|(a, b)| (a - b).abs() <= 1e-9);
    assert!(same, "{found:?}, not {wanted:?}");
}

#[test]
fn every_schedule_sets_its_rates() {
    let rate = |name: &str, schedule: &str| numbers(&trained_by(name, "", schedule, &[]), "rate");
    let flat = "[schedule]\nkind = \"phases\"\n[[schedule.phases]]\nfrom = 0\nweights = 0.01\nbiases = 0.02\n\
                [[schedule.phases]]\nfrom = 1\nweights = 0.001\nbiases = 0.02";
    near(&rate("phases", flat), &[0.01, 0.01, 0.01, 0.01, 0.001, 0.001, 0.001, 0.001]);
    let linear = "[schedule]\nkind = \"linear\"\nweights = 0.01\nbiases = 0.01\nwarm_up = 0.5";
    let linear = rate("linear", linear);
    assert!(linear[0] < linear[1] && linear[2..].is_sorted_by(|a, b| a > b), "{linear:?}");
    let steps: Vec<f64> = linear[3..].windows(2).map(|w| w[0] - w[1]).collect();
    assert!(steps.iter().all(|s| (s - steps[0]).abs() < 1e-9), "a straight line: {linear:?}");
    let cosine = "[schedule]\nkind = \"cosine\"\nweights = 0.01\nbiases = 0.01\nwarm_up = 0.0";
    let wanted: Vec<f64> =
        (0..8).map(|i| 0.005 * (1.0 + (std::f64::consts::PI * f64::from(i) / 8.0).cos())).collect();
    near(&rate("cosine", cosine), &wanted);
    let falling = "[schedule]\nkind = \"exponential\"\nweights = { base = 0.016, factor = 8, steps = 4 }\n\
                   biases = { base = 0.02, factor = 1, steps = 1 }";
    near(&rate("exponential", falling), &[0.016, 0.016, 0.008, 0.008, 0.004, 0.004, 0.002, 0.002]);
    // A rate at which nothing is learnt: the second validation is no better, the rate falls, and falls again.
    let plateau = "[schedule]\nkind = \"plateau\"\nweights = 1e-20\nbiases = 1e-20\ndivide = 10\npatience = 1\ndrops = 1";
    let (out, file) = (fresh("plateau"), recipe("plateau", "", plateau));
    training(&out, &["--net", "modern", "--recipe", file.to_str().unwrap(), "--epochs", "9"]).ends(0);
    let rates = numbers(&out, "rate");
    assert!(rates[0] == 1e-20 && rates.iter().any(|r| (r - 1e-21).abs() < 1e-30), "{rates:?}");
    assert!(rates.len() < 36, "the stall after the last drop ends the run: {} updates", rates.len());
}

#[test]
fn a_misspelt_recipe_is_refused() {
    let file = recipe(
        "misspelt",
        "momentun = 0.9",
        "[schedule]\nkind = \"cosine\"\nweights = 1\nbiases = 1\nwarm_up = 0",
    );
    let file = file.to_str().unwrap();
    training(&fresh("misspelt"), &["--recipe", file]).refuses("momentun");
}

#[test]
fn layers_freeze_by_the_recipe() {
    let flat = "[schedule]\nkind = \"cosine\"\nweights = 0.01\nbiases = 0.01\nwarm_up = 0.0\n\
                [layers]\nconv2 = { weights = 0.0, biases = 1.0 }";
    let [one, two] =
        ["1", "2"].map(|steps| trained_by(&format!("frozen-{steps}"), "", flat, &["--steps", steps]));
    for name in ["conv2.weight", "conv2.bias"] {
        assert!(last(&one, name) == last(&two, name), "{name} is frozen");
    }
    assert!(last(&one, "conv1.weight") != last(&two, "conv1.weight"));
}

/// Smoothed labels change gradients, so weights; the loss of the first batch is that of the labels themselves.
#[test]
fn labels_are_smoothed_by_the_recipe() {
    let schedule = "[schedule]\nkind = \"cosine\"\nweights = 0.01\nbiases = 0.01\nwarm_up = 0.0";
    let [plain, smooth] = [("plain", ""), ("smooth", "label_smoothing = 0.1")]
        .map(|(name, top)| trained_by(name, top, schedule, &["--steps", "1"]));
    assert_eq!(numbers(&plain, "loss")[0], numbers(&smooth, "loss")[0]);
    assert!(last(&plain, "fc8.weight") != last(&smooth, "fc8.weight"));
}

#[test]
fn every_ablation_trains_another_network() {
    let plain = fresh("whole");
    training(&plain, &["--steps", "1"]).ends(0);
    let cases: [&[&str]; 7] = [
        &["--without", "normalisation"],
        &["--without", "crossing"],
        &["--without", "dropout"],
        &["--without", "biases"],
        &["--without", "lighting"],
        &["--without-layer", "conv3"],
        &["--activation", "tanh"],
    ];
    for case in cases {
        let out = fresh(&case.join("-"));
        let mut args = vec!["--steps", "1"];
        args.extend(case);
        training(&out, &args).ends(0);
        let loss = numbers(&out, "loss")[0];
        assert!(loss.is_finite() && (loss - 10f64.ln()).abs() < 2.0, "{case:?}: {loss}");
        assert!(last(&plain, "fc8.weight") != last(&out, "fc8.weight"), "{case:?} changes nothing");
        // The folder says what is needed to repeat it: the plain command is another run.
        training(&out, &["--steps", "1"]).refuses("another run");
    }
    let said = training(&fresh("unknown"), &["--without", "padding"]).ends(2);
    assert!(said.err.contains("normalisation"), "names what there is: {said:?}");
    training(&fresh("no-layer"), &["--without-layer", "conv9"]).refuses("conv9");
}

#[test]
fn the_summary_follows_the_options() {
    let said = |more: &[&str]| run("train", [&["--summary"], more].concat()).ends(0).out;
    assert!(said(&["--without", "normalisation"]).lines().all(|l| !l.contains("local response")));
    let apart = said(&["--without", "overlap"]);
    assert!(apart.contains("256×6×6") && apart != said(&[]), "{apart}");
    let crossing = |text: &str| text.lines().filter(|l| l.ends_with("yes")).count();
    for columns in ["2", "4", "8"] {
        let text = said(&["--columns", columns]);
        assert_eq!(crossing(&text), 4, "conv3, fc6, fc7 and fc8 read all columns: {text}");
        assert_eq!(crossing(&said(&["--columns", columns, "--without", "crossing"])), 1, "only fc8");
    }
    let one = said(&["--columns", "1"]);
    assert!(crossing(&one) == 0 && one.contains("62378344"), "{one}");
    assert!(said(&[]).contains("memory"));
}

#[test]
fn a_run_starts_from_another_nets_layers() {
    let first = fresh("pretrained");
    training(&first, &["--steps", "2"]).ends(0);
    let file = first.join("last.safetensors");
    let from = file.to_str().unwrap();
    // At a rate of 0 everything stays where it began.
    let still = recipe(
        "still",
        "",
        "[schedule]\nkind = \"phases\"\n[[schedule.phases]]\nfrom = 0\nweights = 0\nbiases = 0",
    );
    let still = ["--recipe", still.to_str().unwrap(), "--steps", "1", "--init-from", from];
    let out = fresh("tuned");
    training(&out, &[&still[..], &["--without-layer", "conv4"]].concat()).ends(0);
    for name in ["conv1.weight", "conv3.bias", "fc8.weight"] {
        assert!(last(&out, name) == tensor(&file, name), "{name} is taken over");
    }
    let other = fresh("narrower");
    training(&other, &[&still[..], &["--narrow", "8"]].concat()).refuses("no layer fits");
    training(&fresh("nothing"), &["--init-from", "/nowhere.safetensors"]).refuses("/nowhere.safetensors");
}

#[test]
fn a_run_leaves_events_curves_and_filters() {
    let out = fresh("pictured");
    training(&out, &["--epochs", "2"]).ends(0);
    let events = fs::read(out.join("events.out.tfevents.0.alexnet")).unwrap();
    // Frames: length, its checksum, an event, its checksum.
    let (mut at, mut frames) = (0, 0);
    while at < events.len() {
        let len = u64::from_le_bytes(events[at..at + 8].try_into().unwrap()) as usize;
        let checked = |bytes: &[u8], sum: &[u8]| {
            let crc = crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8);
            assert_eq!(crc.to_le_bytes(), *sum, "frame {frames}");
        };
        checked(&events[at..at + 8], &events[at + 8..at + 12]);
        checked(&events[at + 12..at + 12 + len], &events[at + 12 + len..at + 16 + len]);
        at += 16 + len;
        frames += 1;
    }
    assert!(frames >= 1 + 8 + 2, "a version, 8 updates and 2 validations: {frames}");
    let (curves, filters) = (out.join("curves.svg"), out.join("filters.png"));
    run("alexnet", args!["curves", &out, "--out", &curves]).ends(0);
    let svg = fs::read_to_string(&curves).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
    let said = run("alexnet", args!["filters", &out, "--out", &filters]).ends(0);
    assert!(said.out.contains("column 1") && said.out.contains("column 2"), "{said:?}");
    assert!(fs::read(&filters).unwrap().starts_with(b"\x89PNG"));
    run("alexnet", args!["curves", scratch().join("no-run")]).refuses("log.jsonl");
    run("alexnet", args!["filters", scratch().join("no-run")]).refuses("no-run");
}

/// Which layers see all columns is the user's choice, and a checkpoint of another choice is another network's.
#[test]
fn columns_meet_where_the_user_says() {
    let meets = |more: &[&str]| -> Vec<String> {
        let said = run("train", [&["--summary"], more].concat()).ends(0).out;
        let rows = said.lines().filter(|line| line.trim_end().ends_with(" yes"));
        rows.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
    };
    assert_eq!(meets(&[]), ["conv3", "fc6", "fc7", "fc8"]);
    assert_eq!(meets(&["--crossing", "conv2,conv5"]), ["conv2", "conv5", "fc8"]);
    assert_eq!(meets(&["--crossing", "none", "--columns", "4"]), ["fc8"]);
    run("train", ["--summary", "--crossing", "conv1"])
        .refuses("conv1 cannot be made to read all columns, only conv2");
    let out = fresh("crossing");
    training(&out, &["--steps", "1", "--crossing", "conv4,fc6"]).ends(0);
    training(&out, &["--steps", "1", "--crossing", "conv4"]).refuses("now it would be");
}

/// What a run needs is said before it, refused where it cannot be had, and how it was started stands in its folder.
#[test]
fn needs_and_commands_are_told() {
    let out = fresh("needs");
    let said = training(&out, &["--dry-run"]).ends(0).out;
    for part in ["activations of 32", "loaded ahead; ", "free here", "free there"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    training(&out, &["--batch", "4000000000", "--steps", "1"]).refuses("of memory, this machine has");
    assert!(!out.exists());
    training(&out, &["--steps", "1", "--pca", "set"]).ends(0);
    training(&out, &["--steps", "1", "--pca", "set", "--threads", "1"]).ends(0);
    let commands = fs::read_to_string(out.join("commands.txt")).unwrap();
    let lines: Vec<&str> = commands.lines().collect();
    assert_eq!(lines.len(), 2, "{commands}");
    assert!(lines[0].starts_with(&format!("train {}: --data ", env!("CARGO_PKG_VERSION"))), "{commands}");
    assert!(lines[1].ends_with("--pca set --threads 1"), "{commands}");
}
