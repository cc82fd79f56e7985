// Convolution as a matrix product: patches to columns, and the gradient of columns back to pixels.
//
//   image    f32 or bf16 [batch][height][width][groups · channels]
//   columns  the same type [batch · out_height · out_width][groups][row]: a patch as taps, each with the group's channels,
//            value (ky · kernel + kx) · channels + c; zeros from there to the end of the row
//
// Output (oy, ox) reads pixel (oy·stride − pad + ky, ox·stride − pad + kx); outside the image it reads zero, so pad is
// the top and left margin and windows may hang over the right and bottom edge (conv1: 224 pixels, 55 outputs).
// im2col writes every value; col2im gathers, in order of ky, kx falling, and writes every pixel.
// Oracle: plain loops, and PyTorch's convolution through a plain product. im2col 4 B (2 B) out per value, reads from
// cache; col2im 4 B (2 B) in per value, 1 FLOP.
#include "lanes.cuh"

struct ColumnShape {
    int batch, groups, channels, height, width, out_height, out_width, kernel, stride, pad, row;
};

// One row of a patch in a group for each thread, W channels of it.
template <class T, int W>
__device__ inline void patch_rows(const T* image, T* columns, const ColumnShape& s) {
    const unsigned vectors = s.channels / W, all = s.groups * s.channels;
    ALX_EACH(i, s.batch * s.out_height * s.out_width * s.groups * s.kernel * vectors) {
        const unsigned c = i % vectors * W, ky = i / vectors % s.kernel, at = i / vectors / s.kernel;
        const unsigned group = at % s.groups, place = at / s.groups;
        const unsigned ox = place % s.out_width, oy = place / s.out_width % s.out_height;
        const unsigned n = place / s.out_width / s.out_height;
        const int y = static_cast<int>(oy * s.stride + ky) - s.pad, left = static_cast<int>(ox * s.stride) - s.pad;
        const bool inside = y >= 0 && y < s.height;
        const T* from = image + (n * s.height + y) * s.width * all + group * s.channels + c;
        T* to = columns + static_cast<size_t>(at) * s.row + ky * s.kernel * s.channels + c;
        for (int kx = 0; kx < s.kernel; kx++) {
            const int x = left + kx;
            float v[W] = {};
            if (inside && x >= 0 && x < s.width) load(from + x * all, v);
            store(to + kx * s.channels, v);
        }
    }
}

// W values of a row wherever it is cut: for images whose channels fill no vector. Rows are multiples of W.
template <class T, int W>
__device__ inline void patch_values(const T* image, T* columns, const ColumnShape& s) {
    const unsigned vectors = s.row / W, all = s.groups * s.channels, width = s.kernel * s.channels;
    ALX_EACH(i, s.batch * s.out_height * s.out_width * s.groups * vectors) {
        const unsigned k = i % vectors * W, at = i / vectors, group = at % s.groups, place = at / s.groups;
        const unsigned ox = place % s.out_width, oy = place / s.out_width % s.out_height;
        const unsigned n = place / s.out_width / s.out_height;
        int ky = k / width, kx = k % width / s.channels, c = k % s.channels;
        float v[W];
#pragma unroll
        for (int m = 0; m < W; m++) {
            const int y = static_cast<int>(oy * s.stride) + ky - s.pad, x = static_cast<int>(ox * s.stride) + kx - s.pad;
            v[m] = 0.0f;
            if (ky < s.kernel && y >= 0 && y < s.height && x >= 0 && x < s.width)
                v[m] = widened(image[((n * s.height + y) * s.width + x) * all + group * s.channels + c]);
            if (++c == s.channels) {
                c = 0;
                if (++kx == s.kernel) kx = 0, ky++;
            }
        }
        store(columns + static_cast<size_t>(at) * s.row + k, v);
    }
}

template <class T>
__device__ inline void patches(const T* image, T* columns, const ColumnShape& s) {
    if (s.channels % Lanes<T>::n == 0) patch_rows<T, Lanes<T>::n>(image, columns, s);
    else patch_values<T, Lanes<T>::n>(image, columns, s);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
im2col(const float* image, float* columns, ColumnShape s) { patches(image, columns, s); }

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
im2col_bf16(const Bf16* image, Bf16* columns, ColumnShape s) { patches(image, columns, s); }

template <class T, int W>
__device__ inline void gather_pixels(const T* columns, T* image, const ColumnShape& s) {
    const unsigned all = s.groups * s.channels, vectors = all / W;
    ALX_EACH(i, s.batch * s.height * s.width * vectors) {
        const unsigned c = i % vectors * W, pixel = i / vectors;
        const int x = static_cast<int>(pixel % s.width) + s.pad, y = static_cast<int>(pixel / s.width % s.height) + s.pad;
        const unsigned n = pixel / s.width / s.height;
        const T* from = columns + c / s.channels * s.row + c % s.channels;
        float sum[W] = {};
        // Only taps congruent to the pixel can reach it: start at the remainder and go on by the stride.
        for (int ky = y % s.stride, oy = y / s.stride; ky < s.kernel && oy >= 0; ky += s.stride, oy--) {
            if (oy >= s.out_height) continue;
            for (int kx = x % s.stride, ox = x / s.stride; kx < s.kernel && ox >= 0; kx += s.stride, ox--) {
                if (ox >= s.out_width) continue;
                const size_t place = (n * s.out_height + oy) * s.out_width + ox;
                float v[W];
                load(from + place * s.groups * s.row + (ky * s.kernel + kx) * s.channels, v);
#pragma unroll
                for (int m = 0; m < W; m++) sum[m] += v[m];
            }
        }
        store(image + i * W, sum);
    }
}

template <class T>
__device__ inline void pixels(const T* columns, T* image, const ColumnShape& s) {
    if (s.channels % Lanes<T>::n == 0) gather_pixels<T, Lanes<T>::n>(columns, image, s);
    else gather_pixels<T, 1>(columns, image, s);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
col2im(const float* columns, float* image, ColumnShape s) { pixels(columns, image, s); }

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
col2im_bf16(const Bf16* columns, Bf16* image, ColumnShape s) { pixels(columns, image, s); }
