use crate::sample::{Sample, contents, tempdir};
use alexnet_shard::*;
use std::fs;
use std::path::Path;

const SAMPLE: Sample = Sample { planned: [5, 3, 0], refused: 3, ..Sample::TINY };

fn recipe() -> Digest {
    SAMPLE.recipe().digest()
}

fn whole() -> Vec<(String, Vec<u8>)> {
    let dir = tempdir();
    SAMPLE.write(dir.path());
    contents(dir.path())
}

/// Packs what a folder lacks, as the packer does.
fn go_on(dir: &Path) {
    let folder = Folder::open(dir, recipe()).unwrap();
    let finished = match folder.state() {
        State::Fresh => Vec::new(),
        State::Partial(finished) => finished.clone(),
        State::Complete => return,
    };
    for (split, number) in SAMPLE.shards().into_iter().filter(|shard| !finished.contains(shard)) {
        SAMPLE.write_shard(dir, split, number);
    }
    folder.complete().unwrap();
}

/// Killed at any moment (in a shard, between shards, between report and manifest, before the lock is removed), the
/// same run goes on and ends in the bytes of an unbroken one.
#[test]
fn goes_on_after_a_kill_anywhere() {
    let expected = whole();
    assert_eq!(expected.len(), SAMPLE.shards().len() + 2, "shards, manifest, report and nothing else");
    for done in 0..=SAMPLE.shards().len() {
        for stage in 0..4 {
            let dir = tempdir();
            let out = dir.path().join("deep").join("shards");
            let folder = Folder::open(&out, recipe()).unwrap();
            assert_eq!(*folder.state(), State::Fresh);
            let shards = SAMPLE.shards();
            for &(split, number) in &shards[..done] {
                SAMPLE.write_shard(&out, split, number);
            }
            if let (Some(&(split, number)), 1..) = (shards.get(done), stage) {
                let (writer, report) = SAMPLE.begin(&out, split, number, 1);
                drop((writer, report));
                assert!(out.join(format!("{}.partial", split.file_name(number))).exists());
            }
            if done == shards.len() && stage > 1 {
                write_manifest(&out).unwrap();
                fs::write(out.join("manifest.json.partial"), "{").unwrap();
                fs::remove_file(out.join("manifest.json.partial")).unwrap();
                if stage == 3 {
                    fs::remove_file(out.join(MANIFEST_NAME)).unwrap();
                    fs::write(out.join("manifest.json.partial"), "{").unwrap();
                }
            }
            let complete = out.join(MANIFEST_NAME).exists();
            drop(folder); // as a kill does: the lock goes, the file stays
            assert!(out.join(".packing.lock").exists());
            let finished = shards[..done].to_vec();
            let state = if complete { State::Complete } else { State::Partial(finished) };
            assert_eq!(Folder::inspect(&out, recipe()).unwrap(), state);
            go_on(&out);
            assert_eq!(contents(&out), expected, "killed after {done} shards, stage {stage}");
            go_on(&out);
            assert_eq!(contents(&out), expected, "a third run changes nothing");
        }
    }
}

#[test]
fn a_second_lock_is_refused() {
    let dir = tempdir();
    let first = Folder::open(dir.path(), recipe()).unwrap();
    let error = Folder::open(dir.path(), recipe()).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }) && error.hint().is_some(), "{error}");
    drop(first);
    assert_eq!(*Folder::open(dir.path(), recipe()).unwrap().state(), State::Partial(vec![]));
}

/// Foreign folders are refused with the file or the two digests, and not touched.
#[test]
fn foreign_folders_are_left_alone() {
    let refuse = |make: &dyn Fn(&Path), named: &str| {
        let dir = tempdir();
        make(dir.path());
        let before = contents(dir.path());
        let error = Folder::open(dir.path(), recipe()).unwrap_err();
        let text = format!("{error} ({})", error.hint().expect("a hint"));
        assert!(text.contains(named), "{named}: {text}");
        assert_eq!(contents(dir.path()), before);
    };
    let other = Sample { seed: 9, ..SAMPLE };
    let mine = || recipe().to_string();
    refuse(&|dir| fs::write(dir.join("thesis.tex"), "").unwrap(), "thesis.tex");
    refuse(&|dir| fs::write(dir.join("train-0.shard"), "").unwrap(), "train-0.shard");
    refuse(&|dir| fs::write(dir.join("train-00000.shard.partial"), "").unwrap(), "train-00000.shard.partial");
    refuse(&|dir| fs::write(dir.join(".packing.lock"), "hands off").unwrap(), ".packing.lock");
    refuse(&|dir| other.write(dir), &other.recipe().digest().to_string());
    refuse(&|dir| other.write(dir), &mine());
    refuse(
        &|dir| {
            other.write_shard(dir, Split::Val, 1);
        },
        &other.recipe().digest().to_string(),
    );
    refuse(&|dir| drop(Folder::open(dir, other.recipe().digest()).unwrap()), &mine());
    refuse(
        &|dir| {
            SAMPLE.write(dir);
            fs::write(dir.join("README"), "").unwrap();
        },
        "README",
    );
    refuse(
        &|dir| {
            SAMPLE.write(dir);
            fs::copy(dir.join("val-00000.shard"), dir.join("val-00007.shard")).unwrap();
        },
        "val-00007.shard",
    );
    refuse(
        &|dir| {
            SAMPLE.write(dir);
            fs::remove_file(dir.join("val-00001.shard")).unwrap();
        },
        "val-00001.shard",
    );
    let path = tempfile::NamedTempFile::new().unwrap();
    assert!(matches!(Folder::open(path.path(), recipe()), Err(Error::Io { .. })), "a file is no folder");
}

/// A finished shard that is damaged is named, not packed around.
#[test]
fn a_damaged_shard_stops_going_on() {
    let dir = tempdir();
    drop(Folder::open(dir.path(), recipe()).unwrap());
    SAMPLE.write_shard(dir.path(), Split::Train, 1);
    let path = dir.path().join("train-00001.shard");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = Folder::inspect(dir.path(), recipe()).unwrap_err();
    assert!(error.to_string().contains("train-00001.shard"), "{error}");
}

#[test]
fn a_manifest_needs_every_shard() {
    let dir = tempdir();
    let folder = Folder::open(dir.path(), recipe()).unwrap();
    let shards = SAMPLE.shards();
    for &(split, number) in &shards {
        if number != 1 {
            SAMPLE.write_shard(dir.path(), split, number);
        }
    }
    let error = folder.complete().unwrap_err();
    assert!(error.to_string().contains("train-00001.shard"), "{error}");
    assert!(!dir.path().join(MANIFEST_NAME).exists());
    go_on(dir.path());
    assert_eq!(contents(dir.path()), whole());
}

/// Looking creates nothing.
#[test]
fn inspecting_creates_nothing() {
    let dir = tempdir();
    let out = dir.path().join("out");
    assert_eq!(Folder::inspect(&out, recipe()).unwrap(), State::Fresh);
    assert!(!out.exists());
}
