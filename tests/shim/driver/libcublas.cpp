// A stand-in libcublas.so.13: the products of product.h.
#include "product.h"

namespace {

struct Handle {
    void* stream = nullptr;
};

int push(void* handle, Product p) {
    if (!fits(p)) return 7;  // CUBLAS_STATUS_INVALID_VALUE
    return enqueue(static_cast<Handle*>(handle)->stream, p) ? 0 : 13;
}

}  // namespace

extern "C" {

int cublasCreate_v2(void** handle) { *handle = new Handle; return 0; }
int cublasDestroy_v2(void* handle) { delete static_cast<Handle*>(handle); return 0; }
int cublasSetStream_v2(void* handle, void* stream) { static_cast<Handle*>(handle)->stream = stream; return 0; }
int cublasSetMathMode(void*, int) { return 0; }
int cublasSetAtomicsMode(void*, int) { return 0; }
int cublasSetPointerMode_v2(void*, int mode) { return mode ? 15 : 0; }
int cublasSetWorkspace_v2(void*, void*, size_t) { return 0; }
int cublasGetVersion_v2(void*, int* version) { *version = 130000; return 0; }

// CUDA_R_32F is 0, CUDA_R_16BF 14; CUBLAS_COMPUTE_32F is 68, CUBLAS_COMPUTE_32F_FAST_TF32 77.
int cublasGemmStridedBatchedEx(void* handle, int ta, int tb, int m, int n, int k, const void* alpha, const void* a,
                               int a_type, int lda, long long sa, const void* b, int b_type, int ldb, long long sb,
                               const void* beta, void* c, int c_type, int ldc, long long sc, int count, int compute, int) {
    const bool f32 = a_type == 0, bf16 = a_type == 14, tf32 = compute == 77;
    if (a_type != b_type || (c_type != 0 && c_type != a_type) || !(f32 || bf16) || !(compute == 68 || (tf32 && f32))) return 15;  // not supported
    const Read read = bf16 ? Read::bf16 : tf32 ? Read::tf32 : Read::f32;
    return push(handle, {ta != 0, tb != 0, m, n, k, lda, ldb, ldc, count, sa, sb, sc, *static_cast<const float*>(alpha),
                         *static_cast<const float*>(beta), a, b, c, read, c_type != 0});
}

}  // extern "C"
