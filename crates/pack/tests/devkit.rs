use alexnet_pack::{ClassTable, Devkit, Error, LabelOrder, read_class_list};

use crate::archive::{Tar, devkit_tar_gz, gzip, meta_mat, real_data, write};

const ROWS: [(u16, &str, &str, u8); 5] = [
    (2, "n00000100", "second by id, first by name", 0),
    (1, "n00000300", "first by id", 0),
    (5, "n00000900", "the root", 3),
    (3, "n00000200", "third, dritte", 0),
    (4, "n00000150", "inner", 1),
];

#[test]
fn all_forms_read_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let gz = write(dir.path(), "devkit.tar.gz", &devkit_tar_gz(&ROWS, &[3, 1, 1, 2]));
    let kit = Devkit::read(&gz).unwrap();
    let wnids: Vec<&str> = kit.synsets.iter().map(|s| s.wnid.as_str()).collect();
    assert_eq!(wnids, ["n00000300", "n00000100", "n00000200"]);
    assert_eq!((kit.inner_synsets, kit.ground_truth.as_slice()), (2, &[3, 1, 1, 2][..]));
    assert_eq!(kit.synsets[2].words, "third, dritte");
    assert_eq!(kit.val_synset(1).unwrap().wnid, "n00000200");
    assert_eq!(kit.val_synset(4).unwrap().wnid, "n00000100");
    assert_eq!((kit.val_synset(0), kit.val_synset(5), kit.val_synset(u64::MAX)), (None, None, None));

    let folder = dir.path().join("unpacked");
    write(&folder, "ILSVRC2012_devkit_t12/data/meta.mat", &meta_mat(&ROWS));
    let truth = "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt";
    write(&folder, truth, b"3\r\n1\r\n1\r\n2\r\n\r\n");
    assert_eq!(Devkit::read(&folder).unwrap(), kit);
    assert_eq!(Devkit::read(&folder.join("ILSVRC2012_devkit_t12")).unwrap(), kit);
    assert_eq!(Devkit::read(&folder.join("ILSVRC2012_devkit_t12/data")).unwrap(), kit);
    let mut plain = Vec::new();
    std::io::Read::read_to_end(
        &mut flate2::read::GzDecoder::new(std::fs::File::open(&gz).unwrap()),
        &mut plain,
    )
    .unwrap();
    assert_eq!(Devkit::read(&write(dir.path(), "devkit.tar", &plain)).unwrap(), kit);
}

#[test]
fn what_is_wrong_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let read = |bytes: &[u8]| {
        let error = Devkit::read(&write(dir.path(), "kit", bytes)).unwrap_err();
        assert!(error.hint().is_some(), "{error}");
        error.to_string()
    };
    let mut tar = Tar::new();
    tar.add("data/ILSVRC2012_validation_ground_truth.txt", b"1\n");
    assert!(read(&gzip(&tar.bytes())).contains("no data/meta.mat"));
    let mut tar = Tar::new();
    tar.add("data/meta.mat", &meta_mat(&ROWS));
    assert!(read(&tar.bytes()).contains("no data/ILSVRC2012_validation_ground_truth.txt"));
    assert!(read(b"no archive at all").contains("no readable tar"));
    let whole = devkit_tar_gz(&ROWS, &[1]);
    assert!(read(&whole[..whole.len() / 2]).contains("kit"));
    assert!(read(&devkit_tar_gz(&ROWS, &[1, 4])).contains("line 2: \"4\" is no id of 1..=3"));
    assert!(read(&devkit_tar_gz(&[(2, "n00000001", "", 0)], &[])).contains("do not run from 1"));
    let twice = [(1, "n00000001", "", 0), (2, "n00000001", "", 0)];
    assert!(read(&devkit_tar_gz(&twice, &[])).contains("occurs twice"));
    assert!(read(&devkit_tar_gz(&[(1, "n00000001", "", 9)], &[])).contains("no synset without children"));
}

/// Members with long names of either kind are found; a name without an end costs no memory.
#[test]
fn long_names() {
    let dir = tempfile::tempdir().unwrap();
    let header = |kind: tar::EntryType, size: usize| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_path("short").unwrap();
        header.set_size(size as u64);
        header.set_cksum();
        header
    };
    let (meta, truth) = (meta_mat(&ROWS), b"3\n1\n1\n2\n");
    let folder = "d".repeat(60);
    let mut tar = Tar::new();
    // GNU's long name, and pax's path.
    tar.add(&format!("{folder}/{folder}/data/meta.mat"), &meta);
    let path = format!("path={folder}/{folder}/ILSVRC2012_validation_ground_truth.txt\n");
    let record = format!("{} {path}", path.len() + 4);
    tar.raw(&header(tar::EntryType::XHeader, record.len()), record.as_bytes());
    tar.raw(&header(tar::EntryType::Regular, truth.len()), truth);
    let kit = Devkit::read(&write(dir.path(), "kit.tar.gz", &gzip(&tar.bytes()))).unwrap();
    assert_eq!((kit.synsets.len(), kit.ground_truth.as_slice()), (3, &[3, 1, 1, 2][..]));
    for kind in [tar::EntryType::GNULongName, tar::EntryType::XHeader] {
        let mut tar = Tar::new();
        tar.raw(&header(kind, 5 << 20), &vec![b'x'; 5 << 20]);
        let error = Devkit::read(&write(dir.path(), "kit.tar.gz", &gzip(&tar.bytes()))).unwrap_err();
        assert!(error.to_string().contains("a name of 5242880 bytes"), "{error}");
    }
}

#[test]
fn class_tables() {
    let dir = tempfile::tempdir().unwrap();
    let kit = Devkit::read(&write(dir.path(), "kit", &devkit_tar_gz(&ROWS, &[1]))).unwrap();
    let wnids = |t: &ClassTable| t.classes().iter().map(|c| c.wnid.clone()).collect::<Vec<_>>();
    let table = |devkit, order, chosen: Option<&[String]>| {
        ClassTable::new(devkit, ["n2", "n1", "n2"].into_iter(), order, chosen)
    };
    let by_name = table(Some(&kit), LabelOrder::Wnid, None).unwrap();
    assert_eq!(wnids(&by_name), ["n00000100", "n00000200", "n00000300"]);
    assert_eq!(by_name.label("n00000300"), Some(2));
    assert_eq!(by_name.label("n00000900"), None, "an inner synset is no class");
    let by_id = table(Some(&kit), LabelOrder::Devkit, None).unwrap();
    assert_eq!(by_id.label("n00000300"), Some(0));
    let union = table(None, LabelOrder::Wnid, None).unwrap();
    assert_eq!(wnids(&union), ["n1", "n2"]);
    assert!(table(None, LabelOrder::Devkit, None).is_err());

    let list = write(dir.path(), "list", b"# two\nn00000300 first by id\n\n n00000200# x\n");
    let chosen = read_class_list(&list).unwrap();
    let some = table(Some(&kit), LabelOrder::Devkit, Some(&chosen)).unwrap();
    assert_eq!(wnids(&some), ["n00000300", "n00000200"]);
    assert!(some.is_unchosen("n00000100") && !some.is_unchosen("n00000200") && !some.is_unchosen("x"));
    let unknown = table(Some(&kit), LabelOrder::Wnid, Some(&["n00000900".to_owned()]));
    assert!(unknown.unwrap_err().to_string().contains("n00000900"));
    let twice = read_class_list(&write(dir.path(), "list", b"a\nb\na\n"));
    assert!(matches!(twice, Err(Error::ClassList { line: 3, .. })));
    assert!(read_class_list(&write(dir.path(), "list", b"# none\n")).is_err());
}

/// Known answers from the published lists: tench is id 449, kit fox id 1, and WNID order starts with tench.
#[test]
fn real_devkit() {
    let name = "ilsvrc2012-mini/ILSVRC2012_devkit_t12.tar.gz";
    let Some(path) = real_data("devkit::real_devkit", name) else { return };
    let kit = Devkit::read(&path).unwrap();
    assert_eq!((kit.synsets.len(), kit.inner_synsets, kit.ground_truth.len()), (1000, 860, 50_000));
    assert_eq!(kit.synsets[0].wnid, "n02119789");
    assert_eq!(kit.synsets[0].words, "kit fox, Vulpes macrotis");
    assert_eq!(kit.ground_truth[..3], [490, 361, 171]);
    let by_name = ClassTable::new(Some(&kit), std::iter::empty(), LabelOrder::Wnid, None).unwrap();
    let ends = [&by_name.classes()[0], &by_name.classes()[999]].map(|c| c.words.as_str());
    assert_eq!(ends[0], "tench, Tinca tinca");
    assert_eq!(ends[1], "toilet tissue, toilet paper, bathroom tissue");
    // The first validation photo is a sea snake: label 65 in the order torchvision and Caffe use.
    assert_eq!(by_name.label(&kit.val_synset(1).unwrap().wnid), Some(65));
}
