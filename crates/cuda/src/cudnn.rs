//! Convolutions by cuDNN, where it is installed.
//!
//! Descriptors ([`crate::plan`]) are made once for each shape, direction and batch; an algorithm is
//! found by cuDNN's own measurement and must be deterministic. Whether cuDNN is used at all is [`crate::choice`]'s.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;

use alexnet_net::{Convolution, DeviceError};
use cudarc::cudnn::{result::CudnnError as Failure, sys};
use cudarc::driver::CudaStream;

use crate::choice::Way;
use crate::device::{Device, failed};
use crate::plan::{Algorithm, Direction, Plan};
use crate::precision::Precision;
use crate::tensor::Scratch;
use crate::work::{Call, Work};

/// Workspace that an algorithm may take.
const WORKSPACE: usize = 1 << 30;
/// Algorithms that are asked for.
const ASKED: usize = 8;

/// cuDNN's version, 0 if it is not installed.
pub(crate) fn version() -> usize {
    if present() { cudarc::cudnn::result::get_version() } else { 0 }
}

fn present() -> bool {
    // SAFETY: loading the library runs only its own initialisers.
    unsafe { sys::is_culib_present() }
}

/// cuDNN on one stream.
pub(crate) struct Library {
    handle: sys::cudnnHandle_t,
    /// Kept, for the handle refers to it.
    _stream: Arc<CudaStream>,
    plans: HashMap<(Convolution, usize, Direction), Plan>,
}

// SAFETY: the handle is used by one thread at a time: a Device is owned by one.
unsafe impl Send for Library {}

impl Drop for Library {
    fn drop(&mut self) {
        self.plans.clear();
        // SAFETY: made by `open`, destroyed once.
        unsafe { sys::cudnnDestroy(self.handle) };
    }
}

impl Library {
    /// On the stream of a device whose context is current; none if cuDNN is not installed or does not start.
    pub fn open(stream: &Arc<CudaStream>) -> Option<Library> {
        if !present() {
            return None;
        }
        let mut handle = ptr::null_mut();
        // SAFETY: the handle is written; the stream lives as long as the library.
        unsafe {
            sys::cudnnCreate(&mut handle).result().ok()?;
            let library = Library { handle, _stream: stream.clone(), plans: HashMap::new() };
            sys::cudnnSetStream(handle, stream.cu_stream().cast()).result().ok()?;
            Some(library)
        }
    }

    fn plan(
        &mut self,
        precision: Precision,
        op: &Convolution,
        n: usize,
        direction: Direction,
    ) -> Result<&mut Plan, Failure> {
        match self.plans.entry((*op, n, direction)) {
            Entry::Occupied(plan) => Ok(plan.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(Plan::new(precision, op, n)?)),
        }
    }
}

/// The fastest usable of the algorithms that cuDNN measured.
macro_rules! best {
    ($results:expr, $found:expr, $exact:expr) => {
        $results[..$found as usize]
            .iter()
            .find(|r| {
                r.status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS
                    && r.memory <= WORKSPACE
                    && (!$exact || r.mathType == sys::cudnnMathType_t::CUDNN_FMA_MATH)
                    && r.determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC
            })
            .map(|r| (Algorithm { number: r.algo as u32, math: r.mathType }, r.memory))
    };
}

impl Device {
    /// cuDNN's fastest deterministic algorithm, none if it has none for this shape. `buffers` are x, w and y, whose
    /// contents are lost.
    pub fn find_algorithm(
        &mut self,
        op: &Convolution,
        n: usize,
        direction: Direction,
        buffers: [u64; 3],
    ) -> Result<Option<Algorithm>, DeviceError> {
        if !fits(op) {
            return Ok(None);
        }
        let space = self.room(Scratch::Library, WORKSPACE.min(self.spare()?))?;
        let size = self.scratch[Scratch::Library as usize].as_ref().map_or(0, |s| s.len());
        self.context.bind_to_thread().map_err(failed(self.number, "cuDNN"))?;
        let precision = self.precision;
        let Some(library) = &mut self.library else { return Ok(None) };
        let handle = library.handle;
        // A shape that cuDNN does not take is no failure: there is another way.
        let Ok(plan) = library.plan(precision, op, n, direction) else { return Ok(None) };
        let [x, w, y] = buffers.map(|address| address as *mut c_void);
        let space = space as *mut c_void;
        let (mut found, asked) = (0, ASKED as c_int);
        // SAFETY: buffers and workspace are this device's and as large as the descriptors say; `results` holds as many
        // entries as are asked for, and those counted in `found` are written.
        let best = unsafe {
            match direction {
                Direction::Forward => {
                    let mut results: [sys::cudnnConvolutionFwdAlgoPerf_t; ASKED] = std::mem::zeroed();
                    let to = results.as_mut_ptr();
                    let (x_at, w_at, y_at, conv) = (plan.x, plan.w, plan.y, plan.convolution);
                    let done = sys::cudnnFindConvolutionForwardAlgorithmEx(
                        handle, x_at, x, w_at, w, conv, y_at, y, asked, &mut found, to, space, size,
                    );
                    done.result().ok().and_then(|()| best!(results, found, precision == Precision::F32))
                }
                Direction::Input => {
                    let mut results: [sys::cudnnConvolutionBwdDataAlgoPerf_t; ASKED] = std::mem::zeroed();
                    let to = results.as_mut_ptr();
                    let (x_at, w_at, y_at, conv) = (plan.x, plan.w, plan.y, plan.convolution);
                    let done = sys::cudnnFindConvolutionBackwardDataAlgorithmEx(
                        handle, w_at, w, y_at, y, conv, x_at, x, asked, &mut found, to, space, size,
                    );
                    done.result().ok().and_then(|()| best!(results, found, precision == Precision::F32))
                }
                Direction::Weights => {
                    let mut results: [sys::cudnnConvolutionBwdFilterAlgoPerf_t; ASKED] = std::mem::zeroed();
                    let to = results.as_mut_ptr();
                    let (x_at, w_at, y_at, conv) = (plan.x, plan.w, plan.y, plan.convolution);
                    let done = sys::cudnnFindConvolutionBackwardFilterAlgorithmEx(
                        handle, x_at, x, y_at, y, conv, w_at, w, asked, &mut found, to, space, size,
                    );
                    done.result().ok().and_then(|()| best!(results, found, precision == Precision::F32))
                }
            }
        };
        plan.workspace = None; // asked again, with the mathematics of the algorithm
        Ok(best.map(|(algorithm, _)| algorithm))
    }

    /// Queues a convolution by cuDNN: of x, w and y (or their gradients) the one that `direction` names is written.
    pub fn convolve(
        &mut self,
        way: Way,
        op: &Convolution,
        n: usize,
        direction: Direction,
        buffers: [u64; 3],
    ) -> Result<(), DeviceError> {
        let number = self.number;
        let algorithm = match way {
            Way::Library(algorithm) if algorithm.number < direction.algorithms() => algorithm,
            _ => return Err(failed(number, "cuDNN")("it has no such algorithm")),
        };
        self.context.bind_to_thread().map_err(failed(number, "cuDNN"))?;
        let library = self.library.as_mut().ok_or_else(|| failed(number, "cuDNN")("it is not open"))?;
        let handle = library.handle;
        let plan = library.plan(self.precision, op, n, direction);
        let bytes = plan.and_then(|plan| plan.bytes(handle, direction, algorithm));
        let bytes = bytes.map_err(failed(number, "cuDNN"))?;
        let space = (self.room(Scratch::Library, bytes)?, bytes);
        self.queue(Work::Library(Call { algorithm, op: *op, n, direction, buffers, space }))
    }

    /// Hands a convolution to cuDNN.
    pub fn call(&self, call: &Call) -> Result<(), DeviceError> {
        let number = self.number;
        self.context.bind_to_thread().map_err(failed(number, "cuDNN"))?;
        let library = self.library.as_ref().ok_or_else(|| failed(number, "cuDNN")("it is not open"))?;
        let plan = library.plans.get(&(call.op, call.n, call.direction));
        let plan = plan.ok_or_else(|| failed(number, "cuDNN")("the convolution has no plan"))?;
        let Call { algorithm, direction, buffers, space, .. } = *call;
        plan.run(library.handle, direction, algorithm, buffers, space).map_err(failed(number, "cuDNN"))
    }

    /// Bytes that can still be allocated, less a reserve.
    fn spare(&self) -> Result<usize, DeviceError> {
        let fail = || failed(self.number, "cuDNN");
        self.context.bind_to_thread().map_err(fail())?;
        let (free, _) = cudarc::driver::result::mem_get_info().map_err(fail())?;
        Ok(free / 4)
    }
}

/// Whether the output is what cuDNN derives from the input: windows that hang over the edge are not its kind.
fn fits(op: &Convolution) -> bool {
    let out = |side: usize| (side + 2 * op.padding).checked_sub(op.kernel).map(|rest| rest / op.stride + 1);
    out(op.height) == Some(op.out_height) && out(op.width) == Some(op.out_width)
}
