//! Batches of made-up records in the backend's memory, given back and used again: the loader's part, played.

use std::sync::mpsc::{Receiver, Sender, channel};

use alexnet_net::{Augmentation, Backend, Draw, Error, HostMemory, Network, RawBatch, STAGED};

type Memory = Box<dyn HostMemory>;

/// Its memory goes home when the network lets go of it.
struct Made {
    memory: Option<Memory>,
    draws: Vec<Draw>,
    home: Sender<Memory>,
}

impl RawBatch for Made {
    fn records(&self) -> &[u8] {
        self.memory.as_ref().map_or(&[], |memory| memory.bytes())
    }
    fn draws(&self) -> &[Draw] {
        &self.draws
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            let _ = self.home.send(memory); // the ring may be gone
        }
    }
}

/// The batches.
pub struct Ring {
    free: Receiver<Memory>,
    home: Sender<Memory>,
    batch: usize,
}

impl Ring {
    /// Memory for as many batches as a network holds, and one more.
    pub fn new<B: Backend>(network: &mut Network<B>, op: &Augmentation, batch: usize) -> Result<Self, Error> {
        let (home, free) = channel();
        for _ in 0..STAGED + 1 {
            let mut memory = network.host_memory(batch * op.record_bytes())?;
            memory.bytes_mut().iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * 7919 % 251) as u8);
            let _ = home.send(memory); // its receiver is below
        }
        Ok(Ring { free, home, batch })
    }

    /// The next batch.
    pub fn next(&mut self) -> Result<Box<dyn RawBatch>, &'static str> {
        let memory = self.free.try_recv().map_err(|_| "the network kept more batches than it may")?;
        let draw = |i: usize| Draw {
            left: (i % 3) as u32,
            top: (i % 5) as u32,
            mirror: i.is_multiple_of(2),
            shift: [1.5; 3],
        };
        let draws = (0..self.batch).map(draw).collect();
        Ok(Box::new(Made { memory: Some(memory), draws, home: self.home.clone() }))
    }
}
