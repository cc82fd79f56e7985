//! A run that is stopped after any update, and started again, ends in the bytes of an unbroken one.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use alexnet_cpu::CpuBackend;
use alexnet_load::{Records, Stages, Subset};
use alexnet_net::{Net, Network, Parameters};
use alexnet_train::{
    Colour, Description, Ending, Error, Folder, Job, Length, Photos, Recipe, Record, Watcher, train,
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
