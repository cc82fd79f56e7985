//! Records asked for ahead of their use, by a thread of its own: the workers find what they need in memory, and a disk
//! has more requests under way than there are workers.
//!
//! The invariant: batches are asked for in the order of the stream, each once and none past its end; a batch is opened
//! only when all of its records were asked for, so that no touch comes before its advice (the system would read
//! megabytes around it); and no batch is asked for that is more than [`AHEAD`] records ahead of the one last opened. What
//! was asked for waits in the page cache; nothing is allocated here. Which records need a word at all is left to
//! `lookahead.rs`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, select_biased};

use crate::course::Course;
use crate::loader::Config;
use crate::lookahead::Lookahead;
use crate::records::Records;

/// Records on their way at a time, in whole batches and at least one: twice what a disk's queue holds, as some are
/// always late. 96 MiB of page cache for records of 256×256.
const AHEAD: u64 = 512;

/// What the thread and the workers share.
pub(crate) struct Scout {
    /// Batches that are asked for beyond the one last opened.
    batches: u64,
    lookahead: Lookahead,
    /// The next batch to be asked for; held while its records are.
    next: Mutex<Course>,
    /// Its number.
    asked: AtomicU64,
    /// Number of the next batch to be opened.
    opened: AtomicU64,
    wake: Sender<()>,
    woken: Receiver<()>,
}

impl Scout {
    pub fn new(config: &Config) -> Self {
        // One word is enough: whoever hears it looks how far to go.
        let (wake, woken) = bounded(1);
        Scout {
            batches: AHEAD.div_ceil(u64::from(config.plan.batch)),
            lookahead: Lookahead::default(),
            next: Mutex::new(Course::new(config)),
            asked: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            wake,
            woken,
        }
    }

    /// Called before batch `sequence` is opened: sees that it was asked for, and has the thread go on.
    pub fn open(&self, sequence: u64, records: &dyn Records, config: &Config, over: &AtomicBool) {
        if self.asked.load(Ordering::Acquire) <= sequence {
            self.ask(sequence, records, config, over);
        }
        self.opened.store(sequence + 1, Ordering::Release);
        // If there is a word waiting already, that will do.
        let _ = self.wake.try_send(());
    }

    /// The life of the thread, until the stream ends or `stopped` is dropped.
    pub fn run(&self, records: &dyn Records, config: &Config, over: &AtomicBool, stopped: &Receiver<()>) {
        loop {
            select_biased! {
                recv(stopped) -> _ => return,
                recv(self.woken) -> _ => {}
            }
            loop {
                let asked = self.asked.load(Ordering::Acquire);
                let opened = self.opened.load(Ordering::Acquire);
                // Not far at first: a disk serves all requests at once, and the first batches are waited for.
                if asked >= opened + opened.min(self.batches) {
                    break;
                }
                let gone =
                    over.load(Ordering::Relaxed) || stopped.try_recv() == Err(TryRecvError::Disconnected);
                if gone || !self.ask(asked, records, config, over) {
                    return;
                }
            }
        }
    }

    /// Asks for batch `sequence`, if it is the next. False at the end of the stream.
    fn ask(&self, sequence: u64, records: &dyn Records, config: &Config, over: &AtomicBool) -> bool {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.sequence > sequence {
            return true;
        }
        if !next.settle(config) {
            return false;
        }
        // Advice that panics is advice that was not given: whoever reads the record will tell.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            for (index, position) in next.positions(config).enumerate() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                self.lookahead.due(records, index, || next.order.record(position));
                if let Some(far) = next.ahead(position) {
                    self.lookahead.due(records, index, || far);
                }
            }
        }));
        next.advance();
        self.asked.store(next.sequence, Ordering::Release);
        true
    }
}
