//! Results on their way to memory, gathered into whole cache lines.
//!
//! A store past the cache pays only if it fills a line at once: groups of 16 bytes or halves, and rows that begin
//! anywhere, do not. They are written here first, some rows at a time, in a buffer that stays in the first-level cache,
//! and go on from there by the line; what is left of a line waits for the next rows. Every byte of the sample is
//! written once and nothing beside it: the first and last line of a plane, where they are not wholly its own, by
//! ordinary stores. Which values are written is left to `lanes.rs`.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::ops::Range;

use super::job::{BUFFER, LINE, Steps};
use super::lanes::{Element, Lanes};

/// Bytes of rows that are made before lines are sent on, or one row: a few lines, so that the processor makes the next
/// rows while these are on their way.
const GATHER: usize = 448;

#[repr(align(64))]
struct Buffer([MaybeUninit<u8>; BUFFER]);

/// One run of bytes on its way: a plane, or the whole sample where channels lie side by side.
#[derive(Clone, Copy)]
struct Run {
    /// The line in memory where the buffer's first byte belongs; its first `skip` bytes may be another's.
    to: *mut u8,
    skip: usize,
    /// Bytes in the buffer, the skipped ones counted.
    filled: usize,
}

/// A sample on its way to memory.
pub(super) struct Stage<E> {
    buffer: Buffer,
    runs: [Run; 3],
    /// Runs in use: 3 planes, or 1.
    count: usize,
    steps: Steps,
    /// Rows made so far, rows lent by `room`, rows in all.
    made: usize,
    lent: usize,
    rows: usize,
    element: std::marker::PhantomData<E>,
}

impl<E: Element> Stage<E> {
    /// For a sample of `rows` rows at `out`, which must fit ([`fits`](super::pass)).
    ///
    /// # Safety
    /// `out` must be valid for writes of the whole sample as long as the stage is used.
    #[inline(always)]
    pub unsafe fn new(out: *mut E, steps: Steps, rows: usize) -> Self {
        let planes = steps.planes();
        let run = |k: usize| {
            let start =
                out.cast::<u8>().wrapping_add(if planes { steps.vector(k) * size_of::<E>() } else { 0 });
            let skip = start.addr() % LINE;
            Run { to: start.wrapping_sub(skip), skip, filled: skip }
        };
        Stage {
            buffer: Buffer([MaybeUninit::uninit(); BUFFER]),
            runs: [run(0), run(1), run(2)],
            count: if planes { 3 } else { 1 },
            steps,
            made: 0,
            lent: 0,
            rows,
            element: std::marker::PhantomData,
        }
    }

    /// Bytes of the buffer for each run.
    #[inline(always)]
    fn share(&self) -> usize {
        BUFFER / 3 * if self.count == 3 { 1 } else { 3 }
    }

    /// The next rows to be made, and where the three vectors of their first group go; nothing after the last row.
    #[inline(always)]
    pub fn room(&mut self) -> Option<(Range<usize>, [*mut E; 3])> {
        if self.made == self.rows {
            return None;
        }
        let row = self.steps.within(1, 0) * size_of::<E>();
        self.lent = (GATHER / row).clamp(1, self.rows - self.made);
        let buffer = self.buffer.0.as_mut_ptr().cast::<u8>();
        let to = |k: usize| {
            let start = if self.count == 3 { k * self.share() } else { 0 };
            let within = if self.count == 3 { 0 } else { self.steps.vector(k) * size_of::<E>() };
            let filled = self.runs[if self.count == 3 { k } else { 0 }].filled;
            buffer.wrapping_add(start + filled + within).cast::<E>()
        };
        let to = [to(0), to(1), to(2)];
        Some((self.made..self.made + self.lent, to))
    }

    /// Sends on what was lent, which is written by now: whole lines, and the rest after the last row.
    ///
    /// # Safety
    /// The rows that [`room`](Self::room) lent are written; the rest as for [`Lanes`].
    #[inline(always)]
    pub unsafe fn flush<L: Lanes>(&mut self) {
        let row = self.steps.within(1, 0) * size_of::<E>();
        self.made += self.lent;
        for k in 0..self.count {
            let share = self.share();
            // SAFETY: the buffer has `share` bytes for each run.
            let buffer = unsafe { self.buffer.0.as_mut_ptr().cast::<u8>().add(k * share) };
            let run = &mut self.runs[k];
            run.filled += self.lent * row;
            debug_assert!(run.filled <= share);
            let mut at = 0;
            // SAFETY: `skip .. filled` of the buffer is written and belongs at `to + skip ..` in the sample, which is
            // valid for writes; lines between lie wholly within it, aligned since `to` is and the buffer too.
            unsafe {
                if run.skip > 0 && run.filled >= LINE {
                    buffer
                        .add(run.skip)
                        .copy_to_nonoverlapping(run.to.wrapping_add(run.skip), LINE - run.skip);
                    (run.skip, at) = (0, LINE);
                }
                while at + LINE <= run.filled {
                    L::stream_line(buffer.add(at), run.to.wrapping_add(at));
                    at += LINE;
                }
                run.to = run.to.wrapping_add(at);
                run.filled -= at;
                if self.made == self.rows {
                    let rest = run.filled - run.skip;
                    let to = run.to.wrapping_add(run.skip);
                    buffer.add(at + run.skip).copy_to_nonoverlapping(to, rest);
                } else if at > 0 {
                    buffer.add(at).copy_to(buffer, run.filled);
                }
            }
        }
    }
}
