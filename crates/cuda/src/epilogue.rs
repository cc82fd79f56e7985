//! Dense layers by cuBLASLt, where it is installed: bias and rectifier within the product, the bias' gradient within the
//! weights'.
//!
//! The library wants the bias in the type of what it writes, so with bfloat16 activations it reads the copy of the
//! parameters; logits and gradients stay float32. An algorithm is its own first advice for the sizes, with partial sums in
//! float32 alone, so it is the same in every run. Grouped layers, additions to a gradient and addresses it could not read in
//! vectors go by cuBLAS ([`crate::dense`]), which is also what this is held to and, when a layer is first met, timed against.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr;

use alexnet_net::{Dense, DeviceError};
use cudarc::cublaslt::result::{self, CublasError as Failure};
use cudarc::cublaslt::sys;

use crate::cache::sources;
use crate::dense::{Product, forward_product, gradient_product};
use crate::device::{Device, failed};
use crate::plan::Direction;
use crate::precision::Precision;
use crate::tensor::{Floats, Scratch, Type};
use crate::work::Work;

/// Workspace that an algorithm may take.
const WORKSPACE: usize = 32 << 20;
/// Every address is a multiple of so many bytes.
const ALIGNED: u64 = 16;

/// What follows a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tail {
    /// The bias of each row of the result.
    Bias,
    /// The same, and max(·, 0).
    Rectified,
    /// The sums of the columns of B go where the bias stands.
    Gradient,
}

/// A product with what follows it, and where it may work.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tailed {
    product: Product,
    tail: Tail,
    /// Address of the bias, or of its gradient.
    bias: u64,
    /// Address of [`WORKSPACE`] bytes.
    space: u64,
}

/// All that an algorithm depends on: sizes, leading dimensions, what is transposed, types, what follows.
type Key = ([usize; 6], [bool; 2], Type, Precision, Tail);

fn key(p: &Product, precision: Precision, tail: Tail) -> Key {
    ([p.m, p.n, p.k, p.a.1, p.b.1, p.c.1], [p.a.2, p.b.2], p.c.2, precision, tail)
}

/// Descriptors of one product and its algorithm.
struct Plan {
    product: sys::cublasLtMatmulDesc_t,
    a: sys::cublasLtMatrixLayout_t,
    b: sys::cublasLtMatrixLayout_t,
    c: sys::cublasLtMatrixLayout_t,
    preference: sys::cublasLtMatmulPreference_t,
    /// The algorithm and the bytes it works in.
    algorithm: Option<(sys::cublasLtMatmulAlgo_t, usize)>,
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: each was made by `new` or is null, which the library takes; destroyed once.
        unsafe {
            sys::cublasLtMatmulDescDestroy(self.product);
            sys::cublasLtMatmulPreferenceDestroy(self.preference);
            for layout in [self.a, self.b, self.c] {
                sys::cublasLtMatrixLayoutDestroy(layout);
            }
        }
    }
}

fn cuda_type(of: Type) -> sys::cudaDataType {
    if of == Type::Bf16 { sys::cudaDataType::CUDA_R_16BF } else { sys::cudaDataType::CUDA_R_32F }
}

impl Plan {
    fn new(
        handle: sys::cublasLtHandle_t,
        p: &Product,
        precision: Precision,
        tail: Tail,
        bias: u64,
    ) -> Result<Plan, Failure> {
        let (single, fast) = (
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
        );
        let compute = if precision == Precision::Tf32 { fast } else { single };
        let layouts = [ptr::null_mut(); 3];
        let mut plan = Plan {
            product: ptr::null_mut(),
            a: layouts[0],
            b: layouts[1],
            c: layouts[2],
            preference: ptr::null_mut(),
            algorithm: None,
        };
        let read = cuda_type(precision.activation());
        let stored = |rows, columns, transposed| if transposed { (columns, rows) } else { (rows, columns) };
        let layout = |of, (rows, columns): (usize, usize), leading: usize| {
            result::create_matrix_layout(of, rows as u64, columns as u64, leading as i64)
        };
        plan.product = result::create_matmul_desc(compute, sys::cudaDataType::CUDA_R_32F)?;
        plan.a = layout(read, stored(p.m, p.k, p.a.2), p.a.1)?;
        plan.b = layout(read, stored(p.k, p.n, p.b.2), p.b.1)?;
        plan.c = layout(cuda_type(p.c.2), (p.m, p.n), p.c.1)?;
        plan.preference = result::create_matmul_pref()?;
        let epilogue = match tail {
            Tail::Bias => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS,
            Tail::Rectified => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_RELU_BIAS,
            Tail::Gradient => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BGRADB,
        };
        use sys::cublasLtMatmulDescAttributes_t as Of;
        plan.set(Of::CUBLASLT_MATMUL_DESC_TRANSA, &i32::from(p.a.2))?;
        plan.set(Of::CUBLASLT_MATMUL_DESC_TRANSB, &i32::from(p.b.2))?;
        plan.set(Of::CUBLASLT_MATMUL_DESC_EPILOGUE, &(epilogue as u32))?;
        plan.set(Of::CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &(cuda_type(p.c.2) as i32))?;
        plan.set(Of::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias)?; // read for its alignment
        use sys::cublasLtMatmulPreferenceAttributes_t as Wish;
        let sums = sys::cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE as u32;
        plan.wish(Wish::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &WORKSPACE)?;
        plan.wish(Wish::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &sums)?;
        for wish in [
            Wish::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
            Wish::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
            Wish::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            Wish::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
        ] {
            plan.wish(wish, &(ALIGNED as u32))?;
        }
        let Plan { product, a, b, c, preference, .. } = plan;
        // SAFETY: all six have been made and set.
        let advice = unsafe { result::get_matmul_algo_heuristic(handle, product, a, b, c, c, preference) }?;
        plan.algorithm = Some((advice.algo, advice.workspaceSize));
        Ok(plan)
    }

    fn set<T>(&self, what: sys::cublasLtMatmulDescAttributes_t, to: &T) -> Result<(), Failure> {
        // SAFETY: the descriptor has been made; the value is read during the call.
        unsafe {
            result::set_matmul_desc_attribute(self.product, what, (&raw const *to).cast(), size_of::<T>())
        }
    }

    fn wish<T>(&self, what: sys::cublasLtMatmulPreferenceAttributes_t, to: &T) -> Result<(), Failure> {
        // SAFETY: as above.
        unsafe {
            result::set_matmul_pref_attribute(self.preference, what, (&raw const *to).cast(), size_of::<T>())
        }
    }
}

/// cuBLASLt on one device.
pub(crate) struct Epilogues {
    handle: sys::cublasLtHandle_t,
    /// None for what the library does not do.
    plans: HashMap<Key, Option<Plan>>,
    /// Which directions of which layers (inputs, outputs, rectified) go this way.
    chosen: HashMap<(usize, usize, bool, Direction), bool>,
}

// SAFETY: the handle and the descriptors are used by one thread at a time: a Device is owned by one.
unsafe impl Send for Epilogues {}

impl Drop for Epilogues {
    fn drop(&mut self) {
        self.plans.clear();
        // SAFETY: made by `open`, destroyed once.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

/// The library's version, 0 if it is not installed.
fn version() -> usize {
    // SAFETY: loading the library runs only its own initialisers; the function has no conditions.
    unsafe { if sys::is_culib_present() { sys::cublasLtGetVersion() } else { 0 } }
}

impl Epilogues {
    /// For the device whose context is current; none if the library is not installed or does not start.
    pub fn open() -> Option<Epilogues> {
        if version() == 0 {
            return None;
        }
        let handle = result::create_handle().ok()?;
        Some(Epilogues { handle, plans: HashMap::new(), chosen: HashMap::new() })
    }
}

impl Device {
    /// Whether a direction of a layer goes this way.
    pub fn has_epilogue(&self, op: &Dense, direction: Direction) -> bool {
        let chosen = self.epilogues.as_ref().map(|epilogues| &epilogues.chosen);
        let known = chosen.and_then(|chosen| chosen.get(&(op.inputs, op.outputs, op.rectify, direction)));
        op.groups == 1 && known.copied().unwrap_or(false)
    }

    /// Queues a product with what follows it; false if the library does not do it so.
    pub fn product_and(&mut self, p: &Product, tail: Tail, bias: u64) -> Result<bool, DeviceError> {
        let aligned = [p.a.0, p.b.0, p.c.0, bias].iter().all(|address| address.is_multiple_of(ALIGNED));
        if !aligned || p.accumulate || p.batch.is_some() || [p.m, p.n, p.k].contains(&0) {
            return Ok(false);
        }
        let space = self.room(Scratch::Products, WORKSPACE)?;
        self.context.bind_to_thread().map_err(failed(self.number, "matrix product"))?;
        let precision = self.precision;
        let Some(epilogues) = &mut self.epilogues else { return Ok(false) };
        let handle = epilogues.handle;
        let make = || Plan::new(handle, p, precision, tail, bias).ok();
        if epilogues.plans.entry(key(p, precision, tail)).or_insert_with(make).is_none() {
            return Ok(false);
        }
        self.queue(Work::Tailed(Tailed { product: p.clone(), tail, bias, space }))?;
        Ok(true)
    }

    /// Hands a product with what follows it to cuBLASLt.
    pub fn multiply_and(&self, tailed: &Tailed) -> Result<(), DeviceError> {
        let Tailed { product: p, tail, bias, space } = tailed;
        let what = "matrix product with bias";
        let none = || failed(self.number, what)("it has no algorithm");
        self.context.bind_to_thread().map_err(failed(self.number, what))?;
        let epilogues = self.epilogues.as_ref().ok_or_else(none)?;
        let plan = epilogues.plans.get(&key(p, self.precision, *tail)).and_then(Option::as_ref);
        let plan = plan.ok_or_else(none)?;
        let (algorithm, bytes) = plan.algorithm.ok_or_else(none)?;
        let pointer = sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER;
        plan.set(pointer, bias).map_err(failed(self.number, what))?;
        let (one, zero) = (1.0f32, 0.0f32);
        // SAFETY: addresses of this device's buffers, as long as the layouts say and aligned as promised; the workspace
        // is as large as the algorithm asks; alpha and beta are read during the call.
        let done = unsafe {
            result::matmul(
                epilogues.handle,
                plan.product,
                (&raw const one).cast(),
                (&raw const zero).cast(),
                p.a.0 as *const c_void,
                plan.a,
                p.b.0 as *const c_void,
                plan.b,
                p.c.0 as *const c_void,
                plan.c,
                p.c.0 as *mut c_void,
                plan.c,
                &raw const algorithm,
                *space as *mut c_void,
                bytes.min(WORKSPACE),
                self.stream.cu_stream().cast(),
            )
        };
        done.map_err(failed(self.number, what))
    }

    /// Chooses the ways of a layer for batches of up to `n`, by time unless that is settled.
    pub fn choose_epilogues(&mut self, op: &Dense, n: usize) -> Result<(), DeviceError> {
        let Some(epilogues) = &self.epilogues else { return Ok(()) };
        if op.groups > 1
            || epilogues.chosen.contains_key(&(op.inputs, op.outputs, op.rectify, Direction::Weights))
        {
            return Ok(());
        }
        for direction in [Direction::Forward, Direction::Weights] {
            let note = format!(
                "{}; {}; cuBLASLt {}; {}; {}; {n}; {direction:?}; {op:?}",
                self.name,
                sources(), // the separate way ends in kernels of ours
                version(),
                self.precision,
                self.convolutions
            );
            let fused = match self.cache.note(&note).as_deref() {
                Some("fused") => true,
                Some("separate") => false,
                _ => {
                    let fused = self.measure_epilogue(op, n, direction)?;
                    self.cache.keep_note(&note, if fused { "fused" } else { "separate" });
                    fused
                }
            };
            if let Some(epilogues) = &mut self.epilogues {
                epilogues.chosen.insert((op.inputs, op.outputs, op.rectify, direction), fused);
            }
        }
        // No step allocates, and what nobody works in is not kept.
        if self.epilogues.as_ref().is_some_and(|epilogues| epilogues.chosen.values().any(|&fused| fused)) {
            self.room(Scratch::Products, WORKSPACE)?;
        } else {
            self.scratch[Scratch::Products as usize] = None;
        }
        Ok(())
    }

    /// Whether it can be done and is faster; not where there is no room to try.
    fn measure_epilogue(&mut self, op: &Dense, n: usize, direction: Direction) -> Result<bool, DeviceError> {
        let of = self.activation();
        // A layer without a rectifier makes logits.
        let made = if op.rectify { of } else { Type::F32 };
        let weights = op.weight_len().next_multiple_of(64);
        let trial = (
            self.floats(n * op.inputs, of),
            self.floats(n * op.outputs, made),
            self.floats(n * op.outputs, of),
            self.floats(weights + op.outputs, Type::F32),
        );
        let (Ok(x), Ok(y), Ok(dy), Ok(w)) = trial else { return Ok(false) };
        let (width, bias) = (of.width(), w.at(weights));
        let tail = match direction {
            Direction::Weights => Tail::Gradient,
            _ if op.rectify => Tail::Rectified,
            _ => Tail::Bias,
        };
        let product = match direction {
            Direction::Weights => gradient_product(op, n, width, (x.address, dy.address, w.address)),
            _ => forward_product(op, n, width, (x.address, w.address, (y.address, made))),
        };
        // A value that is NaN in float32, and in bfloat16 twice.
        self.put_at(&[f32::from_bits(0x7fc0_7fc0)], x.address)?;
        if !self.product_and(&product, tail, bias)? {
            return Ok(false);
        }
        if tail == Tail::Rectified {
            // A rectifier that makes 0 of a NaN would hide that a run has diverged.
            let mut first = [0.0];
            self.get_at(y.address, &mut first)?;
            if !first[0].is_nan() {
                return Ok(false);
            }
        }
        if !self.convolutions.timed() {
            return Ok(true);
        }
        let fused = self.time(|d| d.product_and(&product, tail, bias).map(drop))?;
        let separate = self.time(|d| {
            d.product(&product)?;
            match direction {
                Direction::Weights => d.bias_gradient((dy.address, of), n, op.outputs, bias, false),
                _ => d.bias(&y, n, op.outputs, bias, op.rectify),
            }
        })?;
        Ok(fused < separate)
    }

    /// Where a bias lies in the type of what a product writes.
    pub fn bias_as(&mut self, of: Type, w: &Floats, at: usize) -> Result<u64, DeviceError> {
        if of == Type::F32 { Ok(w.at(at)) } else { self.weights(w, at) }
    }
}
