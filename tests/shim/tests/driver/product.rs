//! cuBLAS calls through cudarc against plain loops.
use crate::{context, driver};
use alexnet_rng::{Purpose, Stream};
use cudarc::cublas::{CudaBlas, Gemm, GemmConfig, StridedBatchedConfig, sys::cublasOperation_t};

#[test]
fn all_transpositions_strides_and_accumulation() {
    let (_driver, _turn) = driver();
    let stream = context(0).new_stream().expect("a stream");
    let blas = CudaBlas::new(stream.clone()).expect("a handle");
    let (m, n, k, batch) = (5usize, 7usize, 3usize, 2usize);
    let mut values = vec![0.0f32; 500];
    Stream::new(1, 0, 0, Purpose::Sample).fill_normal(1.0, &mut values);
    for (ta, tb, beta) in [(false, false, 0.0f32), (true, false, 1.0), (false, true, 1.0), (true, true, 0.0)]
    {
        let (lda, ldb, ldc) = (if ta { k } else { m } + 1, if tb { n } else { k } + 2, m + 3);
        let (sa, sb, sc) = (lda * if ta { m } else { k }, ldb * if tb { k } else { n }, ldc * n);
        let (a, b, mut c) =
            (&values[..batch * sa], &values[100..][..batch * sb], values[250..][..batch * sc].to_vec());
        if beta == 0.0 {
            c.fill(f32::NAN);
        }
        let (da, db) = (stream.clone_htod(a).expect("a copy"), stream.clone_htod(b).expect("a copy"));
        let mut dc = stream.clone_htod(&c).expect("a copy");
        let flag = |t| if t { cublasOperation_t::CUBLAS_OP_T } else { cublasOperation_t::CUBLAS_OP_N };
        let gemm = GemmConfig {
            transa: flag(ta),
            transb: flag(tb),
            m: m as i32,
            n: n as i32,
            k: k as i32,
            alpha: 0.5,
            lda: lda as i32,
            ldb: ldb as i32,
            beta,
            ldc: ldc as i32,
        };
        let config = StridedBatchedConfig {
            gemm,
            batch_size: batch as i32,
            stride_a: sa as i64,
            stride_b: sb as i64,
            stride_c: sc as i64,
        };
        // SAFETY: sizes and strides lie inside the buffers.
        unsafe { blas.gemm_strided_batched(config, &da, &db, &mut dc) }.expect("a product");
        let ours = stream.clone_dtoh(&dc).expect("a copy");
        for s in 0..batch {
            for j in 0..n {
                for i in 0..m {
                    let sum: f64 = (0..k)
                        .map(|p| {
                            let a = a[s * sa + if ta { i * lda + p } else { p * lda + i }];
                            let b = b[s * sb + if tb { p * ldb + j } else { j * ldb + p }];
                            f64::from(a) * f64::from(b)
                        })
                        .sum();
                    let at = s * sc + j * ldc + i;
                    let expected = 0.5 * sum + if beta == 0.0 { 0.0 } else { f64::from(c[at]) };
                    assert!((f64::from(ours[at]) - expected).abs() < 1e-5, "{ta} {tb} ({i}, {j}) of {s}");
                }
            }
        }
        // SAFETY: as above; the first of the batch alone.
        unsafe { blas.gemm(gemm, &da, &db, &mut dc) }.expect("a product");
    }
}
