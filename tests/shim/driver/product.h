// A matrix product by plain loops, run in its turn on the stand-in driver's streams: what the stand-ins for cuBLAS and cuBLASLt
// share. It reads float32, float32 rounded to TF32, or bfloat16, adds in float32 over k in ascending order, and writes float32,
// or of bfloat16 operands bfloat16. With beta = 0 the target is not read, as BLAS demands.
#ifndef ALX_PRODUCT
#define ALX_PRODUCT
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

extern "C" int alx_driver_enqueue(void* stream, const char* what, void (*run)(void*), void (*drop)(void*), void* data);

enum class Read { f32, tf32, bf16 };

inline float of_bits(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

// What a product sees of a value: TF32 keeps 10 bits of fraction, to nearest, ties to even.
inline float seen(const void* values, size_t i, Read read) {
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
    // cuBLASLt's epilogues: a bias for each row of C, added before C is rounded; max(·, 0); or the sums over k of op(B)'s columns,
    // which go where the bias stands. The bias is of C's type.
    void* bias = nullptr;
    bool rectified = false, sums_of_b = false;

    float followed(int row, float value) const {
        if (bias && !sums_of_b) value += seen(bias, row, rounded ? Read::bf16 : Read::f32);
        return rectified && value < 0.0f ? 0.0f : value;
    }

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
            float of_b = 0.0f;
            for (int p = 0; p < k; p++) {
                const size_t at = transpose_b ? static_cast<size_t>(p) * ldb + j : static_cast<size_t>(j) * ldb + p;
                const float factor = seen(b, first_b + at, read);
                const float* column = rows + p * step;
                for (int i = 0; i < m; i++) sum[i] += column[i] * factor;
                of_b += factor;
            }
            for (int i = 0; i < m; i++) write(first_c + static_cast<size_t>(j) * ldc + i, followed(i, sum[i]));
            if (sums_of_b) static_cast<float*>(bias)[j] = of_b;
        }
    }

    static void run(void* data) {
        auto* p = static_cast<Product*>(data);
        for (int i = 0; i < p->count; i++) p->one(i * p->stride_a, i * p->stride_b, i * p->stride_c);
    }
    static void drop(void* data) { delete static_cast<Product*>(data); }
};

// Whether the leading dimensions hold the rows.
inline bool fits(const Product& p) {
    return p.m >= 0 && p.n >= 0 && p.k >= 0 && p.lda >= (p.transpose_a ? p.k : p.m) && p.ldb >= (p.transpose_b ? p.n : p.k) &&
           p.ldc >= p.m;
}

inline bool enqueue(void* stream, Product p) {
    return alx_driver_enqueue(stream, "matrix product", &Product::run, &Product::drop, new Product(p)) == 0;
}

#endif
