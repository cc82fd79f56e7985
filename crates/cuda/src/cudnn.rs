//! Convolutions by cuDNN, where it is installed: descriptors, algorithms and calls.
//!
//! Tensors and filters lie channels last. Descriptors are made once for each shape, direction and batch; an algorithm is
//! found by cuDNN's own measurement and must be deterministic. Whether cuDNN is used at all is [`crate::choice`]'s.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::ptr;

use alexnet_net::{Convolution, DeviceError};
use cudarc::cudnn::sys;
use cudarc::driver::CudaStream;

use crate::choice::Way;
use crate::device::{Device, failed};
use crate::precision::Precision;
use crate::tensor::Scratch;

/// What is computed: the output, the input's gradient, or the weights'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    Forward,
    Input,
    Weights,
}

impl Direction {
    /// Number of cuDNN's algorithms: each has a number below.
    pub fn algorithms(self) -> u32 {
        match self {
            Direction::Forward => sys::cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_COUNT as u32,
            Direction::Input => {
                sys::cudnnConvolutionBwdDataAlgo_t::CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT as u32
            }
            Direction::Weights => {
                sys::cudnnConvolutionBwdFilterAlgo_t::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT as u32
            }
        }
    }
}

/// One of cuDNN's algorithms, and the mathematics it was found with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Algorithm {
    number: u32,
    math: sys::cudnnMathType_t,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.math as u32)
    }
}

impl Algorithm {
    /// What was written, if it is one of the direction's.
    pub fn read(text: &str, direction: Direction) -> Option<Algorithm> {
        let (number, math) = text.split_once(' ')?;
        let number = number.parse().ok().filter(|&number| number < direction.algorithms())?;
        let math: u32 = math.parse().ok()?;
        MATHS.into_iter().find(|&known| known as u32 == math).map(|math| Algorithm { number, math })
    }
}

const MATHS: [sys::cudnnMathType_t; 4] = [
    sys::cudnnMathType_t::CUDNN_DEFAULT_MATH,
    sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
    sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION,
    sys::cudnnMathType_t::CUDNN_FMA_MATH,
];

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

type Failure = cudarc::cudnn::result::CudnnError;

/// cuDNN on one stream.
pub(crate) struct Library {
    handle: sys::cudnnHandle_t,
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
    pub fn open(stream: &CudaStream) -> Option<Library> {
        if !present() {
            return None;
        }
        let mut handle = ptr::null_mut();
        // SAFETY: the handle is written; the stream is the device's own and outlives the library.
        unsafe {
            sys::cudnnCreate(&mut handle).result().ok()?;
            let library = Library { handle, plans: HashMap::new() };
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

/// The descriptors of one shape.
struct Plan {
    x: sys::cudnnTensorDescriptor_t,
    w: sys::cudnnFilterDescriptor_t,
    y: sys::cudnnTensorDescriptor_t,
    convolution: sys::cudnnConvolutionDescriptor_t,
    /// Bytes of workspace of the algorithm last asked about.
    workspace: Option<(Algorithm, usize)>,
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: each was made by `new` or is null, which cuDNN takes; destroyed once.
        unsafe {
            sys::cudnnDestroyTensorDescriptor(self.x);
            sys::cudnnDestroyTensorDescriptor(self.y);
            sys::cudnnDestroyFilterDescriptor(self.w);
            sys::cudnnDestroyConvolutionDescriptor(self.convolution);
        }
    }
}

impl Plan {
    fn new(precision: Precision, op: &Convolution, n: usize) -> Result<Plan, Failure> {
        let (of, math) = match precision {
            Precision::F32 => (sys::cudnnDataType_t::CUDNN_DATA_FLOAT, sys::cudnnMathType_t::CUDNN_FMA_MATH),
            Precision::Tf32 => {
                (sys::cudnnDataType_t::CUDNN_DATA_FLOAT, sys::cudnnMathType_t::CUDNN_DEFAULT_MATH)
            }
            Precision::Bf16 => {
                (sys::cudnnDataType_t::CUDNN_DATA_BFLOAT16, sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH)
            }
        };
        let float = sys::cudnnDataType_t::CUDNN_DATA_FLOAT;
        let correlation = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        let last = sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC;
        let int = |value: usize| value as c_int; // all below 2³¹, as the kernels' sizes are
        let null = ptr::null_mut;
        let mut plan =
            Plan { x: null(), w: ptr::null_mut(), y: null(), convolution: ptr::null_mut(), workspace: None };
        let tensor = |to: sys::cudnnTensorDescriptor_t, c: usize, h: usize, w: usize| {
            let (image, row) = (int(c * h * w), int(c * w));
            // SAFETY: the descriptor has been made.
            unsafe {
                sys::cudnnSetTensor4dDescriptorEx(
                    to,
                    of,
                    int(n),
                    int(c),
                    int(h),
                    int(w),
                    image,
                    1,
                    row,
                    int(c),
                )
            }
            .result()
        };
        // SAFETY: descriptors are made before they are set, and all pointers live for the calls.
        unsafe {
            sys::cudnnCreateTensorDescriptor(&mut plan.x).result()?;
            sys::cudnnCreateTensorDescriptor(&mut plan.y).result()?;
            sys::cudnnCreateFilterDescriptor(&mut plan.w).result()?;
            sys::cudnnCreateConvolutionDescriptor(&mut plan.convolution).result()?;
            tensor(plan.x, op.inputs, op.height, op.width)?;
            tensor(plan.y, op.outputs, op.out_height, op.out_width)?;
            let (side, depth) = (int(op.kernel), int(op.inputs / op.groups));
            sys::cudnnSetFilter4dDescriptor(plan.w, of, last, int(op.outputs), depth, side, side).result()?;
            let (pad, step) = (int(op.padding), int(op.stride));
            let conv = plan.convolution;
            sys::cudnnSetConvolution2dDescriptor(conv, pad, pad, step, step, 1, 1, correlation, float)
                .result()?;
            sys::cudnnSetConvolutionGroupCount(conv, int(op.groups)).result()?;
            sys::cudnnSetConvolutionMathType(conv, math).result()?;
        }
        Ok(plan)
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
        let (algorithm, taken) = match (way, self.library.take()) {
            (Way::Library(algorithm), Some(library)) if algorithm.number < direction.algorithms() => {
                (algorithm, library)
            }
            (_, taken) => {
                self.library = taken;
                return Err(failed(self.number, "cuDNN")("it has no such algorithm"));
            }
        };
        let mut library = taken;
        let queued = self.convolve_by(&mut library, algorithm, op, n, direction, buffers);
        self.library = Some(library);
        queued
    }

    fn convolve_by(
        &mut self,
        library: &mut Library,
        algorithm: Algorithm,
        op: &Convolution,
        n: usize,
        direction: Direction,
        buffers: [u64; 3],
    ) -> Result<(), DeviceError> {
        let (number, handle) = (self.number, library.handle);
        self.context.bind_to_thread().map_err(failed(number, "cuDNN"))?;
        let plan = library.plan(self.precision, op, n, direction).map_err(failed(number, "cuDNN"))?;
        let bytes = plan.bytes(handle, direction, algorithm).map_err(failed(number, "cuDNN"))?;
        let space = self.room(Scratch::Library, bytes)?;
        self.span("cuDNN", || {
            plan.run(handle, direction, algorithm, buffers, (space, bytes)).map_err(failed(number, "cuDNN"))
        })
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

impl Plan {
    fn bytes(
        &mut self,
        handle: sys::cudnnHandle_t,
        direction: Direction,
        algorithm: Algorithm,
    ) -> Result<usize, Failure> {
        if let Some((known, bytes)) = self.workspace
            && known == algorithm
        {
            return Ok(bytes);
        }
        let (x, w, y, conv, mut bytes) = (self.x, self.w, self.y, self.convolution, 0);
        // SAFETY: the descriptor has been made.
        unsafe { sys::cudnnSetConvolutionMathType(conv, algorithm.math) }.result()?;
        // SAFETY: the descriptors have been set; the number is below `algorithms`.
        unsafe {
            match direction {
                Direction::Forward => sys::cudnnGetConvolutionForwardWorkspaceSize(
                    handle,
                    x,
                    w,
                    conv,
                    y,
                    std::mem::transmute::<u32, sys::cudnnConvolutionFwdAlgo_t>(algorithm.number),
                    &mut bytes,
                ),
                Direction::Input => sys::cudnnGetConvolutionBackwardDataWorkspaceSize(
                    handle,
                    w,
                    y,
                    conv,
                    x,
                    std::mem::transmute::<u32, sys::cudnnConvolutionBwdDataAlgo_t>(algorithm.number),
                    &mut bytes,
                ),
                Direction::Weights => sys::cudnnGetConvolutionBackwardFilterWorkspaceSize(
                    handle,
                    x,
                    y,
                    conv,
                    w,
                    std::mem::transmute::<u32, sys::cudnnConvolutionBwdFilterAlgo_t>(algorithm.number),
                    &mut bytes,
                ),
            }
        }
        .result()?;
        self.workspace = Some((algorithm, bytes));
        Ok(bytes)
    }

    fn run(
        &self,
        handle: sys::cudnnHandle_t,
        direction: Direction,
        algorithm: Algorithm,
        buffers: [u64; 3],
        (space, bytes): (u64, usize),
    ) -> Result<(), Failure> {
        let [x, w, y] = buffers.map(|address| address as *mut c_void);
        let (one, zero) = (1.0f32, 0.0f32);
        let (alpha, beta) = ((&raw const one).cast(), (&raw const zero).cast());
        let (x_at, w_at, y_at, conv, space) =
            (self.x, self.w, self.y, self.convolution, space as *mut c_void);
        // SAFETY: buffers and workspace are this device's and as large as the descriptors and the algorithm ask;
        // alpha and beta are read during the call; the number is below `algorithms`.
        unsafe {
            match direction {
                Direction::Forward => {
                    let algorithm =
                        std::mem::transmute::<u32, sys::cudnnConvolutionFwdAlgo_t>(algorithm.number);
                    sys::cudnnConvolutionForward(
                        handle, alpha, x_at, x, w_at, w, conv, algorithm, space, bytes, beta, y_at, y,
                    )
                }
                Direction::Input => {
                    let algorithm =
                        std::mem::transmute::<u32, sys::cudnnConvolutionBwdDataAlgo_t>(algorithm.number);
                    sys::cudnnConvolutionBackwardData(
                        handle, alpha, w_at, w, y_at, y, conv, algorithm, space, bytes, beta, x_at, x,
                    )
                }
                Direction::Weights => {
                    let algorithm =
                        std::mem::transmute::<u32, sys::cudnnConvolutionBwdFilterAlgo_t>(algorithm.number);
                    sys::cudnnConvolutionBackwardFilter(
                        handle, alpha, x_at, x, y_at, y, conv, algorithm, space, bytes, beta, w_at, w,
                    )
                }
            }
        }
        .result()
    }
}
