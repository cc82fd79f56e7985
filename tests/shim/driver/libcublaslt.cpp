// A stand-in libcublasLt.so.13: one product at a time with its epilogue, as strict as the header says the library is. What it
// does not do is NOT_SUPPORTED, a descriptor that contradicts another or breaks a promise INVALID_VALUE:
//
//   types         A and B alike, float32 or bfloat16; C and D alike, float32 or, of bfloat16, bfloat16; scale float32
//   epilogues     none, RELU, BIAS, RELU_BIAS (a bias for each row of D), BGRADA (each row), BGRADB (each column), D's type
//   alignment     of A .. D as promised to the heuristic (256 unless lowered), of the bias as it stood there, 256 of the workspace
//   algorithm     the heuristic's, for the same descriptors, with the workspace it asked for
#include "product.h"

#include <algorithm>

namespace {

enum { success = 0, invalid = 7, failed = 13, unsupported = 15 };
enum { relu = 2, with_bias = 4, gradient_a = 256, gradient_b = 512 };
constexpr size_t needed = 4096;  // bytes of workspace

struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t leading;
};

struct Description {
    int compute = 0, transpose_a = 0, transpose_b = 0, bias_type = -1;
    uint32_t epilogue = 1;
    void* bias = nullptr;
};

struct Preference {
    size_t workspace = 0;
    uint32_t alignment[4] = {256, 256, 256, 256};  // of A, B, C, D
    uint32_t reductions = 7;
};

// What fits into the library's own struct of eight words.
struct Algorithm {
    uint64_t magic, shape[3], kind, alignment, bias_alignment, workspace;
};
static_assert(sizeof(Algorithm) == 64, "cublasLtMatmulAlgo_t");

struct Heuristic {
    Algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};

uint64_t alignment_of(const void* pointer) {
    const auto address = reinterpret_cast<uint64_t>(pointer);
    return address == 0 ? 0 : std::min<uint64_t>(address & -address, 16);
}

// The product, or why not.
int product_of(const Description& d, const Layout& a, const Layout& b, const Layout& c, const Layout& out, Product& p) {
    const bool f32 = a.type == 0, bf16 = a.type == 14, tf32 = d.compute == 77;
    if (a.type != b.type || c.type != out.type || (out.type != 0 && out.type != a.type)) return unsupported;
    if (!(f32 || bf16) || !(d.compute == 68 || (tf32 && f32))) return unsupported;
    const uint64_t m = d.transpose_a ? a.columns : a.rows, k = d.transpose_a ? a.rows : a.columns;
    const uint64_t n = d.transpose_b ? b.rows : b.columns, of_b = d.transpose_b ? b.columns : b.rows;
    if (of_b != k || out.rows != m || out.columns != n || c.rows != m || c.columns != n || c.leading != out.leading) return invalid;
    for (const Layout* l : {&a, &b, &c, &out})
        if (l->leading < static_cast<int64_t>(l->rows) || l->rows == 0 || l->columns == 0) return invalid;
    if (d.epilogue & (with_bias | gradient_a | gradient_b)) {
        if (!d.bias) return invalid;
        if (d.bias_type != -1 && d.bias_type != out.type) return unsupported;
        if (d.epilogue >= gradient_a && out.type != 0) return unsupported;
        if (alignment_of(d.bias) < (out.type == 0 ? 4 : 2)) return invalid;
    }
    if (d.epilogue == gradient_a) return unsupported;  // nobody here asks for it
    p = Product{d.transpose_a != 0, d.transpose_b != 0, static_cast<int>(m), static_cast<int>(n), static_cast<int>(k),
                static_cast<int>(a.leading), static_cast<int>(b.leading), static_cast<int>(out.leading), 1, 0, 0, 0, 1.0f, 0.0f,
                nullptr, nullptr, nullptr, bf16 ? Read::bf16 : tf32 ? Read::tf32 : Read::f32, out.type != 0};
    if (d.epilogue & (with_bias | gradient_b)) p.bias = d.bias;
    p.rectified = (d.epilogue & relu) != 0;
    p.sums_of_b = d.epilogue == gradient_b;
    return success;
}

Algorithm algorithm_for(const Description& d, const Product& p) {
    const auto pair = [](int high, int low) { return static_cast<uint64_t>(high) << 32 | static_cast<uint32_t>(low); };
    Algorithm algorithm = {};
    algorithm.magic = 0x616c78;
    algorithm.shape[0] = pair(p.m, p.n);
    algorithm.shape[1] = pair(p.k, p.lda);
    algorithm.shape[2] = pair(p.ldb, p.ldc);
    algorithm.kind = static_cast<uint64_t>(d.epilogue) << 16 | d.compute << 4 | static_cast<int>(p.read) << 2 |
                     (p.transpose_a ? 2 : 0) | (p.transpose_b ? 1 : 0) | (p.rounded ? 1u << 31 : 0);
    return algorithm;
}

template <class T>
int read(T& to, const void* from, size_t bytes) {
    if (!from || bytes != sizeof to) return invalid;
    std::memcpy(&to, from, bytes);
    return success;
}

}  // namespace

extern "C" {

int cublasLtCreate(void** handle) { *handle = new int(0); return success; }
int cublasLtDestroy(void* handle) { delete static_cast<int*>(handle); return success; }
size_t cublasLtGetVersion() { return 130000; }

int cublasLtMatrixLayoutCreate(Layout** layout, int type, uint64_t rows, uint64_t columns, int64_t leading) {
    *layout = new Layout{type, rows, columns, leading};
    return success;
}
int cublasLtMatrixLayoutDestroy(Layout* layout) { delete layout; return success; }
int cublasLtMatrixLayoutSetAttribute(Layout*, int, const void*, size_t) { return unsupported; }

int cublasLtMatmulDescCreate(Description** d, int compute, int scale) {
    if (scale != 0) return unsupported;
    *d = new Description;
    (*d)->compute = compute;
    return success;
}
int cublasLtMatmulDescDestroy(Description* d) { delete d; return success; }
int cublasLtMatmulDescSetAttribute(Description* d, int what, const void* value, size_t bytes) {
    switch (what) {
        case 3: return read(d->transpose_a, value, bytes);
        case 4: return read(d->transpose_b, value, bytes);
        case 7:
            if (read(d->epilogue, value, bytes)) return invalid;
            for (uint32_t known : {1u, 2u, 4u, 6u, 256u, 512u})
                if (d->epilogue == known) return success;
            return unsupported;
        case 8: return read(d->bias, value, bytes);
        case 26: return read(d->bias_type, value, bytes);
        default: return unsupported;
    }
}

int cublasLtMatmulPreferenceCreate(Preference** p) { *p = new Preference; return success; }
int cublasLtMatmulPreferenceDestroy(Preference* p) { delete p; return success; }
int cublasLtMatmulPreferenceSetAttribute(Preference* p, int what, const void* value, size_t bytes) {
    if (what == 1) return read(p->workspace, value, bytes);
    if (what == 3) return read(p->reductions, value, bytes);
    if (what >= 5 && what <= 8) return read(p->alignment[what - 5], value, bytes);
    return unsupported;
}

int cublasLtMatmulAlgoGetHeuristic(void* handle, Description* d, Layout* a, Layout* b, Layout* c, Layout* out, Preference* p, int asked,
                                   Heuristic* results, int* found) {
    *found = 0;
    Product product;
    if (!handle || asked < 1) return invalid;
    if (const int problem = product_of(*d, *a, *b, *c, *out, product)) return problem;
    Algorithm algorithm = algorithm_for(*d, product);
    for (int i = 0; i < 4; i++) algorithm.alignment |= static_cast<uint64_t>(p->alignment[i]) << 16 * i;
    algorithm.bias_alignment = alignment_of(d->bias);
    algorithm.workspace = p->workspace < needed ? 0 : needed;
    results[0] = Heuristic{algorithm, algorithm.workspace, success, 1.0f, {}};
    *found = 1;
    return success;
}

int cublasLtMatmul(void* handle, Description* d, const float* alpha, const void* a, Layout* a_at, const void* b, Layout* b_at,
                   const float* beta, const void* c, Layout* c_at, void* out, Layout* out_at, const Algorithm* algorithm, void* space,
                   size_t bytes, void* stream) {
    Product p;
    if (!handle || !algorithm) return invalid;
    if (const int problem = product_of(*d, *a_at, *b_at, *c_at, *out_at, p)) return problem;
    const Algorithm expected = algorithm_for(*d, p);
    if (std::memcmp(&expected, algorithm, offsetof(Algorithm, alignment)) != 0) return invalid;
    const void* matrices[4] = {a, b, c, out};
    for (int i = 0; i < 4; i++) {
        const uint64_t promised = algorithm->alignment >> 16 * i & 0xffff;
        if (!matrices[i] || reinterpret_cast<uint64_t>(matrices[i]) % promised != 0) return invalid;
    }
    if (c != out && *beta != 0.0f) return unsupported;
    if (alignment_of(d->bias) < algorithm->bias_alignment) return invalid;
    if (bytes < algorithm->workspace || (algorithm->workspace && (!space || reinterpret_cast<uint64_t>(space) % 256 != 0))) return invalid;
    p.alpha = *alpha;
    p.beta = *beta;
    p.a = a;
    p.b = b;
    p.c = out;
    return enqueue(stream, p) ? success : failed;
}

}  // extern "C"
