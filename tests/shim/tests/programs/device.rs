use crate::Libraries::{All, Only};
use crate::{end, fresh, installed, program, shards, training};

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
