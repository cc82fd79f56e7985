//! From archives of photos to shards: sources, decode, resize, write; statistics and PCA.
//!
//! ```text
//! Source (header walk) ─┐
//! Devkit ───────────────┼─ Plan (which photo is which record, with which label) ─ pack() ─ folder of shards
//! Options ──────────────┘
//! ```
//!
//! The bytes of a set are a function of sources and options alone: neither the number of threads nor interruptions
//! change them. No photo is lost in silence: what was repaired, converted or refused is named in the report.
#![cfg_attr(not(feature = "turbojpeg"), forbid(unsafe_code))]

mod check;
mod classes;
pub mod decode;
mod devkit;
mod error;
mod estimate;
mod geometry;
mod layout;
pub mod matfile;
mod part;
pub mod pca;
mod picture;
mod pipeline;
mod plan;
mod portrait;
mod published;
pub mod resize;
mod run;
mod source;
mod worker;

pub use check::{Checked, Verdict, check};
pub use classes::{ClassTable, LabelOrder, read_class_list};
pub use devkit::{Devkit, Synset};
pub use error::Error;
pub use estimate::{Estimate, SplitEstimate, free_bytes};
pub use geometry::{Geometry, Region};
pub use layout::Layout;
pub use part::Part;
pub use picture::{Sheet, contact_sheet, extract};
pub use plan::{Inputs, Options, Plan, SplitPlan};
pub use portrait::portrait;
pub use published::{Difference, differences};
pub use resize::Filter;
pub use run::{OnBad, Packed, Progress, Run, Summary, pack, pack_part};
pub use source::{Photo, Source, is_wnid, official_number, val_number};
