//! What columns exchange, between devices: copies from peer to peer, ordered by events.
//!
//! A part travels as one contiguous block; the reader puts it in its place, or the owner adds it up. Three rules keep
//! the streams apart: a reader's copy waits until its source is computed; a source is not written again before every
//! copy from it is done; sums go in device order, whatever arrives first.
#![allow(unsafe_code)]

use alexnet_net::{DeviceError, Exchange};
use cudarc::driver::{CudaEvent, result};

use crate::device::{Device, Floats, failed};
use crate::launch::Arg;
use crate::shape::Sources;

/// An event on every device's stream.
fn record(devices: &[Device]) -> Result<Vec<CudaEvent>, DeviceError> {
    let record = |d: &Device| d.stream.record_event(None).map_err(failed(d.number, "record an event"));
    devices.iter().map(record).collect()
}

fn wait(device: &Device, event: &CudaEvent) -> Result<(), DeviceError> {
    device.stream.wait(event).map_err(failed(device.number, "wait for an event"))
}

/// Every device waits for all others.
fn meet(devices: &[Device]) -> Result<(), DeviceError> {
    let events = record(devices)?;
    for device in devices {
        for (other, event) in events.iter().enumerate() {
            if other != device.number {
                wait(device, event)?;
            }
        }
    }
    Ok(())
}

/// `len` values from one device to another, on the target's stream, which counts them.
fn peer_copy(from: (&Device, u64), to: (&Device, u64), len: usize) -> Result<(), DeviceError> {
    to.0.received.set(to.0.received.get() + 4 * len as u64);
    let fail = || failed(to.0.number, "copy from a peer");
    to.0.context.bind_to_thread().map_err(fail())?;
    let (source, target) = (from.0.context.cu_ctx(), to.0.context.cu_ctx());
    // SAFETY: both addresses begin buffers of at least `len` values in these contexts; the streams have been ordered.
    unsafe { result::memcpy_peer_async(target, to.1, source, from.1, 4 * len, to.0.stream.cu_stream()) }
        .map_err(fail())
}

/// Rows of `length` values: from `from`, rows `from_row` apart beginning at `from_first`, to `to`.
fn slices(
    device: &Device,
    n: usize,
    length: usize,
    from: (u64, usize, usize),
    to: (u64, usize, usize),
) -> Result<(), DeviceError> {
    let int = |value| device.int(value).map(Arg::Int);
    let args = [
        Arg::Address(from.0),
        Arg::Address(to.0),
        int(n)?,
        int(length)?,
        int(from.1)?,
        int(from.2)?,
        int(to.1)?,
        int(to.2)?,
    ];
    device.int(n * from.1.max(to.1))?;
    device.launch("slice_copy", device.grid(n * length), &args)
}

/// The address of the staging buffer in `place`, of at least `len` values.
fn staged(device: &Device, place: &mut Option<Floats>, len: usize) -> Result<u64, DeviceError> {
    device.grown(place, len).map(|buffer| buffer.address)
}

/// `whole[e]` on every device e from all parts.
pub(crate) fn gather(
    devices: &mut [Device],
    exchange: &Exchange,
    n: usize,
    parts: &[Floats],
    whole: &mut [Floats],
) -> Result<(), DeviceError> {
    let row = exchange.whole();
    let mut incoming = Vec::new();
    for device in devices.iter_mut() {
        let mut place = device.incoming.take();
        incoming.push(staged(device, &mut place, n * row)?);
        device.incoming = place;
    }
    meet(devices)?; // all parts are computed
    for reader in devices.iter() {
        for owner in devices.iter() {
            let (length, first) = (exchange.parts[owner.number], exchange.offset(owner.number));
            let mut from = parts[owner.number].address;
            if owner.number != reader.number {
                let place = incoming[reader.number] + 4 * (n * first) as u64;
                peer_copy((owner, from), (reader, place), n * length)?;
                from = place;
            }
            slices(reader, n, length, (from, length, 0), (whole[reader.number].address, row, first))?;
        }
    }
    meet(devices) // all copies are done, so parts may be written again
}

/// `parts[d]` at every owner d, summed over all readers' whole.
pub(crate) fn reduce(
    devices: &mut [Device],
    exchange: &Exchange,
    n: usize,
    whole: &[Floats],
    parts: &mut [Floats],
) -> Result<(), DeviceError> {
    let (row, count) = (exchange.whole(), devices.len());
    if count > Sources::MAX {
        return Err(failed(0, "sum gradients")(format!(
            "{count} devices, at most {} can be summed",
            Sources::MAX
        )));
    }
    let (mut outgoing, mut incoming) = (Vec::new(), Vec::new());
    for device in devices.iter_mut() {
        let mut place = device.outgoing.take();
        outgoing.push(staged(device, &mut place, n * row)?);
        device.outgoing = place;
        let mut place = device.incoming.take();
        incoming.push(staged(device, &mut place, n * exchange.parts[device.number] * count)?);
        device.incoming = place;
    }
    // Every reader cuts its gradient into one block for each owner.
    for reader in devices.iter() {
        for owner in 0..count {
            let (length, first) = (exchange.parts[owner], exchange.offset(owner));
            let block = outgoing[reader.number] + 4 * (n * first) as u64;
            slices(reader, n, length, (whole[reader.number].address, row, first), (block, length, 0))?;
        }
    }
    meet(devices)?; // all blocks are cut
    for owner in devices.iter() {
        let (length, first) = (exchange.parts[owner.number], exchange.offset(owner.number));
        let mut sources = Sources([0; Sources::MAX]);
        for reader in devices.iter() {
            let block = outgoing[reader.number] + 4 * (n * first) as u64;
            sources.0[reader.number] = block;
            if reader.number != owner.number {
                let place = incoming[owner.number] + 4 * (reader.number * n * length) as u64;
                peer_copy((reader, block), (owner, place), n * length)?;
                sources.0[reader.number] = place;
            }
        }
        let args = [
            Arg::Sources(&sources),
            Arg::Int(owner.int(count)?),
            Arg::Address(parts[owner.number].address),
            Arg::Int(owner.int(n * length)?),
        ];
        owner.launch("slices_sum", owner.grid(n * length), &args)?;
    }
    meet(devices) // all copies are done, so blocks may be cut again
}
