//! What reads foreign bytes, one function each. It may refuse; it must not panic, hang, or take memory without bound.
//!
//! Shared by the fuzz targets and by the tests of alexnet-pack, which run the corpora and fixed mutations of them.

use std::io::Write;
use std::path::Path;

use alexnet_pack::decode::{DIRECT_PIXELS, Decoder};
use alexnet_pack::resize::{Filter, Squarer};
use alexnet_pack::{Devkit, Source, matfile};
use alexnet_shard::{Access, Digest, HEADER_BYTES, Header, Manifest, Section, Shard};

/// A surface by the name of its target and corpus.
pub type Surface = (&'static str, fn(&[u8]));

/// All of them.
pub const SURFACES: [Surface; 7] = [
    ("tar_walk", tar_walk),
    ("mat", mat),
    ("devkit", devkit),
    ("header", header),
    ("shard", shard),
    ("manifest", manifest),
    ("decode", decode),
];

/// Bytes as a file of this name, gone afterwards.
fn as_file(name: &str, bytes: &[u8], read: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::File::create(&path).and_then(|mut file| file.write_all(bytes)).expect("a file");
    read(&path);
}

/// A tar archive: walked, and every photo in it read.
pub fn tar_walk(bytes: &[u8]) {
    as_file("photos.tar", bytes, |path| {
        let Ok(source) = Source::open(path) else { return };
        let mut photo = Vec::new();
        for i in 0..source.photos().len() {
            source.read(i, &mut photo).expect("a photo that the walk found inside the archive");
        }
    });
}

/// A MAT file.
pub fn mat(bytes: &[u8]) {
    let _ = matfile::read(bytes);
}

/// A devkit, compressed or not.
pub fn devkit(bytes: &[u8]) {
    as_file("devkit.tar.gz", bytes, |path| drop(Devkit::read(path)));
}

/// The header of a shard.
pub fn header(bytes: &[u8]) {
    if let Some(head) = bytes.first_chunk::<HEADER_BYTES>() {
        let _ = Header::decode(Path::new("x.shard"), head, bytes.len() as u64);
    }
}

/// A whole shard with its index, asked for everything; the checksums are made to hold, else nothing is behind them.
pub fn shard(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    reseal(&mut bytes);
    as_file("train-00000.shard", &bytes, |path| {
        for access in [Access::Map, Access::Read] {
            let Ok(shard) = Shard::open(path, access) else { continue };
            let mut scratch = Vec::new();
            for i in 0..shard.len().min(64) {
                let _ = (shard.label(i), shard.entry(i), shard.crc(i), shard.name(i).len());
                let _ = (shard.record(i, &mut scratch).is_ok(), shard.check_record(i));
            }
            let _ = (shard.classes(), shard.pixel_sums(), shard.report(), shard.moments());
        }
    });
}

/// A manifest.
pub fn manifest(bytes: &[u8]) {
    let _ = Manifest::decode(bytes);
}

/// A photo, decoded and made a square.
pub fn decode(bytes: &[u8]) {
    const SQUARE: usize = 24;
    // Photos of many pixels only cost time.
    let large = |side: [u8; 2]| u16::from_be_bytes(side) > 4096;
    let frame = bytes.windows(9).find(|w| w[0] == 0xff && matches!(w[1], 0xc0..=0xc2));
    if frame.is_some_and(|w| large([w[5], w[6]]) || large([w[7], w[8]])) {
        return;
    }
    // Every other file as if it were large: then a progressive JPEG is written anew.
    let direct = if bytes.len().is_multiple_of(2) { 0 } else { DIRECT_PIXELS };
    if let Ok(picture) = Decoder::new().direct_up_to(direct).decode(bytes) {
        assert_eq!(picture.rgb.len() as u64, u64::from(picture.width) * u64::from(picture.height) * 3);
        let filter = Filter::ALL[bytes.len() % Filter::ALL.len()];
        let mut record = [0; 3 * SQUARE * SQUARE];
        let _ = Squarer::new(SQUARE as u32, filter).square(&picture, &mut record);
    }
}

/// Writes what an opened shard is held to first, wherever its table leads: the checksums of the sections, of the index and
/// of the header, and the digests of recipe, classes and index.
fn reseal(bytes: &mut [u8]) {
    const FIRST_ROW: usize = 8;
    const ROW: usize = 24;
    if bytes.len() < HEADER_BYTES {
        return;
    }
    let word = |bytes: &[u8], at: usize| {
        let word = bytes.get(at..at.checked_add(8)?)?;
        usize::try_from(u64::from_le_bytes(word.try_into().ok()?)).ok()
    };
    if let Some(index) = word(bytes, 64).filter(|&index| index <= bytes.len()) {
        for section in Section::ALL {
            let Some(row) = index.checked_add(FIRST_ROW + ROW * (section as usize - 1)) else { break };
            let (Some(start), Some(length)) = (word(bytes, row + 8), word(bytes, row + 16)) else { break };
            let Some(body) = start.checked_add(length).and_then(|end| bytes.get(start..end)) else {
                continue;
            };
            let (crc, digest) = (crc32c::crc32c(body), Digest::of(body));
            bytes[row + 4..row + 8].copy_from_slice(&crc.to_le_bytes());
            match section {
                Section::Recipe => bytes[136..168].copy_from_slice(&digest.0),
                Section::Classes => bytes[168..200].copy_from_slice(&digest.0),
                _ => {}
            }
        }
        let (crc, digest) = (crc32c::crc32c(&bytes[index..]), Digest::of(&bytes[index..]));
        bytes[200..232].copy_from_slice(&digest.0);
        bytes[4088..4092].copy_from_slice(&crc.to_le_bytes());
    }
    let crc = crc32c::crc32c(&bytes[..4092]);
    bytes[4092..4096].copy_from_slice(&crc.to_le_bytes());
}
