// Normalisation within a map: the second one of stage 2 in the 2012 code (layer "rnorm"), which the paper omits.
//
//   x, y, dy, dx  f32 or bf16 [batch][height][width][channels]
//   d = k + alpha · Σ x² over the (2·half + 1)² window clipped at the map's edge,   y = x · d^(−3/4)
//   dx = dy · d^(−3/4) − (3/2) · alpha · x · Σ t over the same window,   t = dy · x · d^(−7/4)
//
// Backward takes two passes: terms leaves dy · d^(−3/4) in dx and t in a tensor of its own, backward adds t up.
// Oracle: float64 loops and PyTorch. In f32 forward 8 B and 55 FLOP per element, backward 32 B and 87 FLOP (half = 2).
#include "lanes.cuh"

struct WithinMapShape {
    int batch, height, width, channels, half;
    float k, alpha;
};

// Σ f(value) over the window of a vector of channels at value `at`, pixel (row, column).
template <int W, class T, class F>
__device__ inline void over_window(const T* x, unsigned at, int row, int column, const WithinMapShape& s, float (&sum)[W],
                                   F f) {
#pragma unroll
    for (int m = 0; m < W; m++) sum[m] = 0.0f;
    // Bounds count from the map's edge: of max(-half, -row) and the like, ptxas 13.0 makes code for sm_90 that loses the
    // sign (VIMNMX3), which only a GPU shows.
    const int top = max(row - s.half, 0), bottom = min(row + s.half + 1, s.height);
    const int left = max(column - s.half, 0), right = min(column + s.half + 1, s.width);
    for (int y = top; y < bottom; y++)
        for (int z = left; z < right; z++) {
            float v[W];
            load(x + at + ((y - row) * s.width + (z - column)) * s.channels, v);
#pragma unroll
            for (int m = 0; m < W; m++) sum[m] += f(v[m]);
        }
}

__device__ inline float squared(float x) { return x * x; }

template <int W, class F>
__device__ inline void each_pixel(const WithinMapShape& s, F f) {
    const unsigned vectors = s.channels / W;
    ALX_EACH(i, s.batch * s.height * s.width * vectors) {
        const unsigned pixel = i / vectors;
        f(i * W, pixel / s.width % s.height, pixel % s.width);
    }
}

template <class T, int W>
__device__ inline void within_forward(const T* x, T* y, const WithinMapShape& s) {
    each_pixel<W>(s, [=](unsigned at, int row, int column) {
        float sum[W], v[W];
        over_window(x, at, row, column, s, sum, squared);
        load(x + at, v);
#pragma unroll
        for (int m = 0; m < W; m++) v[m] = v[m] * Power<T>(s.k + s.alpha * sum[m]).root;
        store(y + at, v);
    });
}

template <class T, int W>
__device__ inline void within_terms(const T* x, const T* dy, T* dx, T* t, const WithinMapShape& s) {
    each_pixel<W>(s, [=](unsigned at, int row, int column) {
        float sum[W], v[W], g[W];
        over_window(x, at, row, column, s, sum, squared);
        load(x + at, v);
        load(dy + at, g);
#pragma unroll
        for (int m = 0; m < W; m++) {
            const Power<T> power(s.k + s.alpha * sum[m]);
            g[m] = g[m] * power.root;
            v[m] = g[m] * v[m] * power.inverse;
        }
        store(dx + at, g);
        store(t + at, v);
    });
}

template <class T, int W>
__device__ inline void within_backward(const T* x, const T* t, T* dx, const WithinMapShape& s) {
    each_pixel<W>(s, [=](unsigned at, int row, int column) {
        float sum[W], v[W], g[W];
        over_window(t, at, row, column, s, sum, [](float term) { return term; });
        load(x + at, v);
        load(dx + at, g);
#pragma unroll
        for (int m = 0; m < W; m++) g[m] = g[m] - 1.5f * s.alpha * v[m] * sum[m];
        store(dx + at, g);
    });
}

#define ALX_BY_WIDTH(job, T, ...)                                                       \
    if (s.channels % Lanes<T>::n == 0) job<T, Lanes<T>::n>(__VA_ARGS__, s);             \
    else job<T, 1>(__VA_ARGS__, s)

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
within_map_forward(const float* x, float* y, WithinMapShape s) { ALX_BY_WIDTH(within_forward, float, x, y); }

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
within_map_forward_bf16(const Bf16* x, Bf16* y, WithinMapShape s) { ALX_BY_WIDTH(within_forward, Bf16, x, y); }

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
within_map_terms(const float* x, const float* dy, float* dx, float* t, WithinMapShape s) {
    ALX_BY_WIDTH(within_terms, float, x, dy, dx, t);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
within_map_terms_bf16(const Bf16* x, const Bf16* dy, Bf16* dx, Bf16* t, WithinMapShape s) {
    ALX_BY_WIDTH(within_terms, Bf16, x, dy, dx, t);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
within_map_backward(const float* x, const float* t, float* dx, WithinMapShape s) {
    ALX_BY_WIDTH(within_backward, float, x, t, dx);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
within_map_backward_bf16(const Bf16* x, const Bf16* t, Bf16* dx, WithinMapShape s) {
    ALX_BY_WIDTH(within_backward, Bf16, x, t, dx);
}
