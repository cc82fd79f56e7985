// tanh, the neuron that ReLU replaced (section 3.1 and Figure 1 of the paper): for the ablation.
//
//   x, y, dy   f32 or bf16 [n]
//
// Backward computes tanh(x) again rather than keep it.
// Oracle: float64. Forward moves 8 B, about 20 FLOP per element, backward 12 B, about 23 FLOP.
#include "lanes.cuh"

template <class T>
__device__ inline void tanh_of(const T* x, T* y, int n) {
    ALX_EACH(i, n) { y[i] = rounded_to<T>(tanhf(widened(x[i]))); }
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
tanh_forward(const float* x, float* y, int n) { tanh_of(x, y, n); }

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
tanh_forward_bf16(const Bf16* x, Bf16* y, int n) { tanh_of(x, y, n); }

template <class T>
__device__ inline void tanh_back(const T* x, T* dy, int n) {
    ALX_EACH(i, n) {
        const float y = tanhf(widened(x[i]));
        dy[i] = rounded_to<T>(widened(dy[i]) * (1.0f - y * y));
    }
}

// dy ← dy · (1 − tanh²(x)), in place.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
tanh_backward(const float* x, float* dy, int n) { tanh_back(x, dy, n); }

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
tanh_backward_bf16(const Bf16* x, Bf16* dy, int n) { tanh_back(x, dy, n); }
