//! The splits of a data set: their names, their codes in a header, and the names of their files. It keeps names and
//! codes one to one, in both directions.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A part of a data set with its own numbering of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Photos to learn from; the only ones that mean image and PCA are made of.
    Train,
    /// Photos to choose by.
    Val,
    /// Photos to be judged by; labels may be unknown.
    Test,
}

impl Split {
    /// All splits, in the order that files and reports list them.
    pub const ALL: [Split; 3] = [Split::Train, Split::Val, Split::Test];

    /// `train`, `val` or `test`.
    pub fn as_str(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
            Split::Test => "test",
        }
    }

    /// The number that stands for the split in a header.
    pub fn code(self) -> u32 {
        self as u32
    }

    /// The split with this code.
    pub fn from_code(code: u32) -> Option<Self> {
        Split::ALL.into_iter().find(|split| split.code() == code)
    }

    /// `train-00000.shard`: the file of shard `number`.
    pub fn file_name(self, number: u32) -> String {
        format!("{self}-{number:05}.shard")
    }

    /// Which shard a file of this name is; `None` if no shard has such a name.
    pub fn parse_file_name(name: &str) -> Option<(Self, u32)> {
        let (split, number) = name.strip_suffix(".shard")?.split_once('-')?;
        let (split, number): (Split, u32) = (split.parse().ok()?, number.parse().ok()?);
        (split.file_name(number) == name).then_some((split, number))
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        (Split::ALL.into_iter().find(|split| split.as_str() == text))
            .ok_or_else(|| format!("a split is train, val or test, not `{text}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_have_one_spelling() {
        for split in Split::ALL {
            for number in [0, 7, 99_999, 100_000, u32::MAX] {
                assert_eq!(Split::parse_file_name(&split.file_name(number)), Some((split, number)));
            }
            assert_eq!(Split::from_code(split.code()), Some(split));
        }
        for name in [
            "train-0.shard",
            "train-+0001.shard",
            "train-00001.shard.partial",
            "trains-00001.shard",
            "-00001.shard",
        ] {
            assert_eq!(Split::parse_file_name(name), None, "{name}");
        }
        assert_eq!(Split::from_code(3), None);
    }
}
