//! Report entries: photos that did not go through untouched. Every planned photo that became no record has one of
//! kind `refused`. Why a photo is repaired or refused is the packer's business.

use crate::split::Split;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What happened to a photo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReportKind {
    /// Decoded only in part or only by a tolerant decoder; its record is in the shard.
    Repaired,
    /// Sound, but neither an RGB nor a grey JPEG (CMYK, PNG, gzip …); its record is in the shard.
    Converted,
    /// Has no record.
    Refused,
}

impl fmt::Display for ReportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReportKind::Repaired => "repaired",
            ReportKind::Converted => "converted",
            ReportKind::Refused => "refused",
        })
    }
}

/// One photo that was repaired, converted or refused, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportEntry {
    /// Planned entry number in its split.
    pub entry: u64,
    /// Source name of the photo.
    pub name: String,
    /// What happened.
    pub kind: ReportKind,
    /// Why, in words.
    pub detail: String,
}

#[derive(Serialize)]
struct Line<'a> {
    split: Split,
    #[serde(flatten)]
    entry: &'a ReportEntry,
}

/// The entries of one split as lines of `report.jsonl`.
pub(crate) fn encode_lines(split: Split, entries: &[ReportEntry], out: &mut Vec<u8>) {
    for entry in entries {
        out.extend(crate::recipe::canonical_json(&Line { split, entry }));
        out.push(b'\n');
    }
}
