use std::path::Path;

use safetensors::SafeTensors;

use crate::{end, fresh, installed, program, scratch, training};

/// Losses of the updates, from a run's log.
pub fn losses(run: &Path) -> Vec<f64> {
    let log = std::fs::read_to_string(run.join("log.jsonl")).expect("a log");
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    lines
        .filter(|line| line.get("rate").is_some())
        .map(|line| line["loss"].as_f64().expect("a loss"))
        .collect()
}

/// Largest distance of a parameter or velocity between two checkpoints, as a share of its norm.
pub fn distance(a: &Path, b: &Path) -> f64 {
    let [a, b] = [a, b].map(|run| std::fs::read(run.join("last.safetensors")).expect("a checkpoint"));
    let [a, b] = [&a, &b].map(|bytes| SafeTensors::deserialize(bytes).expect("a checkpoint"));
    assert_eq!(a.names().len(), b.names().len());
    let floats = |file: &SafeTensors, name: &str| -> Vec<f64> {
        let tensor = file.tensor(name).expect("the same tensors");
        tensor.data().chunks(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().expect("four")))).collect()
    };
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let mut worst = 0.0f64;
    for name in b.names() {
        let (a, b) = (floats(&a, name), floats(&b, name));
        let difference = norm(&mut a.iter().zip(&b).map(|(a, b)| a - b));
        worst = worst.max(difference / norm(&mut b.iter().copied()).max(1e-9));
    }
    worst
}

fn run(device: &str, out: &Path, more: &[&str]) -> String {
    let (code, said, err) = end(training(device, out, more));
    assert_eq!(code, 0, "{device}: {err}");
    said
}

/// Trains on `device` and is killed as soon as it has left a checkpoint.
fn killed(device: &str, out: &Path) {
    let mut child = training(device, out, &["--checkpoint-every", "1"]).spawn().expect("train");
    while !out.join("last.safetensors").exists() && child.try_wait().expect("a state").is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().expect("a signal");
    child.wait().expect("an end");
}

#[test]
fn a_run_is_the_same_on_every_device_and_goes_on_on_another() {
    let Some(_) = installed("training") else { return };
    let cpu = fresh("cpu");
    run("cpu", &cpu, &[]);
    let expected = losses(&cpu);
    assert_eq!(expected.len(), 6);
    let near = |what: &str, out: &Path| {
        let ours = losses(out);
        assert_eq!(ours.len(), expected.len(), "{what}");
        for (step, (a, b)) in ours.iter().zip(&expected).enumerate() {
            assert!(
                (a / b - 1.0).abs() <= if step == 0 { 1e-5 } else { 1e-3 },
                "{what}: {ours:?}, {expected:?}"
            );
        }
        let distance = distance(out, &cpu);
        assert!(distance <= 2e-2, "{what}: {distance}");
    };
    for device in ["cuda", "cuda:1,0"] {
        let out = fresh(&device.replace([':', ','], "-"));
        let said = run(device, &out, &[]);
        assert_eq!(said.contains("devices exchanged"), device != "cuda", "{said}");
        near(device, &out);
        // Again on other devices: the run is complete, and evaluates as on the CPU.
        assert!(run("cpu", &out, &[]).contains("complete"));
        let errors = ["cpu", "cuda:0,1"].map(|device| {
            let mut evaluate = program("alexnet", crate::Libraries::All);
            evaluate.arg("evaluate").arg(&out).args([
                "--json",
                "--quiet",
                "--device",
                device,
                "--precision",
                "f32",
            ]);
            let (code, said, err) = end(evaluate);
            assert_eq!(code, 0, "{err}");
            serde_json::from_str::<serde_json::Value>(&said).expect("JSON")
        });
        assert_eq!(errors[0]["top1_error"], errors[1]["top1_error"]);
        let loss = |i: usize| errors[i]["loss"].as_f64().expect("a loss");
        assert!((loss(0) / loss(1) - 1.0).abs() < 1e-4, "{errors:?}");
    }
    for (first, second) in [("cpu", "cuda:0,1"), ("cuda:0,1", "cpu"), ("cuda:0", "cuda:1,0")] {
        let out = fresh(&format!("{first}-{second}").replace([':', ','], "-"));
        killed(first, &out);
        run(second, &out, &["--checkpoint-every", "1"]);
        near(&format!("{first}, then {second}"), &out);
        let devices = std::fs::read_to_string(out.join("devices.txt")).expect("where it ran");
        let told: Vec<&str> = devices.lines().collect();
        assert_eq!(told.len(), 2, "{devices}");
        assert!(told[1].starts_with(if second == "cpu" { "on the CPU" } else { "on cuda:" }), "{devices}");
    }
}

/// Steps replayed as graphs leave the checkpoint of steps launched kernel by kernel.
#[test]
fn graphs_change_nothing_but_the_launches() {
    let Some(_) = installed("graphs") else { return };
    let mut checkpoints = Vec::new();
    for (when, more) in [("off", &["--graph", "off"][..]), ("auto", &[]), ("on", &["--graph", "on"])] {
        for device in ["cuda", "cuda:0,1"] {
            let out = fresh(&format!("graph-{when}-{}", device.len()));
            let said = run(device, &out, more);
            let what = if device == "cuda" { "steps" } else { "parts of steps between exchanges" };
            assert_eq!(
                said.contains(&format!(" {what} were replayed as CUDA graphs")),
                when != "off",
                "{said}"
            );
            checkpoints.push(std::fs::read(out.join("last.safetensors")).expect("a checkpoint"));
        }
    }
    for i in 2..checkpoints.len() {
        assert!(checkpoints[i] == checkpoints[i % 2], "run {i}");
    }
    let (code, _, err) = end(training("cpu", &fresh("graph-cpu"), &["--graph", "on"]));
    assert!(code == 2 && err.contains("--graph on on the CPU") && err.contains("hint: "), "{err}");
}

/// Without a word, products are what the device multiplies fastest; their losses stay within 2 %.
#[test]
fn bfloat16_is_the_default_where_devices_have_it() {
    let Some(_) = installed("bfloat16") else { return };
    let train = |name: &str, more: &[&str]| {
        let out = fresh(name);
        let mut train = program("train", crate::Libraries::All);
        train.arg("--data").arg(crate::shards()).arg("--out").arg(&out).args(["--device", "cuda"]);
        train.args("--narrow 8 --crop 56 --batch 16 --steps 6 --log-every 1".split(' ')).args(more);
        let (code, said, err) = end(train);
        assert_eq!(code, 0, "{err}");
        (losses(&out), said + &err)
    };
    let (exact, said) = train("exact", &["--precision", "f32"]);
    assert!(said.contains("on cuda:0, matrix products in f32"), "{said}");
    let (ours, said) = train("default", &[]);
    assert!(said.contains("on cuda:0, matrix products in bf16"), "{said}");
    assert_ne!(ours, exact);
    assert!(ours.iter().zip(&exact).all(|(a, b)| (a / b - 1.0).abs() < 0.02), "{ours:?}, {exact:?}");
}

/// A device works ahead of the scores that are read, and a loss that is no number still names its update.
#[test]
fn a_loss_that_is_no_number_names_its_update_on_a_device_too() {
    let Some(_) = installed("divergence") else { return };
    let recipe = scratch("steep.toml");
    // The recipe that a run writes, with a rate that no net survives.
    let dry = training::<&str>("cpu", &fresh("recipe"), &[]);
    let (code, _, err) = end(dry);
    assert_eq!(code, 0, "{err}");
    let written = std::fs::read_to_string(scratch("recipe").join("recipe.toml")).expect("a recipe");
    let steep = written.replacen("weights = 0.01\n", "weights = 1e12\n", 1);
    assert_ne!(steep, written);
    std::fs::write(&recipe, steep).expect("a file");
    let said = ["cpu", "cuda"].map(|device| {
        let mut train = training(device, &fresh(&format!("steep-{device}")), &["--recipe"]);
        train.arg(&recipe);
        let (code, _, err) = end(train);
        assert_eq!(code, 2, "{err}");
        let at = err.find("in step ").unwrap_or_else(|| panic!("{err}"));
        err[at..].split(';').next().expect("a step").to_owned()
    });
    assert_eq!(said[0], said[1]);
}

/// The bytes that `train` counts are the formula's, in its own words.
#[test]
fn exchanged_bytes_are_told_beside_the_formula() {
    let Some(_) = installed("exchanged bytes") else { return };
    let said = run("cuda:0,1", &fresh("exchange"), &[]);
    let line = said.lines().find(|line| line.contains("devices exchanged")).expect("a line");
    let numbers: Vec<u64> =
        line.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    // devices, counted, batch; 8·1·values·batch + 4·1·logits·batch = formula
    assert_eq!((numbers[0], numbers[2], numbers[1]), (2, 16, *numbers.last().expect("a number")), "{line}");
    assert_eq!(numbers[1], 8 * numbers[5] * 16 + 4 * 10 * 16, "{line}");
    assert!(scratch("exchange").join("last.safetensors").exists());
}
