//! A small ImageNet: archives and devkit in the official layout, odd photos among the others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alexnet_pack::{Devkit, Inputs, Options, Plan, Run, Source, Summary, pack};
use alexnet_shard::{Access, ShardSet};

use crate::archive::{Tar, devkit_tar_gz, fixture, jpeg, train_tar, write};

pub const ROWS: [(u16, &str, &str, u8); 5] = [
    (2, "n00000001", "one", 0),
    (1, "n00000002", "two", 0),
    (4, "n00000003", "three", 0),
    (3, "n00000004", "four", 0),
    (5, "n00000005", "root", 4),
];
pub const SIZE: u32 = 24;
pub const PHOTOS: usize = 15;
pub const VAL: [u64; 12] = [1, 2, 3, 5, 8, 13, 21, 34, 55, 60, 61, 1000];

/// Train, val and devkit in the official layout, with odd photos among the others.
pub struct World {
    pub dir: tempfile::TempDir,
    /// Ids of validation photos 1, 2, …
    pub truth: Vec<u32>,
}

pub fn photo(wnid: &str, number: usize) -> (String, Vec<u8>) {
    let seed = number as u64 * 31 + u64::from(wnid.as_bytes()[8]);
    let bytes = match (wnid, number) {
        ("n00000001", 3) => fixture("rgba.png"),
        ("n00000002", 0) => fixture("cmyk.jpg"),
        ("n00000002", 7) => fixture("grey.jpg"),
        ("n00000003", 5) => jpeg(90, 70, seed).split_off(2), // no JPEG any more: refused
        ("n00000003", 14) => {
            let whole = jpeg(200, 150, seed);
            whole[..whole.len() / 2].to_vec()
        }
        _ => jpeg(20 + (seed * 7 % 90) as u32, 20 + (seed * 13 % 70) as u32, seed),
    };
    (format!("{wnid}_{number}.JPEG"), bytes)
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let class = |wnid: &'static str| (wnid, (0..PHOTOS).map(|i| photo(wnid, i)).collect());
        // Archive order is not WNID order.
        let classes = ["n00000003", "n00000001", "n00000002"].map(class);
        write(dir.path(), "train.tar", &train_tar(&classes));
        let mut val = Tar::new();
        for number in VAL {
            val.add(&format!("ILSVRC2012_val_{number:08}.JPEG"), &jpeg(64, 48, number));
        }
        write(dir.path(), "val.tar", &val.bytes());
        let truth: Vec<u32> = (0..60).map(|i| 1 + i * 7 % 4).collect();
        write(dir.path(), "devkit.tar.gz", &devkit_tar_gz(&ROWS, &truth));
        World { dir, truth }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn inputs(&self) -> Inputs {
        Inputs {
            test: None,
            train: Some(Source::open(&self.path("train.tar")).unwrap()),
            val: Some(Source::open(&self.path("val.tar")).unwrap()),
            devkit: Some(Devkit::read(&self.path("devkit.tar.gz")).unwrap()),
        }
    }

    pub fn plan(&self, change: impl FnOnce(&mut Options)) -> Plan {
        let mut options = Options { size: SIZE, shard_records: 16, ..Options::default() };
        change(&mut options);
        Plan::new(self.inputs(), options).unwrap()
    }

    pub fn run(&self, out: &str, threads: usize) -> Run<'static> {
        Run { threads, ..Run::new(self.path(out)) }
    }

    pub fn pack(&self, out: &str, change: impl FnOnce(&mut Options)) -> (Summary, ShardSet) {
        let summary = pack(&self.plan(change), &self.run(out, 2), &()).unwrap();
        (summary, self.open(out))
    }

    pub fn open(&self, out: &str) -> ShardSet {
        ShardSet::open(&self.path(out), Access::Read).unwrap()
    }

    pub fn bytes(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        bytes(&self.path(out))
    }
}

pub fn bytes(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap());
    entries.map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap())).collect()
}
