//! The official archives, by name and by checksum.

use crate::{ilsvrc2010, ilsvrc2012};

/// What is known of one official archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Official file name.
    pub name: &'static str,
    /// Size of the file in bytes, if known.
    pub bytes: Option<u64>,
    /// MD5 of the file in hexadecimal digits, if one was ever published.
    pub md5: Option<&'static str>,
}

/// The release of autumn 2011: 14,197,122 photos of 21,841 synsets, one tar per synset inside one.
pub const FALL_2011: Archive = Archive { name: "fall11_whole.tar", bytes: None, md5: None };
/// The release of winter 2021: 19,167 synsets, compressed as a whole. The MD5 is known at second hand.
pub const WINTER_2021: Archive =
    Archive { name: "winter21_whole.tar.gz", bytes: None, md5: Some("ab313ce03179fd803a401b02c651c0a2") };

/// All archives that something is known of.
pub const ALL: [Archive; 13] = [
    ilsvrc2012::TRAIN,
    ilsvrc2012::VAL,
    ilsvrc2012::TEST,
    ilsvrc2012::DEVKIT,
    ilsvrc2012::BOXES,
    ilsvrc2010::TRAIN,
    ilsvrc2010::VAL,
    ilsvrc2010::TEST,
    ilsvrc2010::DEVKIT,
    ilsvrc2010::PATCH,
    ilsvrc2010::TEST_TRUTH,
    FALL_2011,
    WINTER_2021,
];

/// The archive of that file name.
pub fn by_name(name: &str) -> Option<&'static Archive> {
    ALL.iter().find(|archive| archive.name == name)
}

/// The archive of that MD5.
pub fn by_md5(md5: &str) -> Option<&'static Archive> {
    ALL.iter().find(|archive| archive.md5 == Some(md5))
}

/// The archive of that length.
pub fn by_bytes(bytes: u64) -> Option<&'static Archive> {
    ALL.iter().find(|archive| archive.bytes == Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_checksums_are_distinct() {
        for (i, archive) in ALL.iter().enumerate() {
            assert_eq!(by_name(archive.name), Some(archive));
            if let Some(md5) = archive.md5 {
                let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
                assert!(md5.len() == 32 && md5.bytes().all(digit), "{}", archive.name);
                assert_eq!(by_md5(md5), Some(archive));
            }
            if let Some(bytes) = archive.bytes {
                assert_eq!(by_bytes(bytes), Some(archive));
            }
            assert!(ALL[..i].iter().all(|other| other.name != archive.name));
        }
        assert_eq!((by_name("holiday.tar"), by_md5(""), by_bytes(0)), (None, None, None));
    }
}
