use std::cell::Cell;
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use alexnet_pack::{Error, Estimate, Inputs, Options, Plan, Progress, Source, pack};

use crate::archive::{Tar, write};
use crate::world::{PHOTOS, SIZE, World, photo};

/// Does something after the first photo of a run.
struct Meanwhile<F: Fn()> {
    done: Cell<bool>,
    what: F,
}

impl<F: Fn()> Progress for Meanwhile<F> {
    fn advance(&self, _: u64, _: u64) {
        if !self.done.replace(true) {
            (self.what)();
        }
    }
}

fn meanwhile(what: impl Fn()) -> Meanwhile<impl Fn()> {
    Meanwhile { done: Cell::new(false), what }
}

/// An archive that is written to while it is packed ends the run before a shard of it is named, even if its length
/// stays; back at rest, the same call goes on to the same bytes.
#[test]
fn an_archive_that_changes_is_no_shard() {
    let world = World::new();
    world.pack("whole", |_| ());
    let path = world.path("train.tar");
    let bytes = fs::read(&path).unwrap();
    let change = meanwhile(|| {
        let file = File::options().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &[0x55; 9], 30_000).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(5)).unwrap();
    });
    let error = pack(&world.plan(|_| ()), &world.run("out", 2), &change).unwrap_err();
    assert!(matches!(&error, Error::Changed { path: p, .. } if *p == path), "{error}");
    assert!(error.hint().is_some());
    assert!(!world.bytes("out").keys().any(|name| name.ends_with(".shard")));
    fs::write(&path, bytes).unwrap();
    pack(&world.plan(|_| ()), &world.run("out", 2), &()).unwrap();
    assert!(world.bytes("out") == world.bytes("whole"));
}

/// An open archive may be renamed or removed; what was walked is what is read.
#[test]
fn an_archive_that_is_removed_does_no_harm() {
    let world = World::new();
    world.pack("whole", |_| ());
    let gone = meanwhile(|| fs::remove_file(world.path("train.tar")).unwrap());
    pack(&world.plan(|_| ()), &world.run("out", 2), &gone).unwrap();
    assert!(world.bytes("out") == world.bytes("whole"));
}

fn folders(world: &World) -> Inputs {
    let folder = world.path("folders");
    for wnid in ["n00000001", "n00000002", "n00000003"] {
        for i in 0..PHOTOS {
            let (name, bytes) = photo(wnid, i);
            write(&folder, &format!("{wnid}/{name}"), &bytes);
        }
    }
    Inputs { train: Some(Source::open(&folder).unwrap()), val: None, ..world.inputs() }
}

/// A photo on disk that becomes shorter, longer, another of the same length, or vanishes: the error names it.
#[test]
fn a_photo_that_changes_is_named() {
    for change in 0..4 {
        let world = World::new();
        let plan = Plan::new(folders(&world), Options { size: SIZE, ..Options::default() }).unwrap();
        let (name, bytes) = photo("n00000003", 13);
        let path = world.path("folders").join("n00000003").join(&name);
        match change {
            0 => fs::write(&path, &bytes[1..]).unwrap(),
            1 => fs::write(&path, [&bytes[..], &[0]].concat()).unwrap(),
            2 => {
                fs::write(&path, &bytes).unwrap();
                let later = SystemTime::now() + Duration::from_secs(5);
                File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
            }
            _ => fs::remove_file(&path).unwrap(),
        }
        let error = pack(&plan, &world.run("out", 2), &()).unwrap_err();
        assert!(error.to_string().contains(&name) && error.hint().is_some(), "change {change}: {error}");
        assert!(change == 3 || matches!(error, Error::Changed { .. }), "change {change}: {error}");
        assert!(world.path("out/.packing.lock").exists() && !world.path("out/manifest.json").exists());
    }
}

/// Four terabytes are refused before anything is written.
#[test]
fn a_set_that_does_not_fit_is_not_begun() {
    let world = World::new();
    let mut tar = Tar::new();
    for i in 0..20_000 {
        tar.add(&format!("n00000001_{i}.JPEG"), &[]);
    }
    let train = Source::open(&write(world.dir.path(), "many.tar", &tar.bytes())).unwrap();
    let inputs = Inputs { train: Some(train), val: None, ..world.inputs() };
    let plan = Plan::new(inputs, Options { size: 8192, ..Options::default() }).unwrap();
    let estimate = Estimate::new(&plan, &world.path("out")).unwrap();
    if estimate.free_bytes.is_none_or(|free| free >= estimate.needed_bytes) {
        eprintln!(
            "skipped: safety::a_set_that_does_not_fit_is_not_begun: {:?} bytes are free",
            estimate.free_bytes
        );
        return;
    }
    let error = pack(&plan, &world.run("out", 1), &()).unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. }) && error.hint().is_some(), "{error}");
    assert!(!world.path("out").exists());
}
