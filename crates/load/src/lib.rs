//! From shards to batches: plan, draws, augmentation, worker threads and the ring of batches.
//!
//! The stream of batches is a pure function of (data, seed, epoch, batch): thread count, ring size, rank count and
//! resume change nothing in it.
#![forbid(unsafe_code)]

mod augment;
mod draw;
mod error;
mod loader;
mod meter;
mod plan;
mod records;
mod ring;

pub use augment::{Augment, Layout, Mean, Output};
pub use draw::{Draw, Drawer, LIGHTING_STRENGTH, Lighting, View};
pub use error::Error;
pub use loader::{Config, Loader};
pub use meter::Stages;
pub use plan::{EpochOrder, Order, Plan, Rank, Subset};
pub use records::Records;
pub use ring::{Batch, HeapMemory, Memory, NO_LABEL, Sample};
