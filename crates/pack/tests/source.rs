use alexnet_pack::{Error, Source, is_wnid, val_number};

use crate::archive::{Tar, gzip, real_data, train_tar, write};

fn found(source: &Source) -> Vec<(String, Option<String>)> {
    let photo = |p| (source.group_of(p).map(str::to_owned), p);
    source.photos().iter().map(photo).map(|(group, p)| (p.name.to_string(), group)).collect()
}

fn of(name: &str, group: &str) -> (String, Option<String>) {
    (name.into(), (!group.is_empty()).then(|| group.into()))
}

/// Every photo's offset and length lead to exactly its bytes, also after headers of every odd kind.
#[test]
fn nested_tar_with_odd_members() {
    let dir = tempfile::tempdir().unwrap();
    let long = format!("{}/n00000001_3.JPEG", "d".repeat(150));
    let mut inner = Tar::new();
    inner.add("n00000001_1.JPEG", &[1; 700]).add("._n00000001_1.JPEG", &[9; 163]).add("notes.txt", b"x");
    inner.add(&long, &[3; 512]); // a GNU long name
    let mut pax = tar::Header::new_ustar();
    let record = b"31 path=pax/n00000001_4.JPEG\n\n\n";
    pax.set_entry_type(tar::EntryType::XHeader);
    pax.set_path("PaxHeader/n00000001_4.JPEG").unwrap();
    pax.set_size(29);
    pax.set_cksum();
    inner.raw(&pax, &[b"29", &record[2..29]].concat());
    let mut plain = tar::Header::new_ustar();
    plain.set_path("short").unwrap();
    plain.set_size(5);
    plain.set_cksum();
    inner.raw(&plain, &[4; 5]);
    let mut base256 = tar::Header::new_gnu();
    base256.set_path("n00000001_5.JPEG").unwrap();
    base256.set_size(6);
    base256.as_mut_bytes()[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6]);
    base256.set_cksum();
    inner.raw(&base256, &[5; 6]);
    inner.add("PaxHeaders.123/n00000001_6.JPEG", &[6; 3]);
    inner.add("n00000001_7.JPEG", &[]);
    let mut outer = Tar::new();
    outer.add("n00000001.tar", &inner.bytes()).add("readme.JPG.txt", b"x").add("._n00000002.tar", &[1, 2]);
    let path = write(dir.path(), "train.tar", &outer.bytes());

    let source = Source::open(&path).unwrap();
    let class = "n00000001";
    let expected = [("n00000001_1.JPEG", 1, 700), ("n00000001_3.JPEG", 3, 512), ("n00000001_4.JPEG", 4, 5)];
    let expected = expected.into_iter().chain([("n00000001_5.JPEG", 5, 6), ("n00000001_7.JPEG", 7, 0)]);
    let expected: Vec<_> = expected.collect();
    assert_eq!(found(&source), expected.iter().map(|e| of(e.0, class)).collect::<Vec<_>>());
    let mut bytes = Vec::new();
    for (i, (name, byte, length)) in expected.iter().enumerate() {
        source.read(i, &mut bytes).unwrap();
        assert_eq!(bytes, vec![*byte; *length], "{name}");
    }
    assert_eq!(source.ignored(), (5, Some("._n00000001_1.JPEG")));
}

#[test]
fn pax_size_overrides_the_header() {
    let dir = tempfile::tempdir().unwrap();
    let mut pax = tar::Header::new_ustar();
    pax.set_entry_type(tar::EntryType::XHeader);
    pax.set_size(10);
    pax.set_cksum();
    let mut member = tar::Header::new_ustar();
    member.set_path("n00000001_1.JPEG").unwrap();
    member.set_size(0);
    member.set_cksum();
    let mut tar = Tar::new();
    tar.raw(&pax, b"10 size=7\n").raw(&member, &[7; 7]).add("n00000001_2.JPEG", &[8; 9]);
    let source = Source::open(&write(dir.path(), "x.tar", &tar.bytes())).unwrap();
    let lengths: Vec<u64> = source.photos().iter().map(|p| p.length).collect();
    assert_eq!(lengths, [7, 9]);
}

/// Flat, in folders, in tars, on disk: the class is found where it is, and nowhere else.
#[test]
fn groups() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = ("ILSVRC2012_val_00000001.JPEG", "ILSVRC2012_val_00000002.JPEG");
    let mut tar = Tar::new();
    tar.add(a, &[1]);
    tar.add(&format!("./val/{b}"), &[2]);
    tar.add(&format!("val/n00000007/{a}"), &[3]);
    tar.add("n00000008_17.jpeg", &[4]);
    tar.add("train/n00000009_17.jpg", &[5]);
    tar.add("cats/tom.JPG", &[6]);
    let mut inner = Tar::new();
    inner.add(b, &[7]).add("cat.jpg", &[8]);
    let inner = inner.bytes();
    tar.add("n00000010.tar", &inner).add("dogs.tar", &inner);
    let path = write(dir.path(), "val.tar", &tar.bytes());
    let (nine, eight) = ("n00000009_17.jpg", "n00000008_17.jpeg");
    let expected = vec![
        of(a, ""),
        of(b, ""),
        of(a, "n00000007"),
        of(eight, "n00000008"),
        of(nine, "n00000009"),
        of("tom.JPG", "cats"),
        of(b, "n00000010"),
        of("cat.jpg", "n00000010"),
        of(b, ""),
        of("cat.jpg", "dogs"),
    ];
    assert_eq!(found(&Source::open(&path).unwrap()), expected);

    let folder = dir.path().join("folder");
    for (name, byte) in
        [("n2/z.JPEG", 1), ("n2/a.JPEG", 2), ("n1/b.jpg", 3), ("n1/._b.jpg", 9), ("n3/x.txt", 9)]
    {
        write(&folder, name, &[byte]);
    }
    write(&folder, a, &[4]);
    write(&folder, "n00000011_4.JPEG", &[5]);
    let source = Source::open(&folder).unwrap();
    let expected = [of(a, ""), of("n00000011_4.JPEG", "n00000011"), of("b.jpg", "n1"), of("a.JPEG", "n2")];
    assert_eq!(found(&source), expected.into_iter().chain([of("z.JPEG", "n2")]).collect::<Vec<_>>());
    let mut bytes = Vec::new();
    for (i, byte) in [4, 5, 3, 2, 1].into_iter().enumerate() {
        source.read(i, &mut bytes).unwrap();
        assert_eq!(bytes, [byte], "{}", source.file_of(i).display());
    }
    assert_eq!(source.ignored(), (2, Some("n1/._b.jpg")));
    write(&folder, "n2/z.JPEG", &[1, 2]);
    assert!(matches!(source.read(4, &mut bytes), Err(Error::Changed { .. })), "a changed file is noticed");
}

fn sound() -> Vec<u8> {
    let photo = |i: u8| (format!("n00000001_{i}.JPEG"), vec![i; 600]);
    train_tar(&[("n00000001", vec![photo(1), photo(2)]), ("n00000002", vec![photo(3)])])
}

/// Wherever an archive is cut, the walk fails, and says where; whole it passes.
#[test]
fn every_truncation_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let whole = sound();
    let end = whole.len() - 1024; // two blocks of zeros end a tar; one is enough for us
    assert!(Source::open(&write(dir.path(), "x.tar", &whole[..end + 512])).is_ok());
    for cut in (0..end + 512).step_by(64) {
        let path = write(dir.path(), "x.tar", &whole[..cut]);
        match Source::open(&path) {
            Err(e @ (Error::Truncated { .. } | Error::NotTar { .. })) => {
                let text = e.to_string();
                assert!(text.contains("x.tar") && text.contains("offset"), "cut at {cut}: {text}");
                assert!(e.hint().is_some());
            }
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
}

#[test]
fn damaged_headers_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let whole = sound();
    let starts = [0, 512, 512 + 512 + 1024, whole.len() - 1024 - 2048 - 1024];
    for start in starts {
        let mut bytes = whole.clone();
        bytes[start + 2] ^= 1; // in the name: only the checksum can tell
        let path = write(dir.path(), "x.tar", &bytes);
        match Source::open(&path) {
            Err(Error::TarHeader { offset, .. } | Error::NotTar { offset, .. }) => {
                assert_eq!(offset, start as u64);
            }
            other => panic!("damage at {start}: {other:?}"),
        }
    }
}

/// Holes of zeros, as an unfinished download leaves them, must not pass for the end of the archive.
#[test]
fn headers_of_zeros_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let whole = sound();
    for start in [0, 512, 512 + 512 + 1024, whole.len() - 1024 - 2048 - 1024] {
        let mut bytes = whole.clone();
        bytes[start..start + 512].fill(0);
        let error = Source::open(&write(dir.path(), "x.tar", &bytes)).unwrap_err();
        assert!(
            matches!(error, Error::TarHeader { offset, .. } if offset == start as u64),
            "{start}: {error}"
        );
        assert!(error.to_string().contains("all zeros"), "{error}");
    }
}

#[test]
fn wrong_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let open = |name: &str, bytes: &[u8]| Source::open(&write(dir.path(), name, bytes)).unwrap_err();
    let packed = open("x.tar.gz", &gzip(&sound()));
    assert!(packed.to_string().contains("gzip") && packed.hint().unwrap().contains("gunzip"), "{packed}");
    assert!(open("x.jpg", &[0xff, 0xd8, 0xff, 0xe0].repeat(200)).to_string().contains("JPEG"));
    assert!(matches!(open("empty.tar", &[]), Error::NotTar { .. }));
    assert!(matches!(open("zeros.tar", &[0; 10240]), Error::NoPhotos { ignored: 0, .. }));
    let mut tar = Tar::new();
    tar.add("a/notes.txt", b"x");
    let none = open("notes.tar", &tar.bytes());
    assert!(none.to_string().contains("1 other files ignored, the first is a/notes.txt"), "{none}");
    let missing = Source::open(&dir.path().join("missing.tar")).unwrap_err();
    assert!(matches!(&missing, Error::Io { .. }) && missing.hint().is_some());
}

/// The digest is of what the walk saw: the same for the same archive elsewhere, another for any change.
#[test]
fn digest_names_the_contents() {
    let dir = tempfile::tempdir().unwrap();
    let photo = |name: &str, length| vec![(name.to_owned(), vec![1; length])];
    let digest = |file: &str, bytes: &[u8]| Source::open(&write(dir.path(), file, bytes)).unwrap().digest();
    let base = digest("a.tar", &train_tar(&[("n00000001", photo("a.JPEG", 600))]));
    assert_eq!(base, digest("b/c.tar", &train_tar(&[("n00000001", photo("a.JPEG", 600))])));
    for other in [("n00000001", photo("b.JPEG", 600)), ("n00000002", photo("a.JPEG", 600))] {
        assert_ne!(base, digest("d.tar", &train_tar(&[other])));
    }
    assert_ne!(base, digest("d.tar", &train_tar(&[("n00000001", photo("a.JPEG", 601))])));
}

#[test]
fn names() {
    assert_eq!(val_number("ILSVRC2012_val_00000347.JPEG"), Some(347));
    assert_eq!(val_number("ILSVRC2010_val_00050000.JPEG"), Some(50_000));
    for name in ["n01440764_10026.JPEG", "ILSVRC2012_val_.JPEG", "ILSVRC2012_val_3x.JPEG", "val_3.JPEG"] {
        assert_eq!(val_number(name), None, "{name}");
    }
    assert!(is_wnid("n01440764") && !is_wnid("n0144076") && !is_wnid("x01440764") && !is_wnid("n0144076é"));
}

#[test]
fn real_archives() {
    let test = "source::real_archives";
    let Some(train) = real_data(test, "ilsvrc2012-mini/ILSVRC2012_img_train.tar") else { return };
    let source = Source::open(&train).unwrap();
    assert_eq!((source.photos().len(), source.groups().len()), (492, 492));
    assert!(source.groups().iter().all(|g| is_wnid(g)));
    let Some(val) = real_data(test, "ilsvrc2012-mini/ILSVRC2012_img_val.tar") else { return };
    let source = Source::open(&val).unwrap();
    assert_eq!((source.photos().len(), source.groups().len()), (763, 0));
    for name in ["train", "val"] {
        let Some(path) = real_data(test, &format!("imagenette/{name}.tar")) else { return };
        let source = Source::open(&path).unwrap();
        let expected = if name == "train" { 6115 } else { 1169 };
        assert_eq!((source.photos().len(), source.groups().len()), (expected, 10), "{name}");
        assert!(source.photos().iter().all(|p| p.group.is_some()));
    }
}
