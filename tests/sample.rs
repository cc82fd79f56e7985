//! `train --sample`: the whole road on generated photos.

use std::fs;

use crate::program::{run, scratch};

/// The sample's network and recipe are its own: an ablation of them must not seem to have been run.
#[test]
fn what_the_sample_would_not_heed_is_refused() {
    let out = scratch().join("sample-refused");
    for more in [["--without", "lighting"], ["--batch", "64"], ["--net", "paper"], ["--recipe", "modern"]] {
        let said = run("train", args!["--sample", "--out", &out, more[0], more[1]]).ends(2);
        assert!(said.err.contains("cannot be used with") && said.err.contains(more[0]), "{said:?}");
    }
    assert!(!out.exists());
}

/// At least 90 % of the held-out photos are recognised. (What a linear model reaches on the same photos is the
/// business of `datasets/tests`: under 50 %.)
#[test]
fn the_built_in_sample_is_learned_and_kept() {
    let out = scratch().join("sample");
    let _ = fs::remove_dir_all(&out);
    let said = run("train", args!["--sample", "--out", &out, "--quiet"]).ends(0);
    let evaluation = run("alexnet", args!["evaluate", out.join("run"), "--json", "--quiet"]).ends(0).json();
    assert_eq!(evaluation["images"], 500);
    let error = evaluation["top1_error"].as_f64().unwrap();
    assert!(error <= 0.1, "top-1 error {error}: {said:?}");
    for line in ["imagenet-pack --train ILSVRC2012_img_train.tar", "datasets/README.md"] {
        assert!(said.out.contains(line), "{said:?}");
    }
    let before = fs::read(out.join("run/last.safetensors")).unwrap();
    let again = run("train", args!["--sample", "--out", &out, "--quiet"]).ends(0);
    assert!(again.out.contains("complete; nothing to do"), "{again:?}");
    assert!(fs::read(out.join("run/last.safetensors")).unwrap() == before);
}
