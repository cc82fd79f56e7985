//! What the packer says: in words, as JSON, and of what it left out.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{archives, contents, packing, run, scratch, shards};

fn fresh(name: &str) -> PathBuf {
    let out = scratch().join(name);
    let _ = fs::remove_dir_all(&out);
    out
}

/// Standard output is one JSON object whatever is asked for.
#[test]
fn json_is_all_there_is() {
    let (out, dry) = (fresh("json-part"), fresh("json-dry"));
    let said = run("imagenet-pack", packing(&dry, &["--dry-run", "--json"])).ends(0).json();
    assert_eq!((&said["dry_run"], &said["classes"]), (&true.into(), &10.into()));
    let train = &said["splits"]["train"];
    assert_eq!((&train["photos"], &train["ignored"]), (&120.into(), &serde_json::Value::Null));
    assert!(said["to_write_bytes"].as_u64() > train["shard_bytes"].as_u64());
    assert!(!dry.exists());
    let part = ["--shard-records", "32", "--json", "--part"];
    let said = run("imagenet-pack", packing(&out, &[&part[..], &["2/2"]].concat())).ends(0).json();
    assert_eq!(
        (&said["part"], &said["complete"], &said["shards"]),
        (&"2/2".into(), &false.into(), &3.into())
    );
    let said = run("imagenet-pack", packing(&out, &[&part[..], &["1/2"]].concat())).ends(0).json();
    assert_eq!((&said["splits"]["train"]["images"], &said["ignored"]), (&120.into(), &serde_json::json!({})));
    assert!(contents(&out) == contents(shards()));
    let again = run("imagenet-pack", packing(&out, &["--shard-records", "32", "--json"])).ends(0).json();
    assert_eq!(again, said);
}

/// A part is called what it was called by; a merge that has nothing to move says so, and a set is no part.
#[test]
fn parts_are_called_by_their_names() {
    let dir = fresh("part-names");
    let [one, two] = ["1/2", "2/2"].map(|part| {
        let out = dir.join(&part[..1]);
        let said = run("imagenet-pack", packing(&out, &["--shard-records", "32", "--part", part])).ends(0);
        assert!(said.out.contains(&format!("part {part} is done")), "{said:?}");
        out
    });
    let out = dir.join("whole");
    run("imagenet-pack", args!["merge", &one, &two, "--out", &out]).ends(0);
    let said = run("imagenet-pack", args!["merge", &one, &two, "--out", &out]).ends(0);
    assert!(said.out.contains("whole holds the set: nothing was left to move"), "{said:?}");
    let said = run("imagenet-pack", args!["merge", &out, "--out", dir.join("other")]).refuses("finished set");
    assert!(said.err.contains("--part"), "{said:?}");
}

/// What a source holds besides photos is told by a dry run, by a run, and by a run's JSON.
#[test]
fn what_is_left_out_is_told() {
    let source = fresh("with-others");
    let photos = alexnet_pack::Source::open(&archives().train).unwrap();
    let mut bytes = Vec::new();
    for i in 0..2 {
        photos.read(i, &mut bytes).unwrap();
        let folder = source.join(photos.group_of(&photos.photos()[i]).unwrap());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(&*photos.photos()[i].name), &bytes).unwrap();
    }
    fs::write(source.join("readme.txt"), "").unwrap();
    fs::create_dir(source.join("n99000001/empty")).unwrap();
    let pack = |out: &Path, more: &[&str]| {
        let mut args = args!["--train", &source, "--out", out, "--size", "64", "--quiet"].to_vec();
        args.extend(more.iter().map(Into::into));
        run("imagenet-pack", args)
    };
    let told = "2 members that are no photos, the first is readme.txt";
    let out = fresh("with-others-set");
    for more in [&["--dry-run"][..], &[]] {
        let said = pack(&out, more).ends(0);
        assert!(said.out.contains(told), "{said:?}");
    }
    let others = serde_json::json!({"members": 2, "first": "readme.txt"});
    assert_eq!(pack(&out, &["--json"]).ends(0).json()["ignored"]["train"], others);
    let said = pack(&fresh("never"), &["--json", "--dry-run"]).ends(0).json();
    assert_eq!(said["splits"]["train"]["ignored"], others);
    // A photo there is no other thing.
    fs::write(source.join("n99000001/empty/x.JPEG"), &bytes).unwrap();
    pack(&out, &[]).refuses("empty/x.JPEG");
}

/// Ground truth of test photos needs a devkit, wherever that comes from, and is not dropped without one.
#[test]
fn test_truth_needs_a_devkit() {
    let folder = fresh("truth");
    fs::create_dir_all(&folder).unwrap();
    let a = archives();
    for path in [&a.val, &a.devkit] {
        fs::copy(path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let truth = folder.join("truth.txt");
    fs::write(&truth, "1\n2\n").unwrap();
    let out = fresh("truth-set");
    let pack = |args: &[&std::ffi::OsStr]| {
        run(
            "imagenet-pack",
            [args, &args!["--test-truth", &truth, "--out", &out, "--quiet"].each_ref().map(|a| &**a)]
                .concat(),
        )
    };
    pack(&["--from".as_ref(), folder.as_ref(), "--dry-run".as_ref()]).ends(0);
    pack(&["--val".as_ref(), a.val.as_ref()]).refuses("truth.txt: its lines are the ids of a devkit");
    assert!(!out.exists());
}

/// A count that is not the published one is a note and no more.
#[test]
fn a_split_that_is_not_whole_is_noted() {
    let out = fresh("not-whole");
    let said = run("imagenet-pack", packing(&out, &["--dry-run"])).ends(0);
    assert!(said.err.is_empty(), "the sample is no ImageNet: {said:?}");
    let classes: String = (1..=1000).map(|i| format!("n{i:08} class\n")).collect();
    let mapping = scratch().join("not-whole-kit/LOC_synset_mapping.txt");
    fs::create_dir_all(mapping.parent().unwrap()).unwrap();
    fs::write(&mapping, classes).unwrap();
    let args = args!["--val", &archives().val, "--devkit", &mapping, "--out", &out, "--dry-run"];
    let said = run("imagenet-pack", args).ends(0);
    assert_eq!(said.err, "note: val has 40 photos, ILSVRC2012's has 50000: a subset, or some are missing\n");
}

/// `verify` tells how much it read, which is all there is, and how fast: not faster than that in its own time.
#[test]
fn verify_tells_bytes_and_rate() {
    let bytes: usize = contents(shards()).iter().map(|(_, bytes)| bytes.len()).sum();
    let begin = std::time::Instant::now();
    let said = run("imagenet-pack", args!["verify", shards(), "--quiet"]).ends(0);
    let least = bytes as f64 / begin.elapsed().as_secs_f64();
    let words: Vec<&str> = said.out.split_whitespace().collect();
    let ["sound:", amount, unit, "checked", "at", rate, per] = words[..] else { panic!("{said:?}") };
    let number = |number: &str, unit: &str| {
        let scale = ["B", "kB", "MB", "GB", "TB"].iter().position(|u| *u == unit).expect("a unit");
        number.parse::<f64>().unwrap() * 1000f64.powi(scale as i32)
    };
    let told = number(amount, unit);
    assert!((told / bytes as f64 - 1.0).abs() < 0.01, "{told} of {bytes}");
    let rate = number(rate, per.strip_suffix("/s").unwrap());
    assert!(rate > least * 0.99 && rate < 1e12, "{rate}, at least {least}");
}

/// The contact sheet of a set: as many records as said, their pixels on it.
#[test]
fn a_contact_sheet_shows_records() {
    let png = scratch().join("sheet.png");
    let said =
        run("imagenet-pack", args!["inspect", shards(), "--split", "val", "--contact-sheet", &png]).ends(0);
    assert!(said.out.contains("40 of 40 records"), "{said:?}");
    let sheet = image::open(&png).unwrap().to_rgb8();
    // Records of 64×64 are not enlarged: 12 a row, 4 rows, 2 pixels between.
    assert_eq!(sheet.dimensions(), (12 * 66 + 2, 4 * 66 + 2));
    let set = alexnet_shard::ShardSet::open(shards(), alexnet_shard::Access::Map).unwrap();
    let mut scratch = vec![];
    let record = set.split(alexnet_shard::Split::Val).unwrap().record(13, &mut scratch).unwrap();
    let tile = image::imageops::crop_imm(&sheet, 68, 68, 64, 64).to_image();
    assert_eq!(tile.as_raw(), record);
}
