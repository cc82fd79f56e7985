//! Archives against their published checksums.
//!
//! A checksum of the whole file is the only way to find a byte that changed inside a photo and left it decodable: JPEG
//! has none of its own, and tar's cover headers only. It says that a file is damaged, not where.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use alexnet_datasets::archive::{Archive, by_bytes, by_md5, by_name};
use alexnet_datasets::ilsvrc2012;
use md5::{Digest, Md5};

use crate::error::Error;

/// What is known of a file after hashing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is this archive, whole.
    Sound(&'static Archive),
    /// It has the name of this archive, or an unknown name and this one's length, and not its bytes.
    Damaged(&'static Archive),
    /// It has the name of this archive, and a wrong length; it was not hashed.
    WrongLength(&'static Archive),
    /// It has the name of this archive, of which no checksum was ever published.
    Unpublished(&'static Archive),
    /// It is an archive of another task than classification.
    OtherTask,
    /// Neither its name nor its checksum is known.
    Unknown,
}

/// A file and its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What is known of it.
    pub verdict: Verdict,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its MD5 in hexadecimal digits; `None` if it was not worth hashing.
    pub md5: Option<String>,
}

/// Hashes a file and compares it with what is published; `progress` hears the bytes hashed so far.
///
/// # Errors
/// If the file cannot be read.
pub fn check(path: &Path, progress: &dyn Fn(u64)) -> Result<Checked, Error> {
    let io = |e| Error::io(path, e);
    let mut file = File::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let named = by_name(name);
    if let Some(archive) = named.filter(|archive| archive.bytes.is_some_and(|expected| expected != bytes)) {
        // The devkit's length is known at second hand only; for the others a wrong length is damage enough.
        if archive.name != ilsvrc2012::DEVKIT.name {
            return Ok(Checked { verdict: Verdict::WrongLength(archive), bytes, md5: None });
        }
    }
    let (mut hash, mut buffer, mut done) = (Md5::new(), vec![0; 1 << 20], 0);
    loop {
        let read = file.read(&mut buffer).map_err(io)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        done += read as u64;
        progress(done);
    }
    let md5: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let verdict = verdict(name, bytes, &md5);
    Ok(Checked { verdict, bytes, md5: Some(md5) })
}

/// What a file is by its name, its length and its checksum.
fn verdict(name: &str, bytes: u64, md5: &str) -> Verdict {
    let alike = by_name(name).or_else(|| by_bytes(bytes));
    match (by_md5(md5), alike) {
        (Some(archive), _) => Verdict::Sound(archive),
        (None, Some(archive)) if archive.md5.is_none() => Verdict::Unpublished(archive),
        (None, Some(archive)) => Verdict::Damaged(archive),
        (None, None) if ilsvrc2012::OTHER_TASKS.contains(&name) => Verdict::OtherTask,
        (None, None) => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn verdicts() {
        let dir = tempfile::tempdir().expect("a folder");
        let verdict = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).expect("a file");
            let heard = Cell::new(0);
            let checked = check(&path, &|done| heard.set(done)).expect("a readable file");
            assert_eq!(checked.bytes, bytes.len() as u64);
            assert!(checked.md5.is_none() || heard.get() == checked.bytes);
            (checked.verdict, checked.md5.unwrap_or_default())
        };
        // Check values of RFC 1321.
        let abc = "900150983cd24fb0d6963f7d28e17f72".to_owned();
        assert_eq!(verdict("abc", b"abc"), (Verdict::Unknown, abc.clone()));
        let alphabet = "d174ab98d277d9f5a5611c2c9f419d9f";
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        assert_eq!(verdict("letters", letters).1, alphabet);
        assert_eq!(verdict("ILSVRC2012_img_val.tar", b"abc").0, Verdict::WrongLength(&ilsvrc2012::VAL));
        let test = ilsvrc2012::TEST.name;
        assert_eq!(verdict(test, b"abc"), (Verdict::Damaged(&ilsvrc2012::TEST), abc.clone()));
        // Under another name it is told by its length.
        let devkit = vec![0; ilsvrc2012::DEVKIT.bytes.unwrap_or_default() as usize];
        assert_eq!(verdict("kit.tgz", &devkit).0, Verdict::Damaged(&ilsvrc2012::DEVKIT));
        assert_eq!(verdict("kit.tgz", &devkit[1..]).0, Verdict::Unknown);
        assert_eq!(verdict(ilsvrc2012::DEVKIT.name, b"abc").0, Verdict::Damaged(&ilsvrc2012::DEVKIT));
        // The checksum says what it is, whatever its name.
        for archive in alexnet_datasets::archive::ALL.iter().filter(|archive| archive.md5.is_some()) {
            let md5 = archive.md5.unwrap_or_default();
            for name in [archive.name, "renamed.tar", "ILSVRC2010_images_val.tar"] {
                assert_eq!(super::verdict(name, 1, md5), Verdict::Sound(archive));
            }
        }
        assert!(matches!(verdict("ILSVRC2010_images_val.tar", b"abc").0, Verdict::Unpublished(_)));
        assert_eq!(verdict("ILSVRC2012_img_train_t3.tar", b"abc").0, Verdict::OtherTask);
    }
}
