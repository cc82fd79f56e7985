use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use alexnet_pack::{Error, Source};
use tar::EntryType;

use crate::archive::{Tar, write};

/// A header of any kind.
pub fn header(kind: EntryType, name: &str, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_path(name).unwrap();
    header.set_size(size);
    header.set_cksum();
    header
}

/// A member with pax records before it, each a line without its length.
pub fn with_records(tar: &mut Tar, records: &[&str], name: &str, data: &[u8]) {
    let line = |record: &&str| {
        let mut length = record.len() + 2;
        while length != format!("{length} {record}\n").len() {
            length += 1;
        }
        format!("{length} {record}\n")
    };
    let lines: String = records.iter().map(line).collect();
    tar.raw(&header(EntryType::XHeader, "PaxHeaders/x", lines.len() as u64), lines.as_bytes());
    tar.raw(&header(EntryType::Regular, name, data.len() as u64), data);
}

/// An old GNU sparse member whose list of holes goes on in two more blocks.
pub fn sparse(tar: &mut Tar, name: &str) {
    let mut sparse = header(EntryType::GNUSparse, name, 700);
    sparse.as_mut_bytes()[482] = 1;
    sparse.set_cksum();
    let mut data = vec![0; 1024 + 700];
    data[504] = 1;
    tar.raw(&sparse, &data);
}

/// Links and files stored without their holes are told if they are no photos; what comes behind them is found.
#[test]
fn members_that_are_no_files_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut tar = Tar::new();
    tar.raw(&header(EntryType::Directory, "val/", 0), &[]);
    tar.raw(&header(EntryType::Regular, "old/", 0), &[]);
    tar.raw(&header(EntryType::Link, "readme", 0), &[]);
    tar.raw(&header(EntryType::Symlink, "._n00000001_9.JPEG", 0), &[]);
    tar.raw(&header(EntryType::Symlink, "__MACOSX/n00000001_9.JPEG", 0), &[]);
    tar.raw(&header(EntryType::Fifo, "pipe", 0), &[]);
    sparse(&mut tar, "holes.txt");
    with_records(
        &mut tar,
        &["GNU.sparse.major=1", "GNU.sparse.name=holes.csv"],
        "GNUSparseFile.1/x.JPEG",
        &[1; 9],
    );
    tar.add("n00000001_1.JPEG", &[7; 600]);
    let source = Source::open(&write(dir.path(), "x.tar", &tar.bytes())).unwrap();
    assert_eq!(source.ignored(), (6, Some("readme")));
    assert_eq!(source.photos().len(), 1);
    let mut bytes = Vec::new();
    source.read(0, &mut bytes).unwrap();
    assert_eq!(bytes, [7; 600]);
}

/// A photo that is a link or has holes is not left out in silence; nor is a tar of photos, nor one inside a tar.
#[test]
fn photos_that_are_no_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |fill: &dyn Fn(&mut Tar), what: &str| {
        for nested in [false, true] {
            let mut tar = Tar::new();
            tar.add("n00000001_1.JPEG", &[7; 600]);
            fill(&mut tar);
            let mut bytes = tar.bytes();
            if nested {
                let mut outer = Tar::new();
                outer.add("n00000001.tar", &bytes);
                bytes = outer.bytes();
            }
            let path = write(dir.path(), "x.tar", &bytes);
            let error = Source::open(&path).unwrap_err();
            assert!(matches!(error, Error::Lost { .. }), "{error}");
            let hint = error.hint().unwrap();
            assert!(error.to_string().contains(what) && hint.contains("--hard-dereference"), "{error}");
            // A patch is held to the same.
            let mut whole = Tar::new();
            whole.add("n00000001_1.JPEG", &[7; 600]);
            let mut source = Source::open(&write(dir.path(), "whole.tar", &whole.bytes())).unwrap();
            assert!(matches!(source.patch(&path), Err(Error::Lost { .. })));
        }
    };
    let link = |kind, name: &'static str| {
        move |tar: &mut Tar| {
            tar.raw(&header(kind, name, 0), &[]);
        }
    };
    let photo = "n00000001_2.JPEG";
    refused(&link(EntryType::Link, photo), "is a hard link");
    refused(&link(EntryType::Symlink, photo), "is a symbolic link");
    refused(&link(EntryType::Link, "n00000003.tar"), "n00000003.tar at offset");
    refused(&link(EntryType::Char, photo), "no regular file");
    refused(&|tar| sparse(tar, photo), "(sparse)");
    let records = ["GNU.sparse.major=1", "GNU.sparse.name=n00000001_2.JPEG", "path=GNUSparseFile.1/y"];
    refused(&|tar| with_records(tar, &records, "GNUSparseFile.1/x", &[1; 9]), "n00000001_2.JPEG");
    refused(&|tar| with_records(tar, &["GNU.sparse.map=0,1"], photo, &[1; 9]), "(sparse)");
}

/// The list of holes goes on behind the archive's end.
#[test]
fn a_list_of_holes_that_is_cut_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut tar = Tar::new();
    tar.add("n00000001_1.JPEG", &[7; 600]);
    sparse(&mut tar, "holes.txt");
    let bytes = tar.bytes();
    for end in [2048 + 512 + 100, 2048 + 1024] {
        let error = Source::open(&write(dir.path(), "x.tar", &bytes[..end])).unwrap_err();
        assert!(error.to_string().contains("holes"), "{error}");
    }
}

/// Photos below a class folder are refused by name. Folders without photos, hidden ones and things that are no files
/// are counted.
#[test]
fn folders_below_class_folders() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("train");
    for name in [
        "n1/a.JPEG",
        "n1/boxes/a.txt",
        "n1/.thumbnails/a.JPEG",
        ".cache/b.JPEG",
        "n2/@eaDir/deep/c.jpg",
        "n2/b.jpg",
    ] {
        write(&root, name, &[1]);
    }
    let _socket = UnixListener::bind(root.join("n2/socket")).unwrap();
    symlink(&root, root.join("n2/boxes")).unwrap();
    let error = Source::open(&root).unwrap_err();
    assert!(matches!(&error, Error::Below { photo, .. } if photo.ends_with("n2/boxes/n1/a.JPEG")), "{error}");
    fs::remove_file(root.join("n2/boxes")).unwrap();
    // Inside a folder that is none of the classes, a link to one leads nowhere: it could lead in a circle.
    symlink(&root, root.join("n1/boxes/all")).unwrap();
    let source = Source::open(&root).unwrap();
    assert_eq!(source.ignored(), (5, Some(".cache")));
    assert_eq!(source.photos().len(), 2);

    write(&root, "n2/images/deep/d.jpeg", &[1]);
    let error = Source::open(&root).unwrap_err();
    assert!(
        error.to_string().contains("n2/images/deep/d.jpeg") && error.to_string().contains("train/n2:"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("n2 holds the class folders"), "{error}");
    // Tars of classes, there or deeper.
    for name in ["n1/n00000001.tar", "n1/boxes/n00000002.tar"] {
        let path = write(&root, name, &[]);
        let error = Source::open(&root).unwrap_err();
        assert!(matches!(&error, Error::Below { photo, .. } if *photo == path), "{error}");
        fs::remove_file(path).unwrap();
    }
    // The folder above that of the class folders.
    let error = Source::open(dir.path()).unwrap_err();
    assert!(error.hint().unwrap().contains("train holds the class folders"), "{error}");
}
