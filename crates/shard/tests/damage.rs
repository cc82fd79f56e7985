use crate::sample::{Sample, overwrite, tempdir};
use alexnet_shard::*;
use std::fs;
use std::ops::Range;
use std::path::Path;

fn tiny() -> tempfile::TempDir {
    let dir = tempdir();
    Sample::TINY.write(dir.path());
    dir
}

fn damage(dir: &Path) -> Vec<Damage> {
    verify(dir, 1, &|_| ()).unwrap()
}

fn u64_at(bytes: &[u8], at: usize) -> usize {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
}

/// Which part of a shard of 8×8 records the byte at `at` belongs to, by the README alone.
fn place(bytes: &[u8], at: usize) -> Place {
    let index = u64_at(bytes, 64);
    if at < 4096 {
        return Place::Header;
    }
    if at < index {
        let record = (at as u64 - 4096) / 4096;
        return if at % 4096 < 192 { Place::Record(record) } else { Place::Padding(record) };
    }
    let range = |row: usize| -> Range<usize> {
        let begin = u64_at(bytes, index + 8 + row * 24 + 8);
        begin..begin + u64_at(bytes, index + 8 + row * 24 + 16)
    };
    (0..9).find(|&row| range(row).contains(&at)).map_or(Place::SectionTable, |row| {
        // A flipped checksum of a section is seen as damage to that section, which is as near as one can tell.
        Place::Section(Section::ALL[row])
    })
}

/// Every single byte of a set, flipped in one bit: verify finds it and names file and place, and nothing else.
#[test]
fn every_flipped_byte_is_found_and_named() {
    let dir = tiny();
    assert_eq!(damage(dir.path()), []);
    let files = crate::sample::contents(dir.path());
    assert_eq!(files.len(), 4, "two shards, manifest, report");
    for (name, bytes) in files {
        let path = dir.path().join(&name);
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            overwrite(&path, &flipped);
            let found = damage(dir.path());
            assert!(!found.is_empty(), "{name}, byte {at}: not found");
            let expected = match name.as_str() {
                MANIFEST_NAME => Place::Manifest,
                REPORT_NAME => Place::Report,
                _ => place(&bytes, at),
            };
            let in_table = expected == Place::SectionTable;
            let named = |d: &Damage| {
                d.file == path && (d.what == expected || in_table && matches!(d.what, Place::Section(_)))
            };
            assert!(found.iter().any(named), "{name}, byte {at}: {expected} expected, {found:?} found");
            assert!(found.iter().all(|d| d.file == path), "{name}, byte {at}: {found:?} blames another file");
        }
        overwrite(&path, &bytes);
    }
    assert_eq!(damage(dir.path()), []);
}

/// Single bytes anywhere in a set of several shards, changed to anything: each is found and named, on one thread and
/// on more threads than there are shards. IMAGENET_TEST_DAMAGE says how many.
#[test]
fn a_changed_byte_anywhere_is_found_on_any_number_of_threads() {
    let count = std::env::var("IMAGENET_TEST_DAMAGE").map_or(250, |n| n.parse().unwrap());
    let dir = tempdir();
    Sample { planned: [90, 40, 0], shard_records: 60, ..Sample::TINY }.write(dir.path());
    let files = crate::sample::contents(dir.path());
    let total: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as usize) % below
    };
    for n in 0..count {
        let (mut at, change) = (random(total), 1 + random(255) as u8);
        let (name, bytes) = (files.iter())
            .find(|(_, bytes)| {
                at < bytes.len() || {
                    at -= bytes.len();
                    false
                }
            })
            .unwrap();
        let path = dir.path().join(name);
        let mut changed = bytes.clone();
        changed[at] ^= change;
        overwrite(&path, &changed);
        let found = verify(dir.path(), 1 + n % 7, &|_| ()).unwrap();
        overwrite(&path, bytes);
        let expected = match name.as_str() {
            MANIFEST_NAME => Place::Manifest,
            REPORT_NAME => Place::Report,
            _ => place(bytes, at),
        };
        let in_table = expected == Place::SectionTable;
        let named = |d: &Damage| d.what == expected || in_table && matches!(d.what, Place::Section(_));
        assert!(found.iter().any(named), "{name}, byte {at}: {expected} expected, {found:?} found");
        assert!(found.iter().all(|d| d.file == path), "{name}, byte {at}: {found:?}");
    }
    for threads in [1, 3, 16] {
        let checked = std::cell::Cell::new(0);
        assert_eq!(verify(dir.path(), threads, &|n| checked.set(checked.get() + n)).unwrap(), []);
        let shards = files.iter().filter(|(name, _)| name.ends_with(".shard"));
        assert_eq!(
            checked.get(),
            shards.map(|(_, bytes)| bytes.len() as u64).sum::<u64>(),
            "every byte, once"
        );
    }
}

/// Every length shorter than the whole, and some longer: a clear error for both ways to read, and for verify.
#[test]
fn every_truncation_is_an_error() {
    let dir = tiny();
    let path = dir.path().join("train-00000.shard");
    let bytes = fs::read(&path).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    for length in (0..bytes.len()).rev() {
        file.set_len(length as u64).unwrap();
        for access in [Access::Map, Access::Read] {
            let error = Shard::open(&path, access).unwrap_err();
            assert!(
                matches!(error, Error::Length { found, .. } if found == length as u64),
                "{length}: {error}"
            );
            assert!(error.to_string().contains("train-00000.shard") && error.hint().is_some());
        }
        if length % 97 == 0 {
            let found = damage(dir.path());
            assert!(found.iter().any(|d| d.file == path && d.what == Place::File), "{length}: {found:?}");
        }
    }
    for longer in [1, 8, 4096] {
        let mut bytes = bytes.clone();
        bytes.resize(bytes.len() + longer, 0);
        overwrite(&path, &bytes);
        assert!(matches!(Shard::open(&path, Access::Map), Err(Error::Length { .. })));
        assert!(!damage(dir.path()).is_empty());
    }
}

/// Damage in several places is all listed; one does not hide another.
#[test]
fn all_damage_is_listed() {
    let dir = tempdir();
    Sample { planned: [6, 3, 0], shard_records: 3, ..Sample::TINY }.write(dir.path());
    let flip = |name: &str, at: usize| {
        let path = dir.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 0x10;
        fs::write(path, bytes).unwrap();
    };
    flip("train-00000.shard", 4096 + 100);
    flip("train-00000.shard", 2 * 4096 + 4000);
    flip("train-00001.shard", 3 * 4096);
    flip("val-00000.shard", 4 * 4096 + 230);
    flip("report.jsonl", 0);
    fs::remove_file(dir.path().join("train-00001.shard")).unwrap();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    let found: Vec<String> = damage(dir.path())
        .iter()
        .map(|d| format!("{} {}", d.file.file_name().unwrap().to_str().unwrap(), d.what))
        .collect();
    let expected = [
        "notes.txt file",
        "report.jsonl report",
        "train-00000.shard record 0",
        "train-00000.shard padding after record 1",
        "train-00001.shard file",
        "val-00000.shard index section labels",
    ];
    assert_eq!(found, expected);
    let record = &damage(dir.path())[2];
    assert!(record.detail.contains("фото_0.JPEG"), "the photo is named: {record}");
}

/// A set opens only if it is the one that its manifest names; each refusal names the file.
#[test]
fn a_set_that_is_not_its_manifests_is_refused() {
    let other = tempdir();
    Sample { seed: 2, ..Sample::TINY }.write(other.path());
    let refuse = |change: &dyn Fn(&Path), named: &str| {
        let dir = tiny();
        change(dir.path());
        for access in [Access::Map, Access::Read] {
            let error = ShardSet::open(dir.path(), access).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
            assert!(error.hint().is_some(), "{error}");
        }
        assert!(!verify(dir.path(), 1, &|_| ()).unwrap().is_empty());
    };
    let shard = "train-00001.shard";
    refuse(&|dir| fs::remove_file(dir.join(shard)).unwrap(), shard);
    refuse(
        &|dir| {
            fs::copy(other.path().join(shard), dir.join(shard)).unwrap();
        },
        shard,
    );
    refuse(
        &|dir| {
            fs::copy(dir.join("train-00000.shard"), dir.join(shard)).unwrap();
        },
        shard,
    );
    refuse(&|dir| fs::remove_file(dir.join(MANIFEST_NAME)).unwrap(), MANIFEST_NAME);
    refuse(
        &|dir| {
            fs::copy(other.path().join(MANIFEST_NAME), dir.join(MANIFEST_NAME)).unwrap();
        },
        "shard",
    );
    let rewrite = |dir: &Path, change: &dyn Fn(String) -> String| {
        let text = fs::read_to_string(dir.join(MANIFEST_NAME)).unwrap();
        let changed = change(text.clone());
        assert_ne!(changed, text);
        fs::write(dir.join(MANIFEST_NAME), changed).unwrap();
    };
    refuse(&|dir| rewrite(dir, &|text| text.replace("\n  ", "\n   ")), "one form");
    refuse(&|dir| rewrite(dir, &|text| text.replace("\"images\": 3", "\"images\": 4")), "SHA-256");
    refuse(&|dir| rewrite(dir, &|text| text.replace("\"kind\"", "\"sort\"")), "not a manifest");
}

/// Without a manifest, the shards say which of them is missing, and that the report cannot be checked.
#[test]
fn a_missing_manifest_hides_no_missing_shard() {
    let dir = tiny();
    fs::remove_file(dir.path().join(MANIFEST_NAME)).unwrap();
    fs::remove_file(dir.path().join("train-00000.shard")).unwrap();
    let found = damage(dir.path());
    assert!(found.iter().any(|d| d.detail.contains("train-00000.shard is missing")), "{found:?}");
    assert!(found.iter().any(|d| d.what == Place::Report), "{found:?}");
}

#[test]
fn an_empty_or_missing_folder_is_no_set() {
    let dir = tempdir();
    for path in [dir.path().to_owned(), dir.path().join("nowhere")] {
        let (open, check) =
            (ShardSet::open(&path, Access::Map).map(drop), verify(&path, 1, &|_| ()).map(drop));
        for error in [open.unwrap_err(), check.unwrap_err()] {
            assert!(error.hint().is_some(), "{error}");
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        }
    }
}
