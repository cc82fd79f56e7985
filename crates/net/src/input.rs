//! Raw records as input: backends that augment on their devices take them whole, with a draw each.
//!
//! The invariant: what a device makes of a record is `((x − mean) + shift) · scale`, each operation rounded once, the
//! bits that the loader makes on the host. A staged batch belongs to the backend until its copies are done, so memory
//! that a copy still reads is never written again. Choosing draws, and decoding, are left to the loader.

use crate::backend::Backend;
use crate::error::{DeviceError, Error};
use crate::network::{BatchScore, DropoutKey, Network};

/// What is done to one record.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Draw {
    /// First column of the crop, pixels.
    pub left: u32,
    /// First row of the crop, pixels.
    pub top: u32,
    /// Whether the crop is mirrored left to right.
    pub mirror: bool,
    /// What is added to red, green and blue, in grey levels.
    pub shift: [f32; 3],
}

/// What is subtracted, in grey levels; images are record height × record width × RGB.
#[derive(Clone, Debug, PartialEq)]
pub enum Mean {
    /// One value a channel.
    Channel([f32; 3]),
    /// The mean image at the pixel's own place in the record.
    Aligned(Vec<f32>),
    /// The centre crop of the mean image, never mirrored.
    Centre(Vec<f32>),
}

/// How records become the net's input; the same for all of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Augmentation {
    /// Width and height of a record (u8, height × width × RGB).
    pub record: [usize; 2],
    /// Width and height of the crop: the net's input.
    pub crop: [usize; 2],
    /// What is subtracted.
    pub mean: Mean,
    /// What the shifted difference is multiplied by, per channel.
    pub scale: [f32; 3],
}

impl Augmentation {
    /// Bytes of a record.
    pub fn record_bytes(&self) -> usize {
        self.record[0] * self.record[1] * 3
    }
}

/// Records and their draws, in memory that stays as it is while this lives.
pub trait RawBatch: Send {
    /// The records, one after another.
    fn records(&self) -> &[u8];
    /// One draw a record.
    fn draws(&self) -> &[Draw];
}

/// Host memory that a backend lends, to copy from at full speed.
pub trait HostMemory: Send {
    /// Read access.
    fn bytes(&self) -> &[u8];
    /// Write access.
    fn bytes_mut(&mut self) -> &mut [u8];
}

impl HostMemory for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

/// Batches that may be staged and not yet used: one to work on next, one on its way.
pub const STAGED: usize = 2;

pub(crate) fn no_records() -> DeviceError {
    DeviceError { device: 0, operation: "augment", cause: "this backend takes finished pixels".into() }
}

impl<B: Backend> Network<B> {
    /// Whether the backend augments raw records itself; if not, give finished pixels.
    pub fn augments(&self) -> bool {
        self.backend.augments()
    }

    /// `bytes` of host memory to fill with records.
    ///
    /// # Errors
    /// There is no such memory left.
    pub fn host_memory(&mut self, bytes: usize) -> Result<Box<dyn HostMemory>, Error> {
        Ok(self.backend.host_memory(bytes)?)
    }

    /// Says how the records to come become inputs. What was staged before is forgotten.
    ///
    /// # Errors
    /// Crop or mean image do not fit, or a device failed.
    pub fn prepare_records(&mut self, op: Augmentation) -> Result<(), Error> {
        let fail = |problem: String| Err(Error::Batch { problem });
        let ([width, height], [_, rows, columns]) = (op.record, self.net.input);
        if op.crop != [columns, rows] || columns > width || rows > height {
            return fail(format!(
                "crops of {:?} from records of {:?} for {columns}×{rows}",
                op.crop, op.record
            ));
        }
        match &op.mean {
            Mean::Aligned(image) | Mean::Centre(image) if image.len() != op.record_bytes() => {
                return fail(format!(
                    "a mean image of {} values, records of {}",
                    image.len(),
                    op.record_bytes()
                ));
            }
            _ => {}
        }
        self.backend.prepare_records(&op, self.max_batch)?;
        self.staged.clear();
        self.augmentation = Some(op);
        Ok(())
    }

    /// Queues the copy of a batch to the devices, beside whatever they compute. At most [`STAGED`] may wait.
    ///
    /// # Errors
    /// The batch does not fit, too many wait, or a device failed.
    pub fn stage(&mut self, batch: Box<dyn RawBatch>) -> Result<(), Error> {
        let fail = |problem: String| Err(Error::Batch { problem });
        let Some(op) = &self.augmentation else { return fail("records were not prepared for".to_owned()) };
        let (n, bytes) = (batch.draws().len(), batch.records().len());
        if n > self.max_batch || bytes != n * op.record_bytes() {
            return fail(format!("{bytes} bytes of {n} records, at most {} fit", self.max_batch));
        }
        let slack = [0, 1].map(|i| op.record[i] - op.crop[i]);
        let inside = |draw: &Draw| draw.left as usize <= slack[0] && draw.top as usize <= slack[1];
        if let Some(i) = batch.draws().iter().position(|draw| !inside(draw)) {
            return fail(format!("the crop of sample {i} leaves its record: {:?}", batch.draws()[i]));
        }
        if self.staged.len() >= STAGED {
            return fail(format!("{STAGED} batches are staged already"));
        }
        if n > 0 {
            self.backend.stage(batch)?;
        }
        self.staged.push_back(n);
        Ok(())
    }

    /// As [`Network::train_batch`], on the batch that was staged first.
    ///
    /// # Errors
    /// There is none, the labels do not fit, or a device failed.
    pub fn train_staged(&mut self, labels: &[u32], key: Option<DropoutKey>) -> Result<(), Error> {
        self.backend.begin_step()?;
        if self.use_staged(labels)? == 0 {
            return self.train_nothing();
        }
        self.train_loaded(key)
    }

    /// As [`Network::evaluate`], on the batch that was staged first.
    ///
    /// # Errors
    /// As [`Network::train_staged`].
    pub fn evaluate_staged(&mut self, labels: &[u32]) -> Result<BatchScore, Error> {
        if self.use_staged(labels)? == 0 {
            return Ok(BatchScore::default());
        }
        self.evaluate_loaded()
    }

    /// Makes the oldest staged batch the input; its size.
    fn use_staged(&mut self, labels: &[u32]) -> Result<usize, Error> {
        match self.staged.front() {
            Some(&n) if n == labels.len() => {}
            n => {
                let problem = format!("{} labels, but {n:?} records are staged", labels.len());
                return Err(Error::Batch { problem });
            }
        }
        self.staged.pop_front();
        if !labels.is_empty() {
            self.upload_labels(labels)?;
            self.backend.augment(labels.len(), &mut self.tensors[0])?;
        }
        Ok(labels.len())
    }
}
