//! Matrix products by cuBLAS in the device's precision, and the dense layers made of them; with biases by cuBLASLt where that
//! was chosen ([`crate::epilogue`]).
#![allow(unsafe_code)]

use std::ffi::c_void;

use alexnet_net::{Dense, DeviceError};
use cudarc::cublas::sys::{cublasComputeType_t, cublasGemmAlgo_t, cublasOperation_t, cudaDataType};
use cudarc::cublas::{result, sys};

use crate::device::{Device, failed};
use crate::epilogue::Tail;
use crate::plan::Direction;
use crate::precision::Precision;
use crate::tensor::{Floats, Scratch, Type};
use crate::work::Work;

/// C = op(A) · op(B), or C += …, in cuBLAS' column-major terms: C is m×n, op(A) m×k, op(B) k×n. A and B are of the type
/// of activations.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Product {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// Address, leading dimension, whether transposed.
    pub a: (u64, usize, bool),
    /// As `a`.
    pub b: (u64, usize, bool),
    /// Address, leading dimension, type.
    pub c: (u64, usize, Type),
    pub accumulate: bool,
    /// Number of products and the steps between their A, B and C, in values.
    pub batch: Option<(usize, usize, usize, usize)>,
}

impl Device {
    /// Gives cuBLAS memory to work in, as much as it would take itself: what it allocates while a stream captures would
    /// become part of the graph.
    pub fn reserve_products(&mut self) -> Result<(), DeviceError> {
        let space = self.zeros::<u8>(if self.major >= 9 { 32 << 20 } else { 4 << 20 })?;
        let (handle, at) = (*self.blas.handle(), space.address as *mut c_void);
        // SAFETY: the handle is open; the memory is the device's and lives as long as the handle.
        let given = unsafe { sys::cublasSetWorkspace_v2(handle, at, space.len()) }.result();
        given.map_err(failed(self.number, "start cuBLAS"))?;
        self.workspace = Some(space);
        Ok(())
    }

    /// Queues a product.
    pub fn product(&self, p: &Product) -> Result<(), DeviceError> {
        self.queue(Work::Product(p.clone()))
    }

    /// Hands a product to cuBLAS.
    pub fn multiply(&self, p: &Product) -> Result<(), DeviceError> {
        self.context.bind_to_thread().map_err(failed(self.number, "matrix product"))?;
        let int = |value| self.int(value);
        let operation = |transposed| {
            if transposed { cublasOperation_t::CUBLAS_OP_T } else { cublasOperation_t::CUBLAS_OP_N }
        };
        let (read, compute) = match self.precision {
            Precision::F32 => (cudaDataType::CUDA_R_32F, cublasComputeType_t::CUBLAS_COMPUTE_32F),
            Precision::Tf32 => (cudaDataType::CUDA_R_32F, cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32),
            Precision::Bf16 => (cudaDataType::CUDA_R_16BF, cublasComputeType_t::CUBLAS_COMPUTE_32F),
        };
        let written = match p.c.2 {
            Type::F32 => cudaDataType::CUDA_R_32F,
            Type::Bf16 => cudaDataType::CUDA_R_16BF,
        };
        let (m, n, k) = (int(p.m)?, int(p.n)?, int(p.k)?);
        let (lda, ldb, ldc) = (int(p.a.1)?, int(p.b.1)?, int(p.c.1)?);
        let (count, step_a, step_b, step_c) = p.batch.unwrap_or((1, 0, 0, 0));
        let (alpha, beta) = (1.0f32, if p.accumulate { 1.0f32 } else { 0.0 });
        let (handle, ta, tb) = (*self.blas.handle(), operation(p.a.2), operation(p.b.2));
        // SAFETY: addresses of this device's buffers, as long as the sizes, leading dimensions and steps say and of the
        // types named; alpha and beta are read during the call.
        let done = unsafe {
            result::gemm_strided_batched_ex(
                handle,
                ta,
                tb,
                m,
                n,
                k,
                (&raw const alpha).cast(),
                p.a.0 as *const c_void,
                read,
                lda,
                step_a as i64,
                p.b.0 as *const c_void,
                read,
                ldb,
                step_b as i64,
                (&raw const beta).cast(),
                p.c.0 as *mut c_void,
                written,
                ldc,
                step_c as i64,
                int(count)?,
                compute,
                cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        };
        done.map_err(failed(self.number, "matrix product"))
    }
}

/// Makes room for inputs in the order of the weights, and chooses how biases are added.
pub(crate) fn reserve(device: &mut Device, op: &Dense, n: usize) -> Result<(), DeviceError> {
    let width = device.activation().width();
    device.room(Scratch::Turned, n * op.inputs * width)?;
    device.choose_epilogues(op, n)
}

/// Calls `each` with the first input, weight and output of each group, in values.
fn groups(
    op: &Dense,
    mut each: impl FnMut(usize, usize, usize) -> Result<(), DeviceError>,
) -> Result<(), DeviceError> {
    (0..op.groups).try_for_each(|group| {
        let first = |len: usize| group * (len / op.groups);
        each(first(op.inputs), first(op.weight_len()), first(op.outputs))
    })
}

/// y = x·wᵀ of a layer without groups.
pub(crate) fn forward_product(
    op: &Dense,
    n: usize,
    width: usize,
    (x, w, y): (u64, u64, (u64, Type)),
) -> Product {
    forward_group(op, n, width, (x, w, y), (0, 0, 0))
}

fn forward_group(
    op: &Dense,
    n: usize,
    width: usize,
    (x, w, (y, of)): (u64, u64, (u64, Type)),
    (input, weight, output): (usize, usize, usize),
) -> Product {
    let (inputs, outputs) = (op.inputs / op.groups, op.outputs / op.groups);
    Product {
        m: outputs,
        n,
        k: inputs,
        a: (w + (width * weight) as u64, inputs, true),
        b: (x + (width * input) as u64, op.inputs, false),
        c: (y + (of.width() * output) as u64, op.outputs, of),
        accumulate: false,
        batch: None,
    }
}

/// y = x·wᵀ + bias, rectified if the operation asks; weights and bias are values `weight ..` and `bias ..` of `w`.
pub(crate) fn forward(
    device: &mut Device,
    op: &Dense,
    n: usize,
    x: &Floats,
    (w, weight, bias): (&Floats, usize, usize),
    y: &mut Floats,
) -> Result<(), DeviceError> {
    let (x, weights) = (device.first(x, n, op.inputs)?, device.weights(w, weight)?);
    let (width, to) = (device.activation().width(), (y.address, y.of));
    y.maps = None;
    if device.has_epilogue(op, Direction::Forward) {
        let tail = if op.rectify { Tail::Rectified } else { Tail::Bias };
        let bias = device.bias_as(y.of, w, bias)?;
        if device.product_and(&forward_product(op, n, width, (x, weights, to)), tail, bias)? {
            return Ok(());
        }
    }
    groups(op, |input, weight, output| {
        device.product(&forward_group(op, n, width, (x, weights, to), (input, weight, output)))
    })?;
    device.bias(y, n, op.outputs, w.at(bias), op.rectify)
}

/// dx = dy·w.
pub(crate) fn backward_input(
    device: &mut Device,
    op: &Dense,
    n: usize,
    dy: &Floats,
    (w, at): (&Floats, usize),
    dx: &mut Floats,
) -> Result<(), DeviceError> {
    let (inputs, outputs) = (op.inputs / op.groups, op.outputs / op.groups);
    let (dy, w) = (device.first(dy, n, op.outputs)?, device.weights(w, at)?);
    let width = device.activation().width();
    dx.maps = None;
    groups(op, |input, weight, output| {
        device.product(&Product {
            m: inputs,
            n,
            k: outputs,
            a: (w + (width * weight) as u64, inputs, false),
            b: (dy + (width * output) as u64, op.outputs, false),
            c: (dx.at(input), op.inputs, dx.of),
            accumulate: false,
            batch: None,
        })
    })
}

/// dw = dyᵀ·x of a layer without groups.
pub(crate) fn gradient_product(op: &Dense, n: usize, width: usize, (x, dy, dw): (u64, u64, u64)) -> Product {
    gradient_group(op, n, width, (x, dy, dw), (0, 0, 0))
}

fn gradient_group(
    op: &Dense,
    n: usize,
    width: usize,
    (x, dy, dw): (u64, u64, u64),
    (input, weight, output): (usize, usize, usize),
) -> Product {
    let (inputs, outputs) = (op.inputs / op.groups, op.outputs / op.groups);
    Product {
        m: inputs,
        n: outputs,
        k: n,
        a: (x + (width * input) as u64, op.inputs, false),
        b: (dy + (width * output) as u64, op.outputs, true),
        c: (dw + 4 * weight as u64, inputs, Type::F32),
        accumulate: false,
        batch: None,
    }
}

/// dw = dyᵀ·x and the bias' gradient, added to what is there if `accumulate`.
pub(crate) fn backward_weights(
    device: &mut Device,
    op: &Dense,
    n: usize,
    (x, dy): (&Floats, &Floats),
    (dw, db): (u64, u64),
    accumulate: bool,
) -> Result<(), DeviceError> {
    // Only one of the two can be turned at a time, and a dense layer's output has no maps.
    if dy.maps.is_some() {
        return Err(failed(device.number, "gradient of a dense layer")("its output lies as maps"));
    }
    let x = device.first(x, n, op.inputs)?;
    let (width, from) = (device.activation().width(), (x, dy.address, dw));
    // What follows a product cannot be added to a gradient that is there.
    if !accumulate && device.has_epilogue(op, Direction::Weights) {
        let product = gradient_product(op, n, width, from);
        if device.product_and(&product, Tail::Gradient, db)? {
            return Ok(());
        }
    }
    groups(op, |input, weight, output| {
        let product = gradient_group(op, n, width, from, (input, weight, output));
        device.product(&Product { accumulate, ..product })
    })?;
    device.bias_gradient((dy.address, dy.of), n, op.outputs, db, accumulate)
}
