//! Parts and their merge, limits, folders of downloads, and the check of archives, as a user runs them.

use std::fs;

use alexnet_shard::{Access, ShardSet, Split};

use crate::program::{archives, contents, packing, run, scratch, shards};

#[test]
fn parts_are_packed_and_merged() {
    let dir = scratch().join("parts");
    let _ = fs::remove_dir_all(&dir);
    let parts = ["1/2", "2/2"].map(|part| {
        let out = dir.join(part.replace('/', "-of-"));
        let said = run("imagenet-pack", packing(&out, &["--shard-records", "32", "--part", part])).ends(0);
        assert!(said.out.contains("3 shards"), "{said:?}");
        out
    });
    let out = dir.join("whole");
    run("imagenet-pack", args!["merge", &parts[0], "--out", &out]).refuses("train-00000.shard is missing");
    assert!(!out.exists());
    let said = run("imagenet-pack", args!["merge", &parts[0], &parts[1], "--out", &out]).ends(0);
    assert!(said.out.contains("6 shards moved"), "{said:?}");
    assert!(contents(&out) == contents(shards()));
    run("imagenet-pack", args!["verify", &out, "--quiet"]).ends(0);
    for bad in ["3/2", "x", "0/0"] {
        let out = dir.join("never");
        let said = run("imagenet-pack", packing(&out, &["--part", bad]));
        assert!(said.code == 2 && said.err.contains("is no part"), "{said:?}");
        assert!(!out.exists());
    }
}

/// Classes in a file, in any order: numbered from 0 in the order of their WNIDs, and no photo of another.
#[test]
fn some_classes_are_numbered_anew() {
    let out = scratch().join("classes");
    let _ = fs::remove_dir_all(&out);
    let list = scratch().join("classes.txt");
    fs::write(&list, "n99000007\nn99000002\n").unwrap();
    run("imagenet-pack", packing(&out, &["--classes", &list.to_string_lossy()])).ends(0);
    let set = ShardSet::open(&out, Access::Map).unwrap();
    let wnids: Vec<&str> = set.classes().iter().map(|class| class.wnid.as_str()).collect();
    assert_eq!(wnids, ["n99000002", "n99000007"]);
    let train = set.split(Split::Train).unwrap();
    assert_eq!((train.len(), set.split(Split::Val).unwrap().len()), (24, 8));
    for i in 0..train.len() {
        let label = train.label(i).unwrap();
        assert!(train.name(i).starts_with(wnids[label as usize]), "{} has label {label}", train.name(i));
    }
}

#[test]
fn a_few_photos_to_try() {
    let out = scratch().join("limited");
    let _ = fs::remove_dir_all(&out);
    run("imagenet-pack", packing(&out, &["--limit", "7"])).ends(0);
    let said = run("imagenet-pack", args!["inspect", &out, "--json"]).ends(0).json();
    assert_eq!(said["splits"]["train"]["images"], 7);
    assert_eq!(said["splits"]["val"]["images"], 7);
}

/// The folder of the archives alone gives the same set as their names.
#[test]
fn a_folder_of_downloads_is_recognised() {
    let out = scratch().join("from");
    let _ = fs::remove_dir_all(&out);
    let folder = archives().train.parent().unwrap();
    let args = args!["--from", folder, "--out", &out, "--size", "64", "--shard-records", "32"];
    let said = run("imagenet-pack", args).ends(0);
    assert!(said.out.contains("ILSVRC2012:") && said.out.contains("ILSVRC2012_img_val.tar"), "{said:?}");
    assert!(contents(&out) == contents(shards()));
    let empty = scratch().join("from-nothing");
    fs::create_dir_all(&empty).unwrap();
    run("imagenet-pack", args!["--from", &empty, "--out", scratch().join("never")])
        .refuses("neither archives of a known name");
}

/// The generated archives have official names and other bytes: that is what a damaged download looks like.
#[test]
fn archives_are_held_to_their_checksums() {
    let a = archives();
    let said = run("imagenet-pack", args!["check", &a.val, &a.devkit, "--quiet"]).ends(1);
    assert!(
        said.out.contains("ILSVRC2012_img_val.tar: DAMAGED: ") && said.out.contains("6744924160"),
        "{said:?}"
    );
    assert!(said.out.contains("published is fa75699e90414af021442c21a62c3abf"), "{said:?}");
    let other = scratch().join("holiday.tar");
    fs::write(&other, "abc").unwrap();
    // What was compared with nothing has not passed.
    let said = run("imagenet-pack", args!["check", &other, "--quiet"]).ends(1);
    assert!(
        said.out.contains("cannot be told") && said.out.contains("900150983cd24fb0d6963f7d28e17f72"),
        "{said:?}"
    );
    run("imagenet-pack", args!["check", "/nowhere.tar", "--quiet"]).refuses("/nowhere.tar");
}
