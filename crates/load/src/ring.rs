//! The ring of batches: a fixed number of slots, filled, lent to the consumer, and taken back.
//!
//! All memory is allocated when the ring is made; a [`Batch`] returns its slot when it is dropped. The ring is
//! generic over its memory, so that a GPU backend can lend page-locked buffers.

use std::ops::Range;

use crossbeam_channel::Sender;
use memmap2::MmapMut;

use crate::draw::Draw;

/// The bytes of one slot.
pub trait Memory: Send + 'static {
    /// Read access.
    fn bytes(&self) -> &[u8];
    /// Write access.
    fn bytes_mut(&mut self) -> &mut [u8];
}

/// Ordinary memory, aligned to [`ALIGNMENT`].
///
/// In huge pages where it is large and the system has them: a batch is written from end to end, and with small pages
/// the first one spends more time on page faults than on samples.
pub struct HeapMemory {
    bytes: Bytes,
    start: usize,
    len: usize,
}

enum Bytes {
    Words(Vec<u64>),
    Pages(MmapMut),
}

/// Bytes of a cache line, which streaming stores fill whole.
pub const ALIGNMENT: usize = 64;
/// Bytes of a huge page on most machines.
const HUGE: usize = 2 << 20;

impl HeapMemory {
    /// `len` zero bytes.
    pub fn new(len: usize) -> Self {
        if let Some(pages) = huge_pages(len) {
            return HeapMemory { bytes: Bytes::Pages(pages), start: 0, len };
        }
        let words = vec![0u64; (len + ALIGNMENT).div_ceil(8)];
        // The words never move again, so the first aligned one stays aligned.
        let start = words.as_ptr().addr().next_multiple_of(ALIGNMENT) - words.as_ptr().addr();
        HeapMemory { bytes: Bytes::Words(words), start, len }
    }
}

/// Pages of the system's own, asked to be huge; nothing for little memory, or if there is none to be had that way.
fn huge_pages(len: usize) -> Option<MmapMut> {
    let pages = Some(len).filter(|len| *len >= HUGE).and_then(|len| MmapMut::map_anon(len).ok())?;
    #[cfg(target_os = "linux")]
    // A system without them keeps small ones.
    let _ = pages.advise(memmap2::Advice::HugePage);
    Some(pages)
}

impl Memory for HeapMemory {
    fn bytes(&self) -> &[u8] {
        let all: &[u8] = match &self.bytes {
            Bytes::Words(words) => bytemuck::cast_slice(words),
            Bytes::Pages(pages) => pages,
        };
        &all[self.start..self.start + self.len]
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        let all: &mut [u8] = match &mut self.bytes {
            Bytes::Words(words) => bytemuck::cast_slice_mut(words),
            Bytes::Pages(pages) => pages,
        };
        &mut all[self.start..self.start + self.len]
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
