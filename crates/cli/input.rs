//! What this machine has, and what the programs that load have in common.

use std::sync::Arc;

use alexnet_load::{Blocks, Checked, Order, Records};
use clap::ValueEnum;

/// Cores this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

/// When the checksums of records are tested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Check {
    /// Not while loading
    #[default]
    Never,
    /// Each at its first touch: in the first epoch
    FirstEpoch,
}

impl Check {
    /// `records`, tested as they are read if this says so.
    pub fn of(self, records: Arc<dyn Records>) -> Arc<dyn Records> {
        match self {
            Check::Never => records,
            Check::FirstEpoch => Arc::new(Checked::new(records)),
        }
    }
}

/// In which order an epoch visits the photos.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OrderName {
    /// A permutation of all
    Shuffled,
    /// Blocks of 16 side by side, mixed in windows of 512: for sets larger than memory and slow disks
    Blocks,
    /// As stored
    Sequential,
}

impl From<OrderName> for Order {
    fn from(name: OrderName) -> Self {
        match name {
            OrderName::Shuffled => Order::Shuffled,
            OrderName::Blocks => Order::Blocks(Blocks::default()),
            OrderName::Sequential => Order::Sequential,
        }
    }
}
