use std::fs;
use std::path::Path;

use alexnet_pack::{Devkit, Inputs, LabelOrder, Layout, Options, Plan, Run, Source, official_number, pack};
use alexnet_shard::{Access, ReportKind, ShardSet, Split};

use crate::archive::{Member, Tar, devkit_tar_gz, gzip, jpeg, meta_mat_2010, train_tar, write};
use crate::world::{ROWS, SIZE};

fn photo(name: &str, seed: u64) -> Member {
    (name.into(), jpeg(30 + (seed % 17) as u32, 28 + (seed % 13) as u32, seed))
}

/// Opens what a folder holds, as the program does.
fn inputs(layout: &Layout) -> Inputs {
    let open = |path: &Option<std::path::PathBuf>| path.as_deref().map(|p| Source::open(p).unwrap());
    let mut devkit = layout.devkit.as_deref().map(|path| Devkit::read(path).unwrap());
    if let (Some(devkit), Some(truth)) = (&mut devkit, &layout.test_truth) {
        devkit.read_test_truth(truth).unwrap();
    }
    Inputs { train: open(&layout.train), val: open(&layout.val), test: open(&layout.test), devkit }
}

fn packed(inputs: Inputs, out: &Path) -> ShardSet {
    let plan = Plan::new(inputs, Options { size: SIZE, ..Options::default() }).unwrap();
    pack(&plan, &Run { threads: 2, ..Run::new(out) }, &()).unwrap();
    ShardSet::open(out, Access::Read).unwrap()
}

/// Name and WNID of every record of a split.
fn listed(set: &ShardSet, split: Split) -> Vec<(String, Option<String>)> {
    let records = set.split(split).unwrap();
    let wnid = |i| records.label(i).map(|label| set.classes()[label as usize].wnid.clone());
    (0..records.len()).map(|i| (records.name(i).to_owned(), wnid(i))).collect()
}

fn of(name: &str, wnid: &str) -> (String, Option<String>) {
    (name.to_owned(), (!wnid.is_empty()).then(|| wnid.to_owned()))
}

#[test]
fn official_numbers() {
    assert_eq!(official_number("ILSVRC2012_val_00000347.JPEG"), Some((Split::Val, 347)));
    assert_eq!(official_number("ILSVRC2010_test_00150000.JPEG"), Some((Split::Test, 150_000)));
    for name in ["ILSVRC2012_train_00000001.JPEG", "ILSVRC_val.JPEG", "n01440764_12.JPEG", "x_test_1.JPEG"] {
        assert_eq!(official_number(name), None, "{name}");
    }
}

/// ILSVRC2010 whole: 1000 leaves and 676 inner synsets, a gzip-compressed member, blank photos patched in all splits,
/// labels of the test photos.
#[test]
fn ilsvrc2010() {
    let dir = tempfile::tempdir().unwrap();
    let wnids: Vec<String> = (0..1676).map(|i| format!("n{:08}", 1_000_000 + i * 37 % 1676)).collect();
    let row = |(i, wnid)| (i as u16 + 1, wnid, "words, more words", u8::from(i >= 1000) * 2);
    let rows: Vec<(u16, &str, &str, u8)> = wnids.iter().map(String::as_str).enumerate().map(row).collect();
    let mut devkit = Tar::new();
    devkit.add("devkit-1.0/readme.txt", b"hello");
    devkit.add("devkit-1.0/data/meta.mat", &meta_mat_2010(&rows));
    devkit.add("devkit-1.0/data/ILSVRC2010_validation_ground_truth.txt", b"1000\n2\n7\n");
    write(dir.path(), "ILSVRC2010_devkit-1.0.tar.gz", &gzip(&devkit.bytes()));
    write(dir.path(), "ILSVRC2010_test_ground_truth.txt", b"5\n6\n");

    let name = |class: usize, i: usize| format!("{}_{i}.JPEG", wnids[class]);
    let (first, second) = (photo(&name(0, 1), 1), photo(&name(0, 2), 2));
    let blank = (name(4, 3), b"image not available".to_vec());
    let compressed = (name(4, 4), gzip(&photo("", 4).1));
    let train = train_tar(&[(&wnids[0], vec![first.clone(), second]), (&wnids[4], vec![blank, compressed])]);
    write(dir.path(), "ILSVRC2010_images_train.tar", &train);
    let flat = |part: &str, photos: &[(u64, Vec<u8>)]| {
        let mut tar = Tar::new();
        for (number, bytes) in photos {
            tar.add(&format!("{part}/ILSVRC2010_{part}_{number:08}.JPEG"), bytes);
        }
        tar.bytes()
    };
    let bytes = |seed| photo("", seed).1;
    // Not in the order of their names, as the real one.
    write(
        dir.path(),
        "ILSVRC2010_images_val.tar",
        &flat("val", &[(3, bytes(13)), (1, vec![]), (2, bytes(12))]),
    );
    write(dir.path(), "ILSVRC2010_images_test.tar", &flat("test", &[(1, bytes(21)), (2, bytes(22))]));
    let mut patch = Tar::new();
    patch.add(&format!("patch_images/train/{}", name(4, 3)), &bytes(103));
    patch.add("patch_images/val/ILSVRC2010_val_00000001.JPEG", &bytes(111));
    patch.add("patch_images/test/ILSVRC2010_test_00000002.JPEG", &bytes(122));
    patch.add("patch_images/test/ILSVRC2010_test_00000077.JPEG", &bytes(177));
    write(dir.path(), "patch_images.tar", &patch.bytes());

    let layout = Layout::look(dir.path()).unwrap();
    assert_eq!(layout.name, "ILSVRC2010");
    let mut sources = inputs(&layout);
    let devkit = sources.devkit.clone().unwrap();
    assert_eq!((devkit.synsets.len(), devkit.inner_synsets), (1000, 676));
    let patched = [&mut sources.train, &mut sources.val, &mut sources.test]
        .map(|source| source.as_mut().unwrap().patch(layout.patch.as_ref().unwrap()).unwrap());
    assert_eq!(patched, [1, 1, 1]);
    assert_eq!(sources.train.as_ref().unwrap().file_of(2), dir.path().join("patch_images.tar"));
    let plain = inputs(&layout);
    let set = packed(sources, &dir.path().join("set"));
    assert_eq!(set.classes().len(), 1000);
    let train: Vec<_> =
        [(0, 1), (0, 2), (4, 3), (4, 4)].map(|(class, i)| of(&name(class, i), &wnids[class])).into();
    assert_eq!(listed(&set, Split::Train), train);
    let val = |n: u64| format!("ILSVRC2010_val_{n:08}.JPEG");
    let expected = [of(&val(3), &wnids[6]), of(&val(1), &wnids[999]), of(&val(2), &wnids[1])];
    assert_eq!(listed(&set, Split::Val), expected);
    let test = |n: u64| format!("ILSVRC2010_test_{n:08}.JPEG");
    assert_eq!(listed(&set, Split::Test), [of(&test(1), &wnids[4]), of(&test(2), &wnids[5])]);
    let report = set.split(Split::Train).unwrap().report();
    assert_eq!(report.len(), 1, "{report:?}");
    assert_eq!((report[0].name.as_str(), report[0].kind), (&*name(4, 4), ReportKind::Converted));
    assert!(report[0].detail.contains("gzip"), "{}", report[0].detail);
    let record = |set: &ShardSet, split, i| {
        let mut scratch = Vec::new();
        set.split(split).unwrap().record(i, &mut scratch).unwrap().to_vec()
    };

    // The pixels are those of the patch and of the photo inside the gzip member.
    let wanted = train_tar(&[(&wnids[0], vec![(name(0, 1), bytes(103)), (name(0, 2), bytes(4))])]);
    let wanted = Source::open(&write(dir.path(), "wanted.tar", &wanted)).unwrap();
    let wanted = packed(Inputs { train: Some(wanted), ..Inputs::default() }, &dir.path().join("wanted"));
    assert_eq!(record(&set, Split::Train, 2), record(&wanted, Split::Train, 0));
    assert_eq!(record(&set, Split::Train, 3), record(&wanted, Split::Train, 1));

    // Without the patch it is another set, and the blanks are refused by name.
    let other = packed(plain, &dir.path().join("unpatched"));
    assert_ne!(other.recipe().digest(), set.recipe().digest());
    assert_eq!(other.split(Split::Train).unwrap().report()[0].kind, ReportKind::Refused);
    assert_eq!(other.split(Split::Val).unwrap().report()[0].name, val(1));
}

/// ILSVRC2012's test photos: in a folder of their tar, without labels for anyone.
#[test]
fn ilsvrc2012_test() {
    let dir = tempfile::tempdir().unwrap();
    let mut tar = Tar::new();
    tar.add("test/ILSVRC2012_test_00000001.JPEG", &jpeg(40, 30, 1));
    tar.add("test/ILSVRC2012_test_00000002.JPEG", b"no photo");
    tar.add("test/ILSVRC2012_test_00000003.JPEG", &jpeg(40, 30, 3));
    write(dir.path(), "ILSVRC2012_img_test_v10102019.tar", &tar.bytes());
    write(dir.path(), "ILSVRC2012_devkit_t12.tar.gz", &devkit_tar_gz(&ROWS, &[1, 2]));
    let layout = Layout::look(dir.path()).unwrap();
    assert_eq!((layout.name, layout.train.as_ref()), ("ILSVRC2012", None));
    let set = packed(inputs(&layout), &dir.path().join("set"));
    let name = |n: u64| format!("ILSVRC2012_test_{n:08}.JPEG");
    assert_eq!(listed(&set, Split::Test), [of(&name(1), ""), of(&name(3), "")]);
    let report = set.split(Split::Test).unwrap().report();
    assert_eq!((report.len(), report[0].kind), (1, ReportKind::Refused));
    // With a ground truth for some of them, the others are refused.
    let mut sources = inputs(&layout);
    let truth = write(dir.path(), "truth.txt", b"4\n4\n");
    sources.devkit.as_mut().unwrap().read_test_truth(&truth).unwrap();
    let set = packed(sources, &dir.path().join("labelled"));
    assert_eq!(listed(&set, Split::Test), [of(&name(1), "n00000003")]);
}

/// The whole releases: class tars inside one tar, in a folder of it or not, some of them without a photo.
#[test]
fn whole_releases() {
    let dir = tempfile::tempdir().unwrap();
    let class = |wnid: &str, seeds: &[u64]| {
        let mut tar = Tar::new();
        for seed in seeds {
            tar.add(&format!("{wnid}_{seed}.JPEG"), &jpeg(40, 30, *seed));
        }
        tar.bytes()
    };
    for (name, folder) in [("fall11_whole.tar", ""), ("winter21_whole.tar", "winter21_whole/")] {
        let place = dir.path().join(name.trim_end_matches(".tar"));
        let mut outer = Tar::new();
        outer.add(&format!("{folder}n00004475.tar"), &class("n00004475", &[1, 2]));
        outer.add(&format!("{folder}n00006024.tar"), &class("n00006024", &[]));
        outer.add(&format!("{folder}n00007846.tar"), &class("n00007846", &[3]));
        write(&place, name, &outer.bytes());
        let layout = Layout::look(&place).unwrap();
        let set = packed(inputs(&layout), &place.join("set"));
        let expected = [
            of("n00004475_1.JPEG", "n00004475"),
            of("n00004475_2.JPEG", "n00004475"),
            of("n00007846_3.JPEG", "n00007846"),
        ];
        assert_eq!(listed(&set, Split::Train), expected, "{name}");
    }
    // Winter 2021 as downloaded is compressed; what to do is said.
    let place = dir.path().join("compressed");
    write(&place, "winter21_whole.tar.gz", &gzip(&Tar::new().bytes()));
    let error = Source::open(&Layout::look(&place).unwrap().train.unwrap()).unwrap_err();
    assert!(error.hint().unwrap().contains("gunzip"), "{error}");
}

/// A folder of class tars, more of them than stay open: as the archive they came out of, and like class folders.
#[test]
fn folder_of_class_tars() {
    let dir = tempfile::tempdir().unwrap();
    let wnid = |i: u64| format!("n{i:08}");
    let mut nested = Tar::new();
    for i in 0..70 {
        let mut class = Tar::new();
        class.add(&format!("{}_1.JPEG", wnid(i)), &jpeg(30, 30, i));
        let bytes = class.bytes();
        nested.add(&format!("{}.tar", wnid(i)), &bytes);
        write(&dir.path().join("train"), &format!("{}.tar", wnid(i)), &bytes);
    }
    write(&dir.path().join("train"), "other.tar", b"not looked into");
    write(&dir.path().join("train"), &format!("{}/{}_9.JPEG", wnid(70), wnid(70)), &jpeg(30, 30, 99));
    let nested = write(dir.path(), "train.tar", &nested.bytes());
    let folder = Source::open(&dir.path().join("train")).unwrap();
    let archive = Source::open(&nested).unwrap();
    assert_eq!((folder.photos().len(), archive.photos().len(), folder.ignored().0), (71, 70, 1));
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for i in 0..70 {
        folder.read(i, &mut a).unwrap();
        archive.read(i, &mut b).unwrap();
        assert!(a == b && folder.group_of(&folder.photos()[i]) == Some(&wnid(i as u64)));
        assert_eq!(folder.file_of(i), dir.path().join(format!("train/{}.tar", wnid(i as u64))));
    }
    folder.read(70, &mut a).unwrap();
    assert!(a == jpeg(30, 30, 99));
    assert!(folder.unchanged().is_ok());
    // Those that are closed are held to what they were when they are read.
    fs::write(dir.path().join("train").join(format!("{}.tar", wnid(69))), [0; 4096]).unwrap();
    let error = folder.read(69, &mut a).unwrap_err();
    assert!(error.to_string().contains("n00000069.tar: changed"), "{error}");
    fs::create_dir(dir.path().join("train").join(wnid(3))).unwrap();
    let error = Source::open(&dir.path().join("train")).unwrap_err();
    assert!(
        error.to_string().contains("class n00000003 is there twice") && error.hint().is_some(),
        "{error}"
    );
}

/// Kaggle's tree: class folders for train, flat val with its classes in a table, flat test.
#[test]
fn kaggle() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("ILSVRC/Data/CLS-LOC");
    let mut seed = 0;
    let mut put = |name: &str| {
        seed += 1;
        write(&tree, name, &jpeg(40, 30, seed));
    };
    for name in ["n01443537_2", "n01440764_18"] {
        put(&format!("train/{}/{name}.JPEG", &name[..9]));
    }
    for n in [2, 1, 4] {
        put(&format!("val/ILSVRC2012_val_{n:08}.JPEG"));
    }
    put("test/ILSVRC2012_test_00000001.JPEG");
    write(dir.path(), "ILSVRC/ImageSets/CLS-LOC/val.txt", b"ILSVRC2012_val_00000001 1\n");
    write(
        dir.path(),
        "LOC_synset_mapping.txt",
        b"n01440764 tench, Tinca tinca\nn01443537 goldfish, Carassius auratus\n",
    );
    let solution = b"ImageId,PredictionString\n\
        ILSVRC2012_val_00000004,n01443537 85 1 499 272 n01443537 10 20 30 40 \n\
        ILSVRC2012_val_00000001,n01440764 131 0 499 254 \n";
    write(dir.path(), "LOC_val_solution.csv", solution);
    write(dir.path(), "LOC_sample_submission.csv", b"ImageId,PredictionString\n");

    let layout = Layout::look(dir.path()).unwrap();
    assert_eq!(layout.name, "ILSVRC2012 as Kaggle has it");
    let devkit = Devkit::read(dir.path()).unwrap();
    assert_eq!(Devkit::read(layout.devkit.as_ref().unwrap()).unwrap(), devkit);
    assert_eq!(devkit.ground_truth, [1, 0, 0, 2]);
    assert_eq!(devkit.synsets[1].words, "goldfish, Carassius auratus");
    let set = packed(inputs(&layout), &dir.path().join("set"));
    let expected = [of("n01440764_18.JPEG", "n01440764"), of("n01443537_2.JPEG", "n01443537")];
    assert_eq!(listed(&set, Split::Train), expected);
    let val = |n: u64| format!("ILSVRC2012_val_{n:08}.JPEG");
    assert_eq!(listed(&set, Split::Val), [of(&val(1), "n01440764"), of(&val(4), "n01443537")]);
    assert_eq!(set.split(Split::Val).unwrap().report()[0].name, val(2), "in no line of the table");
    assert_eq!(listed(&set, Split::Test), [of("ILSVRC2012_test_00000001.JPEG", "")]);

    // There are no official ids in it.
    let options = Options { label_order: LabelOrder::Devkit, ..Options::default() };
    let error = Plan::new(inputs(&layout), options).unwrap_err();
    assert!(error.to_string().contains("Kaggle") && error.hint().is_some(), "{error}");

    for (table, what) in [
        ("ILSVRC2012_val_00000001;n01440764", "line 1: no comma"),
        ("ILSVRC2012_val_00000001,n09999999 1 2 3 4", "no class of"),
        ("ILSVRC2012_val_00000001,", "no class of"),
        ("photo,n01440764 1 2 3 4", "no name of a validation photo"),
        ("ILSVRC2012_val_99999999,n01440764 1 2 3 4", "no name of a validation photo"),
        ("ILSVRC2012_val_00000001,n01440764\nILSVRC2012_val_00000001,n01443537", "line 2: photo 1"),
    ] {
        write(dir.path(), "LOC_val_solution.csv", table.as_bytes());
        let error = Devkit::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
    write(dir.path(), "LOC_synset_mapping.txt", b"tench\n");
    assert!(Devkit::read(dir.path()).unwrap_err().to_string().contains("is no WNID"));
}

/// The numbers of 2010's and 2012's photos are the same, and their classes are not: one year's truth says nothing of the other's.
#[test]
fn photos_and_truth_of_two_years_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "devkit.tar.gz", &devkit_tar_gz(&ROWS, &[1, 2]));
    let read = || Devkit::read(&dir.path().join("devkit.tar.gz")).unwrap();
    assert_eq!(read().year, Some(2012));
    for (year, fits) in [(2010, false), (2012, true)] {
        let mut tar = Tar::new();
        let (name, bytes) = photo(&format!("ILSVRC{year}_val_00000001.JPEG"), 1);
        tar.add(&name, &bytes);
        let val = Some(Source::open(&write(dir.path(), "val.tar", &tar.bytes())).unwrap());
        let plan = Plan::new(
            Inputs { val, devkit: Some(read()), ..Inputs::default() },
            Options { size: SIZE, ..Options::default() },
        );
        match plan {
            Ok(_) => assert!(fits),
            Err(e) => assert!(!fits && e.to_string().contains("ILSVRC2010, the devkit of ILSVRC2012"), "{e}"),
        }
    }
    let truth = write(dir.path(), "ILSVRC2010_test_ground_truth.txt", b"1\n");
    assert!(read().read_test_truth(&truth).unwrap_err().to_string().contains("is of ILSVRC2010"));
    // Beside an unpacked devkit of the other year it is not taken for its own.
    let data = dir.path().join("unpacked/data");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("meta.mat"), crate::archive::meta_mat(&ROWS)).unwrap();
    fs::write(data.join("ILSVRC2012_validation_ground_truth.txt"), "1\n").unwrap();
    fs::write(dir.path().join("unpacked/ILSVRC2010_test_ground_truth.txt"), "1\n").unwrap();
    assert!(Devkit::read(&dir.path().join("unpacked")).unwrap().test_truth.is_empty());
}

#[test]
fn a_folder_of_none_or_of_several_sets_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = Layout::look(dir.path()).unwrap_err();
    assert!(error.to_string().contains("neither archives of a known name") && error.hint().is_some());
    write(dir.path(), "ILSVRC2012_img_val.tar", b"");
    write(dir.path(), "ILSVRC2010_images_val.tar", b"");
    let error = Layout::look(dir.path()).unwrap_err().to_string();
    assert!(error.contains("ILSVRC2012, ILSVRC2010"), "{error}");
    assert!(Layout::look(&dir.path().join("nowhere")).is_err());
}
