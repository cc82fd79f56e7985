//! Bad input: exit 2, one line of cause, a hint, nothing touched.

use std::fs;

use crate::program::{archives, contents, packing, run, scratch, shards};

#[test]
fn paths_that_are_not_there() {
    let out = scratch().join("refused");
    run("imagenet-pack", args!["--train", "/nowhere.tar", "--out", &out]).refuses("/nowhere.tar");
    run("imagenet-pack", args!["verify", "/nowhere"]).refuses("/nowhere");
    run("imagenet-pack", args!["inspect", "/nowhere"]).refuses("/nowhere");
    run("imagenet-pca", args!["/nowhere"]).refuses("/nowhere");
    run("loader-bench", args!["/nowhere"]).refuses("/nowhere");
    run("train", args!["--data", "/nowhere", "--out", &out]).refuses("/nowhere");
    run("train", args!["--data", shards(), "--out", &out, "--recipe", "/nowhere.toml"])
        .refuses("/nowhere.toml");
    run("alexnet", args!["evaluate", "/nowhere"]).refuses("/nowhere");
    assert!(!out.exists());
}

#[test]
fn archives_that_are_none() {
    let out = scratch().join("refused-archives");
    let a = archives();
    let text = scratch().join("text.tar");
    fs::write(&text, "not an archive, and long enough to hold a header or two ".repeat(40)).unwrap();
    run("imagenet-pack", args!["--train", &text, "--out", &out]).refuses("text.tar");
    let whole = fs::read(&a.train).unwrap();
    let cut = scratch().join("cut.tar");
    fs::write(&cut, &whole[..whole.len() * 2 / 3]).unwrap();
    run("imagenet-pack", args!["--train", &cut, "--out", &out]).refuses("cut.tar");
    // A devkit that is a sound tar without meta.mat.
    let devkit = scratch().join("devkit.tar");
    let mut builder = tar::Builder::new(fs::File::create(&devkit).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    header.set_cksum();
    builder.append_data(&mut header, "ILSVRC2012_devkit_t12/readme.txt", &b"hello"[..]).unwrap();
    builder.finish().unwrap();
    drop(builder);
    run("imagenet-pack", args!["--train", &a.train, "--devkit", &devkit, "--out", &out]).refuses("meta.mat");
    assert!(!out.exists());
}

#[test]
fn a_selection_of_nothing() {
    let out = scratch().join("refused-nothing");
    run("imagenet-pack", packing(&out, &["--limit", "0"])).refuses("a limit of 0");
    assert!(!out.exists());
}

#[test]
fn folders_of_others_are_left_alone() {
    let out = scratch().join("thesis");
    fs::create_dir_all(&out).unwrap();
    fs::write(out.join("thesis.tex"), "years of work").unwrap();
    let before = contents(&out);
    let a = archives();
    run("imagenet-pack", args!["--train", &a.train, "--out", &out]).refuses("thesis.tex");
    run("train", args!["--data", shards(), "--out", &out]).refuses("thesis.tex");
    assert!(contents(&out) == before);
}

#[test]
fn a_shard_cut_short_is_named() {
    let set = scratch().join("cut-set");
    let _ = fs::remove_dir_all(&set);
    fs::create_dir_all(&set).unwrap();
    for (name, bytes) in contents(shards()) {
        fs::write(set.join(name), bytes).unwrap();
    }
    let shard = set.join("train-00001.shard");
    let bytes = fs::read(&shard).unwrap();
    for length in [0, 100, 4096, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&shard, &bytes[..length]).unwrap();
        run("imagenet-pca", args![&set]).refuses("train-00001.shard");
        run("train", args!["--data", &set, "--out", scratch().join("never")]).refuses("train-00001.shard");
    }
    assert!(!scratch().join("never").exists());
}

#[test]
fn impossible_options() {
    let out = scratch().join("impossible");
    let train = |more: &[&str]| {
        let mut args = args!["--data", shards(), "--out", &out].to_vec();
        args.extend(more.iter().map(Into::into));
        run("train", args)
    };
    train(&["--crop", "65"]).refuses("--crop 65");
    train(&["--columns", "5", "--crop", "56"]).refuses("columns");
    train(&["--device", "cuda"]).refuses("--device cuda");
    train(&["--batch", "0"]).refuses("--batch 0");
    train(&["--steps", "0"]).refuses("no updates");
    train(&["--net", "resnet"]).refuses("resnet");
    train(&["--crop", "8"]).refuses("conv1");
    run("loader-bench", args![shards(), "--seconds", "0"]).refuses("--seconds 0");
    run("loader-bench", args![shards(), "--split", "test"]).refuses("test split");
    assert!(!out.exists());
}
