//! The fuzz targets' surfaces on their corpora and on fixed mutations of seeds made here. `WRITE_SEEDS=1` writes the seeds
//! into the corpora, for fuzzing to begin from.

use std::fs;
use std::path::{Path, PathBuf};

use alexnet_rng::{Purpose, Stream};

use crate::archive::{Tar, devkit_tar_gz, fixture, gzip, jpeg, meta_mat, train_tar};
use crate::members::{header, sparse, with_records};
use crate::surfaces::SURFACES;
use crate::world::{ROWS, World};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name)
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let photo = |n: &str| (n.to_owned(), vec![0xff, 0xd8, 1]);
    let world = || {
        let world = World::new();
        world.pack("out", |o| (o.size, o.shard_records, o.limit) = (2, 4, Some(4)));
        world
    };
    match name {
        "tar_walk" => {
            let mut flat = Tar::new();
            flat.add(&format!("val/{}/n00000001_2.JPEG", "d".repeat(120)), b"long name");
            flat.add("._n00000001_2.JPEG", b"").add("val/ILSVRC2012_val_00000001.JPEG", &[7; 600]);
            let nested = train_tar(&[("n00000001", vec![photo("n00000001_1.JPEG"), photo("x.jpg")])]);
            let mut odd = Tar::new();
            sparse(&mut odd, "holes.txt");
            with_records(&mut odd, &["GNU.sparse.name=holes.csv", "path=x"], "y", &[1; 9]);
            odd.raw(&header(tar::EntryType::Link, "link", 0), &[]).add("n00000001_1.JPEG", &[7; 9]);
            vec![flat.bytes(), nested, odd.bytes()]
        }
        "mat" => vec![meta_mat(&ROWS), fixture("meta.mat"), fixture("meta-packed.mat")],
        "devkit" => {
            let mut tar = Tar::new();
            tar.add("data/meta.mat", &meta_mat(&ROWS[..1]));
            tar.add("data/ILSVRC2012_validation_ground_truth.txt", b"1\n1\n");
            let mut kaggle = Tar::new();
            kaggle.add("LOC_synset_mapping.txt", b"n01440764 tench\n");
            kaggle.add("LOC_val_solution.csv", b"ImageId,P\nILSVRC2012_val_00000002,n01440764 1 2 3 4\n");
            let mut long = Tar::new();
            long.add(&format!("{}/meta.mat", "d".repeat(120)), &meta_mat(&ROWS[..1]));
            let path = "path=data/ILSVRC2012_validation_ground_truth.txt";
            with_records(&mut long, &[path], "short", b"1\n");
            vec![devkit_tar_gz(&ROWS, &[1, 4, 2]), tar.bytes(), kaggle.bytes(), long.bytes()]
        }
        "header" => {
            vec![world().bytes("out").remove("train-00000.shard").unwrap()[..4096].to_vec()]
        }
        "shard" => vec![world().bytes("out").remove("train-00000.shard").unwrap()],
        "manifest" => vec![world().bytes("out").remove("manifest.json").unwrap()],
        "decode" => {
            let small = jpeg(17, 11, 3);
            let names = [
                "rgba.png",
                "cmyk.jpg",
                "ycck.jpg",
                "grey.jpg",
                "progressive.jpg",
                "rgb-adobe.jpg",
                "rgb16.png",
            ];
            let fixtures = names.map(fixture);
            [small.clone(), gzip(&small)].into_iter().chain(fixtures).collect()
        }
        _ => panic!("no seeds for {name}"),
    }
}

/// One of: bytes changed, a piece copied over another, a piece cut out, the end cut off.
fn mutated(seed: &[u8], stream: &Stream) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    let mut drawn = 0;
    let mut below = |n: usize| {
        drawn += 1;
        stream.below(drawn, n.max(1) as u32) as usize
    };
    for _ in 0..1 + below(4) {
        let (length, at) = (bytes.len(), below(bytes.len()));
        let piece = below(length.min(64)).min(length - at);
        match below(6) {
            0 | 1 if length > 0 => bytes[at] = below(256) as u8,
            2 if length > 0 => bytes[at] ^= 1 << below(8),
            3 => {
                let from = below(length - piece + 1);
                bytes.copy_within(from..from + piece, at);
            }
            4 => drop(bytes.drain(at..at + piece)),
            _ => bytes.truncate(length - below(length)),
        }
    }
    bytes
}

#[test]
fn corpora_and_mutations_do_no_harm() {
    let write = std::env::var_os("WRITE_SEEDS").is_some();
    for (number, (name, surface)) in (0..).zip(SURFACES) {
        let mut inputs: Vec<Vec<u8>> = seeds(name);
        for (i, seed) in inputs.iter().enumerate().filter(|_| write) {
            fs::create_dir_all(folder(name)).unwrap();
            fs::write(folder(name).join(format!("seed-{i}")), seed).unwrap();
        }
        let mut corpus: Vec<PathBuf> = fs::read_dir(folder(name))
            .unwrap_or_else(|e| panic!("{name}: {e}"))
            .map(|e| e.unwrap().path())
            .collect();
        corpus.sort_unstable();
        assert!(corpus.len() >= inputs.len(), "the corpus of {name} is empty");
        inputs.extend(corpus.iter().map(|path| fs::read(path).unwrap()));
        for input in &inputs {
            surface(input);
        }
        for round in 0..1000 {
            let stream = Stream::new(number, 0, round, Purpose::Sample);
            surface(&mutated(&inputs[round as usize % inputs.len()], &stream));
        }
    }
}
