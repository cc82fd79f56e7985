//! A slot shared out among threads, sample by sample.
//!
//! Each sample of a slot in work is claimed once, by one thread, which alone writes its pixels, label and draw; the
//! slot can be taken back only when no claim is held. This is what lets threads work on several batches at once
//! without waiting for each other at the end of each.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::ring::{Memory, Sample, Slot};

/// A slot in work. Opened where it stays: it must not move while claims are held, and the borrow checker sees to
/// that, since claims borrow it.
pub(crate) struct Shared<M> {
    slot: UnsafeCell<Slot<M>>,
    pixels: *mut u8,
    labels: *mut u32,
    samples: *mut Sample,
    sample_bytes: usize,
    count: usize,
    claimed: AtomicUsize,
    finished: AtomicUsize,
}

// SAFETY: the pointers point into `slot`, which may be sent; they are only a way to reach its parts.
unsafe impl<M: Send> Send for Shared<M> {}
// SAFETY: through a shared reference only `claim` touches the slot, and gives each part to one thread.
unsafe impl<M: Send> Sync for Shared<M> {}

/// One sample of a slot, for one thread.
pub(crate) struct Share<'a> {
    /// Number of the sample in its batch.
    pub index: usize,
    /// Where the finished sample goes.
    pub pixels: &'a mut [u8],
    /// Where its label goes.
    pub label: &'a mut u32,
    /// Where its record and draw go.
    pub sample: &'a mut Sample,
}

impl<M: Memory> Shared<M> {
    /// Shares out the first `count` samples of `slot`.
    ///
    /// # Panics
    /// If the slot has fewer.
    pub fn open(place: &mut Option<Self>, slot: Slot<M>, count: usize) {
        let sample_bytes = slot.sample_bytes;
        let shared = place.insert(Shared {
            slot: UnsafeCell::new(slot),
            pixels: std::ptr::null_mut(),
            labels: std::ptr::null_mut(),
            samples: std::ptr::null_mut(),
            sample_bytes,
            count,
            claimed: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
        });
        let slot = shared.slot.get_mut();
        shared.pixels = slot.memory.bytes_mut()[..count * sample_bytes].as_mut_ptr();
        shared.labels = slot.labels[..count].as_mut_ptr();
        shared.samples = slot.samples[..count].as_mut_ptr();
    }

    /// A sample that nobody has claimed yet.
    pub fn claim(&self) -> Option<Share<'_>> {
        let index = self.claimed.fetch_add(1, Ordering::Relaxed);
        if index >= self.count {
            return None;
        }
        // SAFETY: `open` took the pointers when the slot was already here, and it cannot have moved since: whoever
        // moves it needs it mutably, and then the borrow in `Share` has ended. `index` is below `count`, to which
        // `open` checked all three lengths. The counter only rises, so it gives each index once, and nobody
        // else has these parts.
        unsafe {
            let pixels = self.pixels.add(index * self.sample_bytes);
            Some(Share {
                index,
                pixels: std::slice::from_raw_parts_mut(pixels, self.sample_bytes),
                label: &mut *self.labels.add(index),
                sample: &mut *self.samples.add(index),
            })
        }
    }

    /// Gives a sample back, made or not; tells whether it was the last one.
    pub fn finish(&self, share: Share<'_>) -> bool {
        let Share { .. } = share;
        self.finished.fetch_add(1, Ordering::AcqRel) + 1 == self.count
    }

    /// The slot, taken back.
    pub fn close(place: &mut Option<Self>) -> Option<Slot<M>> {
        place.take().map(|shared| shared.slot.into_inner())
    }
}
