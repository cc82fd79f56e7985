// A stand-in libcublas.so.13: matrix products by plain loops, run in their turn on the stand-in driver's streams. They read
// float32, float32 rounded to TF32, or bfloat16, add in float32 over k in ascending order, and write float32, or of bfloat16
// operands bfloat16. With beta = 0 the target is not read, as BLAS demands.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

extern "C" int alx_driver_enqueue(void* stream, const char* what, void (*run)(void*), void (*drop)(void*), void* data);

namespace {

struct Handle {
    void* stream = nullptr;
};

enum class Read { f32, tf32, bf16 };

float of_bits(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

// What a product sees of a value: TF32 keeps 10 bits of fraction, to nearest, ties to even.
float seen(const void* values, size_t i, Read read) {
    if (read == Read::bf16) return of_bits(uint32_t{static_cast<const uint16_t*>(values)[i]} << 16);
    const float value = static_cast<const float*>(values)[i];
    if (read == Read::f32 || value != value) return value;
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return of_bits((bits + 0xfff + (bits >> 13 & 1)) & ~uint32_t{0x1fff});
}

// Column-major: C[m×n] = alpha · op(A) · op(B) + beta · C.
struct Product {
    bool transpose_a, transpose_b;
    int m, n, k, lda, ldb, ldc, count;
    long long stride_a, stride_b, stride_c;
    float alpha, beta;
    const void *a, *b;
    void* c;
    Read read;
    bool rounded;  // C is bfloat16

    void write(size_t at, float sum) const {
        if (!rounded) {
            float* to = static_cast<float*>(c) + at;
            *to = beta == 0.0f ? alpha * sum : alpha * sum + beta * *to;
            return;
        }
        uint16_t* to = static_cast<uint16_t*>(c) + at;
        const float value = beta == 0.0f ? alpha * sum : alpha * sum + beta * of_bits(uint32_t{*to} << 16);
        uint32_t bits;
        std::memcpy(&bits, &value, 4);
        *to = value != value ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    }

    void one(size_t first_a, size_t first_b, size_t first_c) const {
        // op(A) as rows of neighbours, for the inner loop: a copy unless it lies so already.
        std::vector<float> copy, sum(m);
        const bool as_it_lies = !transpose_a && read == Read::f32;
        const size_t step = as_it_lies ? lda : m;
        if (!as_it_lies) copy.resize(static_cast<size_t>(m) * k);
        for (int block = 0; block < k && !as_it_lies; block += 16)  // few columns at a time stay in cache
            for (int i = 0; i < m; i++)
                for (int p = block; p < k && p < block + 16; p++) {
                    const size_t at = transpose_a ? static_cast<size_t>(i) * lda + p : static_cast<size_t>(p) * lda + i;
                    copy[static_cast<size_t>(p) * m + i] = seen(a, first_a + at, read);
                }
        const float* rows = as_it_lies ? static_cast<const float*>(a) + first_a : copy.data();
        for (int j = 0; j < n; j++) {
            sum.assign(m, 0.0f);
            for (int p = 0; p < k; p++) {
                const size_t at = transpose_b ? static_cast<size_t>(p) * ldb + j : static_cast<size_t>(j) * ldb + p;
                const float factor = seen(b, first_b + at, read);
                const float* column = rows + p * step;
                for (int i = 0; i < m; i++) sum[i] += column[i] * factor;
            }
            for (int i = 0; i < m; i++) write(first_c + static_cast<size_t>(j) * ldc + i, sum[i]);
        }
    }

    static void run(void* data) {
        auto* p = static_cast<Product*>(data);
        for (int i = 0; i < p->count; i++) p->one(i * p->stride_a, i * p->stride_b, i * p->stride_c);
    }
    static void drop(void* data) { delete static_cast<Product*>(data); }
};

int push(void* handle, Product p) {
    if (p.m < 0 || p.n < 0 || p.k < 0 || p.lda < (p.transpose_a ? p.k : p.m) || p.ldb < (p.transpose_b ? p.n : p.k) || p.ldc < p.m)
        return 7;  // CUBLAS_STATUS_INVALID_VALUE
    void* stream = static_cast<Handle*>(handle)->stream;
    return alx_driver_enqueue(stream, "matrix product", &Product::run, &Product::drop, new Product(p)) ? 13 : 0;
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
