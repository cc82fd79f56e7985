//! A walk's memory grows by little for every photo. Measured in processes of their own, for other tests run beside.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

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

/// Peak of a process that walks and plans the archive, in bytes.
fn peak(archive: &Path) -> u64 {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["memory::walks_and_tells_its_peak", "--exact", "--ignored", "--nocapture"])
        .env("IMAGENET_TEST_ARCHIVE", archive)
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
        peak(&path)
    });
    let bytes = (many - few) / 99_000;
    assert!((30..=BYTES_A_PHOTO).contains(&bytes), "{bytes} bytes a photo; {few} and {many} at most");
}

/// The process measured above; alone it has nothing to do.
#[test]
#[ignore = "run by a_planned_photo_takes_few_bytes"]
fn walks_and_tells_its_peak() {
    let Some(archive) = std::env::var_os("IMAGENET_TEST_ARCHIVE") else { return };
    let source = Source::open(Path::new(&archive)).unwrap();
    let plan = Plan::new(Inputs { train: Some(source), ..Inputs::default() }, Options::default()).unwrap();
    assert!(plan.splits()[0].entries() >= 1000);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("peak kB {}", kilobytes.trim().trim_end_matches(" kB"));
}
