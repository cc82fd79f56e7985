//! A walk's memory grows by little for every photo, a decoder's by little for every pixel. Measured in processes of their
//! own, for other tests run beside.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use alexnet_pack::decode::Decoder;
use alexnet_pack::{Inputs, Options, Plan, Source};

/// Packing ImageNet may take 100 MB and 64 MB a thread. A thread takes 31 MB for photos of 4 megapixels and the records
/// under way 7 MB, so that the 1,281,167 photos may take 120 MB even with one thread.
const BYTES_A_PHOTO: u64 = 120_000_000 / 1_281_167;

/// A training archive of so many photos that are holes.
fn sparse(path: &Path, classes: u32, photos: u32) {
    let mut file = File::create(path).unwrap();
    let header = |name: String, size: u64| {
        let mut header = tar::Header::new_gnu();
        header.set_path(name).unwrap();
        header.set_size(size);
        header.set_mode(0o644);
        header.set_cksum();
        *header.as_bytes()
    };
    const LENGTH: u64 = 3 * 512;
    for class in 0..classes {
        let wnid = format!("n{:08}", 1_440_764 + class);
        file.write_all(&header(format!("{wnid}.tar"), u64::from(photos) * (512 + LENGTH) + 1024)).unwrap();
        for photo in 0..photos {
            file.write_all(&header(format!("{wnid}_{}.JPEG", 10_000 + photo), LENGTH)).unwrap();
            file.seek(SeekFrom::Current(LENGTH as i64)).unwrap();
        }
        file.seek(SeekFrom::Current(1024)).unwrap();
    }
    let end = file.stream_position().unwrap() + 1024;
    file.set_len(end).unwrap();
}

/// Peak of a process that runs one of the tests below on this file, in bytes.
fn peak(test: &str, file: &Path) -> u64 {
    let child = Command::new(std::env::current_exe().unwrap())
        .args([&format!("memory::{test}"), "--exact", "--ignored", "--nocapture"])
        .env("IMAGENET_TEST_FILE", file)
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");
    let text = String::from_utf8(child.stdout).unwrap();
    let peak = text.lines().find_map(|line| line.split_once("peak kB ")).expect("a peak");
    peak.1.trim().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_planned_photo_takes_few_bytes() {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: memory::a_planned_photo_takes_few_bytes: no /proc");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [few, many] = [("few.tar", 10), ("many.tar", 1000)].map(|(name, photos)| {
        let path = dir.path().join(name);
        sparse(&path, 100, photos);
        peak("walks_and_tells_its_peak", &path)
    });
    let bytes = (many - few) / 99_000;
    assert!((30..=BYTES_A_PHOTO).contains(&bytes), "{bytes} bytes a photo; {few} and {many} at most");
}

/// A progressive JPEG without subsampling that says of each block no more than that it is as the one before, and flat.
fn flat_jpeg(side: u16) -> Vec<u8> {
    let [high, low] = side.to_be_bytes();
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0];
    bytes.extend([1; 64]);
    bytes.extend([0xff, 0xc2, 0, 17, 8, high, low, high, low, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0]);
    // One code each, of one bit: no difference, and no further coefficients.
    for kind in [0, 0x10] {
        bytes.extend([0xff, 0xc4, 0, 20, kind, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    let blocks = usize::from(side).div_ceil(8).pow(2);
    let mut scan = |header: &[u8], bits: usize| {
        bytes.extend([0xff, 0xda, 0, header.len() as u8 + 2]);
        bytes.extend(header);
        bytes.resize(bytes.len() + bits / 8, 0);
        bytes.extend((!bits.is_multiple_of(8)).then_some(0xff >> (bits % 8)));
    };
    scan(&[3, 1, 0, 2, 0, 3, 0, 0, 0, 0], 3 * blocks);
    for component in 1..=3 {
        scan(&[1, component, 0, 1, 63, 0], blocks);
    }
    bytes.extend([0xff, 0xd9]);
    bytes
}

fn flat_png(side: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side.into(), side.into());
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Sixteen);
    encoder.set_compression(png::Compression::Fastest);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&vec![0x40; 8 * usize::from(side).pow(2)]).unwrap();
    writer.finish().unwrap();
    bytes
}

/// A pixel of a large photo may take 4 bytes: the pixel itself and one more.
#[test]
fn a_pixel_takes_four_bytes() {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: memory::a_pixel_takes_four_bytes: no /proc");
        return;
    }
    const SIDE: u16 = 5000;
    let dir = tempfile::tempdir().unwrap();
    for (name, make) in [("jpeg", flat_jpeg as fn(u16) -> Vec<u8>), ("png", flat_png)] {
        let [small, large] = [64, SIDE].map(|side| {
            let path = dir.path().join(format!("{name}-{side}"));
            std::fs::write(&path, make(side)).unwrap();
            peak("decodes_and_tells_its_peak", &path)
        });
        let pixels = u64::from(SIDE).pow(2);
        let bytes = large - small;
        assert!((3 * pixels..=4 * pixels).contains(&bytes), "{name}: {bytes} bytes for {pixels} pixels");
    }
}

fn tell_peak() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("peak kB {}", kilobytes.trim().trim_end_matches(" kB"));
}

/// A process measured above; alone it has nothing to do.
#[test]
#[ignore = "run by a_planned_photo_takes_few_bytes"]
fn walks_and_tells_its_peak() {
    let Some(archive) = std::env::var_os("IMAGENET_TEST_FILE") else { return };
    let source = Source::open(Path::new(&archive)).unwrap();
    let plan = Plan::new(Inputs { train: Some(source), ..Inputs::default() }, Options::default()).unwrap();
    assert!(plan.splits()[0].entries() >= 1000);
    tell_peak();
}

/// Another.
#[test]
#[ignore = "run by a_pixel_takes_four_bytes"]
fn decodes_and_tells_its_peak() {
    let Some(photo) = std::env::var_os("IMAGENET_TEST_FILE") else { return };
    let mut decoder = Decoder::new();
    let picture = decoder.decode(&std::fs::read(photo).unwrap()).unwrap();
    assert!(!matches!(picture.note, alexnet_pack::decode::Note::Repaired(_)), "{:?}", picture.note);
    tell_peak();
}
