//! Raw records on their way to the devices, and the kernel that makes inputs of them.
//!
//! Each device has a copy stream and two staging areas, used in turn. Four waits keep them apart: the kernel waits for
//! the copies into its area; a copy into an area waits for the kernel that read it before, or for its whole step where that
//! is one graph; a batch is kept, and its page-locked memory with it, until every device has copied it; areas are freed when
//! no copy is on its way.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;

use alexnet_net::{Augmentation, DeviceError, HostMemory, Mean, RawBatch, STAGED};
use cudarc::driver::{CudaEvent, CudaStream, result};

use crate::device::{Device, failed};
use crate::launch::Arg;
use crate::pinned::Pinned;
use crate::shape::{AugmentDraw, AugmentShape, AugmentSource, bytes};
use crate::tensor::{Floats, Maps};

/// One device's areas.
struct Lane {
    copies: Arc<CudaStream>,
    mean: Floats,
    areas: Vec<Area>,
    /// The area that work reads which is held back: its event is recorded when that has been queued.
    read: Option<usize>,
}

struct Area {
    records: Floats<u8>,
    draws: Floats<AugmentDraw>,
    /// Page-locked, so that no copy of draws waits for the stream; written when the copy before is done.
    drawn: Pinned,
    copied: CudaEvent,
    used: CudaEvent,
}

/// Everything that is staged.
pub(crate) struct Staging {
    shape: AugmentShape,
    lanes: Vec<Lane>,
    /// By area: the batch that is being copied into it.
    held: [Option<Box<dyn RawBatch>>; STAGED],
    /// The area of the next batch.
    turn: usize,
    /// Areas whose batches wait to be used.
    waiting: VecDeque<usize>,
}

impl Staging {
    /// As [`Staging::new`], in the place of earlier areas.
    pub fn prepare(
        staging: &mut Option<Staging>,
        devices: &[Device],
        op: &Augmentation,
        n: usize,
    ) -> Result<(), DeviceError> {
        devices.iter().try_for_each(Device::order)?;
        *staging = None; // its memory first
        *staging = Some(Staging::new(devices, op, n)?);
        Ok(())
    }

    /// Areas for `n` records on every device.
    fn new(devices: &[Device], op: &Augmentation, n: usize) -> Result<Self, DeviceError> {
        let first = devices.first().ok_or_else(|| failed(0, "stage records")("there is no device"))?;
        first.int(n * op.crop[0] * op.crop[1] * 3)?;
        let int = |value| first.int(value);
        let (mode, mean): (i32, &[f32]) = match &op.mean {
            Mean::Aligned(image) => (1, image),
            Mean::Centre(image) => (2, image),
            Mean::Channel(mean) => (3, mean),
        };
        let shape = AugmentShape {
            batch: int(n)?,
            record_stride: int(op.record_bytes())?,
            record_height: int(op.record[1])?,
            record_width: int(op.record[0])?,
            height: int(op.crop[1])?,
            width: int(op.crop[0])?,
            mean_mode: mode,
            scale: op.scale,
        };
        let lane = |device: &Device| {
            let fail = || failed(device.number, "stage records");
            let mut on_device = device.zeros::<f32>(mean.len())?;
            device.stream.memcpy_htod(mean, &mut on_device.slice).map_err(fail())?;
            let area = |_| {
                let (records, draws) = (device.zeros(n * op.record_bytes())?, device.zeros(n)?);
                let drawn = Pinned::new(&device.context, n * size_of::<AugmentDraw>()).map_err(fail())?;
                // The zeros above are written by the computing stream: the first copy waits for this event.
                let used = device.stream.record_event(None).map_err(fail())?;
                let copied = device.context.new_event(None).map_err(fail())?;
                Ok(Area { records, draws, drawn, copied, used })
            };
            let areas = (0..STAGED).map(area).collect::<Result<_, DeviceError>>()?;
            Ok(Lane {
                copies: device.context.new_stream().map_err(fail())?,
                mean: on_device,
                areas,
                read: None,
            })
        };
        let lanes = devices.iter().map(lane).collect::<Result<_, DeviceError>>()?;
        Ok(Staging { shape, lanes, held: Default::default(), turn: 0, waiting: VecDeque::new() })
    }

    /// Queues the copies of a batch to every device. Never called while [`STAGED`] batches wait.
    pub fn stage(&mut self, devices: &[Device], batch: Box<dyn RawBatch>) -> Result<(), DeviceError> {
        devices.iter().try_for_each(|device| self.has_read(device))?;
        self.release(devices)?;
        let turn = self.turn;
        let draws: Vec<AugmentDraw> = batch.draws().iter().map(AugmentDraw::from).collect();
        let draws = bytes(&draws);
        for (device, lane) in devices.iter().zip(&mut self.lanes) {
            let (area, fail) = (&mut lane.areas[turn], || failed(device.number, "stage records"));
            lane.copies.wait(&area.used).map_err(fail())?;
            device.context.bind_to_thread().map_err(fail())?;
            let stream = lane.copies.cu_stream();
            area.drawn.bytes_mut()[..draws.len()].copy_from_slice(draws);
            // SAFETY: the areas have room for the network's largest batch, which it has checked. The draws stay as they are
            // until the area's turn comes again, the records in `held`: both until the event below has passed.
            unsafe {
                let drawn = &area.drawn.bytes()[..draws.len()];
                result::memcpy_htod_async(area.draws.address, drawn, stream).map_err(fail())?;
                result::memcpy_htod_async(area.records.address, batch.records(), stream).map_err(fail())?;
            }
            area.copied.record(&lane.copies).map_err(fail())?;
        }
        self.held[turn] = Some(batch);
        self.waiting.push_back(turn);
        self.turn = (turn + 1) % STAGED;
        Ok(())
    }

    /// Lets go of batches that every device has copied; waits for the one in the area that is used next.
    fn release(&mut self, devices: &[Device]) -> Result<(), DeviceError> {
        for (number, held) in self.held.iter_mut().enumerate() {
            if held.is_none() {
                continue;
            }
            let mut copied = true;
            for (device, lane) in devices.iter().zip(&self.lanes) {
                let event = &lane.areas[number].copied;
                if number == self.turn {
                    event.synchronize().map_err(failed(device.number, "stage records"))?;
                }
                copied &= event.is_complete();
            }
            if copied {
                *held = None;
            }
        }
        Ok(())
    }

    /// Queues the kernel that makes the batch that was staged first, of `n` records, the input of every device.
    pub fn augment(&mut self, devices: &mut [Device], n: usize, x: &mut [Floats]) -> Result<(), DeviceError> {
        let turn = self.waiting.pop_front().ok_or_else(|| failed(0, "augment")("nothing is staged"))?;
        devices.iter().try_for_each(|device| self.has_read(device))?;
        for ((device, lane), x) in devices.iter_mut().zip(&mut self.lanes).zip(x) {
            let area = &lane.areas[turn];
            device.kept_fold = None;
            device.order()?;
            let shape = AugmentShape { batch: device.int(n)?, ..self.shape };
            device.stream.wait(&area.copied).map_err(failed(device.number, "augment"))?;
            device.pause_ends()?;
            let source = AugmentSource { records: area.records.address, draws: area.draws.address };
            let args = [
                Arg::Address(device.setting(&[source])?),
                Arg::Address(lane.mean.address),
                Arg::Address(x.address),
                Arg::Augment(&shape),
            ];
            let pixels = (shape.height * shape.width) as usize;
            device.launch(device.typed("augment", x.of)?, device.grid(n * pixels), &args)?;
            x.maps = Maps::of(n, 3, pixels);
            lane.read = Some(turn);
        }
        let at_once = devices.iter().filter(|device| !device.holds());
        at_once.into_iter().try_for_each(|device| self.has_read(device))
    }

    /// Says on the device's stream that the area of the last batch has been read; queues first what still reads it.
    pub fn has_read(&mut self, device: &Device) -> Result<(), DeviceError> {
        let Some(lane) = self.lanes.get_mut(device.number) else { return Ok(()) };
        let Some(turn) = lane.read.take() else { return Ok(()) };
        device.order()?;
        lane.areas[turn].used.record(&device.stream).map_err(failed(device.number, "augment"))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        for lane in &self.lanes {
            // A lost context copies no more.
            let _ = lane.copies.synchronize();
        }
    }
}
