//! What differs from step to step, in device memory: keys of dropout, rates, where records lie and scores go.
//!
//! Kernels read it there, so that the same launches serve for every batch. The settings of a step that is held back lie one
//! after another in one block, at the same addresses each time the step is the same, and travel in one copy before it;
//! those of other operations travel one by one. Small copies leave from page-locked memory, so that no step waits for the
//! stream; a slot of it is written again only when the copy that read it before is done. Order on the device is the
//! stream's.

use alexnet_net::{DeviceError, HostMemory};
use cudarc::driver::{CudaEvent, DeviceRepr};

use crate::device::{Device, failed};
use crate::pinned::Pinned;
use crate::shape::bytes;
use crate::tensor::Floats;

/// Bytes of a slot and of the block: labels of 8,192 samples, segments of 2,000 parameters.
const BYTES: usize = 32 << 10;
/// Slots: a step takes two, and scores are read every ten steps.
const SLOTS: usize = 32;
/// Settings begin at multiples of so many bytes.
const ALIGNED: usize = 16;

/// The settings of one device.
pub(crate) struct Settings {
    block: Floats<u8>,
    /// Those of the step that is held back.
    held: Vec<u8>,
    slots: Vec<Slot>,
    turn: usize,
}

struct Slot {
    memory: Pinned,
    /// Recorded behind the copy that read it last.
    copied: CudaEvent,
}

impl Drop for Slot {
    fn drop(&mut self) {
        // A lost context copies no more.
        let _ = self.copied.synchronize();
    }
}

impl Device {
    /// Makes room for settings.
    pub fn reserve_settings(&self) -> Result<(), DeviceError> {
        let fail = || failed(self.number, "allocate page-locked memory");
        let slot = |_| {
            let memory = Pinned::new(&self.context, BYTES).map_err(fail())?;
            Ok(Slot { memory, copied: self.context.new_event(None).map_err(fail())? })
        };
        let slots = (0..SLOTS).map(slot).collect::<Result<_, DeviceError>>()?;
        let block = self.zeros(BYTES)?;
        self.settings.replace(Some(Settings { block, held: Vec::new(), slots, turn: 0 }));
        Ok(())
    }

    /// The address at which the operation that is asked for next finds these values.
    pub fn setting<T: DeviceRepr>(&self, values: &[T]) -> Result<u64, DeviceError> {
        let values = bytes(values);
        if values.len() > BYTES {
            let problem = format!("{} bytes, at most {BYTES} fit", values.len());
            return Err(failed(self.number, "pass settings")(problem));
        }
        let Some((used, block)) = self.settings.borrow().as_ref().map(|s| (s.held.len(), s.block.address))
        else {
            return Err(failed(self.number, "pass settings")("there is no room for them"));
        };
        if !self.holds() {
            self.send(values, block)?;
            return Ok(block);
        }
        let mut at = used.next_multiple_of(ALIGNED);
        if at + values.len() > BYTES {
            self.order()?; // which sends those before
            at = 0;
        }
        if let Some(settings) = self.settings.borrow_mut().as_mut() {
            settings.held.resize(at, 0);
            settings.held.extend_from_slice(values);
        }
        Ok(block + at as u64)
    }

    /// Queues the copy of the settings that are held.
    pub fn send_settings(&self) -> Result<(), DeviceError> {
        let take = |s: &mut Settings| (std::mem::take(&mut s.held), s.block.address);
        let held = self.settings.borrow_mut().as_mut().map(take);
        match held {
            Some((held, address)) if !held.is_empty() => self.send(&held, address),
            _ => Ok(()),
        }
    }

    /// Queues a copy to an address, by way of page-locked memory unless it is large. `values` may change as soon as this
    /// returns.
    pub fn send<T: DeviceRepr>(&self, values: &[T], to: u64) -> Result<(), DeviceError> {
        let values = bytes(values);
        if values.is_empty() {
            return Ok(());
        }
        self.order()?;
        let fail = || failed(self.number, "upload");
        let mut settings = self.settings.borrow_mut();
        let Some(settings) = settings.as_mut().filter(|_| values.len() <= BYTES) else {
            return self.put_at(values, to);
        };
        let slot = &mut settings.slots[settings.turn];
        slot.copied.synchronize().map_err(fail())?; // long done, unless nobody ever waits for the device
        slot.memory.bytes_mut()[..values.len()].copy_from_slice(values);
        self.put_at(&slot.memory.bytes()[..values.len()], to)?;
        slot.copied.record(&self.stream).map_err(fail())?;
        settings.turn = (settings.turn + 1) % SLOTS;
        Ok(())
    }
}
