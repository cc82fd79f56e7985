//! One convolution as cuDNN describes it: descriptors, algorithms, and the three calls.
//!
//! Tensors and filters lie channels last. What is called with which buffers is [`crate::cudnn`]'s.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::fmt;
use std::ptr;

use alexnet_net::Convolution;
use cudarc::cudnn::{result::CudnnError as Failure, sys};

use crate::precision::Precision;

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
    pub number: u32,
    pub math: sys::cudnnMathType_t,
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

/// The descriptors of one shape.
pub(crate) struct Plan {
    pub x: sys::cudnnTensorDescriptor_t,
    pub w: sys::cudnnFilterDescriptor_t,
    pub y: sys::cudnnTensorDescriptor_t,
    pub convolution: sys::cudnnConvolutionDescriptor_t,
    /// Bytes of workspace of the algorithm last asked about.
    pub workspace: Option<(Algorithm, usize)>,
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
    pub fn new(precision: Precision, op: &Convolution, n: usize) -> Result<Plan, Failure> {
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

impl Plan {
    pub fn bytes(
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

    pub fn run(
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
