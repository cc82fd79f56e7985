use std::collections::BTreeMap;

use alexnet_pack::pca::Statistics;
use alexnet_pack::{Devkit, Inputs, Options, Plan, Run, Source, pack};
use alexnet_shard::{Access, ShardSet, Split, verify};

use crate::archive::real_data;

const FOLDER: &str = "ilsvrc2012-mini";

fn inputs(test: &str) -> Option<Inputs> {
    let path = |name: &str| real_data(test, &format!("{FOLDER}/{name}"));
    let train = Source::open(&path("ILSVRC2012_img_train.tar")?).unwrap();
    let val = Source::open(&path("ILSVRC2012_img_val.tar")?).unwrap();
    let devkit = Devkit::read(&path("ILSVRC2012_devkit_t12.tar.gz")?).unwrap();
    Some(Inputs { train: Some(train), val: Some(val), test: None, devkit: Some(devkit) })
}

fn degrees(a: [f64; 3], b: [f64; 3]) -> f64 {
    let dot = |a: [f64; 3], b: [f64; 3]| (0..3).map(|i| a[i] * b[i]).sum::<f64>();
    (dot(a, b).abs() / (dot(a, a) * dot(b, b)).sqrt()).min(1.0).acos().to_degrees()
}

/// Counts, labels and colour statistics of real photos, against the devkit and against Pillow and NumPy.
#[test]
fn mini_set() {
    let Some(inputs) = inputs("real::mini_set") else { return };
    let devkit = inputs.devkit.clone().unwrap();
    let plan = Plan::new(inputs, Options::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("set");
    let summary = pack(&plan, &Run { threads: 2, ..Run::new(&out) }, &()).unwrap();
    assert_eq!(summary.complaints(), (0, 0, 0));
    let set = ShardSet::open(&out, Access::Map).unwrap();
    let (train, val) = (set.split(Split::Train).unwrap(), set.split(Split::Val).unwrap());
    assert_eq!((train.len(), val.len(), set.classes().len()), (492, 763, 1000));

    // Label = place of the WNID among the 1000 in order, found here without the packer's table.
    let mut wnids: Vec<&str> = devkit.synsets.iter().map(|s| s.wnid.as_str()).collect();
    wnids.sort_unstable();
    for i in 0..train.len() {
        let wnid = wnids[train.label(i).unwrap() as usize];
        assert!(train.name(i).starts_with(wnid), "{} has the label of {wnid}", train.name(i));
    }
    for i in 0..val.len() {
        let number: usize = val.name(i)["ILSVRC2012_val_".len()..][..8].parse().unwrap();
        let id = devkit.ground_truth[number - 1] as usize;
        assert_eq!(wnids[val.label(i).unwrap() as usize], devkit.synsets[id - 1].wnid, "{}", val.name(i));
    }

    let found = Statistics::from_moments(&train.moments()).unwrap();
    let near = |what: &str, found: [f64; 3], expected: [f64; 3], tolerance: [f64; 3]| {
        for i in 0..3 {
            assert!(
                (found[i] - expected[i]).abs() <= tolerance[i],
                "{what}: {found:?}, expected {expected:?}"
            );
        }
    };
    near("mean", found.mean, [123.24, 115.92, 103.43], [0.5; 3]);
    near("std", found.std, [69.84, 68.42, 71.94], [0.7; 3]);
    let sigma = [115.37, 33.75, 16.89];
    near("√eigenvalue", found.eigenvalues.map(f64::sqrt), sigma, sigma.map(|s| s * 0.02));
    let axes = [[0.5629, 0.5809, 0.5880], [0.7382, -0.0334, -0.6738], [0.3717, -0.8133, 0.4476]];
    for (found, expected) in found.eigenvectors.into_iter().zip(axes) {
        assert!(degrees(found, expected) < 2.5, "{found:?} is {}° off", degrees(found, expected));
    }
    assert_eq!(verify(&out, 2, &|_| ()).unwrap(), []);
}

/// With few records a shard, the bytes are the same for 1, 2 and 5 threads.
#[test]
fn mini_set_on_any_threads() {
    let mut files = Vec::new();
    for threads in [1, 2, 5] {
        let Some(inputs) = inputs("real::mini_set_on_any_threads") else { return };
        let options = Options { shard_records: 32, size: 128, shuffle_seed: Some(1), ..Options::default() };
        let plan = Plan::new(inputs, options).unwrap();
        let dir = tempfile::tempdir().unwrap();
        pack(&plan, &Run { threads, ..Run::new(dir.path()) }, &()).unwrap();
        let entries = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap());
        let read = |e: std::fs::DirEntry| (e.file_name(), std::fs::read(e.path()).unwrap());
        files.push(entries.map(read).collect::<BTreeMap<_, _>>());
    }
    assert_eq!(files[0].len(), 16 + 24 + 2);
    assert!(files[1] == files[0] && files[2] == files[0]);
}
