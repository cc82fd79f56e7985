// Local response normalisation (section 3.3 of the paper) of one vector of maps of a pixel, with the neighbours it needs:
// what lrn.cu and response_pool.cu share, so that both compute the same bits.
//
//   d_i = k + alpha · Σ x_j² over |j − i| ≤ half inside the column,   y_i = x_i · d_i^(−3/4)
//   dx_i = dy_i · d_i^(−3/4) − (3/2) · alpha · x_i · Σ t_j over the same window,   t_j = dy_j · x_j · d_j^(−7/4)
//
// alpha is what multiplies the sum: divided by the window's size by the caller if its convention says so.
#ifndef ALX_RESPONSE
#define ALX_RESPONSE
#include "lanes.cuh"

// v[m] = value first − SIDE + m of the row's column, zero outside it. Of whole vectors, each side is one access too: it lies
// inside the column or outside it as a whole.
template <int W, int SIDE, class T>
__device__ inline void load_around(const T* row, int first, int maps, float (&v)[W + 2 * SIDE]) {
    float center[W];
    load(row + first, center);
#pragma unroll
    for (int m = 0; m < W; m++) v[SIDE + m] = center[m];
    if constexpr (W > 1) {
        static_assert(SIDE <= W && SIDE % 2 == 0, "a side must be aligned and within its neighbour");
        float side[SIDE] = {};
        if (first > 0) load(row + (first - SIDE), side);
#pragma unroll
        for (int m = 0; m < SIDE; m++) v[m] = side[m];
#pragma unroll
        for (int m = 0; m < SIDE; m++) side[m] = 0.0f;
        if (first + W < maps) load(row + (first + W), side);
#pragma unroll
        for (int m = 0; m < SIDE; m++) v[SIDE + W + m] = side[m];
    } else {
#pragma unroll
        for (int m = 0; m < SIDE; m++) {
            const int before = first - SIDE + m, after = first + W + m;
            v[m] = before >= 0 ? widened(row[before]) : 0.0f;
            v[SIDE + W + m] = after < maps ? widened(row[after]) : 0.0f;
        }
    }
}

// y of the values in the middle of x.
template <class T, int W, int HALF>
__device__ inline void respond(const float (&x)[W + 2 * HALF], float k, float alpha, float (&y)[W]) {
#pragma unroll
    for (int m = 0; m < W; m++) {
        float sum = 0.0f;
#pragma unroll
        for (int j = 0; j <= 2 * HALF; j++) sum += x[m + j] * x[m + j];
        y[m] = x[m + HALF] * Power<T>(k + alpha * sum).root;
    }
}

// dx of the values in the middle of x and dy; dy is overwritten.
template <class T, int W, int HALF>
__device__ inline void respond_back(const float (&x)[W + 4 * HALF], float (&dy)[W + 2 * HALF], float k, float alpha,
                                    float (&dx)[W]) {
    float t[W + 2 * HALF];
#pragma unroll
    for (int m = 0; m < W + 2 * HALF; m++) {
        float sum = 0.0f;
#pragma unroll
        for (int j = 0; j <= 2 * HALF; j++) sum += x[m + j] * x[m + j];
        const Power<T> power(k + alpha * sum);
        dy[m] = dy[m] * power.root;
        t[m] = dy[m] * x[m + HALF] * power.inverse;
    }
#pragma unroll
    for (int m = 0; m < W; m++) {
        float sum = 0.0f;
#pragma unroll
        for (int j = 0; j <= 2 * HALF; j++) sum += t[m + j];
        dx[m] = dy[m + HALF] - 1.5f * alpha * x[m + 2 * HALF] * sum;
    }
}

// The gradient behind the rectifier that made x, if there is one: 0 where x is not above 0; a NaN lets it through.
template <int W, int SIDE>
__device__ inline void mask_middle(const float (&x)[W + 2 * SIDE], int rectified, float (&dx)[W]) {
#pragma unroll
    for (int m = 0; m < W; m++) dx[m] = rectified && x[m + SIDE] <= 0.0f ? 0.0f : dx[m];
}

#endif
