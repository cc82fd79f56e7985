// Kernels with known faults: the shim must find each, or it would find nothing in the real ones.
#include "prelude.cuh"

// Right: the block's values reversed through shared memory.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
shim_reverse(int* x) {
    __shared__ int copy[ALX_BLOCK];
    copy[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = copy[blockDim.x - 1 - threadIdx.x];
}

// Right: the sum of each warp by shuffles.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
shim_warp_sum(int* x) {
    int sum = x[threadIdx.x];
    for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    x[threadIdx.x] = sum;
}

// Wrong: no barrier between write and read.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
shim_no_barrier(int* x) {
    __shared__ int copy[ALX_BLOCK];
    copy[threadIdx.x] = x[threadIdx.x];
    x[threadIdx.x] = copy[blockDim.x - 1 - threadIdx.x];
}

// Wrong: half of the threads leave before the barrier.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
shim_early_return(int* x) {
    if (threadIdx.x >= blockDim.x / 2) return;
    __syncthreads();
    x[threadIdx.x] = 1;
}

// Wrong: two barriers, each reached by half of the threads.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
shim_divergent(int* x) {
    if (threadIdx.x % 2) {
        __syncthreads();
        x[threadIdx.x] = 1;
    } else {
        x[threadIdx.x] = 2;
        __syncthreads();
    }
}

// Wrong: a full-mask shuffle that half of the warp skips.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
shim_half_shuffle(int* x) {
    if (threadIdx.x < 16) x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, x[threadIdx.x], 1);
}

// Wrong: dynamic shared memory read before it is written; the shim fills it with NaN.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
shim_unwritten(float* x) {
    DYN_SHARED(float, memory);
    x[threadIdx.x] = memory[threadIdx.x];
}
