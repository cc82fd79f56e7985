//! Threads that turn a plan into batches, in order.
//!
//! One feeder thread takes a free slot of the ring, has the worker threads make its samples (each sample is one
//! task, written to its own place), and hands it on. The stream of batches is a pure function of the configuration;
//! the number of threads and slots changes only its speed. A failure, a panic too, ends the stream with an error;
//! dropping the loader stops its threads, whatever they are doing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, select_biased};
use rayon::prelude::*;

use crate::augment::{Augment, Pass};
use crate::draw::Drawer;
use crate::error::Error;
use crate::meter::{Meter, Stage, Stages};
use crate::plan::{EpochOrder, Plan};
use crate::records::Records;
use crate::ring::{Batch, HeapMemory, Memory, NO_LABEL, Sample, Slot};

/// All that decides which batches a loader delivers, and with how many threads.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which sample comes when.
    pub plan: Plan,
    /// Crop, mirror and lighting of each sample.
    pub drawer: Drawer,
    /// How a record becomes a sample.
    pub augment: Augment,
    /// First batch to deliver: epoch, number in the epoch.
    pub start: (u32, u64),
    /// The epoch before which the stream ends.
    pub end: u32,
    /// Worker threads.
    pub threads: usize,
    /// Slots of the ring; at least 2.
    pub slots: usize,
    /// Whether a sample without a label is an error.
    pub labelled: bool,
}

impl Config {
    /// Bytes of one slot.
    pub fn slot_bytes(&self) -> usize {
        self.plan.batch as usize * self.augment.sample_bytes()
    }

    /// Bytes of the whole ring: what the loader allocates.
    pub fn ring_bytes(&self) -> usize {
        self.slots.max(2) * self.slot_bytes()
    }
}

/// A stream of batches.
pub struct Loader<M: Memory = HeapMemory> {
    ready: Receiver<Result<Slot<M>, Error>>,
    free: Sender<Slot<M>>,
    meter: Arc<Meter>,
    stop: Option<Sender<()>>,
    feeder: Option<JoinHandle<()>>,
}

impl Loader<HeapMemory> {
    /// Starts loading `records` into ordinary memory.
    pub fn new(records: Arc<dyn Records>, config: Config) -> Result<Self, Error> {
        let slot_bytes = config.slot_bytes();
        Loader::with_memory(records, config, |_| HeapMemory::new(slot_bytes))
    }
}

impl<M: Memory> Loader<M> {
    /// Starts loading into slots that `memory` makes, each [`Config::slot_bytes`] long.
    pub fn with_memory(
        records: Arc<dyn Records>,
        config: Config,
        mut memory: impl FnMut(usize) -> M,
    ) -> Result<Self, Error> {
        let pass = Pass::new(config.augment.clone())?;
        if config.plan.batch == 0 {
            return Err(Error::Empty("a batch needs at least one sample"));
        }
        if config.plan.subset.is_empty() {
            return Err(Error::Empty("there are no samples to load"));
        }
        let slots = config.slots.max(2);
        let (free, free_slots) = bounded(slots);
        for i in 0..slots {
            let slot = Slot::new(memory(i), config.plan.batch as usize, config.augment.sample_bytes());
            assert!(slot.memory.bytes().len() >= config.slot_bytes(), "lent memory is too small");
            // The channel holds `slots` slots and its receiver lives: sending cannot fail.
            let _ = free.send(slot);
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(config.threads.max(1))
            .thread_name(|i| format!("loader-{i}"))
            .build()
            .map_err(|e| Error::Threads(e.to_string()))?;
        let (finished, ready) = bounded(slots);
        let (stop, stopped) = bounded(0);
        let meter = Arc::new(Meter::default());
        let feeder =
            Feeder { records, config, pass, pool, free_slots, finished, stopped, meter: meter.clone() };
        let feeder = std::thread::Builder::new()
            .name("loader-feeder".into())
            .spawn(move || feeder.run())
            .map_err(|e| Error::Threads(e.to_string()))?;
        Ok(Loader { ready, free, meter, stop: Some(stop), feeder: Some(feeder) })
    }

    /// Times of the stages so far.
    pub fn stages(&self) -> Stages {
        self.meter.stages()
    }
}

impl<M: Memory> Iterator for Loader<M> {
    type Item = Result<Batch<M>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let received = self.meter.time(Stage::Starved, || self.ready.recv());
        Some(received.ok()?.map(|slot| Batch::new(slot, self.free.clone())))
    }
}

impl<M: Memory> Drop for Loader<M> {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(feeder) = self.feeder.take() {
            // A panic in the feeder was delivered as an error already.
            let _ = feeder.join();
        }
    }
}

struct Feeder<M> {
    records: Arc<dyn Records>,
    config: Config,
    pass: Pass,
    pool: rayon::ThreadPool,
    free_slots: Receiver<Slot<M>>,
    finished: Sender<Result<Slot<M>, Error>>,
    stopped: Receiver<()>,
    meter: Arc<Meter>,
}

impl<M: Memory> Feeder<M> {
    fn run(self) {
        let (first_epoch, first_batch) = self.config.start;
        for epoch in first_epoch..self.config.end {
            let order = self.config.plan.epoch(epoch);
            let first = if epoch == first_epoch { first_batch } else { 0 };
            for number in first..self.config.plan.batches() {
                let Some(slot) = self.meter.time(Stage::Blocked, || self.free_slot()) else { return };
                let made = self.meter.time(Stage::Work, || {
                    catch_unwind(AssertUnwindSafe(|| self.make(slot, epoch, number, &order)))
                        .unwrap_or_else(|panic| Err(Error::Worker(message(&*panic))))
                });
                let failed = made.is_err();
                // The channel has room for every slot, so this never blocks; it fails if the loader is gone.
                if self.finished.send(made).is_err() || failed {
                    return;
                }
            }
        }
    }

    fn free_slot(&self) -> Option<Slot<M>> {
        select_biased! {
            recv(self.stopped) -> _ => None,
            recv(self.free_slots) -> slot => slot.ok(),
        }
    }

    fn make(&self, mut slot: Slot<M>, epoch: u32, number: u64, order: &EpochOrder) -> Result<Slot<M>, Error> {
        let Config { plan, drawer, augment, labelled, .. } = &self.config;
        let positions = plan.positions(number);
        let due = plan.positions(number + 1);
        let global = plan.global_positions(number);
        let count = (positions.end - positions.start) as usize;
        let sample_bytes = augment.sample_bytes();
        let pixels = &mut slot.memory.bytes_mut()[..count * sample_bytes];
        let job = pixels
            .par_chunks_mut(sample_bytes)
            .zip(&mut slot.labels[..count])
            .zip(&mut slot.samples[..count])
            .enumerate();
        self.pool.install(|| {
            job.try_for_each_init(Vec::new, |scratch, (i, ((out, label), sample))| {
                let next = due.start + i as u64;
                if next < due.end {
                    self.records.prefetch(order.record(next));
                }
                let position = positions.start + i as u64;
                let record = order.record(position);
                let named = |i| self.records.name(i);
                *sample = Sample { record, draw: drawer.draw(epoch, position) };
                *label = self.records.label(record).unwrap_or(NO_LABEL);
                if *labelled && *label == NO_LABEL {
                    return Err(Error::Unlabelled { record, name: named(record) });
                }
                let bytes = self.records.record(record, scratch).map_err(|source| Error::Record {
                    record,
                    name: named(record),
                    source,
                })?;
                self.pass.apply(bytes, &sample.draw, out);
                Ok(())
            })
        })?;
        self.meter.count(count);
        slot.epoch = epoch;
        slot.number = number;
        slot.positions = positions;
        slot.global = global.end - global.start;
        Ok(slot)
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
