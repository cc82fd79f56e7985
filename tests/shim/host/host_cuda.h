// CUDA C++ as plain C++17, as far as kernels/ uses it: included by kernels/prelude.cuh under ALX_HOST_SHIM.
//
// A CUDA thread is a fibre, a block runs on one OS thread, blocks run one after the other. __shared__ is
// thread-local storage of that OS thread. See host_cuda.cpp for the scheduler and what it reports.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#define __global__
#define __device__
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __shared__ static __thread
#define DYN_SHARED(T, name) T* name = reinterpret_cast<T*>(alx_dyn_smem())

struct uint3 {
    unsigned x, y, z;
};

extern __thread uint3 threadIdx, blockIdx, blockDim, gridDim;

void* alx_dyn_smem();
void alx_block_wait(const char* file, int line);
void alx_warp_wait(unsigned mask, const char* file, int line);
uint32_t alx_shuffle(unsigned mask, uint32_t value, unsigned lane, const char* file, int line);

// The place of the call is part of the barrier: threads that wait at different ones have diverged.
#define __syncthreads() alx_block_wait(__FILE__, __LINE__)
#define __syncwarp() alx_warp_wait(0xffffffffu, __FILE__, __LINE__)
#define __shfl_xor_sync(mask, value, lane_mask) alx_shuffle_as(mask, value, (threadIdx.x % 32) ^ (lane_mask), __FILE__, __LINE__)
#define __shfl_down_sync(mask, value, delta) alx_shuffle_as(mask, value, (threadIdx.x % 32) + (delta), __FILE__, __LINE__)
#define __shfl_sync(mask, value, lane) alx_shuffle_as(mask, value, (lane), __FILE__, __LINE__)

template <class T>
T alx_shuffle_as(unsigned mask, T value, unsigned lane, const char* file, int line) {
    static_assert(sizeof(T) == 4, "shuffles of 32 bits only");
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    bits = alx_shuffle(mask, bits, lane, file, line);
    std::memcpy(&value, &bits, 4);
    return value;
}

// -ffp-contract=off keeps each operation rounded once, as these intrinsics promise on a GPU.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline float rsqrtf(float a) { return 1.0f / std::sqrt(a); }
inline unsigned __float_as_uint(float a) {
    unsigned bits;
    std::memcpy(&bits, &a, 4);
    return bits;
}
inline float __uint_as_float(unsigned a) {
    float value;
    std::memcpy(&value, &a, 4);
    return value;
}
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }

// One row of the table of kernels: a name, how to call it with cuLaunchKernel's array of pointers to arguments, and
// the size of each argument, so that a caller's mistake is found before the kernel reads it.
struct AlxKernel {
    const char* name;
    void (*call)(void**);
    const size_t* sizes;
    size_t count;
};

template <auto F>
struct alx_trampoline;

template <class... A, void (*F)(A...)>
struct alx_trampoline<F> {
    static constexpr size_t sizes[sizeof...(A)] = {sizeof(A)...};
    template <size_t... I>
    static void expand(void** a, std::index_sequence<I...>) {
        F(*static_cast<A*>(a[I])...);
    }
    static void call(void** a) { expand(a, std::index_sequence_for<A...>{}); }
    static constexpr AlxKernel row(const char* name) { return {name, &call, sizes, sizeof...(A)}; }
};

// Written by build.rs from the kernel files.
extern const AlxKernel alx_kernels[];
extern const size_t alx_kernel_count;

const AlxKernel* alx_find_kernel(const char* name);

// Runs a kernel. `order` 0: threads and blocks forwards, 1: backwards, else shuffled by it. Returns 0, or 1 with a
// text in `error` when the launch is wrong or a barrier was missed or divergent.
int alx_run_kernel(const AlxKernel& kernel, const unsigned grid[3], const unsigned block[3], size_t shared, void** args,
                   unsigned order, char* error, size_t error_size);

// Tensor cores: what a warp holds together, exchanged through memory between two waits. See kernels/tensor_core.cuh.
struct AlxWarp {
    unsigned a[32][4], b[32][2];
    const void* rows[32];
};
AlxWarp& alx_warp_exchange();
#define alx_warp_multiply(d, a, b) alx_warp_multiply_at(d, a, b, __FILE__, __LINE__)
#define alx_warp_load(to, row, turned) alx_warp_load_at(to, row, turned, __FILE__, __LINE__)
void alx_warp_multiply_at(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], const char* file, int line);
void alx_warp_load_at(unsigned (&to)[4], const void* row, bool turned, const char* file, int line);
