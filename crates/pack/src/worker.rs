//! One entry on one thread: read by offset, decode, resize, sum up.
//!
//! What comes out depends on the entry alone, never on the thread or on what it did before. Order and files are
//! [`crate::pipeline`]'s part.

use alexnet_shard::{Moments, record_crc};

use crate::decode::{Decoder, MAX_ENCODED_BYTES, Note, Refusal};
use crate::error::Error;
use crate::plan::{Plan, SplitPlan};
use crate::resize::Squarer;

/// A buffer that travels from the pool through a worker to the writer and back.
#[derive(Debug)]
pub(crate) struct Slot {
    /// RGB, as long as a record.
    pub record: Vec<u8>,
    /// Moments of `record`.
    pub moments: Moments,
    /// CRC-32C of `record`.
    pub crc: u32,
}

impl Slot {
    pub(crate) fn new(record_bytes: usize) -> Self {
        Slot { record: vec![0; record_bytes], moments: Moments::default(), crc: 0 }
    }
}

/// What became of an entry.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The slot holds its record.
    Record { label: u32, note: Note },
    /// It has no record, for this reason.
    Refused(String),
}

/// The buffers of one thread.
pub(crate) struct Worker<'a> {
    plan: &'a Plan,
    encoded: Vec<u8>,
    decoder: Decoder,
    squarer: Squarer,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(plan: &'a Plan) -> Self {
        let options = plan.options();
        let squarer = Squarer::new(options.size, options.filter);
        let decoder = Decoder::for_squares(options.size, options.filter);
        Worker { plan, encoded: Vec::new(), decoder, squarer }
    }

    /// Makes the record of an entry in `slot`.
    ///
    /// # Errors
    /// If its bytes cannot be read; a photo that cannot be decoded is an [`Outcome::Refused`].
    pub(crate) fn make(&mut self, split: &SplitPlan, entry: u64, slot: &mut Slot) -> Result<Outcome, Error> {
        let (index, label) = split.entry(entry);
        let photo = &split.source().photos()[index];
        let Some(label) = label else {
            return Ok(Outcome::Refused(self.plan.why_unlabelled(split, photo)));
        };
        if photo.length > MAX_ENCODED_BYTES {
            let reason = format!("{} bytes are more than {MAX_ENCODED_BYTES}", photo.length);
            return Ok(Outcome::Refused(reason));
        }
        split.source().read(index, &mut self.encoded)?;
        Ok(match self.square(&mut slot.record) {
            Ok(note) => {
                slot.moments = Moments::of(&slot.record);
                slot.crc = record_crc(&slot.record);
                Outcome::Record { label, note }
            }
            Err(Refusal(reason)) => Outcome::Refused(reason),
        })
    }

    fn square(&mut self, record: &mut [u8]) -> Result<Note, Refusal> {
        let picture = self.decoder.decode(&self.encoded)?;
        self.squarer.square(&picture, record)?;
        Ok(picture.note)
    }
}
