// The exchange between columns at conv3, fc6, fc7 and fc8 (figure 2 of the paper).
//
// Tensors are f32 or bf16. A device holds [batch][own] values of a layer, a reader needs [batch][all]. Rows are copied as slices: forward each
// device's slice is placed into every reader's whole; backward the owner cuts its slice out of every reader's
// gradient and adds them, in order of the devices, so the sum does not depend on which copy arrived first.
// Oracle: plain loops, bit for bit. Copy 8 B per value; sum 4 · (devices + 1) B and devices − 1 FLOP per value.
#include "lanes.cuh"

// to[n][to_first .. + length] = from[n][from_first .. + length]; rows are from_row and to_row long.
template <class T>
__device__ inline void copy_slices(const T* from, T* to, int rows, int length, int from_row, int from_first, int to_row,
                                   int to_first) {
    ALX_EACH(i, rows * length) {
        const unsigned n = i / length, at = i % length;
        to[n * to_row + to_first + at] = from[n * from_row + from_first + at];
    }
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
slice_copy(const float* from, float* to, int rows, int length, int from_row, int from_first, int to_row,
           int to_first) {
    copy_slices(from, to, rows, length, from_row, from_first, to_row, to_first);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
slice_copy_bf16(const Bf16* from, Bf16* to, int rows, int length, int from_row, int from_first, int to_row,
                int to_first) {
    copy_slices(from, to, rows, length, from_row, from_first, to_row, to_first);
}

#define ALX_DEVICES 8

template <class T>
struct Sources {
    const T* from[ALX_DEVICES];
};

template <class T>
__device__ inline void add_slices(const Sources<T>& sources, int count, T* to, int n) {
    ALX_EACH(i, n) {
        float sum = widened(sources.from[0][i]);
#pragma unroll
        for (int d = 1; d < ALX_DEVICES; d++)  // constant bounds keep the pointers in registers
            if (d < count) sum += widened(sources.from[d][i]);
        to[i] = rounded_to<T>(sum);
    }
}

// to[n][at] = ((from_0 + from_1) + from_2) + … over `count` devices, each [batch][length].
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
slices_sum(Sources<float> sources, int count, float* to, int n) { add_slices(sources, count, to, n); }

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
slices_sum_bf16(Sources<Bf16> sources, int count, Bf16* to, int n) { add_slices(sources, count, to, n); }
