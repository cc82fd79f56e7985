//! A run that is stopped after any update, and started again, ends in the bytes of an unbroken one.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use alexnet_cpu::CpuBackend;
use alexnet_load::{Records, Stages, Subset};
use alexnet_net::{Net, Network, Parameters};
use alexnet_train::{
    Colour, Description, Ending, Error, Folder, Job, Length, Photos, Recipe, Record, Saved, Watcher, train,
};

const SIDE: usize = 72;

/// Ten photos of three classes, made of their number.
struct Made;

impl Records for Made {
    fn len(&self) -> u64 {
        10
    }
    fn size(&self) -> [usize; 2] {
        [SIDE, SIDE]
    }
    fn label(&self, i: u64) -> Option<u32> {
        Some(i as u32 % 3)
    }
    fn name(&self, i: u64) -> String {
        i.to_string()
    }
    fn record<'a>(&'a self, i: u64, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], alexnet_shard::Error> {
        scratch.clear();
        scratch.extend((0..SIDE * SIDE * 3).map(|k| ((k as u64 * (i % 3 + 1) * 7) ^ (i * 13)) as u8));
        Ok(scratch)
    }
    fn prefetch(&self, _: u64) {}
}

fn job(length: Length) -> Job {
    let mut recipe = Recipe::find("original-2012").unwrap();
    recipe.batch = 4;
    Job {
        net: Net::original(2, 3).narrowed(16, 16).with_input(63),
        recipe,
        seed: 5,
        length,
        records: Arc::new(Made),
        subset: Subset::all(10),
        validation: Some(Photos { records: Arc::new(Made), subset: Subset::all(10) }),
        colour: Colour {
            mean_image: vec![128.0; SIDE * SIDE * 3],
            vectors: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            variances: [400.0, 100.0, 25.0],
        },
        classes: vec![],
        loader_threads: 1,
        checkpoint_every: 1000,
        log_every: 1,
    }
}

/// Raises the flag after an update.
struct StopAfter<'a> {
    step: u64,
    flag: &'a AtomicBool,
}

impl Watcher for StopAfter<'_> {
    fn record(&mut self, _: &Record, _: Option<&Stages>) {}
    fn step(&mut self, step: u64) {
        if step == self.step {
            self.flag.store(true, Ordering::Relaxed);
        }
    }
}

fn run(job: &Job, dir: &Path, threads: usize, stop_after: u64) -> Result<Ending, Error> {
    let description = Description {
        net: serde_json::to_value(&job.net).unwrap(),
        recipe: serde_json::to_value(&job.recipe).unwrap(),
        data: "made".into(),
        colour: "made".into(),
        validation: "all".into(),
        seed: job.seed,
        initial: None,
        length: job.length.to_string(),
    };
    let folder = Folder::take(dir, &description)?;
    let mut network = Network::new(CpuBackend::new(1, threads).unwrap(), &job.net, 4)?;
    network.set_parameters(&Parameters::initial(&job.net, job.seed)?)?;
    let flag = AtomicBool::new(false);
    train(job, &mut network, &folder, &mut StopAfter { step: stop_after, flag: &flag }, &flag)
}

#[test]
fn stopped_after_any_update_it_ends_in_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let job = job(Length::Steps(8)); // 3 updates an epoch: 4, 4 and 2 photos
    let file = |name: &str| std::fs::read(dir.path().join(name).join("last.safetensors")).unwrap();
    assert!(matches!(run(&job, &dir.path().join("whole"), 1, 99), Ok(Ending::Finished(Some(_)))));
    for stop in 1..8 {
        let name = format!("stopped-{stop}");
        let path = dir.path().join(&name);
        let first = run(&job, &path, 2, stop).unwrap();
        // An epoch that ends with the update is finished first, and the stop noticed in the next one.
        assert_eq!(first, Ending::Stopped, "after {stop}");
        assert!(matches!(run(&job, &path, 1, 99).unwrap(), Ending::Finished(Some(_))));
        assert!(file("whole") == file(&name), "stopped after {stop}");
    }
    assert_eq!(run(&job, &dir.path().join("whole"), 1, 99).unwrap(), Ending::WasFinished);
}

#[test]
fn a_checkpoint_of_another_net_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    run(&job(Length::Steps(1)), &dir.path().join("a"), 1, 99).unwrap();
    let mut other = job(Length::Steps(1));
    other.net = Net::original(1, 3).narrowed(16, 16).with_input(63);
    std::fs::create_dir(dir.path().join("b")).unwrap();
    // A run folder whose checkpoint was exchanged.
    run(&other, &dir.path().join("b"), 1, 99).unwrap();
    std::fs::copy(dir.path().join("a/last.safetensors"), dir.path().join("b/last.safetensors")).unwrap();
    let error = run(&other, &dir.path().join("b"), 1, 99).unwrap_err();
    assert!(error.to_string().contains("columns"), "{error}");
}

#[test]
fn a_run_that_diverges_names_step_and_layer() {
    let dir = tempfile::tempdir().unwrap();
    let mut job = job(Length::Steps(8));
    let phases = "kind = \"phases\"\nphases = [{ from = 0, weights = 1e30, biases = 0.0 }]";
    let text = job.recipe.to_toml();
    let schedule = text.find("[schedule]").unwrap();
    job.recipe = Recipe::parse(&format!("{}[schedule]\n{phases}", &text[..schedule]), "wild").unwrap();
    let error = run(&job, &dir.path().join("wild"), 1, 99).unwrap_err();
    let said = error.to_string();
    let Error::Diverged { step, place, .. } = error else { panic!("{said}") };
    // The first update makes weights of 1e30; the second pass overflows in the first layers.
    assert_eq!(step, 2, "{said}");
    assert!(place.starts_with("the output of") && place.contains("conv"), "{said}");
}

/// The loss of an update is of the parameters before it: what the update makes of them is looked at before it is kept.
#[test]
fn an_update_that_overflows_leaves_the_checkpoint_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut job = job(Length::Steps(8));
    job.checkpoint_every = 1;
    let phase = |from: u32, rate: &str| format!("{{ from = {from}, weights = {rate}, biases = {rate} }}");
    let phases = format!(
        "kind = \"phases\"\nphases = [{}, {}]\n[layers]\nfc8 = {{ weights = 1e6, biases = 1.0 }}\n",
        phase(0, "1e-9"),
        phase(1, "1e38")
    );
    let text = job.recipe.to_toml();
    let schedule = text.find("[schedule]").unwrap();
    job.recipe = Recipe::parse(&format!("{}[schedule]\n{phases}", &text[..schedule]), "wild").unwrap();
    let error = run(&job, &dir.path().join("wild"), 1, 99).unwrap_err();
    assert!(matches!(error, Error::Overflowed { step: 4, .. }), "{error}");
    let saved = Saved::read(&dir.path().join("wild/last.safetensors")).unwrap();
    assert_eq!(saved.state.step, 3);
    let finite = |v: &[f32]| v.iter().all(|x| x.is_finite());
    assert!(saved.checkpoint.parameters.iter().all(finite));
}

/// A factor of 0 for the weights freezes a layer whole; smoothed labels change the others.
#[test]
fn layers_freeze_and_labels_are_smoothed() {
    let dir = tempfile::tempdir().unwrap();
    let plain = job(Length::Steps(3));
    let mut frozen = job(Length::Steps(3));
    let text = frozen.recipe.to_toml() + "[layers]\nconv2 = { weights = 0.0, biases = 1.0 }\n";
    frozen.recipe = Recipe::parse(&text, "frozen").unwrap();
    let mut smooth = job(Length::Steps(3));
    smooth.recipe.label_smoothing = 0.2;
    let end = |name: &str, job: &Job| {
        run(job, &dir.path().join(name), 1, 99).unwrap();
        Saved::read(&dir.path().join(name).join("last.safetensors")).unwrap().checkpoint.parameters
    };
    let (a, b, c) = (end("plain", &plain), end("frozen", &frozen), end("smooth", &smooth));
    let first = Parameters::initial(&plain.net, plain.seed).unwrap();
    for number in 0..first.len() {
        let is = |values: &Parameters| values.get(number) == first.get(number);
        // Biases of 1 move by less than they can hold in three updates of so narrow a net: weights are looked at.
        assert_eq!(is(&b), number == 2 || (number % 2 == 1 && is(&a)) || number == 3, "parameter {number}");
        assert!(number % 2 == 1 || !is(&a), "parameter {number}");
    }
    assert!(a.get(14) != c.get(14));
}

#[test]
fn rates_for_a_layer_that_is_not_there_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut job = job(Length::Steps(1));
    let text = job.recipe.to_toml() + "[layers]\nconv7 = { weights = 1.0, biases = 1.0 }\n";
    job.recipe = Recipe::parse(&text, "mine").unwrap();
    let error = run(&job, &dir.path().join("a"), 1, 99).unwrap_err().to_string();
    assert!(error.contains("conv7"), "{error}");
}
