// Local response normalisation across maps (section 3.3 of the paper).
//
//   x, y, dy, dx  f32 or bf16 [rows][columns · maps]; a window never crosses from one column into the next
//   d_i = k + alpha · Σ x_j² over |j − i| ≤ half inside the column,   y_i = x_i · d_i^(−3/4)
//   dx_i = dy_i · d_i^(−3/4) − (3/2) · alpha · x_i · Σ t_j over the same window,   t_j = dy_j · x_j · d_j^(−7/4)
//
// alpha is what multiplies the sum: divided by the window's size by the caller if its convention says so.
// A thread takes one vector of maps of one pixel and the neighbours it needs from the cache, so each tensor is touched
// once and the denominators are recomputed rather than kept. half is 1, 2 (AlexNet), 3 or 4.
// Oracle: float64 loops and PyTorch. In f32 forward 8 B and 15 FLOP per element, backward 12 B and 27 FLOP (half = 2).
#include "lanes.cuh"

// v[m] = value first + m of the row's column, zero outside it; `center` of them, from `side` on, in one access.
template <int W, int SIDE, class T>
__device__ inline void load_around(const T* row, int first, int maps, float (&v)[W + 2 * SIDE]) {
    float center[W];
    load(row + first, center);
#pragma unroll
    for (int m = 0; m < W; m++) v[SIDE + m] = center[m];
#pragma unroll
    for (int m = 0; m < SIDE; m++) {
        const int before = first - SIDE + m, after = first + W + m;
        v[m] = before >= 0 ? widened(row[before]) : 0.0f;
        v[SIDE + W + m] = after < maps ? widened(row[after]) : 0.0f;
    }
}

template <class T, int W, int HALF>
__device__ inline void across_maps(const T* x, T* y, int rows, int columns, int maps, float k, float alpha) {
    const unsigned vectors = columns * maps / W;
    ALX_EACH(i, rows * vectors) {
        const unsigned c = i % vectors * W, first = c % maps;
        float a[W + 2 * HALF], out[W];
        load_around<W, HALF>(x + (i * W - first), first, maps, a);
#pragma unroll
        for (int m = 0; m < W; m++) {
            float sum = 0.0f;
#pragma unroll
            for (int j = 0; j <= 2 * HALF; j++) sum += a[m + j] * a[m + j];
            out[m] = a[m + HALF] * Power<T>(k + alpha * sum).root;
        }
        store(y + i * W, out);
    }
}

template <class T, int W, int HALF>
__device__ inline void across_maps_back(const T* x, const T* dy, T* dx, int rows, int columns, int maps, float k, float alpha) {
    const unsigned vectors = columns * maps / W;
    ALX_EACH(i, rows * vectors) {
        const unsigned c = i % vectors * W, first = c % maps, at = i * W - first;
        float a[W + 4 * HALF], g[W + 2 * HALF], t[W + 2 * HALF];
        load_around<W, 2 * HALF>(x + at, first, maps, a);
        load_around<W, HALF>(dy + at, first, maps, g);
#pragma unroll
        for (int m = 0; m < W + 2 * HALF; m++) {
            float sum = 0.0f;
#pragma unroll
            for (int j = 0; j <= 2 * HALF; j++) sum += a[m + j] * a[m + j];
            const Power<T> power(k + alpha * sum);
            g[m] = g[m] * power.root;
            t[m] = g[m] * a[m + HALF] * power.inverse;
        }
        float out[W];
#pragma unroll
        for (int m = 0; m < W; m++) {
            float sum = 0.0f;
#pragma unroll
            for (int j = 0; j <= 2 * HALF; j++) sum += t[m + j];
            out[m] = g[m + HALF] - 1.5f * alpha * a[m + 2 * HALF] * sum;
        }
        store(dx + i * W, out);
    }
}

// Vectors only for AlexNet's window; the others, which ablations use, go value by value.
template <class T>
__device__ inline void forward_of(const T* x, T* y, int rows, int columns, int maps, int half, float k, float alpha) {
    if (half == 2 && maps % Lanes<T>::n == 0) across_maps<T, Lanes<T>::n, 2>(x, y, rows, columns, maps, k, alpha);
    else if (half == 1) across_maps<T, 1, 1>(x, y, rows, columns, maps, k, alpha);
    else if (half == 2) across_maps<T, 1, 2>(x, y, rows, columns, maps, k, alpha);
    else if (half == 3) across_maps<T, 1, 3>(x, y, rows, columns, maps, k, alpha);
    else if (half == 4) across_maps<T, 1, 4>(x, y, rows, columns, maps, k, alpha);
}

template <class T>
__device__ inline void backward_of(const T* x, const T* dy, T* dx, int rows, int columns, int maps, int half, float k,
                                   float alpha) {
    if (half == 2 && maps % Lanes<T>::n == 0) across_maps_back<T, Lanes<T>::n, 2>(x, dy, dx, rows, columns, maps, k, alpha);
    else if (half == 1) across_maps_back<T, 1, 1>(x, dy, dx, rows, columns, maps, k, alpha);
    else if (half == 2) across_maps_back<T, 1, 2>(x, dy, dx, rows, columns, maps, k, alpha);
    else if (half == 3) across_maps_back<T, 1, 3>(x, dy, dx, rows, columns, maps, k, alpha);
    else if (half == 4) across_maps_back<T, 1, 4>(x, dy, dx, rows, columns, maps, k, alpha);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
lrn_forward(const float* x, float* y, int rows, int columns, int maps, int half, float k, float alpha) {
    forward_of(x, y, rows, columns, maps, half, k, alpha);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
lrn_forward_bf16(const Bf16* x, Bf16* y, int rows, int columns, int maps, int half, float k, float alpha) {
    forward_of(x, y, rows, columns, maps, half, k, alpha);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
lrn_backward(const float* x, const float* dy, float* dx, int rows, int columns, int maps, int half, float k,
             float alpha) {
    backward_of(x, dy, dx, rows, columns, maps, half, k, alpha);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
lrn_backward_bf16(const Bf16* x, const Bf16* dy, Bf16* dx, int rows, int columns, int maps, int half, float k,
                  float alpha) {
    backward_of(x, dy, dx, rows, columns, maps, half, k, alpha);
}
