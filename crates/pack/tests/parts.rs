use std::fs;
use std::path::PathBuf;

use alexnet_pack::{Error, Estimate, Packed, Part, pack, pack_part};
use alexnet_shard::{Error as ShardError, Split, merge};

use crate::archive::write;
use crate::world::World;

fn packed_parts(world: &World, count: u32, tag: &str) -> Vec<PathBuf> {
    let plan = world.plan(|o| (o.shard_records, o.shuffle_seed) = (4, Some(3)));
    let mut shards = 0;
    let mut folders = Vec::new();
    for index in 0..count {
        let part = Part::new(index, count).unwrap();
        let run = world.run(&format!("{tag}-{index}"), 1 + index as usize % 3);
        match pack_part(&plan, &run, part, &()).unwrap() {
            Packed::Part { shards: n, photos, .. } => {
                shards += n;
                assert!(count > 1 && photos <= n * 4);
                // Again, it has nothing to do.
                let again = pack_part(&plan, &run, part, &()).unwrap();
                assert!(matches!(again, Packed::Part { photos: 0, .. }), "{again:?}");
                let names = world.bytes(&format!("{tag}-{index}"));
                assert!(names.keys().all(|name| name.ends_with(".shard")), "{:?}", names.keys());
            }
            Packed::Set(_) => assert_eq!(count, 1),
        }
        folders.push(run.out);
    }
    // 45 photos of train and 12 of val, four a shard.
    assert!(count == 1 || shards == 12 + 3);
    folders
}

fn whole(world: &World) -> std::collections::BTreeMap<String, Vec<u8>> {
    world.pack("whole", |o| (o.shard_records, o.shuffle_seed) = (4, Some(3)));
    world.bytes("whole")
}

#[test]
fn merged_parts_are_the_whole() {
    let world = World::new();
    let whole = whole(&world);
    for count in [2, 3, 5, 20] {
        let parts = packed_parts(&world, count, &format!("of{count}"));
        let out = world.path(&format!("merged{count}"));
        let merged = merge(&parts, &out).unwrap();
        assert_eq!((merged.moved, merged.copied), (15, 0));
        assert!(world.bytes(&format!("merged{count}")) == whole, "{count} parts");
        assert!(parts.iter().all(|part| !part.exists()), "empty parts are left");
        // Again: nothing to do, whether or not the parts are still named.
        assert_eq!(merge(&parts, &out).unwrap(), alexnet_shard::Merged { moved: 0, ..merged });
        assert!(world.bytes(&format!("merged{count}")) == whole);
    }
}

/// One part may be the target, and what a stopped merge moved is found there.
#[test]
fn merging_goes_on() {
    let world = World::new();
    let whole = whole(&world);
    let parts = packed_parts(&world, 3, "part");
    fs::rename(parts[1].join("train-00004.shard"), parts[0].join("train-00004.shard")).unwrap();
    merge(&parts, &parts[0]).unwrap();
    assert!(world.bytes("part-0") == whole);
}

/// Parts packed one after the other into one folder need no merge.
#[test]
fn parts_in_one_folder_complete_it() {
    let world = World::new();
    let whole = whole(&world);
    let plan = world.plan(|o| (o.shard_records, o.shuffle_seed) = (4, Some(3)));
    let run = world.run("one", 2);
    for index in [2, 0] {
        let packed = pack_part(&plan, &run, Part::new(index, 3).unwrap(), &()).unwrap();
        assert!(matches!(packed, Packed::Part { .. }));
        let part = Part::new(index, 3).unwrap();
        assert_eq!(Estimate::of_part(&plan, &run.out, part).unwrap().needed_bytes, 0);
    }
    assert!(matches!(pack_part(&plan, &run, Part::new(1, 3).unwrap(), &()).unwrap(), Packed::Set(_)));
    assert!(world.bytes("one") == whole);
}

#[test]
fn what_cannot_be_merged_is_left_alone() {
    let world = World::new();
    whole(&world);
    let parts = packed_parts(&world, 3, "part");
    let out = world.path("out");
    let refused = |parts: &[PathBuf]| {
        let error = merge(parts, &out).unwrap_err();
        assert!(
            !out.exists()
                && parts.iter().all(|part| !part.is_dir() || fs::read_dir(part).unwrap().count() > 0)
        );
        assert!(error.hint().is_some(), "{error}");
        error
    };
    let error = refused(&parts[..2]);
    assert!(
        matches!(&error, ShardError::Incomplete { path } if path.ends_with("train-00002.shard")),
        "{error}"
    );
    let error = refused(&[parts[0].clone(), parts[1].clone(), world.path("typing error")]);
    assert!(error.to_string().contains("typing error"), "{error}");

    let stray = write(&parts[1], "notes.txt", b"x");
    assert!(matches!(refused(&parts), ShardError::ForeignFile { .. }));
    fs::remove_file(stray).unwrap();
    let partial = write(&parts[1], "val-00001.shard.partial", b"x");
    assert!(matches!(refused(&parts), ShardError::Unfinished { .. }));
    fs::remove_file(partial).unwrap();
    let mut with_set = parts.clone();
    with_set.push(world.path("whole"));
    assert!(refused(&with_set).to_string().contains("finished set"));

    let lock = write(&parts[2], ".packing.lock", b"");
    let held = fs::File::open(&lock).unwrap();
    held.lock().unwrap();
    assert!(matches!(refused(&parts), ShardError::Locked { .. }));
    drop(held);
    fs::remove_file(lock).unwrap();

    // The same shard twice is one; two versions of it are an error, as is another recipe.
    fs::copy(parts[0].join("val-00000.shard"), parts[1].join("val-00000.shard")).unwrap();
    let other = world.plan(|o| (o.shard_records, o.shuffle_seed, o.size) = (4, Some(3), 25));
    pack(&other, &world.run("other", 1), &()).unwrap();
    let kept = fs::read(parts[2].join("val-00002.shard")).unwrap();
    fs::copy(world.path("other/val-00002.shard"), parts[2].join("val-00002.shard")).unwrap();
    assert!(matches!(refused(&parts), ShardError::OtherRecipe { .. }));
    fs::write(parts[2].join("val-00002.shard"), kept).unwrap();
    let twice = parts[2].join("val-00001.shard");
    fs::copy(world.path("other/val-00001.shard"), &twice).unwrap();
    assert!(refused(&parts).to_string().contains("the same shard"));
    fs::remove_file(&twice).unwrap();
    merge(&parts, &out).unwrap();
    assert!(parts[1].exists(), "the spare copy is left");
}

/// The first records of a limited set are those of the whole; its recipe is another.
#[test]
fn a_limited_set_begins_like_the_whole() {
    let world = World::new();
    let (_, whole) = world.pack("all", |o| o.shuffle_seed = Some(9));
    let (summary, some) = world.pack("some", |o| (o.shuffle_seed, o.limit) = (Some(9), Some(20)));
    assert_eq!(summary.photos, 20 + 12);
    for split in [Split::Train, Split::Val] {
        let (whole, some) = (whole.split(split).unwrap(), some.split(split).unwrap());
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for i in 0..some.len() {
            assert_eq!((some.entry(i), some.name(i)), (whole.entry(i), whole.name(i)));
            assert_eq!(some.label(i), whole.label(i));
            assert_eq!(some.record(i, &mut a).unwrap(), whole.record(i, &mut b).unwrap());
        }
    }
    let error = pack(&world.plan(|o| o.shuffle_seed = Some(9)), &world.run("some", 1), &()).unwrap_err();
    assert!(matches!(error, Error::Shard(ShardError::OtherRecipe { .. })), "{error}");
}
