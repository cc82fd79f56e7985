//! The loader's threads: each takes the next sample that nobody has taken, of the oldest batch that has one.
//!
//! Batches in work lie in lanes, batch `s` of the stream in lane `s mod slots`. A thread that finds the next batch
//! not yet opened opens it, once a slot is free; the thread that finishes the last sample of a batch delivers it and
//! every finished one that follows, in order. No thread waits for another except for a free slot, so there is no
//! barrier at the end of a batch; nothing is allocated once the threads run.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crossbeam_channel::{Receiver, Sender, select_biased};

use crate::augment::{Varied, Workspace};
use crate::course::Course;
use crate::error::Error;
use crate::loader::Config;
use crate::meter::{Meter, Stage};
use crate::plan::EpochOrder;
use crate::records::Records;
use crate::ring::{Memory, NO_LABEL, Sample, Slot};
use crate::scout::Scout;
use crate::share::{Share, Shared};

/// What all threads share.
pub(crate) struct Crew<M> {
    records: Arc<dyn Records>,
    config: Config,
    varied: Varied,
    scout: Scout,
    meter: Arc<Meter>,
    lanes: Box<[RwLock<Lane<M>>]>,
    /// The next batch to be opened.
    next: Mutex<Course>,
    /// Number in the stream of the next batch to be delivered.
    delivered: Mutex<u64>,
    free_slots: Receiver<Slot<M>>,
    finished: Sender<Result<Slot<M>, Error>>,
    stopped: Receiver<()>,
    /// Set when an error was delivered or the loader is gone.
    over: AtomicBool,
}

/// What a thread keeps from sample to sample.
struct Scratch {
    record: Vec<u8>,
    workspace: Workspace,
}

/// A batch in work, or the memory of one.
struct Lane<M> {
    /// Its number in the stream; nothing before the first.
    sequence: Option<u64>,
    shared: Option<Shared<M>>,
    epoch: u32,
    order: EpochOrder,
    positions: Range<u64>,
    complete: AtomicBool,
    /// The failure of the first sample that failed.
    failure: Mutex<Option<(usize, Error)>>,
}

impl<M: Memory> Crew<M> {
    pub fn new(
        records: Arc<dyn Records>,
        config: Config,
        varied: Varied,
        meter: Arc<Meter>,
        free_slots: Receiver<Slot<M>>,
        finished: Sender<Result<Slot<M>, Error>>,
        stopped: Receiver<()>,
    ) -> Self {
        let next = Course::new(&config);
        let lane = |_| {
            RwLock::new(Lane {
                sequence: None,
                shared: None,
                epoch: next.epoch,
                order: next.order,
                positions: 0..0,
                complete: AtomicBool::new(false),
                failure: Mutex::new(None),
            })
        };
        Crew {
            lanes: (0..config.slots.max(2)).map(lane).collect(),
            next: Mutex::new(next),
            delivered: Mutex::new(0),
            over: AtomicBool::new(false),
            scout: Scout::new(&config),
            records,
            config,
            varied,
            meter,
            free_slots,
            finished,
            stopped,
        }
    }

    /// The life of one thread.
    pub fn work(&self) {
        let [width, height] = self.config.augment.record;
        let mut scratch =
            Scratch { record: Vec::with_capacity(width * height * 3), workspace: self.varied.workspace() };
        let mut sequence = 0;
        while !self.over.load(Ordering::Relaxed) {
            let lane = read(self.lane(sequence));
            if lane.sequence < Some(sequence) {
                drop(lane);
                if !self.open(sequence) {
                    return;
                }
                continue;
            }
            let mut complete = false;
            if lane.sequence == Some(sequence)
                && let Some(shared) = &lane.shared
            {
                complete = self.meter.time(Stage::Work, || self.make_all(&lane, shared, &mut scratch));
            }
            drop(lane);
            if complete {
                self.deliver();
            }
            sequence += 1;
        }
    }

    /// The life of the thread that asks for records ahead.
    pub fn scout(&self) {
        self.scout.run(&*self.records, &self.config, &self.over, &self.stopped);
    }

    fn lane(&self, sequence: u64) -> &RwLock<Lane<M>> {
        &self.lanes[(sequence % self.lanes.len() as u64) as usize]
    }

    /// Opens batch `sequence` of the stream, unless another thread did. False at the end of the stream.
    fn open(&self, sequence: u64) -> bool {
        let mut next = lock(&self.next);
        if next.sequence > sequence {
            return true;
        }
        if !next.settle(&self.config) {
            return false;
        }
        let Some(mut slot) = self.meter.time(Stage::Blocked, || self.free_slot()) else { return false };
        let global = self.config.plan.global_positions(next.number);
        let positions = next.positions(&self.config);
        let count = (positions.end - positions.start) as usize;
        slot.epoch = next.epoch;
        slot.number = next.number;
        slot.positions = positions.clone();
        slot.global = global.end - global.start;
        self.scout.open(sequence, &*self.records, &self.config, &self.over);
        // The lane is empty: it held the batch a whole ring ago, and a slot is free only if that was delivered.
        let mut lane = write(self.lane(sequence));
        lane.sequence = Some(sequence);
        (lane.epoch, lane.order) = (next.epoch, next.order);
        lane.positions = positions;
        *lane.complete.get_mut() = count == 0;
        Shared::open(&mut lane.shared, slot, count);
        drop(lane);
        next.advance();
        drop(next);
        if count == 0 {
            self.deliver();
        }
        true
    }

    fn free_slot(&self) -> Option<Slot<M>> {
        select_biased! {
            recv(self.stopped) -> _ => None,
            recv(self.free_slots) -> slot => slot.ok(),
        }
    }

    /// Makes samples of a batch until none is left to claim. True if one of them was the last to be finished.
    fn make_all(&self, lane: &Lane<M>, shared: &Shared<M>, scratch: &mut Scratch) -> bool {
        let (mut complete, mut made) = (false, 0);
        while let Some(mut share) = shared.claim() {
            let result = catch_unwind(AssertUnwindSafe(|| self.make(lane, &mut share, scratch)))
                .unwrap_or_else(|panic| Err(Error::Worker(message(&*panic))));
            if let Err(error) = result {
                let mut failure = lock(&lane.failure);
                if failure.as_ref().is_none_or(|(index, _)| share.index < *index) {
                    *failure = Some((share.index, error));
                }
            }
            made += 1;
            complete |= shared.finish(share);
        }
        self.meter.count(made);
        if complete {
            lane.complete.store(true, Ordering::Release);
        }
        complete
    }

    fn make(&self, lane: &Lane<M>, share: &mut Share<'_>, scratch: &mut Scratch) -> Result<(), Error> {
        let position = lane.positions.start + share.index as u64;
        let record = lane.order.record(position);
        let draw = self.config.drawer.draw(lane.epoch, position);
        *share.sample = Sample { record, draw };
        let mut made = Ok(());
        let guarded = self.records.guard(record, &mut || made = self.fill(share, scratch));
        // What came of a file that failed meanwhile, an error too, is no news.
        guarded.map_err(|source| self.unreadable(record, source)).and(made)
    }

    /// Label and pixels of a sample whose record and draw are known.
    fn fill(&self, share: &mut Share<'_>, scratch: &mut Scratch) -> Result<(), Error> {
        let Sample { record, draw } = &*share.sample;
        let record = *record;
        *share.label = self.records.label(record).unwrap_or(NO_LABEL);
        if self.config.labelled && *share.label == NO_LABEL {
            return Err(Error::Unlabelled { record, name: self.records.name(record) });
        }
        let bytes =
            self.records.record(record, &mut scratch.record).map_err(|e| self.unreadable(record, e))?;
        self.varied.apply(bytes, draw, share.pixels, &mut scratch.workspace);
        Ok(())
    }

    fn unreadable(&self, record: u64, source: alexnet_shard::Error) -> Error {
        Error::Record { record, name: self.records.name(record), source }
    }

    /// Hands on every batch that is complete and whose turn it is.
    fn deliver(&self) {
        let mut delivered = lock(&self.delivered);
        while !self.over.load(Ordering::Relaxed) {
            let lane = self.lane(*delivered);
            {
                let lane = read(lane);
                if lane.sequence != Some(*delivered) || !lane.complete.load(Ordering::Acquire) {
                    return;
                }
            }
            let mut lane = write(lane);
            let failure = lock(&lane.failure).take();
            // Taken once: a later look at this lane finds no slot.
            let Some(slot) = Shared::close(&mut lane.shared) else { return };
            *delivered += 1;
            let failed = failure.is_some();
            let batch = failure.map_or(Ok(slot), |(_, error)| Err(error));
            // The channel has room for every slot, so this never blocks; it fails if the loader is gone.
            if self.finished.send(batch).is_err() || failed {
                self.over.store(true, Ordering::Relaxed);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
