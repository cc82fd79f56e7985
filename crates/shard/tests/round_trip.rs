use crate::sample::{Sample, contents, tempdir};
use alexnet_shard::*;
use proptest::prelude::*;

fn samples() -> impl Strategy<Value = Sample> {
    let planned = [0u64..9, 0u64..5, 1u64..4];
    (any::<u64>(), [1u32..40, 1u32..40], 1u64..5, planned, 0u64..4).prop_map(
        |(seed, size, shard_records, planned, refused)| Sample {
            seed,
            size,
            shard_records,
            planned,
            refused,
        },
    )
}

/// Everything that a split says, held against what went in.
fn check(sample: &Sample, split: Split, set: &SplitSet) -> Result<(), TestCaseError> {
    let kept = sample.kept(split);
    prop_assert_eq!(set.len(), kept.len() as u64);
    prop_assert_eq!([set.width() as u32, set.height() as u32], sample.size);
    prop_assert_eq!(set.record_bytes(), set.width() * set.height() * 3);
    let (mut moments, mut sums) = (Moments::default(), vec![0u64; set.record_bytes()]);
    let mut scratch = Vec::new();
    for (i, &entry) in kept.iter().enumerate() {
        let i = i as u64;
        let expected = sample.record(split, entry);
        set.prefetch(i);
        prop_assert_eq!(set.record(i, &mut scratch).unwrap(), &expected[..]);
        prop_assert!(set.check_record(i).is_ok());
        prop_assert_eq!(set.label(i), sample.label(split, entry));
        prop_assert_eq!(set.name(i), sample.name(split, entry));
        prop_assert_eq!(set.entry(i), entry);
        moments = moments.merge(&Moments::of_slow(&expected));
        sums.iter_mut().zip(&expected).for_each(|(sum, &byte)| *sum += u64::from(byte));
    }
    prop_assert_eq!(set.moments(), moments);
    prop_assert_eq!(set.pixel_sums().unwrap(), sums);
    let refused = set.report().iter().filter(|line| line.kind == ReportKind::Refused).count();
    prop_assert_eq!(refused as u64 + set.len(), sample.planned[split as usize], "nothing is lost in silence");
    set.prefetch(set.len());
    prop_assert!(set.locate(set.len()).is_none());
    let error = set.record(set.len(), &mut scratch).unwrap_err();
    prop_assert!(matches!(error, Error::OutOfRange { .. }), "{}", error);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn what_is_written_is_read(sample in samples()) {
        let (one, two) = (tempdir(), tempdir());
        sample.write(one.path());
        sample.write(two.path());
        prop_assert_eq!(contents(one.path()), contents(two.path()), "bytes depend on the sample alone");
        prop_assert_eq!(verify(one.path(), 2, &|_| ()).unwrap(), []);
        for access in [Access::Map, Access::Read] {
            let set = ShardSet::open(one.path(), access).unwrap();
            prop_assert_eq!(set.recipe(), &sample.recipe());
            prop_assert_eq!(set.classes(), &sample.classes()[..]);
            for split in Split::ALL {
                match set.split(split) {
                    Some(found) => check(&sample, split, found)?,
                    None => prop_assert_eq!(sample.planned[split as usize], 0),
                }
            }
            for shard in set.splits().iter().flat_map(SplitSet::shards) {
                prop_assert_eq!(shard.mapped().is_some(), access == Access::Map);
            }
        }
    }
}

/// A shard whose entries were all refused is legal, and so is a split of nothing else.
#[test]
fn a_shard_may_be_empty() {
    let sample = Sample { refused: 1, planned: [3, 0, 0], ..Sample::TINY };
    let dir = tempdir();
    sample.write(dir.path());
    let set = ShardSet::open(dir.path(), Access::Map).unwrap();
    let train = set.split(Split::Train).unwrap();
    assert!(train.is_empty() && train.shards().len() == 2 && train.shards()[0].is_empty());
    assert_eq!((train.report().len(), train.moments()), (3, Moments::default()));
    assert_eq!(verify(dir.path(), 1, &|_| ()).unwrap(), []);
}

/// Progress adds up to the bytes of all shards, on the caller's thread.
#[test]
fn progress_counts_every_byte() {
    let sample = Sample { planned: [7, 3, 1], ..Sample::TINY };
    let dir = tempdir();
    sample.write(dir.path());
    let expected: u64 = contents(dir.path())
        .iter()
        .filter(|(name, _)| name.ends_with(".shard"))
        .map(|(_, b)| b.len() as u64)
        .sum();
    for threads in [0, 1, 3, 50] {
        let total = std::cell::Cell::new(0);
        verify(dir.path(), threads, &|bytes| total.set(total.get() + bytes)).unwrap();
        assert_eq!(total.get(), expected);
    }
}

#[test]
fn the_writer_refuses_what_a_reader_would() {
    let sample = Sample::TINY;
    let dir = tempdir();
    let (mut writer, report) = sample.begin(dir.path(), Split::Train, 0, 1);
    let record = sample.record(Split::Train, 1);
    let (moments, crc) = (Moments::of(&record), record_crc(&record));
    let long = "x".repeat(MAX_NAME_BYTES + 1);
    let mut push = |label, entry, name, record, moments| {
        writer.push(label, entry, name, record, &moments, crc).unwrap_err().to_string()
    };
    assert!(push(7, 1, "a", &record, moments).contains("7 classes"));
    assert!(push(0, 0, "a", &record, moments).contains("entry 0"), "entries ascend");
    assert!(push(0, 2, "a", &record, moments).contains("entry 2"), "entry of the next shard");
    assert!(push(0, 1, &long, &record, moments).contains("longer than"));
    assert!(push(0, 1, "a", &record[1..], moments).contains("191 bytes"));
    assert!(push(0, 1, "a", &record, Moments { pixels: 1, ..moments }).contains("moments"));
    let error = writer.finish(&report).unwrap_err().to_string();
    assert!(error.contains("do not make 2 planned entries"), "{error}");

    let (recipe, classes) = (sample.recipe(), sample.classes());
    let plan =
        ShardPlan { split: Split::Train, number: 0, split_entries: 3, recipe: &recipe, classes: &classes };
    let refuse = |plan: ShardPlan| ShardWriter::create(dir.path(), plan).unwrap_err().to_string();
    assert!(refuse(ShardPlan { number: 2, ..plan }).contains("shard 2 of 2"));
    assert!(refuse(ShardPlan { classes: &classes[1..], ..plan }).contains("class table"));
    sample.write_shard(dir.path(), Split::Train, 0);
    assert!(refuse(plan).contains("already there"));
}
