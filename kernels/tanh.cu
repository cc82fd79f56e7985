// tanh, the neuron that ReLU replaced (section 3.1 and Figure 1 of the paper): for the ablation.
//
//   x, y, dy   f32 [n]
//
// Backward computes tanh(x) again rather than keep it.
// Oracle: float64. Forward moves 8 B, about 20 FLOP per element, backward 12 B, about 23 FLOP.
#include "prelude.cuh"

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
tanh_forward(const float* x, float* y, int n) {
    ALX_EACH(i, n) { y[i] = tanhf(x[i]); }
}

// dy ← dy · (1 − tanh²(x)), in place.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
tanh_backward(const float* x, float* dy, int n) {
    ALX_EACH(i, n) {
        const float y = tanhf(x[i]);
        dy[i] = dy[i] * (1.0f - y * y);
    }
}
