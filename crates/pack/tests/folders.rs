use std::fs;
use std::path::Path;

use alexnet_pack::{Devkit, Difference, Inputs, Layout, Options, Plan, Run, Source, differences, pack};
use alexnet_shard::{Access, ShardSet, Split};

use crate::archive::{Tar, devkit_tar_gz, jpeg, write};
use crate::world::{ROWS, SIZE};

fn photos(dir: &Path, names: &[&str]) {
    for (seed, name) in (0..).zip(names) {
        write(dir, name, &jpeg(40, 30, seed));
    }
}

/// Names and WNIDs of a packed split.
fn listed(set: &ShardSet, split: Split) -> Vec<(String, String)> {
    let records = set.split(split).unwrap();
    let wnid = |i| set.classes()[records.label(i).unwrap() as usize].wnid.clone();
    (0..records.len()).map(|i| (records.name(i).to_owned(), wnid(i))).collect()
}

fn of(name: &str, wnid: &str) -> (String, String) {
    (name.to_owned(), wnid.to_owned())
}

fn packed(layout: &Layout, out: &Path) -> ShardSet {
    let open = |path: &Option<std::path::PathBuf>| path.as_deref().map(|p| Source::open(p).unwrap());
    let devkit = layout.devkit.as_deref().map(|path| Devkit::read(path).unwrap());
    let inputs = Inputs { train: open(&layout.train), val: open(&layout.val), test: None, devkit };
    let plan = Plan::new(inputs, Options { size: SIZE, ..Options::default() }).unwrap();
    pack(&plan, &Run { threads: 2, ..Run::new(out) }, &()).unwrap();
    ShardSet::open(out, Access::Read).unwrap()
}

/// Official archives unpacked into folders of any name: the names of the photos tell what they are, not the folder's.
#[test]
fn folders_that_only_collect_are_no_classes() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("unpacked");
    photos(&root, &["ILSVRC2012_img_val/ILSVRC2012_val_00000002.JPEG", "more/ILSVRC2012_val_00000001.JPEG"]);
    photos(&root, &["all/n00000001_5.JPEG", "all/n00000003_2.JPEG", "cats/tom.JPEG", "zoo/n00000003_1.JPEG"]);
    photos(&root, &["ILSVRC2012_val_00000003.JPEG", "n00000004/ILSVRC2012_val_00000009.JPEG"]);
    let source = Source::open(&root).unwrap();
    let group = |p| (p, source.group_of(p).unwrap_or_default());
    let found: Vec<(&str, &str)> = source.photos().iter().map(group).map(|(p, g)| (&*p.name, g)).collect();
    let expected = [
        ("ILSVRC2012_val_00000003.JPEG", ""),
        ("ILSVRC2012_val_00000002.JPEG", ""),
        ("n00000001_5.JPEG", "n00000001"),
        ("n00000003_2.JPEG", "n00000003"),
        ("tom.JPEG", "cats"),
        ("ILSVRC2012_val_00000001.JPEG", ""),
        ("ILSVRC2012_val_00000009.JPEG", "n00000004"),
        ("n00000003_1.JPEG", "n00000003"),
    ];
    assert_eq!(found, expected);
    // Each is still read from where it lies.
    let mut bytes = Vec::new();
    for (i, photo) in source.photos().iter().enumerate() {
        source.read(i, &mut bytes).unwrap();
        assert_eq!(bytes, fs::read(source.file_of(i)).unwrap(), "{}", photo.name);
        assert!(source.file_of(i).ends_with(&*photo.name));
    }
}

/// A folder with the val archive unpacked in a folder of its name, and a devkit: the ground truth gives the classes.
#[test]
fn an_unpacked_val_archive() {
    let dir = tempfile::tempdir().unwrap();
    photos(
        dir.path(),
        &[
            "v/ILSVRC2012_img_val/ILSVRC2012_val_00000001.JPEG",
            "v/ILSVRC2012_img_val/ILSVRC2012_val_00000002.JPEG",
        ],
    );
    let devkit = write(dir.path(), "kit.tar.gz", &devkit_tar_gz(&ROWS, &[4, 1]));
    let layout = Layout { val: Some(dir.path().join("v")), devkit: Some(devkit), ..Layout::default() };
    let set = packed(&layout, &dir.path().join("set"));
    let expected =
        [of("ILSVRC2012_val_00000001.JPEG", "n00000003"), of("ILSVRC2012_val_00000002.JPEG", "n00000002")];
    assert_eq!(listed(&set, Split::Val), expected);
}

/// torchvision's folder: class folders, beside the archives they came out of or not.
#[test]
fn train_and_val_folders() {
    let dir = tempfile::tempdir().unwrap();
    photos(dir.path(), &["train/n00000001/n00000001_1.JPEG", "train/n00000002/n00000002_4.JPEG"]);
    photos(dir.path(), &["val/n00000002/ILSVRC2012_val_00000001.JPEG"]);
    let layout = Layout::look(dir.path()).unwrap();
    assert_eq!((layout.name, &layout.devkit), ("folders train and val", &None));
    let set = packed(&layout, &dir.path().join("set"));
    assert_eq!(listed(&set, Split::Train).len(), 2);
    assert_eq!(listed(&set, Split::Val), [of("ILSVRC2012_val_00000001.JPEG", "n00000002")]);
    write(dir.path(), "ILSVRC2012_devkit_t12.tar.gz", &devkit_tar_gz(&ROWS, &[1]));
    let with_devkit = Layout::look(dir.path()).unwrap();
    assert_eq!(with_devkit.devkit, Some(dir.path().join("ILSVRC2012_devkit_t12.tar.gz")));
    // The archives themselves come first: the folders are what was made of them.
    write(dir.path(), "ILSVRC2012_img_val.tar", b"");
    let archives = Layout::look(dir.path()).unwrap();
    assert_eq!((archives.name, &archives.train), ("ILSVRC2012", &None));
    // Files of these names are no folders of photos.
    let other = dir.path().join("other");
    write(&other, "train", b"a script");
    let error = Layout::look(&other).unwrap_err();
    assert!(error.to_string().contains("nor folders train and val") && error.hint().is_some(), "{error}");
}

/// Kaggle's tree from each of the folders that one may call its root; its files lie beside `ILSVRC`.
#[test]
fn kaggle_from_any_of_its_folders() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("ILSVRC/Data/CLS-LOC");
    photos(&tree, &["train/n00000001/n00000001_1.JPEG", "val/ILSVRC2012_val_00000001.JPEG"]);
    fs::create_dir_all(tree.join("test")).unwrap();
    let mapping = write(dir.path(), "LOC_synset_mapping.txt", b"n00000001 one\nn00000002 two\n");
    write(dir.path(), "LOC_val_solution.csv", b"ImageId,P\nILSVRC2012_val_00000001,n00000002 1 2 3 4\n");
    let mut sets = Vec::new();
    for (i, root) in ["", "ILSVRC", "ILSVRC/Data", "ILSVRC/Data/CLS-LOC"].into_iter().enumerate() {
        let root = dir.path().join(root);
        let layout = Layout::look(&root).unwrap();
        let found = layout.devkit.as_ref().unwrap().canonicalize().unwrap();
        assert_eq!(found, mapping.canonicalize().unwrap(), "{}", root.display());
        let set = packed(&layout, &dir.path().join(format!("set-{i}")));
        assert_eq!(listed(&set, Split::Val), [of("ILSVRC2012_val_00000001.JPEG", "n00000002")]);
        sets.push(set.identity());
    }
    assert!(sets.windows(2).all(|pair| pair[0] == pair[1]), "{sets:?}");
    // The official devkit has more in it.
    let kit = write(dir.path(), "ILSVRC2012_devkit_t12.tar.gz", &devkit_tar_gz(&ROWS, &[1]));
    assert_eq!(Layout::look(dir.path()).unwrap().devkit, Some(kit));
}

/// Photos that are missing from what seems a whole split are told, those left out by choice are not.
#[test]
fn counts_that_are_not_the_published_ones() {
    let dir = tempfile::tempdir().unwrap();
    let wnid = |class: u16| format!("n{class:08}");
    let wnids: Vec<String> = (1..=1000).map(wnid).collect();
    let rows: Vec<(u16, &str, &str, u8)> =
        (1..).zip(&wnids).map(|(id, wnid)| (id, wnid.as_str(), "", 0)).collect();
    let devkit = write(dir.path(), "kit", &devkit_tar_gz(&rows, &[1; 50_000]));
    let devkit = Devkit::read(&devkit).unwrap();
    let train = |classes: usize| {
        let mut tar = Tar::new();
        for wnid in &wnids[..classes] {
            tar.add(&format!("{wnid}_1.JPEG"), &[]);
        }
        Some(Source::open(&write(dir.path(), "train.tar", &tar.bytes())).unwrap())
    };
    let val = |photos: u64| {
        let mut tar = Tar::new();
        for number in 1..=photos {
            tar.add(&format!("ILSVRC2012_val_{number:08}.JPEG"), &[]);
        }
        Some(Source::open(&write(dir.path(), "val.tar", &tar.bytes())).unwrap())
    };
    let found = |inputs: Inputs, options: Options| differences(&Plan::new(inputs, options).unwrap());
    let of = |split, photos, published| Difference { split, year: 2012, photos, published };
    let kit = || Some(devkit.clone());
    let inputs = |train, val, devkit| Inputs { train, val, test: None, devkit };
    let both = found(inputs(train(1000), val(49_999), kit()), Options::default());
    assert_eq!(both, [of(Split::Train, 1000, 1_281_167), of(Split::Val, 49_999, 50_000)]);
    // Without a devkit the val photos tell the year; unlabelled as they are they are still counted.
    let both = found(inputs(train(1000), val(3), None), Options::default());
    assert_eq!(both, [of(Split::Train, 1000, 1_281_167), of(Split::Val, 3, 50_000)]);
    assert_eq!(found(inputs(train(999), val(50_000), kit()), Options::default()), []);
    for options in [
        Options { limit: Some(5), ..Options::default() },
        Options { classes: Some(vec![wnid(1)]), ..Options::default() },
    ] {
        assert_eq!(found(inputs(train(1000), val(3), kit()), options), []);
    }
}
