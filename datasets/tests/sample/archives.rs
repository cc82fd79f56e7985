//! Reads the archives with the `tar`, `flate2` and `image` crates.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use alexnet_datasets::sample::{SampleArchives, SampleOptions, generate};

/// Names and contents of a tar's members, in their order.
pub fn members(tar: impl Read) -> Photos {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            assert_eq!(entry.header().entry_type(), tar::EntryType::Regular);
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (name, bytes)
        })
        .collect()
}

/// Photos with their file names.
pub type Photos = Vec<(String, Vec<u8>)>;

/// Everything that the three archives hold.
pub struct Contents {
    /// WNID of each inner tar, and its photos.
    pub train: Vec<(String, Photos)>,
    pub val: Photos,
    pub meta: Vec<u8>,
    /// `ILSVRC2012_ID` of each validation photo.
    pub truth: Vec<u16>,
}

impl Contents {
    pub fn read(archives: &SampleArchives) -> Self {
        let train = members(File::open(&archives.train).unwrap())
            .into_iter()
            .map(|(name, tar)| {
                (name.strip_suffix(".tar").expect("a tar per WNID").to_owned(), members(tar.as_slice()))
            })
            .collect();
        let devkit = flate2::read::GzDecoder::new(File::open(&archives.devkit).unwrap());
        let mut devkit: BTreeMap<String, Vec<u8>> = members(devkit).into_iter().collect();
        let mut take = |name: &str| devkit.remove(&format!("ILSVRC2012_devkit_t12/data/{name}")).unwrap();
        let truth = String::from_utf8(take("ILSVRC2012_validation_ground_truth.txt")).unwrap();
        let contents = Contents {
            train,
            val: members(File::open(&archives.val).unwrap()),
            meta: take("meta.mat"),
            truth: truth.lines().map(|line| line.parse().unwrap()).collect(),
        };
        assert!(devkit.is_empty(), "more in the devkit than expected: {:?}", devkit.keys());
        contents
    }
}

/// A sample of few photos.
pub fn small(dir: &Path, threads: usize) -> SampleArchives {
    let options = SampleOptions { seed: 7, train_per_class: 3, val_per_class: 2, threads };
    let mut calls = 0;
    let archives = generate(dir, &options, &mut |done| {
        calls += 1;
        assert_eq!(done, calls, "progress counts every photo");
    })
    .unwrap();
    assert_eq!(calls, if archives.kept { 0 } else { options.photos() });
    archives
}
