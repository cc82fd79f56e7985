#![doc = include_str!("../README.md")]
// `map.rs` and `guard.rs` hold the unsafe code; the workspace denies it everywhere else.

mod class;
mod content;
mod digest;
mod error;
mod file;
mod folder;
mod guard;
mod header;
mod index;
mod manifest;
mod map;
mod merge;
mod moments;
mod pixels;
mod recipe;
mod report;
mod set;
mod shard;
mod split;
mod verify;
mod writer;

pub use class::{Class, class_table_digest};
pub use digest::Digest;
pub use error::Error;
pub use folder::{Folder, State};
pub use guard::catch_sigbus;
pub use header::{CODEC_RGB8, HEADER_BYTES, Header, MAGIC, PAGE, VERSION};
pub use index::{MAX_NAME_BYTES, Section, UNKNOWN_LABEL};
pub use manifest::{MANIFEST_NAME, Manifest, ManifestShard, ManifestSplit, REPORT_NAME, write_manifest};
pub use merge::{Merged, merge};
pub use moments::Moments;
pub use pixels::PixelSums;
pub use recipe::{FORMAT, MAX_SHARD_RECORDS, MAX_SIDE, Recipe};
pub use report::{ReportEntry, ReportKind};
pub use set::{ShardSet, SplitSet};
pub use shard::{Access, Shard};
pub use split::Split;
pub use verify::{Damage, Place, verify};
pub use writer::{ShardPlan, ShardWriter};

/// CRC-32C (Castagnoli) of a record, as [`ShardWriter::push`] wants it. Worker threads call it, so that the writer
/// only copies.
pub fn record_crc(record: &[u8]) -> u32 {
    crc32c::crc32c(record)
}

#[cfg(test)]
mod tests {
    /// The check value of CRC-32C in RFC 3720 and in every catalogue of checksums.
    #[test]
    fn crc_is_castagnoli() {
        assert_eq!(super::record_crc(b"123456789"), 0xE306_9283);
    }
}
