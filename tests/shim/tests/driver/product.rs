//! cuBLAS calls through cudarc against plain loops, in each type that products read.
use std::ffi::c_void;

use crate::{context, driver};
use alexnet_rng::{Purpose, Stream};
use cudarc::cublas::sys::{cublasComputeType_t, cublasGemmAlgo_t, cublasOperation_t, cudaDataType};
use cudarc::cublas::{CudaBlas, result};
use cudarc::driver::DevicePtr;
use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use half::bf16;

/// Rounds to 11 significant bits, as TF32 has, by arithmetic alone.
fn tf32(x: f32) -> f32 {
    let unit = 2f64.powi(f64::from(x.abs()).log2().floor() as i32 - 10);
    ((f64::from(x) / unit).round_ties_even() * unit) as f32
}

#[test]
fn all_types_transpositions_strides_and_accumulation() {
    let (_driver, _turn) = driver();
    let stream = context(0).new_stream().expect("a stream");
    let blas = CudaBlas::new(stream.clone()).expect("a handle");
    let (m, n, k, batch) = (5usize, 7usize, 3usize, 2usize);
    let mut values = vec![0.0f32; 500];
    Stream::new(1, 0, 0, Purpose::Sample).fill_normal(1.0, &mut values);
    let f32s = (cudaDataType::CUDA_R_32F, cublasComputeType_t::CUBLAS_COMPUTE_32F);
    let tf32s = (cudaDataType::CUDA_R_32F, cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32);
    let bf16s = (cudaDataType::CUDA_R_16BF, cublasComputeType_t::CUBLAS_COMPUTE_32F);
    type Seen = fn(f32) -> f32;
    let rounding: [(_, Seen); 3] = [(f32s, |x| x), (tf32s, tf32), (bf16s, |x| bf16::from_f32(x).to_f32())];
    let ways = [(false, false, 0.0f32), (true, false, 1.0), (false, true, 1.0), (true, true, 0.0)];
    for (((read, compute), seen), (ta, tb, beta)) in rounding.into_iter().flat_map(|r| ways.map(|w| (r, w))) {
        let (lda, ldb, ldc) = (if ta { k } else { m } + 1, if tb { n } else { k } + 2, m + 3);
        let (sa, sb, sc) = (lda * if ta { m } else { k }, ldb * if tb { k } else { n }, ldc * n);
        let (a, b, mut c) =
            (&values[..batch * sa], &values[100..][..batch * sb], values[250..][..batch * sc].to_vec());
        if beta == 0.0 {
            c.fill(f32::NAN);
        }
        let upload = |values: &[f32]| {
            let half = |v: &f32| bf16::from_f32(*v).to_bits();
            let bytes: Vec<u8> = if read == cudaDataType::CUDA_R_16BF {
                values.iter().flat_map(|v| half(v).to_le_bytes()).collect()
            } else {
                values.iter().flat_map(|v| v.to_le_bytes()).collect()
            };
            stream.clone_htod(&bytes).expect("a copy")
        };
        let (da, db, dc) = (upload(a), upload(b), stream.clone_htod(&c).expect("a copy"));
        let flag = |t| if t { cublasOperation_t::CUBLAS_OP_T } else { cublasOperation_t::CUBLAS_OP_N };
        let (alpha, int) = (0.5f32, |v: usize| v as i32);
        // In a graph, launched twice, where a second product changes nothing.
        if beta == 0.0 {
            stream
                .begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
                .expect("a capture");
        }
        // SAFETY: sizes and strides lie inside the buffers, which have these types.
        unsafe {
            result::gemm_strided_batched_ex(
                *blas.handle(),
                flag(ta),
                flag(tb),
                int(m),
                int(n),
                int(k),
                (&raw const alpha).cast(),
                da.device_ptr(&stream).0 as *const c_void,
                read,
                int(lda),
                sa as i64,
                db.device_ptr(&stream).0 as *const c_void,
                read,
                int(ldb),
                sb as i64,
                (&raw const beta).cast(),
                dc.device_ptr(&stream).0 as *mut c_void,
                cudaDataType::CUDA_R_32F,
                int(ldc),
                sc as i64,
                int(batch),
                compute,
                cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .expect("a product");
        if beta == 0.0 {
            let graph = stream.end_capture(CUgraphInstantiate_flags(0)).expect("a capture").expect("a graph");
            graph.launch().and_then(|()| graph.launch()).expect("two launches");
        }
        let ours = stream.clone_dtoh(&dc).expect("a copy");
        for s in 0..batch {
            for j in 0..n {
                for i in 0..m {
                    let sum: f64 = (0..k)
                        .map(|p| {
                            let a = a[s * sa + if ta { i * lda + p } else { p * lda + i }];
                            let b = b[s * sb + if tb { p * ldb + j } else { j * ldb + p }];
                            f64::from(seen(a)) * f64::from(seen(b))
                        })
                        .sum();
                    let at = s * sc + j * ldc + i;
                    let expected = 0.5 * sum + if beta == 0.0 { 0.0 } else { f64::from(c[at]) };
                    let off = (f64::from(ours[at]) - expected).abs();
                    assert!(off < 1e-5, "{read:?} {compute:?} {ta} {tb} ({i}, {j}) of {s}: {off}");
                }
            }
        }
    }
}
