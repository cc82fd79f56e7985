//! From the loader into the network: finished pixels, or raw records for a backend that augments them itself.
//!
//! Both ways give the network the same bits. Raw records travel in memory that the backend lent to the loader's ring,
//! and a batch is on its way to the devices as soon as it is asked for, while they still work on the one before.

use std::sync::Arc;

use alexnet_load::{Augment, Batch, Config, HeapMemory, Loader, Mean, Memory, Output, Records, Stages};
use alexnet_net::{
    Augmentation, Backend, BatchScore, Draw, DropoutKey, HostMemory, Network, RawBatch, STAGED, UpdateRule,
};

use crate::error::Error;

/// A backend's memory in the loader's ring.
pub(crate) struct Lent(Box<dyn HostMemory>);

impl Memory for Lent {
    fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.bytes_mut()
    }
}

/// A batch of raw records, lent to the network; its slot returns to the ring when the network drops it.
struct Raw {
    batch: Batch<Lent>,
    draws: Vec<Draw>,
}

impl RawBatch for Raw {
    fn records(&self) -> &[u8] {
        self.batch.bytes()
    }
    fn draws(&self) -> &[Draw] {
        &self.draws
    }
}

/// A loader, and the way its batches take.
pub(crate) enum Feed {
    Finished(Loader),
    Raw(Loader<Lent>),
}

/// The network's next batch.
pub(crate) struct Due {
    pub epoch: u32,
    pub first_position: u64,
    pub global_len: u64,
    labels: Vec<u32>,
    /// None if the records are staged in the network.
    finished: Option<Batch<HeapMemory>>,
}

fn augmentation(augment: &Augment) -> Augmentation {
    let mean = match augment.mean.clone() {
        Mean::Channel(mean) => alexnet_net::Mean::Channel(mean),
        Mean::Aligned(image) => alexnet_net::Mean::Aligned(image),
        Mean::Centre(image) => alexnet_net::Mean::Centre(image),
    };
    Augmentation { record: augment.record, crop: augment.crop, mean, scale: augment.scale }
}

impl Feed {
    /// Starts loading by `config`, whose output is finished float32 pixels, for `network`.
    pub fn new<B: Backend>(
        network: &mut Network<B>,
        records: Arc<dyn Records>,
        mut config: Config,
    ) -> Result<Self, Error> {
        config.augment.check()?;
        // Resizing, tints and holes are the loader's own: no backend makes them of raw records.
        let varied = config.drawer.vary.is_some_and(|(_, vary)| vary.pixels());
        if varied || !network.augments() {
            return Ok(Feed::Finished(Loader::new(records, config)?));
        }
        network.prepare_records(augmentation(&config.augment))?;
        config.augment.output = Output::Raw;
        config.slots += STAGED; // batches that the network still holds
        let lend = |_| network.host_memory(config.slot_bytes()).map(Lent);
        let mut lent = (0..config.slots).map(lend).collect::<Result<Vec<_>, _>>()?;
        let memory = |_| lent.pop().expect("one for each slot");
        Ok(Feed::Raw(Loader::with_memory(records, config, memory)?))
    }

    /// The next batch, on its way to the network already if it is raw.
    pub fn next<B: Backend>(&mut self, network: &mut Network<B>) -> Result<Option<Due>, Error> {
        match self {
            Feed::Finished(loader) => {
                let Some(batch) = loader.next() else { return Ok(None) };
                let batch = batch?;
                let due = Due::of(&batch);
                Ok(Some(Due { finished: Some(batch), ..due }))
            }
            Feed::Raw(loader) => {
                let Some(batch) = loader.next() else { return Ok(None) };
                let batch = batch?;
                let due = Due::of(&batch);
                let draw = |d: &alexnet_load::Draw| Draw {
                    left: d.left,
                    top: d.top,
                    mirror: d.mirror,
                    shift: d.shift,
                };
                let draws = batch.samples().iter().map(|sample| draw(&sample.draw)).collect();
                network.stage(Box::new(Raw { batch, draws }))?;
                Ok(Some(due))
            }
        }
    }

    /// Times of the loader's stages so far.
    pub fn stages(&self) -> Stages {
        match self {
            Feed::Finished(loader) => loader.stages(),
            Feed::Raw(loader) => loader.stages(),
        }
    }
}

impl Due {
    fn of<M: Memory>(batch: &Batch<M>) -> Self {
        Due {
            epoch: batch.epoch(),
            first_position: batch.positions().start,
            global_len: batch.global_len(),
            labels: batch.labels().to_vec(),
            finished: None,
        }
    }

    /// Its labels.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Trains on it and updates.
    pub fn train<B: Backend>(
        self,
        network: &mut Network<B>,
        key: Option<DropoutKey>,
        rule: &UpdateRule,
    ) -> Result<(), Error> {
        match self.finished {
            Some(batch) => network.train_and_update(batch.floats(), &self.labels, key, rule)?,
            None => {
                network.train_staged(&self.labels, key)?;
                network.update(rule)?;
            }
        }
        Ok(())
    }

    /// Evaluates it.
    pub fn evaluate<B: Backend>(self, network: &mut Network<B>) -> Result<BatchScore, Error> {
        Ok(match self.finished {
            Some(batch) => network.evaluate(batch.floats(), &self.labels)?,
            None => network.evaluate_staged(&self.labels)?,
        })
    }
}
