// Bias and ReLU after every convolution and dense layer, and their gradients.
//
//   x, dy    f32 [batch][channels][plane]; a dense layer has plane = 1
//   bias, db f32 [channels]
//
// ReLU keeps a NaN: a run that diverged must be seen to have diverged.
// Oracle: plain loops. Forward moves 8 B and 1-2 FLOP per element, ReLU backward 12 B, bias gradient 4 B and 1 FLOP.
#include "prelude.cuh"

__device__ inline float rectified(float x) { return x < 0.0f ? 0.0f : x; }

// x ← x + bias, then ReLU if asked, in place.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
bias_forward(float* x, const float* bias, int batch, int channels, int plane, int relu) {
    ALX_EACH(i, batch * channels * plane) {
        const float value = x[i] + bias[i / plane % channels];
        x[i] = relu ? rectified(value) : value;
    }
}

// x ← max(x, 0), in place: where ReLU follows pooling, as in stage 1 of the 2012 code.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
relu_forward(float* x, int n) {
    ALX_EACH(i, n) { x[i] = rectified(x[i]); }
}

// dy ← 0 where the layer's output y is not above 0, in place; a NaN lets the gradient through.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
relu_backward(const float* y, float* dy, int n) {
    ALX_EACH(i, n) {
        if (y[i] <= 0.0f) dy[i] = 0.0f;
    }
}

// db (+)= sum of dy over batch and plane. One block per channel; threads gather in a fixed stride, then a fixed tree.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
bias_gradient_map(const float* dy, float* db, int batch, int channels, int plane, int accumulate) {
    __shared__ float scratch[ALX_BLOCK];
    const unsigned channel = blockIdx.x;
    float sum = 0.0f;
    for (unsigned image = 0; image < static_cast<unsigned>(batch); image++) {
        const float* map = dy + (image * channels + channel) * plane;
        for (unsigned p = threadIdx.x; p < static_cast<unsigned>(plane); p += blockDim.x) sum += map[p];
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) db[channel] = accumulate ? db[channel] + sum : sum;
}

// The same for plane = 1: one thread per channel, so that neighbours read neighbouring floats.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
bias_gradient_dense(const float* dy, float* db, int batch, int channels, int accumulate) {
    ALX_EACH(channel, channels) {
        float sum = accumulate ? db[channel] : 0.0f;
        for (unsigned image = 0; image < static_cast<unsigned>(batch); image++) sum += dy[image * channels + channel];
        db[channel] = sum;
    }
}
