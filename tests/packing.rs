//! `imagenet-pack`: the same bytes whatever happens, complete, and every damaged byte found.

mod parts;
mod safety;
mod telling;

use std::fs;

use alexnet_rng::{Purpose, Stream};

use crate::program::{archives, contents, packing, real_data, run, run_unread, scratch, shards};

#[test]
fn a_packed_set_tells_what_is_in_it() {
    let said = run("imagenet-pack", args!["inspect", shards(), "--json"]).ends(0).json();
    assert_eq!(said["splits"]["train"]["images"], 120);
    assert_eq!(said["splits"]["val"]["images"], 40);
    assert_eq!(said["splits"]["train"]["classes"], 10);
    assert_eq!(said["splits"]["train"]["size"], serde_json::json!([64, 64]));
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let one = contents(shards());
    assert_eq!(one.iter().filter(|(name, _)| name.ends_with(".shard")).count(), 4 + 2);
    for threads in ["1", "2", "5"] {
        let out = scratch().join(format!("threads-{threads}"));
        let _ = fs::remove_dir_all(&out);
        run("imagenet-pack", packing(&out, &["--shard-records", "32", "--threads", threads])).ends(0);
        assert!(contents(&out) == one, "{threads} threads give other bytes");
    }
}

#[test]
fn a_complete_folder_is_left_alone() {
    let before = contents(shards());
    let said = run("imagenet-pack", packing(shards(), &["--shard-records", "32"])).ends(0);
    assert!(said.out.contains("complete"), "{said:?}");
    run("imagenet-pack", packing(shards(), &["--shard-records", "16"])).refuses("recipe");
    assert!(contents(shards()) == before);
}

/// `imagenet-pack … | head -1` packs all the same, and `verify` still tells by its exit code.
#[test]
fn a_closed_pipe_ends_no_work() {
    let out = scratch().join("closed-pipe");
    let _ = fs::remove_dir_all(&out);
    assert_eq!(run_unread("imagenet-pack", packing(&out, &["--shard-records", "32"])), Some(0));
    assert!(contents(&out) == contents(shards()));
    assert_eq!(run_unread("imagenet-pack", args!["verify", &out]), Some(0));
    let shard = out.join("train-00000.shard");
    let mut bytes = fs::read(&shard).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&shard, bytes).unwrap();
    assert_eq!(run_unread("imagenet-pack", args!["verify", &out]), Some(1));
}

#[test]
fn two_hundred_flipped_bytes_are_found() {
    let out = scratch().join("flipped");
    let _ = fs::remove_dir_all(&out);
    run("imagenet-pack", packing(&out, &["--shard-records", "32"])).ends(0);
    run("imagenet-pack", args!["verify", &out]).ends(0);
    let files: Vec<_> = contents(&out);
    let total: u64 = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let stream = Stream::new(200, 0, 0, Purpose::Sample);
    for i in 0..200u64 {
        // Half anywhere, half in the small files and heads and tails of shards, where the structure is.
        let mut at = (stream.uniform(3 * i) * total as f64) as u64;
        let (name, bytes) = files
            .iter()
            .find(|(_, bytes)| {
                let inside = at < bytes.len() as u64;
                if !inside {
                    at -= bytes.len() as u64;
                }
                inside
            })
            .expect("a place in the set");
        let place =
            if i % 2 == 0 { at as usize } else { bytes.len() - 1 - (at as usize % bytes.len().min(9000)) };
        let mut damaged = bytes.clone();
        damaged[place] ^= 1 << (stream.word(1000 + i) % 8);
        fs::write(out.join(name), &damaged).unwrap();
        let damage = alexnet_shard::verify(&out, 1, &|_| {});
        let found = match damage {
            Ok(damage) => damage.iter().map(|d| d.to_string()).collect::<Vec<_>>().join("; "),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(name.as_str()), "byte {place} of {name}: {found:?}");
        fs::write(out.join(name), bytes).unwrap();
    }
    let (name, bytes) = files.iter().find(|(name, _)| name == "train-00001.shard").unwrap();
    let mut damaged = bytes.clone();
    damaged[4096 + 64 * 64 * 3 + 5] ^= 1;
    fs::write(out.join(name), damaged).unwrap();
    let said = run("imagenet-pack", args!["verify", &out]).ends(1);
    assert!(said.out.contains("train-00001.shard: record 1:"), "{said:?}");
}

#[test]
fn a_listed_record_is_the_photo_of_its_name() {
    let said = run("imagenet-pack", args!["inspect", shards(), "--list"]).ends(0);
    let mut lines = said.out.lines();
    assert_eq!(lines.next(), Some("split,index,name,wnid,label"));
    assert_eq!(lines.clone().count(), 160);
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let [split, _, name, wnid, label] = fields[..] else { panic!("{line}") };
        let label: usize = label.parse().unwrap();
        assert_eq!(alexnet_datasets::sample::CLASSES[label].wnid, wnid, "{line}");
        assert!(split == "val" || name.starts_with(wnid), "{line}");
    }
}

#[test]
fn a_record_can_be_taken_out_as_a_picture() {
    let png = scratch().join("record.png");
    run("imagenet-pack", args!["extract", shards(), "--split", "val", "--index", "5", &png]).ends(0);
    let picture = image::open(&png).unwrap().to_rgb8();
    assert_eq!(picture.dimensions(), (64, 64));
    let set = alexnet_shard::ShardSet::open(shards(), alexnet_shard::Access::Map).unwrap();
    let mut scratch = vec![];
    let record = set.split(alexnet_shard::Split::Val).unwrap().record(5, &mut scratch).unwrap();
    assert_eq!(picture.as_raw(), record);
}

#[test]
fn a_dry_run_writes_nothing() {
    let out = scratch().join("dry");
    let _ = fs::remove_dir_all(&out);
    let said = run("imagenet-pack", packing(&out, &["--dry-run"])).ends(0);
    assert!(said.out.contains("120") && said.out.contains("40"), "{said:?}");
    assert!(!out.exists());
}

/// Without a devkit, the classes are the WNIDs of the archives; a flat val tar then has no labels and is refused.
#[test]
fn without_a_devkit_the_classes_are_those_of_the_archives() {
    let out = scratch().join("union");
    let _ = fs::remove_dir_all(&out);
    let a = archives();
    run("imagenet-pack", args!["--train", &a.train, "--out", &out, "--size", "64", "--quiet"]).ends(0);
    let said = run("imagenet-pack", args!["inspect", &out, "--json"]).ends(0).json();
    assert_eq!(said["splits"]["train"]["classes"], 10);
    let out = scratch().join("unlabelled");
    let _ = fs::remove_dir_all(&out);
    let said = run(
        "imagenet-pack",
        args!["--train", &a.train, "--val", &a.val, "--out", &out, "--size", "64", "--quiet"],
    )
    .ends(1);
    let report = fs::read_to_string(out.join("report.jsonl")).unwrap();
    assert!(report.contains("ILSVRC2012_val_00000001.JPEG"), "{report} {said:?}");
}

/// The demands of the issue on real photos: counts, labels, statistics.
#[test]
fn real_photos() {
    let Some(data) = real_data("real_photos") else { return };
    let mini = data.join("ilsvrc2012-mini");
    let out = scratch().join("mini");
    let _ = fs::remove_dir_all(&out);
    let args = args![
        "--train",
        mini.join("ILSVRC2012_img_train.tar"),
        "--val",
        mini.join("ILSVRC2012_img_val.tar"),
        "--devkit",
        mini.join("ILSVRC2012_devkit_t12.tar.gz"),
        "--out",
        &out,
        "--quiet"
    ];
    run("imagenet-pack", args).ends(0);
    let said = run("imagenet-pack", args!["inspect", &out, "--json"]).ends(0).json();
    assert_eq!(said["splits"]["train"]["images"], 492);
    assert_eq!(said["splits"]["val"]["images"], 763);
    assert_eq!(said["splits"]["train"]["size"], serde_json::json!([256, 256]));
    run("imagenet-pack", args!["verify", &out]).ends(0);
    let said = run("imagenet-pca", args![&out, "--json"]).ends(0).json();
    let close = |got: &serde_json::Value, want: [f64; 3], tolerance: f64| {
        for (got, want) in got.as_array().unwrap().iter().zip(want) {
            assert!((got.as_f64().unwrap() - want).abs() <= tolerance, "{got} where {want} belongs");
        }
    };
    close(&said["mean"], [123.24, 115.92, 103.43], 0.5);
    close(&said["std"], [69.84, 68.42, 71.94], 1.0);
    for (value, want) in said["eigenvalues"].as_array().unwrap().iter().zip([115.37, 33.75, 16.89]) {
        let got = value.as_f64().unwrap().sqrt();
        assert!((got / want - 1.0).abs() < 0.02, "{got} where {want} belongs");
    }
    let axes = [[0.5629, 0.5809, 0.5880], [0.7382, -0.0334, -0.6738], [0.3717, -0.8133, 0.4476]];
    for (got, want) in said["eigenvectors"].as_array().unwrap().iter().zip(axes) {
        let product: f64 =
            got.as_array().unwrap().iter().zip(want).map(|(g, w)| g.as_f64().unwrap() * w).sum();
        let degrees = product.abs().min(1.0).acos().to_degrees();
        assert!(degrees < 2.5, "{got} is {degrees} degrees from {want:?}");
    }
}
