//! Device time by kernel: an event before and one after each launch and each product, only while somebody asks.
//!
//! Events lie on the stream that does the work, so the times are the device's own. A pair adds a few microseconds to
//! what stands between them, which is why no step of training takes a profile.

use alexnet_net::DeviceError;
use cudarc::driver::{CudaEvent, sys::CUevent_flags::CU_EVENT_DEFAULT as TIMED};

use crate::CudaBackend;
use crate::device::{Device, failed};

/// A kernel's or product's name, and the events around it.
pub(crate) struct Span {
    name: &'static str,
    begin: CudaEvent,
    end: CudaEvent,
}

/// What one launch of a kernel, or one product (`sgemm`), took on its device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KernelTime {
    /// The device's number in the backend.
    pub device: usize,
    /// The kernel's name.
    pub kernel: &'static str,
    /// From the event before it to the event after it.
    pub milliseconds: f32,
}

impl Device {
    /// Queues what `run` queues, between two events if a profile is taken.
    pub fn span(
        &self,
        name: &'static str,
        run: impl FnOnce() -> Result<(), DeviceError>,
    ) -> Result<(), DeviceError> {
        if self.spans.borrow().is_none() {
            return run();
        }
        let mark = || self.stream.record_event(Some(TIMED)).map_err(failed(self.number, "record an event"));
        let begin = mark()?;
        run()?;
        let end = mark()?;
        if let Some(spans) = self.spans.borrow_mut().as_mut() {
            spans.push(Span { name, begin, end });
        }
        Ok(())
    }
}

impl CudaBackend {
    /// Times every kernel and product from here to [`CudaBackend::profile`].
    pub fn start_profile(&mut self) {
        for device in &self.devices {
            device.spans.replace(Some(Vec::new()));
        }
    }

    /// Ends what [`CudaBackend::start_profile`] began, waits for the devices and says what each launch took, device by
    /// device in the order of the launches.
    ///
    /// # Errors
    /// A device that failed.
    pub fn profile(&mut self) -> Result<Vec<KernelTime>, DeviceError> {
        let mut times = Vec::new();
        for device in &self.devices {
            device.release()?;
            for span in device.spans.take().unwrap_or_default() {
                let elapsed = span.begin.elapsed_ms(&span.end);
                let milliseconds = elapsed.map_err(failed(device.number, "read an event"))?;
                times.push(KernelTime { device: device.number, kernel: span.name, milliseconds });
            }
        }
        Ok(times)
    }
}
