//! Matrix products by cuBLAS, and the dense layers made of them.
#![allow(unsafe_code)]

use alexnet_net::{Dense, DeviceError};
use cudarc::cublas::{result, sys::cublasOperation_t};

use crate::device::{Device, failed};
use crate::launch::Arg;

/// C = op(A) · op(B), or C += …, in cuBLAS' column-major terms: C is m×n, op(A) m×k, op(B) k×n.
pub(crate) struct Product {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// Address, leading dimension, whether transposed.
    pub a: (u64, usize, bool),
    /// As `a`.
    pub b: (u64, usize, bool),
    /// Address, leading dimension.
    pub c: (u64, usize),
    pub accumulate: bool,
    /// Number of products and the steps between their A, B and C, in values.
    pub batch: Option<(usize, usize, usize, usize)>,
}

impl Device {
    /// Queues a product.
    pub fn product(&self, p: &Product) -> Result<(), DeviceError> {
        self.span("sgemm", || self.multiply(p))
    }

    fn multiply(&self, p: &Product) -> Result<(), DeviceError> {
        self.context.bind_to_thread().map_err(failed(self.number, "matrix product"))?;
        let int = |value| self.int(value);
        let operation = |transposed| {
            if transposed { cublasOperation_t::CUBLAS_OP_T } else { cublasOperation_t::CUBLAS_OP_N }
        };
        let (m, n, k) = (int(p.m)?, int(p.n)?, int(p.k)?);
        let (lda, ldb, ldc) = (int(p.a.1)?, int(p.b.1)?, int(p.c.1)?);
        let (alpha, beta) = (1.0f32, if p.accumulate { 1.0f32 } else { 0.0 });
        let (handle, ta, tb) = (*self.blas.handle(), operation(p.a.2), operation(p.b.2));
        let (a, b, c) = (p.a.0 as *const f32, p.b.0 as *const f32, p.c.0 as *mut f32);
        // SAFETY: addresses of this device's buffers, as long as the sizes, leading dimensions and steps say; alpha and
        // beta are read during the call.
        let done = unsafe {
            match p.batch {
                None => result::sgemm(handle, ta, tb, m, n, k, &alpha, a, lda, b, ldb, &beta, c, ldc),
                Some((count, step_a, step_b, step_c)) => result::sgemm_strided_batched(
                    handle,
                    ta,
                    tb,
                    m,
                    n,
                    k,
                    &alpha,
                    a,
                    lda,
                    step_a as i64,
                    b,
                    ldb,
                    step_b as i64,
                    &beta,
                    c,
                    ldc,
                    step_c as i64,
                    int(count)?,
                ),
            }
        };
        done.map_err(failed(self.number, "matrix product"))
    }
}

/// Calls `each` with the first input, weight and output of each group.
fn groups(
    op: &Dense,
    mut each: impl FnMut(u64, u64, u64) -> Result<(), DeviceError>,
) -> Result<(), DeviceError> {
    (0..op.groups).try_for_each(|group| {
        let first = |len: usize| 4 * (group * (len / op.groups)) as u64;
        each(first(op.inputs), first(op.weight_len()), first(op.outputs))
    })
}

/// y = x·wᵀ, without bias.
pub(crate) fn forward(
    device: &Device,
    op: &Dense,
    n: usize,
    x: u64,
    w: u64,
    y: u64,
) -> Result<(), DeviceError> {
    let (inputs, outputs) = (op.inputs / op.groups, op.outputs / op.groups);
    groups(op, |input, weight, output| {
        device.product(&Product {
            m: outputs,
            n,
            k: inputs,
            a: (w + weight, inputs, true),
            b: (x + input, op.inputs, false),
            c: (y + output, op.outputs),
            accumulate: false,
            batch: None,
        })
    })
}

/// dx = dy·w.
pub(crate) fn backward_input(
    device: &Device,
    op: &Dense,
    n: usize,
    dy: u64,
    w: u64,
    dx: u64,
) -> Result<(), DeviceError> {
    let (inputs, outputs) = (op.inputs / op.groups, op.outputs / op.groups);
    groups(op, |input, weight, output| {
        device.product(&Product {
            m: inputs,
            n,
            k: outputs,
            a: (w + weight, inputs, false),
            b: (dy + output, op.outputs, false),
            c: (dx + input, op.inputs),
            accumulate: false,
            batch: None,
        })
    })
}

/// The bias' gradient: the sum of dy over the batch.
pub(crate) fn backward_bias(
    device: &Device,
    op: &Dense,
    n: usize,
    dy: u64,
    bias: u64,
    accumulate: bool,
) -> Result<(), DeviceError> {
    let mut args = vec![Arg::Address(dy), Arg::Address(bias)];
    for value in [n, op.outputs, usize::from(accumulate)] {
        args.push(Arg::Int(device.int(value)?));
    }
    device.launch("bias_gradient_dense", device.grid(op.outputs), &args)
}

/// dw = dyᵀ·x, added to what is there if `accumulate`.
pub(crate) fn backward_weights(
    device: &Device,
    op: &Dense,
    n: usize,
    x: u64,
    dy: u64,
    dw: u64,
    accumulate: bool,
) -> Result<(), DeviceError> {
    let (inputs, outputs) = (op.inputs / op.groups, op.outputs / op.groups);
    groups(op, |input, weight, output| {
        device.product(&Product {
            m: inputs,
            n: outputs,
            k: n,
            a: (x + input, op.inputs, false),
            b: (dy + output, op.outputs, true),
            c: (dw + weight, inputs),
            accumulate,
            batch: None,
        })
    })
}
