//! Threads that turn a plan into batches, in order.
//!
//! A loader starts its threads (`crew.rs`), lends them slots, and hands finished batches to the consumer, who gives
//! the slots back by dropping the batches. The stream of batches is a pure function of the configuration; the number
//! of threads and slots changes only its speed. A failure, a panic too, ends the stream with an error; dropping the
//! loader stops its threads, whatever they are doing.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::augment::{Augment, Varied};
use crate::crew::Crew;
use crate::draw::Drawer;
use crate::error::Error;
use crate::meter::{Meter, Stage, Stages};
use crate::plan::Plan;
use crate::records::Records;
use crate::ring::{Batch, HeapMemory, Memory, Slot};
use crate::vary::Vary;

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
    /// Worker threads. One more asks the system for records ahead and does nothing else.
    pub threads: usize,
    /// Slots of the ring; at least 2.
    pub slots: usize,
    /// Whether a sample without a label is an error.
    pub labelled: bool,
}

impl Config {
    /// Bytes of one slot.
    pub fn slot_bytes(&self) -> usize {
        self.plan.largest_share() * self.augment.sample_bytes()
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
    threads: Vec<JoinHandle<()>>,
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
        let vary = config.drawer.vary.map_or(Vary::NONE, |(_, vary)| vary);
        vary.check()?;
        let varied = Varied::new(config.augment.clone(), vary.resized_crop.is_some())?;
        if config.plan.batch == 0 {
            return Err(Error::Empty("a batch needs at least one sample"));
        }
        if config.plan.subset.is_empty() {
            return Err(Error::Empty("there are no samples to load"));
        }
        let slots = config.slots.max(2);
        let (free, free_slots) = bounded(slots);
        for i in 0..slots {
            let slot = Slot::new(memory(i), config.plan.largest_share(), config.augment.sample_bytes());
            assert!(slot.memory.bytes().len() >= config.slot_bytes(), "lent memory is too small");
            // The channel holds `slots` slots and its receiver lives: sending cannot fail.
            let _ = free.send(slot);
        }
        let (finished, ready) = bounded(slots);
        // Of capacity 1 because waiting on a channel of none allocates; nothing is ever sent.
        let (stop, stopped) = bounded(1);
        let meter = Arc::new(Meter::default());
        let threads = config.threads.max(1);
        let crew = Crew::new(records, config, varied, meter.clone(), free_slots, finished, stopped);
        let crew = Arc::new(crew);
        let start = |name: String, job: fn(&Crew<M>)| {
            let crew = crew.clone();
            std::thread::Builder::new().name(name).spawn(move || job(&crew))
        };
        // If one cannot start, `stop` is dropped, which ends the others.
        let threads = (0..threads)
            .map(|i| start(format!("loader-{i}"), Crew::work))
            .chain(std::iter::once_with(|| start("loader-scout".into(), Crew::scout)))
            .collect::<Result<_, _>>()
            .map_err(|e| Error::Threads(e.to_string()))?;
        Ok(Loader { ready, free, meter, stop: Some(stop), threads })
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
        let received = received.ok()?.map(|slot| Batch::new(slot, self.free.clone()));
        if received.is_err() {
            // Nothing follows an error: threads that wait for a slot may go.
            self.stop.take();
        }
        Some(received)
    }
}

impl<M: Memory> Drop for Loader<M> {
    fn drop(&mut self) {
        self.stop.take();
        for thread in self.threads.drain(..) {
            // Panics of samples were delivered as errors already.
            let _ = thread.join();
        }
    }
}
