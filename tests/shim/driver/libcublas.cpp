// A stand-in libcublas.so.13: single precision matrix products by plain loops, run in their turn on the stand-in
// driver's streams. Sums go over k in ascending order. With beta = 0 the target is not read, as BLAS demands.
#include <cstddef>
#include <cstdint>
#include <vector>

extern "C" int alx_driver_enqueue(void* stream, const char* what, void (*run)(void*), void* data);

namespace {

struct Handle {
    void* stream = nullptr;
};

// Column-major: C[m×n] = alpha · op(A) · op(B) + beta · C.
struct Product {
    bool transpose_a, transpose_b;
    int m, n, k, lda, ldb, ldc, count;
    long long stride_a, stride_b, stride_c;
    float alpha, beta;
    const float *a, *b;
    float* c;

    void one(const float* a, const float* b, float* c) const {
        std::vector<float> row_a, sum(m);
        if (transpose_a) {  // once, so that the inner loop always reads neighbours
            row_a.resize(static_cast<size_t>(m) * k);
            for (int i = 0; i < m; i++)
                for (int p = 0; p < k; p++) row_a[static_cast<size_t>(p) * m + i] = a[static_cast<size_t>(i) * lda + p];
            a = row_a.data();
        }
        const size_t step = transpose_a ? m : lda;
        for (int j = 0; j < n; j++) {
            sum.assign(m, 0.0f);
            for (int p = 0; p < k; p++) {
                const float factor = transpose_b ? b[static_cast<size_t>(p) * ldb + j] : b[static_cast<size_t>(j) * ldb + p];
                const float* column = a + p * step;
                for (int i = 0; i < m; i++) sum[i] += column[i] * factor;
            }
            float* to = c + static_cast<size_t>(j) * ldc;
            for (int i = 0; i < m; i++) to[i] = beta == 0.0f ? alpha * sum[i] : alpha * sum[i] + beta * to[i];
        }
    }

    static void run(void* data) {
        auto* p = static_cast<Product*>(data);
        for (int i = 0; i < p->count; i++) p->one(p->a + i * p->stride_a, p->b + i * p->stride_b, p->c + i * p->stride_c);
        delete p;
    }
};

int push(void* handle, Product p) {
    if (p.m < 0 || p.n < 0 || p.k < 0 || p.lda < (p.transpose_a ? p.k : p.m) || p.ldb < (p.transpose_b ? p.n : p.k) || p.ldc < p.m)
        return 7;  // CUBLAS_STATUS_INVALID_VALUE
    return alx_driver_enqueue(static_cast<Handle*>(handle)->stream, "matrix product", &Product::run, new Product(p)) ? 13 : 0;
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

int cublasSgemm_v2(void* handle, int ta, int tb, int m, int n, int k, const float* alpha, const float* a, int lda,
                   const float* b, int ldb, const float* beta, float* c, int ldc) {
    return push(handle, {ta != 0, tb != 0, m, n, k, lda, ldb, ldc, 1, 0, 0, 0, *alpha, *beta, a, b, c});
}
int cublasSgemmStridedBatched(void* handle, int ta, int tb, int m, int n, int k, const float* alpha, const float* a,
                              int lda, long long sa, const float* b, int ldb, long long sb, const float* beta, float* c,
                              int ldc, long long sc, int count) {
    return push(handle, {ta != 0, tb != 0, m, n, k, lda, ldb, ldc, count, sa, sb, sc, *alpha, *beta, a, b, c});
}

}  // extern "C"
