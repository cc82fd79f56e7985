//! A pipeline of all kinds of waits on two devices; leaving out any one must show within twenty seeds.
use crate::{context, driver, kernel, launch, streams};
use cudarc::driver::{CudaEvent, CudaSlice, CudaStream, DevicePtr, DevicePtrMut, PushKernelArg, result};
use std::sync::Arc;

const N: usize = 1000;
const SEEDS: u64 = 20;

/// The waits of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wait {
    /// Compute on device 0 waits for the upload on its copy stream.
    Upload,
    /// The host writes the second batch into the pinned buffer only when the first copy has read it.
    Pinned,
    /// The second upload waits, on its stream, until device 1 has copied the first batch's result.
    Reuse,
    /// Device 1 copies from device 0 only when that has computed.
    Peer,
    /// Device 1 computes only when its copy stream has the values.
    Arrived,
    /// The host reads when device 1 has computed.
    Result,
}
use Wait::*;

/// Two batches: pinned → device 0 (× 2) → peer copy → device 1 (× 3) → host. What arrives, with `without` left out.
fn run(without: Option<Wait>) -> Vec<f32> {
    let waits = |wait| without != Some(wait);
    let devices = [context(0), context(1)];
    let [[copy0, compute0], [copy1, compute1]] = [streams(&devices[0]), streams(&devices[1])];
    let scale = [kernel(&devices[0], "scale"), kernel(&devices[1], "scale")];
    // SAFETY: pinned memory is written whole before it is copied.
    let mut pinned = unsafe { devices[0].alloc_pinned_with_flags::<f32>(N, 1) }.expect("pinned memory");
    // SAFETY: as above, for the way back.
    let mut back =
        [0, 1].map(|_| unsafe { devices[1].alloc_pinned_with_flags::<f32>(N, 1) }.expect("pinned memory"));
    // SAFETY: the buffers are written by copies before they are read; that is what is under test.
    let mut x: CudaSlice<f32> = unsafe { compute0.alloc(N) }.expect("memory");
    // SAFETY: as above.
    let mut y: [CudaSlice<f32>; 2] = [0, 1].map(|_| unsafe { copy1.alloc(N) }.expect("memory"));
    let mut before = None;
    for (batch, (y, back)) in y.iter_mut().zip(&mut back).enumerate() {
        if let Some((uploaded, arrived)) = &before {
            if waits(Pinned) {
                CudaEvent::synchronize(uploaded).expect("the first upload");
            }
            if waits(Reuse) {
                copy0.wait(arrived).expect("a wait");
            }
        }
        for (i, value) in pinned.as_mut_slice().expect("no copy is tracked").iter_mut().enumerate() {
            *value = (batch * N + i) as f32;
        }
        copy0.memcpy_htod(&pinned, &mut x).expect("a copy");
        let uploaded = copy0.record_event(None).expect("an event");
        if waits(Upload) {
            compute0.wait(&uploaded).expect("a wait");
        }
        // SAFETY: the arguments are those of the kernel `scale`.
        unsafe {
            compute0.launch_builder(&scale[0]).arg(&mut x).arg(&2.0f32).arg(&(N as i32)).launch(launch(N))
        }
        .expect("a launch");
        let computed = compute0.record_event(None).expect("an event");
        if waits(Peer) {
            copy1.wait(&computed).expect("a wait");
        }
        peer_copy(&x, y, &copy1);
        let arrived = copy1.record_event(None).expect("an event");
        if waits(Arrived) {
            compute1.wait(&arrived).expect("a wait");
        }
        // SAFETY: as above.
        unsafe {
            compute1.launch_builder(&scale[1]).arg(&mut *y).arg(&3.0f32).arg(&(N as i32)).launch(launch(N))
        }
        .expect("a launch");
        compute1.memcpy_dtoh(y, back).expect("a copy");
        before = Some((uploaded, arrived));
    }
    if waits(Result) {
        compute1.synchronize().expect("the work so far");
    }
    let results =
        back.iter().flat_map(|back| back.as_slice().expect("no copy is tracked").to_vec()).collect();
    for stream in [copy0, compute0, copy1, compute1] {
        stream.synchronize().expect("the rest");
    }
    results
}

/// The driver's own call: cudarc's `memcpy_dtod` would wait for the source's stream by itself.
fn peer_copy(from: &CudaSlice<f32>, to: &mut CudaSlice<f32>, stream: &Arc<CudaStream>) {
    let contexts = [from.context().cu_ctx(), stream.context().cu_ctx()];
    let (source, _from) = from.device_ptr(from.stream());
    let (target, _to) = to.device_ptr_mut(stream);
    stream.context().bind_to_thread().expect("a context");
    // SAFETY: both buffers have N floats and belong to these contexts.
    unsafe { result::memcpy_peer_async(contexts[1], target, contexts[0], source, 4 * N, stream.cu_stream()) }
        .expect("a peer copy");
}

fn right() -> Vec<f32> {
    (0..2 * N).map(|i| i as f32 * 6.0).collect()
}

#[test]
fn right_with_every_seed_and_bytes_counted() {
    let (driver, _turn) = driver();
    for seed in 0..SEEDS {
        // SAFETY: functions of the stand-in, see `Driver`.
        let before = unsafe {
            (driver.seed)(seed);
            (driver.peer_bytes)()
        };
        assert_eq!(run(None), right(), "seed {seed}");
        // SAFETY: as above.
        assert_eq!(unsafe { (driver.peer_bytes)() } - before, 2 * 4 * N as u64);
    }
}

#[test]
fn every_forgotten_wait_shows() {
    let (driver, _turn) = driver();
    for without in [Upload, Pinned, Reuse, Peer, Arrived, Result] {
        let wrong = (0..SEEDS).filter(|&seed| {
            // SAFETY: a function of the stand-in, see `Driver`.
            unsafe { (driver.seed)(seed) };
            run(Some(without)) != right()
        });
        let wrong = wrong.count();
        eprintln!("without {without:?}: wrong with {wrong} of {SEEDS} seeds");
        assert!(wrong > 0, "without {without:?}: right with all {SEEDS} seeds");
    }
}
