use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

use alexnet_pack::{Devkit, Error, Inputs, LabelOrder, Options, Plan, Progress, Source, pack};
use alexnet_rng::{Purpose, Stream};

use crate::archive::{devkit_tar_gz, write};
use crate::world::{ROWS, SIZE, World};

/// The files of a set do not depend on threads, and every record is what one photo alone gives.
#[test]
fn same_bytes_for_any_threads() {
    let world = World::new();
    let plan = world.plan(|o| o.shuffle_seed = Some(5));
    for threads in [1, 2, 5, 16] {
        pack(&plan, &world.run(&format!("out{threads}"), threads), &()).unwrap();
    }
    let one = world.bytes("out1");
    assert_eq!(one.keys().filter(|name| name.ends_with(".shard")).count(), 4);
    for threads in [2, 5, 16] {
        assert!(world.bytes(&format!("out{threads}")) == one, "{threads} threads");
    }
}

/// Where the sources lie, and under which names, is no part of a set.
#[test]
fn same_bytes_from_elsewhere() {
    let (here, there) = (World::new(), World::new());
    std::fs::rename(there.path("train.tar"), there.path("renamed")).unwrap();
    here.pack("out", |_| ());
    let inputs = Inputs {
        test: None,
        train: Some(Source::open(&there.path("renamed")).unwrap()),
        val: Some(Source::open(&there.path("val.tar")).unwrap()),
        devkit: Some(Devkit::read(&there.path("devkit.tar.gz")).unwrap()),
    };
    let options = Options { size: SIZE, shard_records: 16, ..Options::default() };
    pack(&Plan::new(inputs, options).unwrap(), &there.run("deep/er/out", 1), &()).unwrap();
    assert!(here.bytes("out") == there.bytes("deep/er/out"));
}

/// Cancels after some photos.
struct Stopper<'a> {
    left: Cell<u64>,
    flag: &'a AtomicBool,
}

impl Progress for Stopper<'_> {
    fn advance(&self, photos: u64, _: u64) {
        self.left.set(self.left.get().saturating_sub(photos));
        if self.left.get() == 0 {
            self.flag.store(true, Ordering::Relaxed);
        }
    }
}

/// Stopped at any point, over and over, with what a kill leaves lying about: the same bytes in the end.
#[test]
fn stopped_runs_end_in_the_same_bytes() {
    let world = World::new();
    let plan = world.plan(|_| ());
    pack(&plan, &world.run("whole", 2), &()).unwrap();
    let whole = world.bytes("whole");
    for round in 0..8u64 {
        let stream = Stream::new(round, 0, 0, Purpose::Sample);
        let out = format!("out{round}");
        let mut photos = Vec::new();
        let mut stops = 0;
        loop {
            let flag = AtomicBool::new(false);
            // At least one shard's worth, so that every run gets on.
            let progress = Stopper { left: Cell::new(17 + u64::from(stream.below(stops, 25))), flag: &flag };
            let mut run = world.run(&out, 1 + (round % 3) as usize);
            run.cancel = Some(&flag);
            match pack(&plan, &run, &progress) {
                Err(Error::Cancelled { done, planned }) => {
                    assert!(done <= planned && world.path(&out).join(".packing.lock").exists());
                    photos.push(planned);
                    write(&world.path(&out), "val-00000.shard.partial", b"half a header");
                }
                Ok(summary) => {
                    photos.push(summary.photos);
                    break;
                }
                Err(other) => panic!("round {round}: {other}"),
            }
            stops += 1;
        }
        assert!(stops > 0, "round {round}: never stopped");
        assert!(photos.is_sorted_by(|a, b| a > b), "finished shards were packed again: {photos:?}");
        assert!(world.bytes(&out) == whole, "round {round}");
    }
}

#[test]
fn complete_and_foreign_folders_are_left_alone() {
    let world = World::new();
    let plan = world.plan(|_| ());
    pack(&plan, &world.run("out", 2), &()).unwrap();
    let before = world.bytes("out");
    let again = pack(&plan, &world.run("out", 2), &()).unwrap();
    assert_eq!((again.was_complete, again.photos, again.shards_before), (true, 0, 4));
    for change in [
        (|o: &mut Options| o.size = 32) as fn(&mut Options),
        |o| o.filter = alexnet_pack::Filter::Area,
        |o| o.shuffle_seed = Some(0),
        |o| o.shard_records = 17,
        |o| o.label_order = LabelOrder::Devkit,
        |o| o.classes = Some(vec!["n00000001".into()]),
    ] {
        let error = pack(&world.plan(change), &world.run("out", 2), &()).unwrap_err();
        assert!(matches!(error, Error::Shard(alexnet_shard::Error::OtherRecipe { .. })), "{error}");
        assert!(error.hint().is_some());
    }
    // The same classes and photos, but another ground truth: other labels, so another set.
    write(world.dir.path(), "devkit.tar.gz", &devkit_tar_gz(&ROWS, &[1; 60]));
    assert!(pack(&world.plan(|_| ()), &world.run("out", 2), &()).is_err());
    assert!(world.bytes("out") == before);

    write(&world.path("mine"), "thesis.txt", b"x");
    let error = pack(&plan, &world.run("mine", 2), &()).unwrap_err();
    assert!(error.to_string().contains("thesis.txt"), "{error}");
    assert_eq!(world.bytes("mine").len(), 1);
}
