//! From shards to batches: plan, draws, augmentation, worker threads and the ring of batches.
//!
//! The stream of batches is a pure function of (data, seed, epoch, batch): thread count, ring size, rank count and
//! resume change nothing in it.
//!
//! Open a packed set and take batches of 224×224 crops, mirrored at random, with the channel means subtracted:
//!
//! ```
//! use std::sync::Arc;
//! use alexnet_load::*;
//! use alexnet_shard::{Access, ShardSet, Split};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let shards = dir.path().join("shards");
//! # tiny(&shards)?;
//! let records = Arc::new(SplitOf::new(Arc::new(ShardSet::open(&shards, Access::Map)?), Split::Train)?);
//! let all = Subset::all(records.len());
//! let config = Config {
//!     plan: Plan { seed: 2012, subset: all, order: Order::Shuffled, batch: 2, rank: Rank::ALONE },
//!     drawer: Drawer { seed: 2012, slack: [32, 32], view: View::Random, lighting: None, vary: None },
//!     augment: Augment {
//!         record: [256, 256],
//!         crop: [224, 224],
//!         mean: Mean::Channel([123.7, 116.3, 103.5]),
//!         scale: [1.0; 3],
//!         output: Output::F32,
//!         layout: Layout::Nchw,
//!     },
//!     start: (0, 0), // a run that stopped resumes at any (epoch, batch)
//!     end: 2,        // epochs
//!     threads: 2,
//!     slots: 4,
//!     labelled: true,
//! };
//! for batch in Loader::new(records, config)? {
//!     let batch = batch?;
//!     let (pixels, labels): (&[f32], &[u32]) = (batch.floats(), batch.labels());
//!     assert_eq!(pixels.len(), labels.len() * 3 * 224 * 224);
//! }
//! # Ok(())
//! # }
//! # fn tiny(dir: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
//! #     use alexnet_shard::*;
//! #     let classes = vec![Class { wnid: "n00000001".into(), words: "grey".into() }];
//! #     let recipe = Recipe {
//! #         format: FORMAT, size: [256, 256], filter: "none".into(), geometry: "none".into(),
//! #         label_order: "wnid".into(), decoder: "none".into(), resizer: "none".into(),
//! #         classes: class_table_digest(&classes), source: Digest([0; 32]), shuffle_seed: None,
//! #         shard_records: 4, options: Default::default(),
//! #     };
//! #     let folder = Folder::open(dir, recipe.digest())?;
//! #     let plan = ShardPlan { split: Split::Train, number: 0, split_entries: 3, recipe: &recipe, classes: &classes };
//! #     let mut writer = ShardWriter::create(dir, plan)?;
//! #     for entry in 0..3 {
//! #         let record = vec![100; 256 * 256 * 3];
//! #         writer.push(0, entry, "grey.JPEG", &record, &Moments::of(&record), record_crc(&record))?;
//! #     }
//! #     writer.finish(&[])?;
//! #     folder.complete()?;
//! #     Ok(())
//! # }
//! ```
//!
//! | what | where | default |
//! | --- | --- | --- |
//! | full shuffle, block shuffle for sets larger than memory, as stored | [`Order`], [`Blocks`] | full shuffle |
//! | crop, mirror, lighting in both conventions; centre; the ten views of a test | [`Drawer`], [`View`] | random |
//! | shared crops as in 2012, resized crops, tints, holes, each with its source | [`Vary`] | none |
//! | mean by channel, aligned image or centre of one; u8, bf16, f16, f32; NCHW, NHWC; raw records with draws | [`Augment`] | |
//! | ranks, resume, any number of threads and slots | [`Plan`], [`Config`] | |
//! | checksums at first touch | [`Checked`] | off |
//!
//! A record that cannot be read (a damaged file, one cut short, a worker's panic) ends the stream with an error that
//! names file and record. For files that are mapped, programs ask for that with [`alexnet_shard::catch_sigbus`].
//!
//! A thread of its own asks the system for records ahead of their use, mapped or read, so that workers find them in
//! memory and a disk has work: 512 of them, each once, in the order of their use. They wait in the page cache.
//!
//! No memory depends on the number of samples (but for one bit each in [`Checked`]); the ring is all that is allocated,
//! and nothing is once it runs.
// `augment/{lanes,picture,stage}.rs`, `augment/avx{2,512}*`, `bound.rs` and `share.rs` hold the unsafe code; the workspace denies it elsewhere.

mod augment;
mod blocks;
mod bound;
mod check;
mod course;
mod crew;
mod draw;
mod error;
mod loader;
mod lookahead;
mod meter;
mod plan;
mod records;
mod ring;
mod scout;
mod share;
mod vary;

pub use augment::{Augment, Layout, Mean, Output, Pass, Path, Varied, Workspace};
pub use blocks::Blocks;
pub use bound::Bare;
pub use check::Checked;
pub use draw::{Draw, Drawer, LIGHTING_STRENGTH, Lighting, View};
pub use error::Error;
pub use loader::{Config, Loader};
pub use meter::Stages;
pub use plan::{EpochOrder, Order, Plan, Rank, Subset};
pub use records::{NoSplit, Records, SplitOf};
pub use ring::{ALIGNMENT, Batch, HeapMemory, Memory, NO_LABEL, Sample};
pub use vary::{Adjust, Erasing, Jitter, Rect, ResizedCrop, Tint, Vary};
