//! One device's sums over replicas: where they run, and who waits for what.
//!
//! Sums have a stream of their own. Two waits keep it apart from the device's: a sum waits for everything queued on the
//! device when it was asked for, so that the gradients in it are final; whoever uses the gradients (the update, a download)
//! waits for all sums asked for so far. Between the two the device computes on.
#![allow(unsafe_code)]

use std::sync::Arc;

use alexnet_net::DeviceError;
use cudarc::driver::{CudaEvent, CudaStream, result};

use crate::device::{Device, failed};
use crate::nccl::Number;
use crate::tensor::Floats;
use crate::watch::Link;

/// Host values that are summed at once.
const VALUES: usize = 1024;

const SUM: &str = "sum over replicas";

pub(crate) struct Peers {
    pub link: Arc<Link>,
    stream: Arc<CudaStream>,
    /// The gradients are final.
    ready: CudaEvent,
    /// The sums are done.
    summed: CudaEvent,
    /// Whether there are sums that the device's stream does not wait for yet.
    pub pending: bool,
    values: Floats<f64>,
}

impl Drop for Peers {
    fn drop(&mut self) {
        let idle = !self.pending && self.summed.record(&self.stream).is_ok() && self.summed.is_complete();
        self.link.clone().end(idle);
    }
}

impl Peers {
    pub fn new(device: &Device, link: Link) -> Result<Peers, DeviceError> {
        let fail = || failed(device.number, SUM);
        let stream = device.context.new_stream().map_err(fail())?;
        let event = || device.context.new_event(None).map_err(fail());
        let (ready, summed, values) = (event()?, event()?, device.zeros(VALUES)?);
        // The zeros are written by the computing stream.
        ready.record(&device.stream).map_err(fail())?;
        stream.wait(&ready).map_err(fail())?;
        Ok(Peers { link: Arc::new(link), stream, ready, summed, pending: false, values })
    }
}

impl Device {
    /// Queues the sum of `count` values at an address, behind all that is queued.
    pub fn sum_floats(&mut self, at: u64, count: usize) -> Result<(), DeviceError> {
        let number = self.number;
        let fail = || failed(number, SUM);
        if self.peers.is_some() {
            self.order()?;
        }
        let Some(peers) = &mut self.peers else { return Ok(()) };
        peers.ready.record(&self.stream).map_err(fail())?;
        peers.stream.wait(&peers.ready).map_err(fail())?;
        peers.pending = true;
        let stream = peers.stream.cu_stream().cast();
        // SAFETY: the caller's buffer holds `count` float32 there, and lives as long as the device.
        let queued = peers.link.with(|c| unsafe { c.all_reduce(at, count, Number::F32, stream) });
        queued.map_err(failed(number, SUM))?.map_err(failed(number, SUM))
    }

    /// What is queued from here on follows all sums.
    pub fn await_sums(&mut self) -> Result<(), DeviceError> {
        let number = self.number;
        let fail = || failed(number, SUM);
        if !self.peers.as_ref().is_some_and(|peers| peers.pending) {
            return Ok(());
        }
        self.order()?;
        let Some(peers) = &mut self.peers else { return Ok(()) };
        peers.summed.record(&peers.stream).map_err(fail())?;
        self.stream.wait(&peers.summed).map_err(fail())?;
        peers.pending = false;
        Ok(())
    }

    /// Replaces host values by their sums; waits for them.
    pub fn sum_values(&mut self, values: &mut [f64]) -> Result<(), DeviceError> {
        let (number, fail) = (self.number, || failed(self.number, SUM));
        let Some(peers) = &mut self.peers else { return Ok(()) };
        self.context.bind_to_thread().map_err(fail())?;
        let (at, stream) = (peers.values.address, peers.stream.cu_stream());
        for values in values.chunks_mut(VALUES) {
            // SAFETY: the buffer has room for a chunk; pageable memory is read before the call returns.
            unsafe { result::memcpy_htod_async(at, values, stream) }.map_err(fail())?;
            // SAFETY: as above; the buffer lives as long as the communicator.
            let sum =
                peers.link.with(|c| unsafe { c.all_reduce(at, values.len(), Number::F64, stream.cast()) });
            sum.map_err(failed(number, SUM))?.map_err(failed(number, SUM))?;
            // SAFETY: the stream is waited for before the values can go.
            unsafe { result::memcpy_dtoh_async(values, at, stream) }.map_err(fail())?;
            peers.stream.synchronize().map_err(fail())?;
            peers.link.check().map_err(failed(number, SUM))?;
        }
        Ok(())
    }
}
