// Pooling windows: what pool.cu and response_pool.cu share.
#ifndef ALX_WINDOWS
#define ALX_WINDOWS
#include "lanes.cuh"

struct PoolShape {
    int batch, channels, height, width, out_height, out_width, size, stride;
};

// The windows w of `count` in a row or column that hold pixel `at`: w · stride ≤ at < w · stride + size.
struct Windows {
    int first, last;
};
__device__ inline Windows windows_over(int at, int count, int size, int stride) {
    return {at < size ? 0 : (at - size) / stride + 1, min(at / stride, count - 1)};
}

// Where a search for maxima begins: nothing but −∞ leaves the first place, which is 0.
#define ALX_LOWEST __uint_as_float(0xff800000u)

// Whether v takes the place of the best so far: the first of equal values keeps it, the first NaN keeps it against all.
__device__ inline bool beats(float v, float best) { return !(v <= best) && !is_nan(best); }

#endif
