//! The exchanges between devices, and the bytes they move.
//!
//! Before a layer that reads all columns every device gathers what the others own; on the way back the owner sums
//! the gradients of all readers, in device order. Nothing else ever crosses: no weight, no gradient of a weight.

/// A tensor whose parts are owned by different devices. Whole and part are `[n, …]` with samples outermost; within a
/// sample the parts stand in device order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Values per sample that each device owns.
    pub parts: Vec<usize>,
}

impl Exchange {
    /// Values per sample of the whole tensor.
    pub fn whole(&self) -> usize {
        self.parts.iter().sum()
    }

    /// Where the part of `device` begins within a sample.
    pub fn offset(&self, device: usize) -> usize {
        self.parts[..device].iter().sum()
    }

    /// Bytes that `device` sends per sample in a gather: its part, to every other device.
    pub fn gather_bytes(&self, device: usize) -> u64 {
        4 * (self.parts[device] * (self.parts.len() - 1)) as u64
    }

    /// Bytes that `device` sends per sample in a reduction: every other device's part, to its owner.
    pub fn reduce_bytes(&self, device: usize) -> u64 {
        4 * (self.whole() - self.parts[device]) as u64
    }
}

/// One place of the net where columns meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeSite {
    /// The layer that reads all columns, or `softmax`.
    pub reader: String,
    /// What is exchanged.
    pub exchange: Exchange,
    /// Whether gradients come back. Not at the softmax: each device computes its own classes' gradient.
    pub reduced: bool,
}

impl ExchangeSite {
    /// Bytes that `device` sends per sample in one training step, both ways together.
    pub fn bytes(&self, device: usize) -> u64 {
        let back = if self.reduced { self.exchange.reduce_bytes(device) } else { 0 };
        self.exchange.gather_bytes(device) + back
    }
}
