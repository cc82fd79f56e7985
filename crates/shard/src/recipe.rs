//! The recipe: everything that decides the bytes of a set. It keeps one JSON form, so that equal recipes have equal
//! digests. It does not know what filters or decoders there are; their names are text to it.

use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The value of [`Recipe::format`] that this crate reads and writes.
pub const FORMAT: u32 = 1;
/// The longest side of a record, in pixels.
pub const MAX_SIDE: u32 = 8192;
/// The most records in one shard: keeps every per-pixel sum below 2²⁸, and the index small.
pub const MAX_SHARD_RECORDS: u64 = 1 << 20;

/// All that the bytes of a set depend on. Two sets with equal digests of their recipes are equal, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Version of the recipe and of the shard format: [`FORMAT`].
    pub format: u32,
    /// Width and height of every record, in pixels.
    pub size: [u32; 2],
    /// Name of the resampling filter.
    pub filter: String,
    /// How a photo is brought to `size`, in words.
    pub geometry: String,
    /// Order of the class table: `wnid`, `devkit` or `file`.
    pub label_order: String,
    /// Decoder, name and version.
    pub decoder: String,
    /// Resizer, name and version.
    pub resizer: String,
    /// Digest of the class table ([`class_table_digest`](crate::class_table_digest)).
    pub classes: Digest,
    /// Digest of the header walk: which photos there are, where, and how long.
    pub source: Digest,
    /// Seed of the planned order; `None` is the order of the source.
    pub shuffle_seed: Option<u64>,
    /// Planned entries of every shard but the last of a split.
    pub shard_records: u64,
    /// Further options that change bytes.
    pub options: BTreeMap<String, String>,
}

impl Recipe {
    /// Canonical JSON: fields in the order of this struct, no white space.
    pub fn to_json(&self) -> Vec<u8> {
        canonical_json(self)
    }

    /// SHA-256 of [`to_json`](Self::to_json).
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_json())
    }

    /// What makes this recipe unusable, if anything.
    pub fn problem(&self) -> Option<String> {
        if self.format != FORMAT {
            return Some(format!("the recipe's format is {}; this program knows {FORMAT}", self.format));
        }
        if !self.size.iter().all(|side| (1..=MAX_SIDE).contains(side)) {
            return Some(format!("the size {:?} is outside 1..={MAX_SIDE}", self.size));
        }
        if !(1..=MAX_SHARD_RECORDS).contains(&self.shard_records) {
            return Some(format!(
                "{} records per shard is outside 1..={MAX_SHARD_RECORDS}",
                self.shard_records
            ));
        }
        None
    }
}

/// JSON without white space. Only for values whose maps have text keys and whose numbers are whole.
pub(crate) fn canonical_json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structs of text and whole numbers always serialise")
}

/// Reads JSON that must be canonical: parsed and written again it has the same bytes.
pub(crate) fn parse_canonical<T: Serialize + for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, String> {
    let value: T = serde_json::from_slice(bytes).map_err(|e| format!("is not the JSON it should be: {e}"))?;
    if canonical_json(&value) != bytes {
        return Err("is JSON, but not in canonical form".to_owned());
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        Recipe {
            format: FORMAT,
            size: [256, 256],
            filter: "bilinear".into(),
            geometry: "short side 256, centre".into(),
            label_order: "wnid".into(),
            decoder: "zune-jpeg 0.5.15".into(),
            resizer: "fast_image_resize 6.1.0".into(),
            classes: Digest([1; 32]),
            source: Digest([2; 32]),
            shuffle_seed: Some(u64::MAX),
            shard_records: 4096,
            options: [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "\u{e9}\n".to_owned())].into(),
        }
    }

    /// The text is spelled out: a change of field order or names would change every digest there is.
    #[test]
    fn canonical_text_is_frozen() {
        let text = format!(
            "{{\"format\":1,\"size\":[256,256],\"filter\":\"bilinear\",\"geometry\":\"short side 256, centre\",\
             \"label_order\":\"wnid\",\"decoder\":\"zune-jpeg 0.5.15\",\"resizer\":\"fast_image_resize 6.1.0\",\
             \"classes\":\"{}\",\"source\":\"{}\",\"shuffle_seed\":18446744073709551615,\"shard_records\":4096,\
             \"options\":{{\"a\":\"\u{e9}\\n\",\"b\":\"2\"}}}}",
            "01".repeat(32),
            "02".repeat(32)
        );
        assert_eq!(String::from_utf8(recipe().to_json()).unwrap(), text);
        assert_eq!(parse_canonical::<Recipe>(text.as_bytes()), Ok(recipe()));
        assert!(parse_canonical::<Recipe>(format!("{text} ").as_bytes()).is_err(), "white space");
        assert!(
            parse_canonical::<Recipe>(text.replace("{\"format\"", "{\"x\":1,\"format\"").as_bytes()).is_err()
        );
    }

    #[test]
    fn limits_are_checked() {
        assert_eq!(recipe().problem(), None);
        for change in [
            (|r: &mut Recipe| r.format = 2) as fn(&mut Recipe),
            |r| r.size[1] = 0,
            |r| r.size[0] = MAX_SIDE + 1,
            |r| r.shard_records = 0,
            |r| r.shard_records = MAX_SHARD_RECORDS + 1,
        ] {
            let mut bad = recipe();
            change(&mut bad);
            assert!(bad.problem().is_some(), "{bad:?}");
        }
    }
}
