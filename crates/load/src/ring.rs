//! The ring of batches: a fixed number of slots, filled, lent to the consumer, and taken back.
//!
//! All memory is allocated when the ring is made; a [`Batch`] returns its slot when it is dropped. The ring is
//! generic over its memory, so that a GPU backend can lend page-locked buffers.

use std::ops::Range;

use crossbeam_channel::Sender;

use crate::draw::Draw;

/// The bytes of one slot.
pub trait Memory: Send + 'static {
    /// Read access.
    fn bytes(&self) -> &[u8];
    /// Write access.
    fn bytes_mut(&mut self) -> &mut [u8];
}

/// Ordinary memory, aligned to [`ALIGNMENT`].
pub struct HeapMemory {
    words: Vec<u64>,
    start: usize,
    len: usize,
}

/// Bytes of a cache line, which streaming stores fill whole.
pub const ALIGNMENT: usize = 64;

impl HeapMemory {
    /// `len` zero bytes.
    pub fn new(len: usize) -> Self {
        let words = vec![0u64; (len + ALIGNMENT).div_ceil(8)];
        // The words never move again, so the first aligned one stays aligned.
        let start = words.as_ptr().addr().next_multiple_of(ALIGNMENT) - words.as_ptr().addr();
        HeapMemory { words, start, len }
    }
}

impl Memory for HeapMemory {
    fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[self.start..self.start + self.len]
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[self.start..self.start + self.len]
    }
}

/// One sample of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Its record in the split.
    pub record: u64,
    /// What was done to it.
    pub draw: Draw,
}

/// Label of a sample that has none.
pub const NO_LABEL: u32 = u32::MAX;

pub(crate) struct Slot<M> {
    pub memory: M,
    pub labels: Vec<u32>,
    pub samples: Vec<Sample>,
    pub epoch: u32,
    pub number: u64,
    pub positions: Range<u64>,
    pub global: u64,
    pub sample_bytes: usize,
}

impl<M: Memory> Slot<M> {
    pub fn new(memory: M, batch: usize, sample_bytes: usize) -> Self {
        Slot {
            memory,
            labels: vec![NO_LABEL; batch],
            samples: vec![Sample::default(); batch],
            epoch: 0,
            number: 0,
            positions: 0..0,
            global: 0,
            sample_bytes,
        }
    }
}

/// A finished batch, lent by the ring until it is dropped.
pub struct Batch<M: Memory = HeapMemory> {
    slot: Option<Slot<M>>,
    home: Sender<Slot<M>>,
}

impl<M: Memory> Batch<M> {
    pub(crate) fn new(slot: Slot<M>, home: Sender<Slot<M>>) -> Self {
        Batch { slot: Some(slot), home }
    }

    fn slot(&self) -> &Slot<M> {
        self.slot.as_ref().expect("the slot is taken only by drop")
    }

    /// Samples in this rank's share; less than the plan's batch at the end of an epoch, perhaps none.
    pub fn len(&self) -> usize {
        let positions = &self.slot().positions;
        (positions.end - positions.start) as usize
    }

    /// Whether this rank's share is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The epoch, from 0.
    pub fn epoch(&self) -> u32 {
        self.slot().epoch
    }

    /// Number of the batch in its epoch, from 0.
    pub fn number(&self) -> u64 {
        self.slot().number
    }

    /// Positions of the samples in their epoch.
    pub fn positions(&self) -> Range<u64> {
        self.slot().positions.clone()
    }

    /// Samples of the global batch over all ranks: what gradients are divided by.
    pub fn global_len(&self) -> u64 {
        self.slot().global
    }

    /// The finished samples, one after another, in the loader's element type and layout.
    pub fn bytes(&self) -> &[u8] {
        let slot = self.slot();
        &slot.memory.bytes()[..self.len() * slot.sample_bytes]
    }

    /// The finished samples of a float32 loader.
    ///
    /// # Panics
    /// If the memory that was lent to the ring is not aligned to 4 bytes.
    pub fn floats(&self) -> &[f32] {
        bytemuck::cast_slice(self.bytes())
    }

    /// One label a sample; [`NO_LABEL`] where there is none.
    pub fn labels(&self) -> &[u32] {
        &self.slot().labels[..self.len()]
    }

    /// Record and draw of each sample.
    pub fn samples(&self) -> &[Sample] {
        &self.slot().samples[..self.len()]
    }
}

impl<M: Memory> Drop for Batch<M> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            // The loader may be gone already; then the slot is simply freed.
            let _ = self.home.send(slot);
        }
    }
}
