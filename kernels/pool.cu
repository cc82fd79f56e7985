// Overlapping max pooling (section 3.4 of the paper: 3×3 windows, two apart), and means for its ablation.
//
//   x, dx    f32 or bf16 [batch][height][width][channels]
//   y, dy    the same type [batch][out_height][out_width][channels]; the caller chooses floor or ceil sizes, windows are
//            clipped
//   winner   u8, as y: the place of the maximum in its window, row · size + column (size ≤ 15)
//
// The first of equal maxima wins; the first NaN wins over every number, so a NaN is passed on.
// Backward gathers: each input pixel asks the windows over it, in order, whether it won; no atomics.
// Oracle: plain loops and PyTorch. In f32 forward 4 B per input, 5 B per output; backward 5 B per output, 4 B per input.
#include "windows.cuh"

template <class T, int W>
__device__ inline void maxima(const T* x, T* y, unsigned char* winner, const PoolShape& s) {
    const unsigned vectors = s.channels / W;
    ALX_EACH(i, s.batch * s.out_height * s.out_width * vectors) {
        const unsigned c = i % vectors * W, place = i / vectors;
        const int left = place % s.out_width * s.stride, top = place / s.out_width % s.out_height * s.stride;
        const int bottom = min(top + s.size, s.height), right = min(left + s.size, s.width);
        const T* map = x + place / s.out_width / s.out_height * s.height * s.width * s.channels + c;
        float best[W];
        Bytes<W> won;
#pragma unroll
        for (int m = 0; m < W; m++) {
            best[m] = ALX_LOWEST;
            won.at[m] = 0;
        }
        for (int row = top; row < bottom; row++)
            for (int column = left; column < right; column++) {
                float v[W];
                load(map + (row * s.width + column) * s.channels, v);
                const int here = (row - top) * s.size + (column - left);
#pragma unroll
                for (int m = 0; m < W; m++)
                    if (beats(v[m], best[m])) {
                        best[m] = v[m];
                        won.at[m] = static_cast<unsigned char>(here);
                    }
            }
        store(y + i * W, best);
        *reinterpret_cast<Bytes<W>*>(winner + i * W) = won;
    }
}

// The gradient of windows whose maximum, and so their winner, is not above 0 is 0; a NaN lets it through.
template <class T, int W>
__device__ inline void mask_by_maxima(const T* y, float (&dy)[W]) {
    float v[W];
    load(y, v);
#pragma unroll
    for (int m = 0; m < W; m++) dy[m] = v[m] <= 0.0f ? 0.0f : dy[m];
}

// SIZE and STRIDE are those of the shape, or 0: known to the compiler, they cost no divisions.
template <class T, int W, int SIZE, int STRIDE>
__device__ inline void to_winners(const T* dy, const unsigned char* winner, const T* y, T* dx, const PoolShape& s) {
    const unsigned vectors = s.channels / W;
    const int size = SIZE ? SIZE : s.size, stride = STRIDE ? STRIDE : s.stride;
    ALX_EACH(i, s.batch * s.height * s.width * vectors) {
        const unsigned c = i % vectors * W, pixel = i / vectors;
        const int column = pixel % s.width, row = pixel / s.width % s.height;
        const unsigned n = pixel / s.width / s.height;
        const Windows down = windows_over(row, s.out_height, size, stride);
        const Windows across = windows_over(column, s.out_width, size, stride);
        float sum[W] = {};
        for (int oy = down.first; oy <= down.last; oy++)
            for (int ox = across.first; ox <= across.last; ox++) {
                const unsigned at = ((n * s.out_height + oy) * s.out_width + ox) * s.channels + c;
                const int here = (row - oy * stride) * size + (column - ox * stride);
                const Bytes<W> won = *reinterpret_cast<const Bytes<W>*>(winner + at);
                float v[W];
                load(dy + at, v);
                if (y) mask_by_maxima(y + at, v);
#pragma unroll
                for (int m = 0; m < W; m++)
                    if (won.at[m] == here) sum[m] += v[m];
            }
        store(dx + i * W, sum);
    }
}

template <class T>
__device__ inline void maxima_of(const T* x, T* y, unsigned char* winner, const PoolShape& s) {
    if (s.channels % Lanes<T>::n == 0) maxima<T, Lanes<T>::n>(x, y, winner, s);
    else maxima<T, 1>(x, y, winner, s);
}

template <class T>
__device__ inline void winners_of(const T* dy, const unsigned char* winner, const T* y, T* dx, const PoolShape& s) {
    if (s.channels % Lanes<T>::n != 0) to_winners<T, 1, 0, 0>(dy, winner, y, dx, s);
    else if (s.size == 3 && s.stride == 2) to_winners<T, Lanes<T>::n, 3, 2>(dy, winner, y, dx, s);
    else to_winners<T, Lanes<T>::n, 0, 0>(dy, winner, y, dx, s);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
max_pool_forward(const float* x, float* y, unsigned char* winner, PoolShape s) { maxima_of(x, y, winner, s); }

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
max_pool_forward_bf16(const Bf16* x, Bf16* y, unsigned char* winner, PoolShape s) { maxima_of(x, y, winner, s); }

// y is null, or the maxima where x is a rectifier's output: its mask then comes with the gradient.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
max_pool_backward(const float* dy, const unsigned char* winner, const float* y, float* dx, PoolShape s) {
    winners_of(dy, winner, y, dx, s);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
max_pool_backward_bf16(const Bf16* dy, const unsigned char* winner, const Bf16* y, Bf16* dx, PoolShape s) {
    winners_of(dy, winner, y, dx, s);
}

template <class T>
__device__ inline void means(const T* x, T* y, const PoolShape& s) {
    ALX_EACH(i, s.batch * s.out_height * s.out_width * s.channels) {
        const unsigned c = i % s.channels, place = i / s.channels;
        const int left = place % s.out_width * s.stride, top = place / s.out_width % s.out_height * s.stride;
        const int bottom = min(top + s.size, s.height), right = min(left + s.size, s.width);
        const T* map = x + place / s.out_width / s.out_height * s.height * s.width * s.channels + c;
        float sum = 0.0f;
        for (int row = top; row < bottom; row++)
            for (int column = left; column < right; column++)
                sum += widened(map[(row * s.width + column) * s.channels]);
        y[i] = rounded_to<T>(__fdiv_rn(sum, static_cast<float>((bottom - top) * (right - left))));
    }
}

template <class T>
__device__ inline void shares(const T* dy, T* dx, const PoolShape& s) {
    ALX_EACH(i, s.batch * s.height * s.width * s.channels) {
        const unsigned c = i % s.channels, pixel = i / s.channels;
        const int column = pixel % s.width, row = pixel / s.width % s.height;
        const unsigned n = pixel / s.width / s.height;
        const Windows down = windows_over(row, s.out_height, s.size, s.stride);
        const Windows across = windows_over(column, s.out_width, s.size, s.stride);
        float sum = 0.0f;
        for (int oy = down.first; oy <= down.last; oy++)
            for (int ox = across.first; ox <= across.last; ox++) {
                const int rows = min(s.size, s.height - oy * s.stride), columns = min(s.size, s.width - ox * s.stride);
                const float g = widened(dy[((n * s.out_height + oy) * s.out_width + ox) * s.channels + c]);
                sum += __fdiv_rn(g, static_cast<float>(rows * columns));
            }
        dx[i] = rounded_to<T>(sum);
    }
}

// Means of the windows; a window's share is 1 / (pixels inside the map).
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
average_pool_forward(const float* x, float* y, PoolShape s) { means(x, y, s); }

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
average_pool_forward_bf16(const Bf16* x, Bf16* y, PoolShape s) { means(x, y, s); }

// Gathers as max_pool_backward does.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
average_pool_backward(const float* dy, float* dx, PoolShape s) { shares(dy, dx, s); }

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
average_pool_backward_bf16(const Bf16* dy, Bf16* dx, PoolShape s) { shares(dy, dx, s); }
