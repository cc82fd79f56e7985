// Local response normalisation across maps (section 3.3 of the paper).
//
//   x, y, dy, dx  f32 [batch][columns · maps][plane]; a window never crosses from one column into the next
//   d_i = k + alpha · Σ x_j² over |j − i| ≤ half inside the column,   y_i = x_i · d_i^(−3/4)
//   dx_i = dy_i · d_i^(−3/4) − (3/2) · alpha · x_i · Σ t_j over the same window,   t_j = dy_j · x_j · d_j^(−7/4)
//
// alpha is what multiplies the sum: divided by the window's size by the caller if its convention says so.
// One thread walks one pixel through the maps of a column with the window in registers, so each tensor is touched
// once and the denominators are recomputed rather than kept. half is 1, 2 (AlexNet), 3 or 4.
// Oracle: float64 loops and PyTorch. Forward 8 B and 15 FLOP per element, backward 12 B and 27 FLOP (half = 2).
#include "prelude.cuh"

template <int HALF>
__device__ inline void lrn_walk_forward(const float* x, float* y, int maps, unsigned plane, float k, float alpha) {
    const int window = 2 * HALF + 1;
    float a[window];  // a[m] = x of map i − HALF + m, zero outside the column
    for (int m = 0; m < window; m++) a[m] = m > HALF && m - HALF - 1 < maps ? x[(m - HALF - 1) * plane] : 0.0f;
    for (int i = 0; i < maps; i++) {
        for (int m = 0; m + 1 < window; m++) a[m] = a[m + 1];
        a[window - 1] = i + HALF < maps ? x[(i + HALF) * plane] : 0.0f;
        float sum = 0.0f;
        for (int m = 0; m < window; m++) sum += a[m] * a[m];
        y[i * plane] = a[HALF] * inverse_three_quarter_power(k + alpha * sum);
    }
}

template <int HALF>
__device__ inline void lrn_walk_backward(const float* x, const float* dy, float* dx, int maps, unsigned plane,
                                         float k, float alpha) {
    const int window = 2 * HALF + 1;
    float a[window];           // x of map j − HALF + m
    float t[window];           // t of map j − 2·HALF + m
    float direct[HALF + 1];    // dy · d^(−3/4) of map j − HALF + m
    for (int m = 0; m < window; m++) {
        a[m] = m > HALF && m - HALF - 1 < maps ? x[(m - HALF - 1) * plane] : 0.0f;
        t[m] = 0.0f;
    }
    for (int m = 0; m <= HALF; m++) direct[m] = 0.0f;
    // Step j computes t of map j, which completes the window of map j − HALF.
    for (int j = 0; j < maps + HALF; j++) {
        for (int m = 0; m + 1 < window; m++) {
            a[m] = a[m + 1];
            t[m] = t[m + 1];
        }
        for (int m = 0; m < HALF; m++) direct[m] = direct[m + 1];
        a[window - 1] = j + HALF < maps ? x[(j + HALF) * plane] : 0.0f;
        t[window - 1] = 0.0f;
        if (j < maps) {
            float sum = 0.0f;
            for (int m = 0; m < window; m++) sum += a[m] * a[m];
            const float d = k + alpha * sum;
            direct[HALF] = dy[j * plane] * inverse_three_quarter_power(d);
            t[window - 1] = __fdiv_rn(direct[HALF] * a[HALF], d);
        }
        if (j >= HALF) {
            float sum = 0.0f;
            for (int m = 0; m < window; m++) sum += t[m];
            dx[(j - HALF) * plane] = direct[0] - 1.5f * alpha * a[0] * sum;
        }
    }
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
lrn_forward(const float* x, float* y, int batch, int columns, int maps, int plane, int half, float k, float alpha) {
    ALX_EACH(i, batch * columns * plane) {
        const unsigned at = i / plane * maps * plane + i % plane;
        switch (half) {
            case 1: lrn_walk_forward<1>(x + at, y + at, maps, plane, k, alpha); break;
            case 2: lrn_walk_forward<2>(x + at, y + at, maps, plane, k, alpha); break;
            case 3: lrn_walk_forward<3>(x + at, y + at, maps, plane, k, alpha); break;
            case 4: lrn_walk_forward<4>(x + at, y + at, maps, plane, k, alpha); break;
        }
    }
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
lrn_backward(const float* x, const float* dy, float* dx, int batch, int columns, int maps, int plane, int half,
             float k, float alpha) {
    ALX_EACH(i, batch * columns * plane) {
        const unsigned at = i / plane * maps * plane + i % plane;
        switch (half) {
            case 1: lrn_walk_backward<1>(x + at, dy + at, dx + at, maps, plane, k, alpha); break;
            case 2: lrn_walk_backward<2>(x + at, dy + at, dx + at, maps, plane, k, alpha); break;
            case 3: lrn_walk_backward<3>(x + at, dy + at, dx + at, maps, plane, k, alpha); break;
            case 4: lrn_walk_backward<4>(x + at, dy + at, dx + at, maps, plane, k, alpha); break;
        }
    }
}
