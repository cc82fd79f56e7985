//! Parts of a set for several machines: part i of n has every shard k with k ≡ i mod n, of each split.
//!
//! A part decides which shards a run writes and nothing about their bytes, so it is not in the recipe.

use std::fmt;
use std::str::FromStr;

/// Which shards of a set a run packs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// As it was given: the last of n is n or 0.
    index: u32,
    count: u32,
}

impl Part {
    /// All shards.
    pub const WHOLE: Part = Part { index: 0, count: 1 };

    /// The shards k ≡ `index` mod `count`; `None` if `index` is above `count` or `count` is 0. So parts may be counted
    /// from 0 or from 1: the last of them is 0's other name.
    pub fn new(index: u32, count: u32) -> Option<Part> {
        (count > 0 && index <= count).then_some(Part { index, count })
    }

    /// Whether this shard is of the part.
    pub fn has(&self, shard: u32) -> bool {
        shard % self.count == self.index % self.count
    }
}

impl Default for Part {
    fn default() -> Self {
        Part::WHOLE
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let part = text.split_once('/').and_then(|(i, n)| Part::new(i.parse().ok()?, n.parse().ok()?));
        part.ok_or_else(|| format!("{text:?} is no part: i/n with i from 0 to n, for example 1/4"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_is_of_one_part() {
        for count in 1..6 {
            for first in [0, 1] {
                let parts: Vec<Part> =
                    (first..first + count).map(|i| format!("{i}/{count}").parse().unwrap()).collect();
                assert!((0..50).all(|k| parts.iter().filter(|part| part.has(k)).count() == 1), "{parts:?}");
            }
        }
        for bad in ["", "3", "/", "3/2", "1/0", "-1/2", "1/2/3", "a/b"] {
            assert!(bad.parse::<Part>().is_err(), "{bad}");
        }
        // What was asked for is what is told.
        assert_eq!("4/4".parse::<Part>().unwrap().to_string(), "4/4");
    }
}
