//! What happens to a folder that is not empty.

use std::fs;

use alexnet_datasets::sample::{Error, SampleOptions, generate};

use crate::archives::small;

const TRAIN: &str = "ILSVRC2012_img_train.tar";

fn refused(dir: &std::path::Path, options: &SampleOptions) -> Error {
    let before: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    let bytes: Vec<_> = before.iter().map(|path| fs::read(path).unwrap()).collect();
    let error = generate(dir, options, &mut |_| panic!("no photo may be made")).unwrap_err();
    let after: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(before, after);
    assert!(before.iter().zip(bytes).all(|(path, bytes)| fs::read(path).unwrap() == bytes));
    error
}

const SMALL: SampleOptions = SampleOptions { seed: 7, train_per_class: 3, val_per_class: 2, threads: 2 };

#[test]
fn a_complete_sample_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!small(dir.path(), 2).kept);
    assert!(small(dir.path(), 1).kept);
}

/// What a kill leaves: partial files alone, or the record and some of the archives.
#[test]
fn what_a_killed_run_left_is_completed() {
    let whole = tempfile::tempdir().unwrap();
    small(whole.path(), 2);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(format!("{TRAIN}.partial")), b"half").unwrap();
    small(dir.path(), 2);
    fs::remove_file(dir.path().join(TRAIN)).unwrap();
    fs::write(dir.path().join("sample.json.partial"), b"{").unwrap();
    assert!(!small(dir.path(), 2).kept);
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        assert_eq!(fs::read(&path).unwrap(), fs::read(whole.path().join(name)).unwrap(), "{name:?}");
    }
}

#[test]
fn foreign_archives_are_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(TRAIN), b"147,897,477,120 bytes of someone's work").unwrap();
    assert!(matches!(refused(dir.path(), &SMALL), Error::Foreign { .. }));
}

#[test]
fn other_samples_and_damage_are_named() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path(), 2);
    let other = SampleOptions { seed: 8, ..SMALL };
    let error = refused(dir.path(), &other);
    assert!(matches!(error, Error::Other { .. }));
    let message = error.to_string();
    assert!(message.contains("seed 7") && message.contains("seed 8"), "{message}");

    let path = dir.path().join(TRAIN);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = refused(dir.path(), &SMALL);
    assert!(matches!(error, Error::Changed { .. }));
    assert!(error.to_string().contains(TRAIN), "{error}");

    fs::write(dir.path().join("sample.json"), b"{}").unwrap();
    assert!(matches!(refused(dir.path(), &SMALL), Error::Record { .. }));
}

#[test]
fn a_path_that_cannot_be_a_folder_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("photos");
    fs::write(&file, b"").unwrap();
    let error = generate(&file, &SMALL, &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::File { .. }));
    assert!(error.to_string().contains("photos"), "{error}");
    assert_eq!(fs::read(&file).unwrap(), b"");
}
