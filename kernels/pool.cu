// Overlapping max pooling (section 3.4 of the paper: 3×3 windows, two apart).
//
//   x, dx    f32 [maps][height][width], maps = batch · channels
//   y, dy    f32 [maps][out_height][out_width]; the caller chooses floor or ceil sizes, windows are clipped
//   winner   u8, the place of the maximum in its window, row · size + column (size ≤ 15)
//
// The first of equal maxima wins; the first NaN wins over every number, so a NaN is passed on.
// Backward gathers: each input pixel asks the windows over it, in order, whether it won; no atomics.
// Oracle: plain loops and PyTorch. Forward 4 B in, 5 B out per input, output; backward 5 B per output, 4 B per input.
#include "prelude.cuh"

struct PoolShape {
    int maps, height, width, out_height, out_width, size, stride;
};

// The windows w of `count` in a row or column that hold pixel `at`: w · stride ≤ at < w · stride + size.
struct Windows {
    int first, last;
};
__device__ inline Windows windows_over(int at, int count, const PoolShape& s) {
    return {at < s.size ? 0 : (at - s.size) / s.stride + 1, min(at / s.stride, count - 1)};
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
max_pool_forward(const float* x, float* y, unsigned char* winner, PoolShape s) {
    const unsigned out_plane = s.out_height * s.out_width;
    ALX_EACH(i, s.maps * out_plane) {
        const int top = i % out_plane / s.out_width * s.stride, left = i % s.out_width * s.stride;
        const int bottom = min(top + s.size, s.height), right = min(left + s.size, s.width);
        const float* map = x + i / out_plane * s.height * s.width;
        float best = map[top * s.width + left];
        int place = 0;
        for (int row = top; row < bottom; row++)
            for (int column = left; column < right; column++) {
                const float value = map[row * s.width + column];
                if (value > best || (is_nan(value) && !is_nan(best))) {
                    best = value;
                    place = (row - top) * s.size + (column - left);
                }
            }
        y[i] = best;
        winner[i] = static_cast<unsigned char>(place);
    }
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
max_pool_backward(const float* dy, const unsigned char* winner, float* dx, PoolShape s) {
    const unsigned plane = s.height * s.width;
    ALX_EACH(i, s.maps * plane) {
        const int row = i % plane / s.width, column = i % s.width;
        const unsigned map = i / plane * s.out_height * s.out_width;
        const Windows down = windows_over(row, s.out_height, s), across = windows_over(column, s.out_width, s);
        float sum = 0.0f;
        for (int oy = down.first; oy <= down.last; oy++)
            for (int ox = across.first; ox <= across.last; ox++) {
                const unsigned at = map + oy * s.out_width + ox;
                const int place = (row - oy * s.stride) * s.size + (column - ox * s.stride);
                if (winner[at] == place) sum += dy[at];
            }
        dx[i] = sum;
    }
}

// Means of the windows, for the ablation of the paper's max pooling; a window's share is 1 / (pixels inside the map).
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
average_pool_forward(const float* x, float* y, PoolShape s) {
    const unsigned out_plane = s.out_height * s.out_width;
    ALX_EACH(i, s.maps * out_plane) {
        const int top = i % out_plane / s.out_width * s.stride, left = i % s.out_width * s.stride;
        const int bottom = min(top + s.size, s.height), right = min(left + s.size, s.width);
        const float* map = x + i / out_plane * s.height * s.width;
        float sum = 0.0f;
        for (int row = top; row < bottom; row++)
            for (int column = left; column < right; column++) sum += map[row * s.width + column];
        y[i] = __fdiv_rn(sum, static_cast<float>((bottom - top) * (right - left)));
    }
}

// Gathers as max_pool_backward does.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
average_pool_backward(const float* dy, float* dx, PoolShape s) {
    const unsigned plane = s.height * s.width;
    ALX_EACH(i, s.maps * plane) {
        const int row = i % plane / s.width, column = i % s.width;
        const unsigned map = i / plane * s.out_height * s.out_width;
        const Windows down = windows_over(row, s.out_height, s), across = windows_over(column, s.out_width, s);
        float sum = 0.0f;
        for (int oy = down.first; oy <= down.last; oy++)
            for (int ox = across.first; ox <= across.last; ox++) {
                const int rows = min(s.size, s.height - oy * s.stride), columns = min(s.size, s.width - ox * s.stride);
                sum += __fdiv_rn(dy[map + oy * s.out_width + ox], static_cast<float>(rows * columns));
            }
        dx[i] = sum;
    }
}
