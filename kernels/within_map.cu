// Normalisation within a map: the second one of stage 2 in the 2012 code (layer "rnorm"), which the paper omits.
//
//   x, y, dy, dx  f32 [maps][height][width], maps = batch · channels
//   d = k + alpha · Σ x² over the (2·half + 1)² window clipped at the map's edge,   y = x · d^(−3/4)
//   dx = dy · d^(−3/4) − (3/2) · alpha · x · Σ t over the same window,   t = dy · x · d^(−7/4)
//
// One block per map, the map in shared memory (forward one copy, backward three: at most 64×64 pixels).
// Oracle: float64 loops and PyTorch. Forward 8 B and 55 FLOP per element, backward 12 B and 87 FLOP (half = 2).
#include "prelude.cuh"

struct WithinMapShape {
    int height, width, half;
    float k, alpha;
};

struct Window {
    int top, bottom, left, right;  // rows top .. bottom and columns left .. right, ends excluded
};

__device__ inline Window window_at(int pixel, const WithinMapShape& s) {
    const int y = pixel / s.width, x = pixel % s.width;
    return Window{max(y - s.half, 0), min(y + s.half + 1, s.height), max(x - s.half, 0), min(x + s.half + 1, s.width)};
}

__device__ inline float denominator(const float* map, const Window& w, const WithinMapShape& s) {
    float sum = 0.0f;
    for (int y = w.top; y < w.bottom; y++)
        for (int x = w.left; x < w.right; x++) sum += map[y * s.width + x] * map[y * s.width + x];
    return s.k + s.alpha * sum;
}

// Dynamic shared memory: plane floats.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
within_map_forward(const float* x, float* y, WithinMapShape s) {
    DYN_SHARED(float, map);
    const int plane = s.height * s.width;
    const float* from = x + blockIdx.x * plane;
    for (int i = threadIdx.x; i < plane; i += blockDim.x) map[i] = from[i];
    __syncthreads();
    float* to = y + blockIdx.x * plane;
    for (int i = threadIdx.x; i < plane; i += blockDim.x)
        to[i] = map[i] * inverse_three_quarter_power(denominator(map, window_at(i, s), s));
}

// Dynamic shared memory: 3 · plane floats.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
within_map_backward(const float* x, const float* dy, float* dx, WithinMapShape s) {
    DYN_SHARED(float, map);
    const int plane = s.height * s.width;
    float* direct = map + plane;
    float* t = direct + plane;
    const float* from = x + blockIdx.x * plane;
    const float* gradient = dy + blockIdx.x * plane;
    for (int i = threadIdx.x; i < plane; i += blockDim.x) map[i] = from[i];
    __syncthreads();
    for (int i = threadIdx.x; i < plane; i += blockDim.x) {
        const float d = denominator(map, window_at(i, s), s);
        direct[i] = gradient[i] * inverse_three_quarter_power(d);
        t[i] = __fdiv_rn(direct[i] * map[i], d);
    }
    __syncthreads();
    float* to = dx + blockIdx.x * plane;
    for (int i = threadIdx.x; i < plane; i += blockDim.x) {
        const Window w = window_at(i, s);
        float sum = 0.0f;
        for (int row = w.top; row < w.bottom; row++)
            for (int column = w.left; column < w.right; column++) sum += t[row * s.width + column];
        to[i] = direct[i] - 1.5f * s.alpha * map[i] * sum;
    }
}
