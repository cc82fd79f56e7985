use crate::sample::{Sample, overwrite, tempdir};
use alexnet_shard::*;
use proptest::prelude::*;
use std::fs;
use std::path::Path;

/// Makes every checksum and digest of a shard valid again, whatever its bytes say; looks at sections only where the
/// table points inside the file.
fn reseal(bytes: &mut [u8]) {
    let u64_at = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let index = u64_at(bytes, 64) as usize;
    for row in 0..9 {
        let at = index + 8 + row * 24;
        if at + 24 > bytes.len() {
            break;
        }
        let (begin, len) = (u64_at(bytes, at + 8), u64_at(bytes, at + 16));
        let Some(end) = begin.checked_add(len).filter(|&end| end <= bytes.len() as u64) else { continue };
        let section = &bytes[begin as usize..end as usize];
        let (crc, digest) = (crc32c::crc32c(section), Digest::of(section));
        bytes[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
        match Section::ALL[row] {
            Section::Recipe => bytes[136..168].copy_from_slice(&digest.0),
            Section::Classes => bytes[168..200].copy_from_slice(&digest.0),
            _ => {}
        }
    }
    let (crc, digest) = (crc32c::crc32c(&bytes[index..]), Digest::of(&bytes[index..]));
    bytes[200..232].copy_from_slice(&digest.0);
    bytes[4088..4092].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..4092]);
    bytes[4092..4096].copy_from_slice(&crc.to_le_bytes());
}

/// Asks a shard for everything it has; it may refuse, it must not panic.
fn exercise(path: &Path) -> bool {
    let mut opened = false;
    for access in [Access::Map, Access::Read] {
        let Ok(shard) = Shard::open(path, access) else { continue };
        opened = true;
        let mut scratch = Vec::new();
        for i in 0..shard.len() {
            let _ = (shard.label(i), shard.entry(i), shard.crc(i), shard.name(i).len());
            assert_eq!(shard.record(i, &mut scratch).unwrap().len(), 192);
            let _ = shard.check_record(i);
        }
        let _ = (shard.classes().is_ok(), shard.pixel_sums().is_ok(), shard.report(), shard.moments());
    }
    opened
}

fn base() -> (tempfile::TempDir, std::path::PathBuf, Vec<u8>) {
    let dir = tempdir();
    Sample { planned: [4, 0, 0], shard_records: 4, refused: 4, ..Sample::TINY }.write(dir.path());
    let path = dir.path().join("train-00000.shard");
    let bytes = fs::read(&path).unwrap();
    (dir, path, bytes)
}

/// The forging tool itself must not be what makes shards fail.
#[test]
fn resealing_changes_nothing_in_a_sound_shard() {
    let (_dir, path, bytes) = base();
    let mut again = bytes.clone();
    reseal(&mut again);
    assert!(again == bytes && exercise(&path));
}

/// Each 4 bytes of the index in turn set to values that break arithmetic.
#[test]
fn senseless_numbers_do_not_panic() {
    let (dir, path, bytes) = base();
    let index = u64::from_le_bytes(bytes[64..72].try_into().unwrap()) as usize;
    let mut refused = 0;
    for at in (index..bytes.len() - 8).step_by(4) {
        for value in [0, 1, 5, 1 << 31, 1 << 40, u64::MAX / 8, u64::MAX - 7, u64::MAX] {
            let mut forged = bytes.clone();
            forged[at..at + 8].copy_from_slice(&value.to_le_bytes());
            reseal(&mut forged);
            overwrite(&path, &forged);
            refused += usize::from(!exercise(&path));
            if at % 64 == 0 {
                // The manifest still has the identity of the sound shard.
                assert!(forged == bytes || !verify(dir.path(), 1, &|_| ()).unwrap().is_empty());
            }
        }
    }
    assert!(refused > 1000, "only {refused} forgeries were refused: the test does not reach the checks");
}

/// What the sections must not say, with every checksum valid: refused by name.
#[test]
fn forged_sections_are_refused_by_name() {
    let (_dir, path, bytes) = base();
    let index = u64::from_le_bytes(bytes[64..72].try_into().unwrap()) as usize;
    let begin = |section: Section| {
        let row = index + 8 + (section as usize - 1) * 24 + 8;
        u64::from_le_bytes(bytes[row..row + 8].try_into().unwrap()) as usize
    };
    for (section, at, value) in [
        (Section::Labels, 0, &7u32.to_le_bytes()[..]),
        (Section::Entries, 8, &0u64.to_le_bytes()),
        (Section::Entries, 16, &4u64.to_le_bytes()),
        (Section::Names, 0, &1u64.to_le_bytes()),
        (Section::Names, 8, &u64::MAX.to_le_bytes()),
        (Section::Names, 24, &3u64.to_le_bytes()),
        (Section::Names, 32, &[0xFF]),
        (Section::Moments, 0, &1u64.to_le_bytes()),
        (Section::Moments, 8, &u64::MAX.to_le_bytes()),
        (Section::Report, 0, b"{"),
        (Section::Recipe, 10, b"2"),
        (Section::Recipe, 19, b"9"),
    ] {
        let mut forged = bytes.clone();
        let at = begin(section) + at;
        forged[at..at + value.len()].copy_from_slice(value);
        reseal(&mut forged);
        overwrite(&path, &forged);
        let error = Shard::open(&path, Access::Map).unwrap_err();
        assert!(
            matches!(&error, Error::Section { section: found, .. } if *found == section),
            "{section}: {error}"
        );
    }
    // A report that says a kept photo was refused, or leaves out the refused one, hides a loss.
    for (from, to) in [("\"entry\":3", "\"entry\":2"), ("\"kind\":\"refused", "\"kind\":\"Refused")] {
        let text: Vec<u8> = bytes.clone();
        let at = text.windows(from.len()).rposition(|window| window == from.as_bytes()).unwrap();
        let mut forged = text;
        forged[at..at + to.len()].copy_from_slice(to.as_bytes());
        reseal(&mut forged);
        overwrite(&path, &forged);
        let error = Shard::open(&path, Access::Read).unwrap_err();
        assert!(matches!(error, Error::Section { section: Section::Report, .. }), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn random_changes_do_not_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let (dir, path, bytes) = base();
        let index = u64::from_le_bytes(bytes[64..72].try_into().unwrap()) as usize;
        let mut forged = bytes.clone();
        for (at, value) in changes {
            forged[index + at.index(bytes.len() - index)] = value;
        }
        reseal(&mut forged);
        overwrite(&path, &forged);
        exercise(&path);
        let found = verify(dir.path(), 1, &|_| ()).unwrap();
        prop_assert_eq!(found.is_empty(), forged == bytes);
    }

    #[test]
    fn random_files_do_not_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..9000), magic: bool) {
        let dir = tempdir();
        let path = dir.path().join("val-00000.shard");
        if magic && bytes.len() >= 12 {
            bytes[..12].copy_from_slice(b"ALXSHARD\x01\0\0\0");
        }
        overwrite(&path, &bytes);
        prop_assert!(!exercise(&path));
        fs::write(dir.path().join(MANIFEST_NAME), &bytes).unwrap();
        fs::write(dir.path().join(REPORT_NAME), &bytes).unwrap();
        prop_assert!(ShardSet::open(dir.path(), Access::Map).is_err());
        prop_assert!(!verify(dir.path(), 1, &|_| ()).unwrap().is_empty());
        prop_assert!(Folder::inspect(dir.path(), Digest::default()).is_err());
    }
}
