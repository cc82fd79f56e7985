// The exchange between columns at conv3, fc6, fc7 and fc8 (figure 2 of the paper).
//
// A device holds [batch][own] values of a layer, a reader needs [batch][all]. Rows are copied as slices: forward each
// device's slice is placed into every reader's whole; backward the owner cuts its slice out of every reader's
// gradient and adds them, in order of the devices, so the sum does not depend on which copy arrived first.
// Oracle: plain loops, bit for bit. Copy 8 B per value; sum 4 · (devices + 1) B and devices − 1 FLOP per value.
#include "prelude.cuh"

// to[n][to_first .. + length] = from[n][from_first .. + length]; rows are from_row and to_row long.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
slice_copy(const float* from, float* to, int batch, int length, int from_row, int from_first, int to_row,
           int to_first) {
    ALX_EACH(i, batch * length) {
        const unsigned n = i / length, at = i % length;
        to[n * to_row + to_first + at] = from[n * from_row + from_first + at];
    }
}

#define ALX_DEVICES 8

struct Sources {
    const float* from[ALX_DEVICES];
};

// to[n][at] = ((from_0 + from_1) + from_2) + … over `count` devices, each [batch][length].
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
slices_sum(Sources sources, int count, float* to, int n) {
    ALX_EACH(i, n) {
        float sum = sources.from[0][i];
#pragma unroll
        for (int d = 1; d < ALX_DEVICES; d++)  // constant bounds keep the pointers in registers
            if (d < count) sum += sources.from[d][i];
        to[i] = sum;
    }
}
