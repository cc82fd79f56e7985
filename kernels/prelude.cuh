// What every kernel file may rely on. On a GPU (NVRTC, nvcc) it adds only what CUDA lacks; under the host shim
// (tests/shim) it brings the whole language: threads become fibres, shared memory thread-local storage.
//
// All kernels are compiled with --fmad=false and without fast mathematics: + − × ÷ √ are then the IEEE operations,
// each rounded once, so a GPU, the shim and a plain loop in Rust compute the same bits wherever the order is the
// same. Kernels here wait for memory, not for arithmetic, so this costs nothing that can be measured.
//
// Limits: a tensor of one launch has fewer than 2^31 elements; indices are unsigned, so that the last step of a
// grid-stride loop cannot overflow. Wrappers check this and cut larger batches.
#ifndef ALX_PRELUDE
#define ALX_PRELUDE

#ifdef ALX_HOST_SHIM
#include "host_cuda.h"
// The shim's compiler must know that a vector aliases what it was cast from.
#define ALX_VECTOR(bytes) __attribute__((aligned(bytes), may_alias))
#else
#define ALX_VECTOR(bytes) __align__(bytes)
#define DYN_SHARED(T, name)                                             \
    extern __shared__ __align__(16) unsigned char alx_dyn_smem[];       \
    T* name = reinterpret_cast<T*>(alx_dyn_smem)
#endif

// Work items i = 0 .. n, one per thread, then on by the size of the grid: any grid gives the same result.
#define ALX_EACH(i, n)                                                                  \
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < static_cast<unsigned>(n); \
         i += gridDim.x * blockDim.x)

// Threads per block of the kernels that have no reason to choose otherwise.
#define ALX_BLOCK 256

__device__ inline bool is_nan(float x) { return x != x; }

// d^(-3/4) for d > 0 from operations that round correctly, so that every machine agrees: powf does not promise it.
__device__ inline float inverse_three_quarter_power(float d) {
    const float root = __fsqrt_rn(d);
    return __fdiv_rn(1.0f, __fmul_rn(root, __fsqrt_rn(root)));
}

// Sum of one value per thread over the block, the same in every thread. The tree depends on the block's size alone,
// never on timing. `scratch` has ALX_BLOCK elements; every thread of the block must call this.
template <class T>
__device__ inline T block_sum(T value, T* scratch) {
    scratch[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) scratch[threadIdx.x] += scratch[threadIdx.x + half];
        __syncthreads();
    }
    const T sum = scratch[0];
    __syncthreads();  // the scratch may be used again at once
    return sum;
}

#endif
