// Bias and ReLU after every convolution and dense layer, and their gradients.
//
//   x, dy    f32 or bf16 [rows][channels]; rows = batch · positions, or the batch of a dense layer
//   bias, db f32 [channels]
//
// ReLU keeps a NaN: a run that diverged must be seen to have diverged.
// Oracle: plain loops. In f32 forward moves 8 B and 1-2 FLOP per element, ReLU backward 12 B, the sum over rows 4 B and
// 1 FLOP; in bf16 half the bytes.
#include "lanes.cuh"

__device__ inline float rectified(float x) { return x < 0.0f ? 0.0f : x; }

template <class T, int W>
__device__ inline void add_bias(T* x, const float* bias, int rows, int channels, int relu) {
    const unsigned vectors = channels / W;
    ALX_EACH(i, rows * vectors) {
        float v[W], b[W];
        load(x + i * W, v);
#pragma unroll
        for (int m = 0; m < W; m++) b[m] = bias[i % vectors * W + m];
#pragma unroll
        for (int m = 0; m < W; m++) v[m] = relu ? rectified(v[m] + b[m]) : v[m] + b[m];
        store(x + i * W, v);
    }
}

template <class T>
__device__ inline void bias_to(T* x, const float* bias, int rows, int channels, int relu) {
    if (channels % Lanes<T>::n == 0) add_bias<T, Lanes<T>::n>(x, bias, rows, channels, relu);
    else add_bias<T, 1>(x, bias, rows, channels, relu);
}

// x ← x + bias, then ReLU if asked, in place.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
bias_forward(float* x, const float* bias, int rows, int channels, int relu) { bias_to(x, bias, rows, channels, relu); }

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
bias_forward_bf16(Bf16* x, const float* bias, int rows, int channels, int relu) {
    bias_to(x, bias, rows, channels, relu);
}

template <class T, int W>
__device__ inline void rectify_at(T* x) {
    float v[W];
    load(x, v);
#pragma unroll
    for (int m = 0; m < W; m++) v[m] = rectified(v[m]);
    store(x, v);
}

// Whole vectors, then what is left value by value.
template <class T>
__device__ inline void rectify(T* x, int n) {
    const unsigned w = Lanes<T>::n, whole = n / w;
    ALX_EACH(i, whole + n % w) {
        if (i < whole) rectify_at<T, Lanes<T>::n>(x + i * w);
        else rectify_at<T, 1>(x + whole * w + (i - whole));
    }
}

// x ← max(x, 0), in place: where ReLU follows pooling, as in stage 1 of the 2012 code.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
relu_forward(float* x, int n) { rectify(x, n); }

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
relu_forward_bf16(Bf16* x, int n) { rectify(x, n); }

template <class T, int W>
__device__ inline void mask_at(const T* y, T* dy) {
    float v[W], d[W];
    load(y, v);
    load(dy, d);
#pragma unroll
    for (int m = 0; m < W; m++) d[m] = v[m] <= 0.0f ? 0.0f : d[m];
    store(dy, d);
}

template <class T>
__device__ inline void mask_by(const T* y, T* dy, int n) {
    const unsigned w = Lanes<T>::n, whole = n / w;
    ALX_EACH(i, whole + n % w) {
        if (i < whole) mask_at<T, Lanes<T>::n>(y + i * w, dy + i * w);
        else mask_at<T, 1>(y + whole * w + (i - whole), dy + whole * w + (i - whole));
    }
}

// dy ← 0 where the layer's output y is not above 0, in place; a NaN lets the gradient through.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
relu_backward(const float* y, float* dy, int n) { mask_by(y, dy, n); }

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
relu_backward_bf16(const Bf16* y, Bf16* dy, int n) { mask_by(y, dy, n); }

// One block adds `share` rows: its threads stand side by side over the channels, and in lines one below the other where
// there are fewer vectors than threads; a line takes every lines-th row, and the lines are added from the first on.
template <class T, int W>
__device__ inline void add_rows(const T* dy, float* sums, int rows, int channels, int share, float* scratch) {
    const unsigned vectors = channels / W, across = min(vectors, blockDim.x), lines = blockDim.x / across;
    const unsigned line = threadIdx.x / across, first = blockIdx.x * share;
    const unsigned last = min(first + share, static_cast<unsigned>(rows));
    for (unsigned start = 0; start < vectors; start += across) {
        const unsigned vector = start + threadIdx.x % across;
        float sum[W] = {};
        if (line < lines && vector < vectors)
            for (unsigned row = first + line; row < last; row += lines) {
                float v[W];
                load(dy + row * channels + vector * W, v);
#pragma unroll
                for (int m = 0; m < W; m++) sum[m] += v[m];
            }
#pragma unroll
        for (int m = 0; m < W; m++) {
            scratch[threadIdx.x] = sum[m];
            __syncthreads();
            if (line == 0 && vector < vectors) {
                float total = 0.0f;
                for (unsigned l = 0; l < lines; l++) total += scratch[l * across + threadIdx.x];
                sums[blockIdx.x * channels + vector * W + m] = total;
            }
            __syncthreads();
        }
    }
}

template <class T>
__device__ inline void rows_added(const T* dy, float* sums, int rows, int channels, int share) {
    __shared__ float scratch[ALX_BLOCK];
    if (channels % Lanes<T>::n == 0) add_rows<T, Lanes<T>::n>(dy, sums, rows, channels, share, scratch);
    else add_rows<T, 1>(dy, sums, rows, channels, share, scratch);
}

// sums [blocks][channels]: block b adds rows b · share .. (b + 1) · share of dy.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
row_sums(const float* dy, float* sums, int rows, int channels, int share) {
    rows_added(dy, sums, rows, channels, share);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
row_sums_bf16(const Bf16* dy, float* sums, int rows, int channels, int share) {
    rows_added(dy, sums, rows, channels, share);
}

// db [channels] (+)= the sum of `parts` rows: one block per channel, a fixed stride, then a fixed tree.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
bias_gradient(const float* sums, float* db, int parts, int channels, int accumulate) {
    __shared__ float scratch[ALX_BLOCK];
    float sum = 0.0f;
    for (int p = threadIdx.x; p < parts; p += blockDim.x) sum += sums[p * channels + blockIdx.x];
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) db[blockIdx.x] = accumulate ? db[blockIdx.x] + sum : sum;
}
