// What products and the host read, made from tensors as the other kernels leave them.
//
//   narrow, widen  y [n] = x [n] in bfloat16, in float32
//   transpose      x [batch][rows][columns] to y [batch][columns][rows]: channels last to channels first, and back
//   fold           x [batch][height][width][channels] to y [batch][out_height][out_width][fold · fold · channels]: squares
//                  of fold · fold pixels as one, the first `pad` pixels before the image; zeros outside it. Whole vectors
//   filters_last   w f32 [outputs][channels][kernel][kernel] to y f32 or bf16 [outputs][taps][channels], folded likewise,
//                  rows of `row` values ending in zeros
//   filters_turned the same, unfolded, for the input's gradient: bf16 [groups · channels][taps][outputs / groups], the taps
//                  from the last to the first
//   filters_first  the gradient's way back: the sum of `parts` such tensors, added to dw if asked
//   filter_biases  the bias' gradients, where they stand in the same rows
//
// A convolution with stride `fold` is one with stride 1 of the folded image: conv1 so gets 48 channels for 3.
// Oracle: plain loops, bit for bit. narrow and widen move 6 B per value, the others 8 B (4 to 6 B).
#include "lanes.cuh"

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
narrow(const float* x, Bf16* y, int n) {
    ALX_EACH(i, n) { y[i] = rounded_to<Bf16>(x[i]); }
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
widen(const Bf16* x, float* y, int n) {
    ALX_EACH(i, n) { y[i] = widened(x[i]); }
}

template <class T>
__device__ inline void transposed(const T* x, T* y, int batch, int rows, int columns) {
    ALX_EACH(i, batch * rows * columns) {
        const unsigned row = i % rows, column = i / rows % columns, n = i / rows / columns;
        y[i] = x[(n * rows + row) * columns + column];
    }
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
transpose(const float* x, float* y, int batch, int rows, int columns) { transposed(x, y, batch, rows, columns); }

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
transpose_bf16(const Bf16* x, Bf16* y, int batch, int rows, int columns) { transposed(x, y, batch, rows, columns); }

struct FoldShape {
    int batch, channels, height, width, fold, pad, out_height, out_width;
};

// A vector of a square for each thread; within a line of it pixels and channels are neighbours in x and in y.
template <class T, int W>
__device__ inline void folded(const T* x, T* y, const FoldShape& s) {
    const unsigned line_values = s.fold * s.channels, vectors = s.fold * line_values / W;
    ALX_EACH(i, s.batch * s.out_height * s.out_width * vectors) {
        const unsigned place = i / vectors, value = i % vectors * W;
        const int left = static_cast<int>(place % s.out_width) * s.fold - s.pad;
        const int top = static_cast<int>(place / s.out_width % s.out_height * s.fold) - s.pad;
        const unsigned n = place / s.out_width / s.out_height;
        unsigned line = value / line_values, at = value % line_values, pixel = at / s.channels, c = at % s.channels;
        float v[W];
#pragma unroll
        for (int m = 0; m < W; m++) {
            const int row = top + static_cast<int>(line), column = left + static_cast<int>(pixel);
            const bool inside = row >= 0 && row < s.height && column >= 0 && column < s.width;
            v[m] = inside ? widened(x[((n * s.height + row) * s.width + column) * s.channels + c]) : 0.0f;
            if (++c == static_cast<unsigned>(s.channels)) {
                c = 0;
                if (++pixel == static_cast<unsigned>(s.fold)) pixel = 0, line++;
            }
        }
        store(y + i * W, v);
    }
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
fold(const float* x, float* y, FoldShape s) { folded<float, Lanes<float>::n>(x, y, s); }

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
fold_bf16(const Bf16* x, Bf16* y, FoldShape s) { folded<Bf16, Lanes<Bf16>::n>(x, y, s); }

struct FilterShape {
    int outputs, channels, kernel, fold;
    int side;  // taps in a row and column of the folded kernel: kernel / fold, rounded up
    int row;
};

template <class T>
__device__ inline void filters(const float* w, T* y, const FilterShape& s) {
    const unsigned depth = s.fold * s.fold * s.channels;
    ALX_EACH(i, s.outputs * s.row) {
        const unsigned o = i / s.row, tap = i % s.row / depth, value = i % s.row % depth, c = value % s.channels;
        const int ky = tap / s.side * s.fold + value / s.channels / s.fold;
        const int kx = tap % s.side * s.fold + value / s.channels % s.fold;
        const bool inside = ky < s.kernel && kx < s.kernel;
        y[i] = rounded_to<T>(inside ? w[((o * s.channels + c) * s.kernel + ky) * s.kernel + kx] : 0.0f);
    }
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
filters_last(const float* w, float* y, FilterShape s) { filters(w, y, s); }

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
filters_last_bf16(const float* w, Bf16* y, FilterShape s) { filters(w, y, s); }

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
filters_turned(const float* w, Bf16* y, int groups, int channels, int maps, int taps) {
    ALX_EACH(i, groups * channels * taps * maps) {
        const unsigned map = i % maps, tap = i / maps % taps, c = i / maps / taps % channels, group = i / maps / taps / channels;
        y[i] = rounded_to<Bf16>(w[((group * maps + map) * channels + c) * taps + (taps - 1 - tap)]);
    }
}

template <class T>
__device__ inline void filter_sums(const T* x, float* dw, const FilterShape& s, int parts, int accumulate) {
    const unsigned depth = s.fold * s.fold * s.channels, taps = s.kernel * s.kernel;
    ALX_EACH(i, s.outputs * s.channels * taps) {
        const unsigned kx = i % s.kernel, ky = i / s.kernel % s.kernel, c = i / taps % s.channels, o = i / taps / s.channels;
        const unsigned tap = ky / s.fold * s.side + kx / s.fold;
        const unsigned at = tap * depth + (ky % s.fold * s.fold + kx % s.fold) * s.channels + c;
        float sum = 0.0f;
        for (int p = 0; p < parts; p++) sum += widened(x[(p * s.outputs + o) * s.row + at]);
        dw[i] = accumulate ? dw[i] + sum : sum;
    }
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
filters_first(const float* x, float* dw, FilterShape s, int parts, int accumulate) {
    filter_sums(x, dw, s, parts, accumulate);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
filters_first_bf16(const Bf16* x, float* dw, FilterShape s, int parts, int accumulate) {
    filter_sums(x, dw, s, parts, accumulate);
}

// db (+)= value `at` of each filter's row, added over the parts.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
filter_biases(const float* x, float* db, int parts, int outputs, int row, int at, int accumulate) {
    ALX_EACH(o, outputs) {
        float sum = 0.0f;
        for (int p = 0; p < parts; p++) sum += x[(p * outputs + o) * row + at];
        db[o] = accumulate ? db[o] + sum : sum;
    }
}
