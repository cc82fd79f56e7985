use crate::Libraries::{All, Only, WithNvrtc};
use crate::{end, fresh, installed, program, shards, training, training_with};

/// `train --dry-run` with some libraries: the exit code, and what it says of the device.
fn asked(device: &str, libraries: crate::Libraries, variables: &[(&str, &str)]) -> (i32, String) {
    let mut train = program("train", libraries);
    train.arg("--data").arg(shards()).args([
        "--dry-run",
        "--narrow",
        "8",
        "--crop",
        "56",
        "--device",
        device,
    ]);
    train.envs(variables.iter().copied());
    let (code, out, err) = end(train);
    (code, out + &err)
}

/// Whatever is missing: auto takes the CPU and says why, cuda is refused with the same reason and a hint.
#[test]
fn every_missing_library_is_named() {
    let Some(_) = installed("missing libraries") else { return };
    for (libraries, devices, missing) in [
        (Only(&[]), "1", "no NVIDIA driver: libcuda.so.1 could not be loaded"),
        (Only(&["libcuda.so.1"]), "0", "finds no usable device (CUDA_ERROR_NO_DEVICE)"),
        (Only(&["libcuda.so.1"]), "1", "libcublas.so.13 could not be loaded"),
        (Only(&["libcuda.so.1", "libcublas.so.13"]), "1", "libnvrtc.so.13 could not be loaded"),
    ] {
        let variables = [("SHIM_DEVICES", devices)];
        let (code, text) = asked("auto", libraries, &variables);
        assert!(code == 0 && text.contains("on the CPU (") && text.contains(missing), "{text}");
        let (code, text) = asked("cuda", libraries, &variables);
        assert!(code == 2 && text.contains(missing) && text.contains("\nhint: "), "{text}");
        assert!(text.contains("--device cpu"), "{text}");
    }
}

#[test]
fn devices_that_are_there_are_taken_and_others_refused() {
    let Some(_) = installed("devices") else { return };
    let two = [("SHIM_DEVICES", "2")];
    for (asked_for, taken) in
        [("auto", "on cuda:0, matrix products in bf16"), ("cuda", "on cuda:0,"), ("cuda:1,0", "on cuda:1,0,")]
    {
        let (code, text) = asked(asked_for, All, &two);
        assert!(code == 0 && text.contains(taken), "{asked_for}: {text}");
    }
    let (code, text) = asked("cuda:2", All, &two);
    assert!(code == 2 && text.contains("the driver has 2 devices\nhint: "), "{text}");
    let (code, text) = asked("cuda:0,1,2", All, &[]);
    assert!(code == 2 && text.contains("3 devices for 2 columns\nhint: "), "{text}");
}

#[test]
fn memory_that_runs_out_is_told_in_bytes() {
    let Some(_) = installed("memory") else { return };
    for limit in ["3000000", "9000000"] {
        let mut train = training::<&str>("cuda", &fresh("too-large"), &[]);
        train.env("SHIM_DEVICE_MEMORY", limit);
        let (code, _, err) = end(train);
        assert_eq!(code, 2, "{err}");
        let told = err.contains("out of memory: ") && err.contains(&format!(" of {limit} free"));
        assert!(told && err.contains("\nhint: give a smaller --batch"), "{err}");
    }
}

/// cuDNN is used if asked for, refused if absent, and not needed.
#[test]
fn convolutions_go_the_way_that_is_asked_for() {
    let Some(_) = installed("convolutions") else { return };
    let without = WithNvrtc(&["libcuda.so.1", "libcublas.so.13"]);
    let run = |libraries, name: &str, way: &[&str]| {
        let out = fresh(name);
        let (code, said, err) = end(training_with(libraries, "cuda", &out, way));
        let log = std::fs::read_to_string(out.join("log.jsonl")).unwrap_or_default();
        let losses: Vec<f64> = log
            .lines()
            .filter_map(|line| line.split("\"loss\":").nth(1)?.split(',').next()?.parse().ok())
            .collect();
        (code, losses, said + &err)
    };
    let (code, own, said) = run(All, "own", &["--deterministic"]);
    assert!(code == 0 && own.len() >= 6, "{said}");
    assert!(said.contains("the devices stood still "), "{said}");
    let (code, cudnn, said) = run(All, "cudnn", &["--convolutions", "cudnn"]);
    assert_eq!((code, cudnn.len()), (0, own.len()), "{said}");
    let far = own.iter().zip(&cudnn).map(|(a, b)| (a / b - 1.0).abs()).fold(0.0, f64::max);
    assert!(far < 1e-3 && own != cudnn, "other sums, the same losses: {own:?} {cudnn:?}");
    for way in [&["--deterministic"][..], &[]] {
        let (code, losses, said) = run(without, "without", way);
        assert_eq!((code, &losses), (0, &own), "{said}");
    }
    let (code, _, said) = run(without, "refused", &["--convolutions", "cudnn"]);
    assert!(code == 2 && said.contains("libcudnn.so.9 could not be loaded\nhint: "), "{said}");
}

#[test]
fn a_profile_is_taken_where_the_run_would_compute() {
    let Some(_) = installed("a profile") else { return };
    let mut train = program("train", All);
    train.args("--profile --narrow 8 --crop 56 --batch 2 --device cuda:1".split(' '));
    let (code, said, err) = end(train);
    assert!(code == 0 && said.contains("batch 2, on cuda:1, matrix products in bf16"), "{said}{err}");
    for row in ["conv1", "fc8", "update"] {
        assert!(said.lines().any(|line| line.starts_with(row)), "{row}: {said}");
    }
}
