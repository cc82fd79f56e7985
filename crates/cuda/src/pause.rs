//! How long a device stood still between an update and the next batch, by its own events.
//!
//! An event lies behind each update, another behind the wait for the next batch's records; the time between them is what the
//! device waited for the host: for data, for a checkpoint, for launches. Times are read when they are long past, so nothing
//! waits for them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use alexnet_net::DeviceError;
use cudarc::driver::{CudaEvent, sys::CUevent_flags::CU_EVENT_DEFAULT as TIMED};

use crate::device::{Device, failed};

/// The longest of all devices' pauses, as [`alexnet_net::Backend::paused`].
pub(crate) fn longest(devices: &mut [Device]) -> Result<Option<[Duration; 2]>, DeviceError> {
    let pauses = devices.iter_mut().map(Device::paused).collect::<Result<Vec<_>, _>>()?;
    Ok(pauses.into_iter().flatten().max())
}

/// Pauses whose times are not read yet; the oldest of more is certainly over.
const OPEN: usize = 32;

/// The pauses of one device.
#[derive(Default)]
pub(crate) struct Pauses {
    began: Option<Instant>,
    update: Option<CudaEvent>,
    open: VecDeque<(CudaEvent, CudaEvent)>,
    milliseconds: f64,
}

impl Device {
    fn mark(&self) -> Result<CudaEvent, DeviceError> {
        self.order()?;
        self.stream.record_event(Some(TIMED)).map_err(failed(self.number, "record an event"))
    }

    /// Called behind an update.
    pub fn pause_begins(&mut self) -> Result<(), DeviceError> {
        self.pauses.update = Some(self.mark()?);
        Ok(())
    }

    /// Called when the next batch is there.
    pub fn pause_ends(&mut self) -> Result<(), DeviceError> {
        self.pauses.began.get_or_insert_with(Instant::now);
        let Some(update) = self.pauses.update.take() else { return Ok(()) };
        let fed = self.mark()?;
        self.pauses.open.push_back((update, fed));
        while self.pauses.open.len() > OPEN {
            self.close_pause()?;
        }
        Ok(())
    }

    fn close_pause(&mut self) -> Result<(), DeviceError> {
        if let Some((update, fed)) = self.pauses.open.pop_front() {
            let elapsed = update.elapsed_ms(&fed).map_err(failed(self.number, "read an event"))?;
            self.pauses.milliseconds += f64::from(elapsed);
        }
        Ok(())
    }

    /// The time of all pauses, and of all since the first batch; waits for the last pause.
    pub fn paused(&mut self) -> Result<Option<[Duration; 2]>, DeviceError> {
        while !self.pauses.open.is_empty() {
            self.close_pause()?;
        }
        let waited = Duration::from_secs_f64(self.pauses.milliseconds.max(0.0) / 1e3);
        Ok(self.pauses.began.map(|began| [waited, began.elapsed()]))
    }
}
