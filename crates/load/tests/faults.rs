//! Damaged and shrinking files: an error that names file and record, at the batch that holds it, and nothing else.

#![cfg(target_os = "linux")]

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use alexnet_load::{
    Augment, Checked, Config, Drawer, Error, Layout, Loader, Mean, Order, Output, Plan, Rank, Records,
    SplitOf, Subset, View,
};
use alexnet_shard::{
    Access, Class, Digest, FORMAT, Folder, HEADER_BYTES, Moments, Recipe, ShardPlan, ShardSet, ShardWriter,
    Split, catch_sigbus, class_table_digest, record_crc,
};

const RECORDS: u64 = 40;
const SIDE: usize = 32;

/// A set of 40 records in one shard; its stride is one page.
fn set(dir: &Path) {
    let classes = vec![Class { wnid: "n00000001".into(), words: "grey".into() }];
    let recipe = Recipe {
        format: FORMAT,
        size: [SIDE as u32; 2],
        filter: "none".into(),
        geometry: "none".into(),
        label_order: "wnid".into(),
        decoder: "none".into(),
        resizer: "none".into(),
        classes: class_table_digest(&classes),
        source: Digest([0; 32]),
        shuffle_seed: None,
        shard_records: RECORDS,
        options: Default::default(),
    };
    let folder = Folder::open(dir, recipe.digest()).expect("an empty folder");
    let plan = ShardPlan {
        split: Split::Train,
        number: 0,
        split_entries: RECORDS,
        recipe: &recipe,
        classes: &classes,
    };
    let mut writer = ShardWriter::create(dir, plan).expect("a sound plan");
    for entry in 0..RECORDS {
        let record = vec![entry as u8; SIDE * SIDE * 3];
        let (moments, crc) = (Moments::of(&record), record_crc(&record));
        writer.push(0, entry, &format!("photo {entry}"), &record, &moments, crc).expect("a sound record");
    }
    writer.finish(&[]).expect("a whole shard");
    folder.complete().expect("a whole set");
}

fn open(dir: &Path, access: Access) -> Arc<dyn Records> {
    let set = Arc::new(ShardSet::open(dir, access).expect("a sound set"));
    Arc::new(SplitOf::new(set, Split::Train).expect("it has the split"))
}

/// Ten batches of four, in order.
fn load(records: Arc<dyn Records>) -> Loader {
    let config = Config {
        plan: Plan {
            seed: 1,
            subset: Subset::all(RECORDS),
            order: Order::Sequential,
            batch: 4,
            rank: Rank::ALONE,
        },
        drawer: Drawer { seed: 1, slack: [4, 4], view: View::Random, lighting: None, vary: None },
        augment: Augment {
            record: [SIDE; 2],
            crop: [SIDE - 4; 2],
            mean: Mean::Channel([0.0; 3]),
            scale: [1.0; 3],
            output: Output::F32,
            layout: Layout::Nchw,
        },
        start: (0, 0),
        end: 2,
        threads: 3,
        slots: 2,
        labelled: true,
    };
    Loader::new(records, config).expect("a sound configuration")
}

/// The batches before the error, and the error.
fn failure(loader: Loader) -> (usize, Error) {
    let mut batches = 0;
    for batch in loader {
        match batch {
            Ok(_) => batches += 1,
            Err(error) => return (batches, error),
        }
    }
    panic!("{batches} batches and no error");
}

#[test]
fn a_damaged_record_is_named_at_its_first_touch() {
    for access in [Access::Map, Access::Read] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let dir = dir.path().join("set");
        set(&dir);
        let file = dir.join("train-00000.shard");
        let damaged = OpenOptions::new().write(true).open(&file).expect("the shard");
        damaged.write_all_at(&[255], HEADER_BYTES as u64 + 22 * 4096 + 100).expect("one byte");
        let (batches, error) = failure(load(Arc::new(Checked::new(open(&dir, access)))));
        assert_eq!(batches, 5, "record 22 is in batch 5");
        let error = error.to_string();
        for part in ["sample 22 (photo 22)", "train-00000.shard", "offset 94208", "record 22"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        // Without the check nobody asks.
        assert!(load(open(&dir, access)).all(|batch| batch.is_ok()));
    }
}

#[test]
fn sound_records_are_tested_and_lent() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let dir = dir.path().join("set");
    set(&dir);
    let checked: Vec<Vec<u8>> = load(Arc::new(Checked::new(open(&dir, Access::Map))))
        .map(|b| b.expect("sound records").bytes().to_vec())
        .collect();
    let plain: Vec<Vec<u8>> =
        load(open(&dir, Access::Read)).map(|b| b.expect("sound records").bytes().to_vec()).collect();
    assert_eq!(checked.len(), 20);
    assert_eq!(checked, plain);
}

#[test]
fn a_file_cut_short_during_an_epoch_is_named() {
    catch_sigbus();
    for access in [Access::Read, Access::Map] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let dir = dir.path().join("set");
        set(&dir);
        let records = open(&dir, access);
        let mut loader = load(records.clone());
        assert!(loader.next().expect("ten batches").is_ok());
        let file = OpenOptions::new().write(true).open(dir.join("train-00000.shard")).expect("the shard");
        // The ring holds two batches, so record 30 cannot have been read yet.
        file.set_len(HEADER_BYTES as u64 + 30 * 4096 + 5).expect("a shorter file");
        let (batches, error) = failure(loader);
        let error = error.to_string();
        assert!(error.contains("train-00000.shard"), "{access:?}: {error}");
        if access == Access::Read {
            assert_eq!(batches, 6, "batches 1 to 6; record 30 is in batch 7");
            assert!(error.contains("sample 30 (photo 30)"), "{error}");
        } else {
            // Labels and names lie at the end of the file and were lost with it: any record not yet made is the first
            // to notice. What was made of a page that is gone is never delivered.
            assert!(batches <= 2 && error.contains("shrank or failed while record"), "{batches}: {error}");
            // The mapping shows zeros where the file ended, and must not be believed later either.
            let (batches, error) = failure(load(records));
            assert_eq!(batches, 0);
            assert!(error.to_string().contains("sample 0 (its name is lost)"), "{error}");
        }
    }
}

/// A fault that is not ours still ends the process, by the same signal.
#[test]
fn foreign_faults_are_left_alone() {
    use std::os::unix::process::ExitStatusExt;
    const CHILD: &str = "ALEXNET_TEST_FOREIGN_FAULT";
    if let Some(path) = std::env::var_os(CHILD) {
        catch_sigbus();
        let records = open(Path::new(&path), Access::Map);
        let file = OpenOptions::new().write(true).open(Path::new(&path).join("train-00000.shard"));
        file.expect("the shard").set_len(0).expect("an empty file");
        // Outside any guard.
        let mut scratch = Vec::new();
        std::process::exit(i32::from(records.record(3, &mut scratch).expect("a mapping")[0]));
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let dir = dir.path().join("set");
    set(&dir);
    let status = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "foreign_faults_are_left_alone", "--test-threads", "1"])
        .env(CHILD, &dir)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .expect("this program runs");
    assert_eq!(status.signal(), Some(7), "SIGBUS");
}
