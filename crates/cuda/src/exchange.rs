//! What columns exchange, between devices: copies from peer to peer, ordered by events.
//!
//! A part travels as one contiguous block; the reader puts it in its place, or the owner adds it up. Three rules keep
//! the streams apart: a reader's copy waits until its source is computed; a source is not written again before every
//! copy from it is done; sums go in device order, whatever arrives first.
#![allow(unsafe_code)]

use alexnet_net::{DeviceError, Exchange};
use cudarc::driver::{CudaEvent, result};

use crate::device::{Device, failed};
use crate::launch::Arg;
use crate::shape::Sources;
use crate::tensor::{Floats, Maps, Scratch, Type};

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
    devices.iter().try_for_each(Device::order)?;
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

/// Bytes from one device to another, on the target's stream, which counts them.
fn peer_copy(from: (&Device, u64), to: (&Device, u64), bytes: usize) -> Result<(), DeviceError> {
    to.0.received.set(to.0.received.get() + bytes as u64);
    let fail = || failed(to.0.number, "copy from a peer");
    to.0.order()?;
    to.0.context.bind_to_thread().map_err(fail())?;
    let (source, target) = (from.0.context.cu_ctx(), to.0.context.cu_ctx());
    // SAFETY: both addresses begin at least `bytes` bytes in these contexts; the streams have been ordered.
    unsafe { result::memcpy_peer_async(target, to.1, source, from.1, bytes, to.0.stream.cu_stream()) }
        .map_err(fail())
}

/// `rows` slices of `length` values: from `from`, `from.1` apart beginning at `from.2`, to `to`.
fn slices(
    device: &Device,
    of: Type,
    rows: usize,
    length: usize,
    from: (u64, usize, usize),
    to: (u64, usize, usize),
) -> Result<(), DeviceError> {
    let int = |value| device.int(value).map(Arg::Int);
    let args = [
        Arg::Address(from.0),
        Arg::Address(to.0),
        int(rows)?,
        int(length)?,
        int(from.1)?,
        int(from.2)?,
        int(to.1)?,
        int(to.2)?,
    ];
    device.int(rows * from.1.max(to.1))?;
    device.launch(device.typed("slice_copy", of)?, device.grid(rows * length), &args)
}

/// The type of all these buffers, and the pixels of their maps (1 if they lie as the host has them).
fn form(buffers: &[Floats]) -> Result<(Type, usize), DeviceError> {
    let form = |buffer: &Floats| (buffer.of, buffer.maps.map_or(1, |maps| maps.pixels));
    let same = buffers.windows(2).all(|pair| form(&pair[0]) == form(&pair[1]));
    match buffers.first().filter(|_| same) {
        Some(first) => Ok(form(first)),
        None => Err(failed(0, "exchange")("the devices' parts lie in different ways")),
    }
}

/// `whole[e]` on every device e from all parts.
pub(crate) fn gather(
    devices: &mut [Device],
    exchange: &Exchange,
    n: usize,
    parts: &[Floats],
    whole: &mut [Floats],
) -> Result<(), DeviceError> {
    let (of, pixels) = form(parts)?;
    let (row, width, rows) = (exchange.whole() / pixels, of.width(), n * pixels);
    let mut incoming = Vec::new();
    for device in devices.iter_mut() {
        incoming.push(device.room(Scratch::Incoming, rows * row * width)?);
    }
    meet(devices)?; // all parts are computed
    for reader in devices.iter() {
        for owner in devices.iter() {
            let (length, first) =
                (exchange.parts[owner.number] / pixels, exchange.offset(owner.number) / pixels);
            let mut from = parts[owner.number].address;
            if owner.number != reader.number {
                let place = incoming[reader.number] + (width * rows * first) as u64;
                peer_copy((owner, from), (reader, place), width * rows * length)?;
                from = place;
            }
            let to = (whole[reader.number].address, row, first);
            slices(reader, of, rows, length, (from, length, 0), to)?;
        }
    }
    for whole in whole.iter_mut() {
        whole.maps = Maps::of(n, row, pixels);
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
    let count = devices.len();
    if count > Sources::MAX {
        return Err(failed(0, "sum gradients")(format!(
            "{count} devices, at most {} can be summed",
            Sources::MAX
        )));
    }
    let (of, pixels) = form(whole)?;
    let (row, width, rows) = (exchange.whole() / pixels, of.width(), n * pixels);
    let part = |device: usize| (exchange.parts[device] / pixels, exchange.offset(device) / pixels);
    let (mut outgoing, mut incoming) = (Vec::new(), Vec::new());
    for device in devices.iter_mut() {
        outgoing.push(device.room(Scratch::Outgoing, rows * row * width)?);
        incoming.push(device.room(Scratch::Incoming, rows * part(device.number).0 * count * width)?);
    }
    // Every reader cuts its gradient into one block for each owner.
    for reader in devices.iter() {
        for owner in 0..count {
            let (length, first) = part(owner);
            let block = outgoing[reader.number] + (width * rows * first) as u64;
            let from = (whole[reader.number].address, row, first);
            slices(reader, of, rows, length, from, (block, length, 0))?;
        }
    }
    meet(devices)?; // all blocks are cut
    for owner in devices.iter() {
        let (length, first) = part(owner.number);
        let mut sources = Sources([0; Sources::MAX]);
        for reader in devices.iter() {
            let block = outgoing[reader.number] + (width * rows * first) as u64;
            sources.0[reader.number] = block;
            if reader.number != owner.number {
                let place = incoming[owner.number] + (width * reader.number * rows * length) as u64;
                peer_copy((reader, block), (owner, place), width * rows * length)?;
                sources.0[reader.number] = place;
            }
        }
        let to = &mut parts[owner.number];
        to.maps = Maps::of(n, length, pixels);
        let args = [
            Arg::Sources(&sources),
            Arg::Int(owner.int(count)?),
            Arg::Address(to.address),
            Arg::Int(owner.int(rows * length)?),
        ];
        owner.launch(owner.typed("slices_sum", of)?, owner.grid(rows * length), &args)?;
    }
    meet(devices) // all copies are done, so blocks may be cut again
}
