//! Captures and graphs under unmodified cudarc: nothing runs while it is captured, a launch does what the same calls
//! would have done, in any order that the recorded waits allow.
use std::sync::Arc;

use crate::{Driver, context, driver, kernel, launch, streams};
use cudarc::driver::sys::{CUgraphInstantiate_flags, CUresult, CUstreamCaptureMode, CUstreamCaptureStatus};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaGraph, CudaSlice, CudaStream, DriverError, PinnedHostSlice,
};
use cudarc::driver::{CudaEvent, DevicePtr, DevicePtrMut, PushKernelArg, result};

const N: usize = 300;
const SEEDS: u64 = 20;
const LOCAL: CUstreamCaptureMode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;

fn seed(driver: &Driver, seed: u64) {
    // SAFETY: a function of the stand-in, see `Driver`.
    unsafe { (driver.seed)(seed) };
}

fn end(stream: &Arc<CudaStream>) -> Result<CudaGraph, DriverError> {
    stream.end_capture(CUgraphInstantiate_flags(0)).map(|graph| graph.expect("a graph"))
}

fn pinned(context: &Arc<CudaContext>) -> PinnedHostSlice<f32> {
    // SAFETY: written before it is read: fresh pinned memory of the stand-in is full of NaN.
    unsafe { context.alloc_pinned_with_flags(N, 1) }.expect("pinned memory")
}

fn fill(pinned: &mut PinnedHostSlice<f32>, first: usize) {
    let values = pinned.as_mut_slice().expect("no copy is tracked").iter_mut();
    values.enumerate().for_each(|(i, value)| *value = (first + i) as f32);
}

fn times(first: usize, factor: f32) -> Vec<f32> {
    (first..first + N).map(|i| i as f32 * factor).collect()
}

fn scale(stream: &Arc<CudaStream>, scale: &CudaFunction, x: &mut CudaSlice<f32>, factor: f32) {
    // SAFETY: the arguments are those of the kernel `scale`; `factor` ends with this call, so it must be copied.
    unsafe { stream.launch_builder(scale).arg(x).arg(&factor).arg(&(N as i32)).launch(launch(N)) }
        .expect("a launch");
}

/// What both tests below run: a → x → × 2 on one stream, → y → × 3 on a second that joins by `forked`, → back on the first.
struct Work {
    streams: [Arc<CudaStream>; 2],
    scale: CudaFunction,
    a: PinnedHostSlice<f32>,
    back: PinnedHostSlice<f32>,
    x: CudaSlice<f32>,
    y: CudaSlice<f32>,
}

impl Work {
    fn new() -> Work {
        let context = context(0);
        let streams = streams(&context);
        // SAFETY: written by copies before they are read, which is what is under test.
        let [x, y] = [0, 1].map(|_| unsafe { streams[0].alloc(N) }.expect("memory"));
        let (a, back) = (pinned(&context), pinned(&context));
        context.synchronize().expect("the memory");
        Work { streams, scale: kernel(&context, "scale"), a, back, x, y }
    }

    /// The second stream joins by an event after the upload; it must wait for the kernel too, unless `forgotten`.
    fn run(&mut self, forgotten: bool) {
        let [first, second] = self.streams.clone();
        first.memcpy_htod(&self.a, &mut self.x).expect("a copy");
        second.wait(&first.record_event(None).expect("an event")).expect("a fork");
        scale(&first, &self.scale, &mut self.x, 2.0);
        let scaled = first.record_event(None).expect("an event");
        if !forgotten {
            second.wait(&scaled).expect("a wait");
        }
        second.memcpy_dtod(&self.x, &mut self.y).expect("a copy");
        scale(&second, &self.scale, &mut self.y, 3.0);
        first.wait(&second.record_event(None).expect("an event")).expect("a join");
        first.memcpy_dtoh(&self.y, &mut self.back).expect("a copy");
    }

    fn captured(&mut self, forgotten: bool) -> CudaGraph {
        self.streams[0].begin_capture(LOCAL).expect("a capture");
        self.run(forgotten);
        end(&self.streams[0]).expect("a graph")
    }

    /// What comes back for values from `first` on, by `launch`.
    fn back(&mut self, first: usize, launch: impl FnOnce(&mut Work)) -> Vec<f32> {
        fill(&mut self.a, first);
        launch(self);
        self.streams[0].synchronize().expect("the work");
        self.back.as_slice().expect("no copy is tracked").to_vec()
    }
}

#[test]
fn nothing_runs_while_it_is_captured_and_each_launch_equals_the_calls() {
    let (driver, _turn) = driver();
    for order in 0..SEEDS {
        seed(driver, order);
        let mut work = Work::new();
        let graph = work.captured(false);
        work.x.context().synchronize().expect("nothing");
        assert!(work.back.as_slice().expect("no copy is tracked").iter().all(|v| v.is_nan()), "it ran");
        graph.upload().expect("an upload");
        for first in [0, 1000, 7] {
            let launched = work.back(first, |_| graph.launch().expect("a launch"));
            assert_eq!(launched, times(first, 6.0), "seed {order}");
            assert_eq!(work.back(first, |work| work.run(false)), launched, "seed {order}");
        }
    }
}

#[test]
fn a_forgotten_wait_in_a_graph_shows() {
    let (driver, _turn) = driver();
    let wrong = |&order: &u64| {
        seed(driver, order);
        let mut work = Work::new();
        let graph = work.captured(true);
        work.back(50, |_| graph.launch().expect("a launch")) != times(50, 6.0)
    };
    let wrong = (0..SEEDS).filter(wrong).count();
    eprintln!("without the wait for the kernel: wrong with {wrong} of {SEEDS} seeds");
    assert!(wrong > 0 && wrong < SEEDS as usize, "wrong with {wrong} of {SEEDS} seeds");
}

#[test]
fn launches_follow_each_other_and_the_stream() {
    let (driver, _turn) = driver();
    for order in 0..SEEDS {
        seed(driver, order);
        let mut work = Work::new();
        let [first, second] = work.streams.clone();
        first.begin_capture(LOCAL).expect("a capture");
        scale(&first, &work.scale, &mut work.x, 2.0);
        first.memcpy_dtod(&work.x, &mut work.y).expect("a copy");
        first.memcpy_htod(&work.a, &mut work.x).expect("a copy");
        let graph = end(&first).expect("a graph");
        fill(&mut work.a, 1);
        first.memcpy_htod(&work.a, &mut work.x).expect("a copy");
        graph.launch().expect("a launch");
        scale(&first, &work.scale, &mut work.x, 5.0);
        graph.launch().expect("a launch");
        first.memcpy_dtoh(&work.y, &mut work.back).expect("a copy");
        first.synchronize().expect("the work");
        assert_eq!(work.back.as_slice().expect("no copy is tracked"), times(1, 10.0), "seed {order}");
        // Two launches on two streams: the second waits for the first, since it is the same graph.
        scale(&first, &work.scale, &mut work.x, 5.0);
        // SAFETY: an instance and a stream that live.
        let on_second = || unsafe { result::graph::launch(graph.cu_graph_exec(), second.cu_stream()) };
        graph.launch().expect("a launch");
        on_second().expect("a launch");
        second.memcpy_dtoh(&work.y, &mut work.back).expect("a copy");
        second.synchronize().expect("the work");
        assert_eq!(work.back.as_slice().expect("no copy is tracked"), times(1, 2.0), "seed {order}");
    }
}

#[test]
fn a_graph_of_two_devices_copies_between_them() {
    let (driver, _turn) = driver();
    for order in 0..SEEDS {
        seed(driver, order);
        let mut work = Work::new();
        let there = context(1);
        let other = there.new_stream().expect("a stream");
        // SAFETY: written by the graph's copy before it is read.
        let mut z: CudaSlice<f32> = unsafe { other.alloc(N) }.expect("memory");
        other.synchronize().expect("the memory");
        let first = work.streams[0].clone();
        first.begin_capture(LOCAL).expect("a capture");
        first.memcpy_htod(&work.a, &mut work.x).expect("a copy");
        other.wait(&first.record_event(None).expect("an event")).expect("a fork");
        let (from, to) = (work.x.device_ptr(&first).0, z.device_ptr_mut(&other).0);
        // SAFETY: both buffers have N floats. The driver sees by the addresses that they are on two devices.
        unsafe { result::memcpy_dtod_async(to, from, 4 * N, other.cu_stream()) }.expect("a copy");
        scale(&other, &kernel(&there, "scale"), &mut z, 3.0);
        other.memcpy_dtoh(&z, &mut work.back).expect("a copy");
        first.wait(&other.record_event(None).expect("an event")).expect("a join");
        let graph = end(&first).expect("a graph");
        // SAFETY: a function of the stand-in, see `Driver`.
        let bytes = || unsafe { (driver.peer_bytes)() };
        let before = bytes();
        for first in [3, 30] {
            assert_eq!(
                work.back(first, |_| graph.launch().expect("a launch")),
                times(first, 3.0),
                "seed {order}"
            );
        }
        assert_eq!(bytes() - before, 2 * 4 * N as u64);
    }
}

#[test]
fn forbidden_calls_fail_as_the_drivers_do_and_no_graph_comes() {
    use CUresult::*;
    let (_driver, _turn) = driver();
    let failed = |code| Err(DriverError(code));
    let mut work = Work::new();
    let [first, second] = work.streams.clone();
    type Call<'a> = &'a dyn Fn() -> Result<(), DriverError>;
    let event = || first.record_event(None).expect("an event");
    let calls: [(Call, CUresult); 6] = [
        (&|| first.synchronize(), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED),
        (&|| second.synchronize(), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED),
        (&|| first.context().synchronize(), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED),
        (&|| event().synchronize(), CUDA_ERROR_CAPTURED_EVENT),
        (&|| second.alloc_zeros::<f32>(N).map(drop), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED),
        (
            &|| {
                let outside = second.record_event(None)?;
                first.wait(&outside)
            },
            CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
        ),
    ];
    for (i, (call, code)) in calls.into_iter().enumerate() {
        first.begin_capture(LOCAL).expect("a capture");
        assert_eq!(call(), failed(code), "call {i}");
        let invalidated = CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_INVALIDATED;
        assert_eq!(first.capture_status(), Ok(invalidated), "call {i}");
        assert_eq!(first.memset_zeros(&mut work.x), failed(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED));
        assert_eq!(end(&first).map(drop), failed(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED), "call {i}");
        first.synchronize().expect("the capture is over");
    }
    // Not joined; ended by another stream, by another thread.
    first.begin_capture(LOCAL).expect("a capture");
    second.wait(&event()).expect("a fork");
    second.memset_zeros(&mut work.x).expect("a node");
    assert_eq!(end(&first).map(drop), failed(CUDA_ERROR_STREAM_CAPTURE_UNJOINED));
    first.begin_capture(LOCAL).expect("a capture");
    second.wait(&event()).expect("a fork");
    assert_eq!(end(&second).map(drop), failed(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED));
    assert_eq!(end(&first).map(drop), failed(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED));
    first.begin_capture(LOCAL).expect("a capture");
    let elsewhere = std::thread::scope(|s| s.spawn(|| end(&first).map(drop)).join().expect("a thread"));
    assert_eq!(elsewhere, failed(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD));
    // No time lies between events of a capture, neither then (cudarc waits for them first, which spoils it) nor when the
    // graph has run.
    first.begin_capture(LOCAL).expect("a capture");
    let [from, to]: [CudaEvent; 2] = [0, 1].map(|_| event());
    assert_eq!(from.elapsed_ms(&to), Err(DriverError(CUDA_ERROR_CAPTURED_EVENT)));
    assert_eq!(end(&first).map(drop), failed(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED));
    first.begin_capture(LOCAL).expect("a capture");
    let [from, to]: [CudaEvent; 2] = [0, 1].map(|_| event());
    end(&first).expect("a graph").launch().expect("a launch");
    first.synchronize().expect("the work");
    // SAFETY: events that live.
    let elapsed = unsafe { result::event::elapsed(from.cu_event(), to.cu_event()) };
    assert_eq!(elapsed, Err(DriverError(CUDA_ERROR_INVALID_VALUE)));
}

#[test]
fn destroyed_graphs_are_gone_and_their_launches_are_not() {
    let (driver, _turn) = driver();
    // SAFETY: a function of the stand-in, see `Driver`.
    let living = || unsafe { (driver.graphs)() };
    let before = living();
    let mut work = Work::new();
    let graph = work.captured(false);
    assert_eq!(living(), before + 2, "a graph and its instance");
    let instance = graph.cu_graph_exec();
    assert_eq!(
        work.back(9, |_| {
            graph.launch().expect("a launch");
            drop(graph)
        }),
        times(9, 6.0)
    );
    assert_eq!(living(), before);
    // SAFETY: none: the instance is gone, on purpose.
    let late = unsafe { result::graph::launch(instance, work.streams[0].cu_stream()) };
    assert_eq!(late, Err(DriverError(CUresult::CUDA_ERROR_INVALID_VALUE)));
}
