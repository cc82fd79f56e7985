//! Layout, labels, and what does not change the bytes.

use std::collections::HashSet;
use std::fs;

use alexnet_datasets::sample::{CLASSES, SampleOptions, generate};

use crate::archives::{Contents, small};

#[test]
fn archives_have_the_official_layout() {
    let dir = tempfile::tempdir().unwrap();
    let contents = Contents::read(&small(dir.path(), 2));

    let wnids: Vec<&str> = contents.train.iter().map(|(wnid, _)| wnid.as_str()).collect();
    assert_eq!(wnids, CLASSES.map(|class| class.wnid));
    for (wnid, photos) in &contents.train {
        let names: Vec<&str> = photos.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [1, 2, 3].map(|number| format!("{wnid}_{number}.JPEG")));
    }
    assert_eq!(contents.val.len(), 20);
    for (i, (name, _)) in contents.val.iter().enumerate() {
        assert_eq!(*name, format!("ILSVRC2012_val_{:08}.JPEG", i + 1));
    }
    for class in &CLASSES {
        assert_eq!(contents.truth.iter().filter(|&&id| id == class.id).count(), 2, "{}", class.wnid);
    }
}

#[test]
fn photos_are_jpegs_of_many_sizes_and_none_twice() {
    let dir = tempfile::tempdir().unwrap();
    let contents = Contents::read(&small(dir.path(), 2));
    let train = contents.train.iter().flat_map(|(_, photos)| photos);
    let (mut seen, mut landscape, mut portrait) = (HashSet::new(), 0, 0);
    for (name, bytes) in train.chain(&contents.val) {
        let photo = image::load_from_memory_with_format(bytes, image::ImageFormat::Jpeg).unwrap();
        let (width, height) = (photo.width(), photo.height());
        let (short, long) = (width.min(height), width.max(height));
        assert!((150..=300).contains(&short) && long <= short * 3 / 2 + 1, "{name}: {width}×{height}");
        landscape += u32::from(width > height);
        portrait += u32::from(height > width);
        assert!(seen.insert(bytes), "{name} is there twice");
    }
    assert!(landscape > 5 && portrait > 5, "{landscape} landscape, {portrait} portrait");
}

#[test]
fn bytes_do_not_depend_on_the_threads() {
    let dirs = [1, 2, 5].map(|threads| {
        let dir = tempfile::tempdir().unwrap();
        small(dir.path(), threads);
        dir
    });
    let read = |i: usize| {
        let mut files: Vec<_> =
            fs::read_dir(dirs[i].path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().map(|path| (path.file_name().unwrap().to_owned(), fs::read(path).unwrap())).collect()
    };
    let one: Vec<_> = read(0);
    assert_eq!(one.len(), 4, "three archives and the record");
    assert!(one == read(1) && one == read(2), "bytes differ between 1, 2 and 5 threads");
}

/// A larger sample holds the smaller one's photos; another seed holds others.
#[test]
fn photos_depend_on_seed_class_and_number_alone() {
    let contents = |seed, train_per_class, val_per_class| {
        let dir = tempfile::tempdir().unwrap();
        let options = SampleOptions { seed, train_per_class, val_per_class, threads: 2 };
        Contents::read(&generate(dir.path(), &options, &mut |_| {}).unwrap())
    };
    let (small, large, other) = (contents(7, 2, 1), contents(7, 4, 2), contents(8, 2, 1));
    for (class, row) in CLASSES.iter().enumerate() {
        assert_eq!(small.train[class].1[..], large.train[class].1[..2]);
        assert_ne!(small.train[class].1[0], other.train[class].1[0]);
        let first = |contents: &Contents| {
            let i = contents.truth.iter().position(|&id| id == row.id).unwrap();
            contents.val[i].1.clone()
        };
        assert_eq!(first(&small), first(&large));
        assert_ne!(first(&small), small.train[class].1[0].1);
    }
    assert_ne!(small.truth, other.truth, "the order of the validation photos follows the seed");
}
