// What products and the host read, made from tensors as the other kernels leave them.
//
//   narrow, widen  y [n] = x [n] in bfloat16, in float32
//   transpose      x [batch][rows][columns] to y [batch][columns][rows]: channels last to channels first, and back
//   filters_last   w f32 [outputs][channels][taps] to y f32 or bf16 [outputs][taps][channels], rows of `row` values
//                  ending in zeros
//   filters_first  the gradient's way back: the sum of `parts` such tensors in f32, added to dw if asked
//
// Oracle: plain loops, bit for bit. narrow and widen move 6 B per value, transpose 8 B (4 B), filters 6-8 B.
#include "lanes.cuh"

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
narrow(const float* x, Bf16* y, int n) {
    ALX_EACH(i, n) { y[i] = rounded_to<Bf16>(x[i]); }
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
widen(const Bf16* x, float* y, int n) {
    ALX_EACH(i, n) { y[i] = widened(x[i]); }
}

template <class T>
__device__ inline void transposed(const T* x, T* y, int batch, int rows, int columns) {
    ALX_EACH(i, batch * rows * columns) {
        const unsigned row = i % rows, column = i / rows % columns, n = i / rows / columns;
        y[i] = x[(n * rows + row) * columns + column];
    }
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
transpose(const float* x, float* y, int batch, int rows, int columns) { transposed(x, y, batch, rows, columns); }

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
transpose_bf16(const Bf16* x, Bf16* y, int batch, int rows, int columns) { transposed(x, y, batch, rows, columns); }

template <class T>
__device__ inline void filters(const float* w, T* y, int outputs, int channels, int taps, int row) {
    ALX_EACH(i, outputs * row) {
        const unsigned o = i / row, k = i % row, tap = k / channels, c = k % channels;
        y[i] = rounded_to<T>(tap < static_cast<unsigned>(taps) ? w[(o * channels + c) * taps + tap] : 0.0f);
    }
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
filters_last(const float* w, float* y, int outputs, int channels, int taps, int row) {
    filters(w, y, outputs, channels, taps, row);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
filters_last_bf16(const float* w, Bf16* y, int outputs, int channels, int taps, int row) {
    filters(w, y, outputs, channels, taps, row);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
filters_first(const float* x, float* dw, int parts, int outputs, int channels, int taps, int row, int accumulate) {
    ALX_EACH(i, outputs * taps * channels) {
        const unsigned o = i / channels / taps, tap = i / channels % taps, c = i % channels;
        float sum = 0.0f;
        for (int p = 0; p < parts; p++) sum += x[(p * outputs + o) * row + tap * channels + c];
        float* to = dw + (o * channels + c) * taps + tap;
        *to = accumulate ? *to + sum : sum;
    }
}
