// Convolution as a matrix product: patches to columns, and the gradient of columns back to pixels.
//
//   image    f32, image n at n · image_stride: [channels][height][width] (the channels of one group)
//   columns  f32 or bf16, entry (k, n, p) at k · row_stride + n · batch_stride + p, with k = (channel · kernel + ky) · kernel
//            + kx and p = oy · out_width + ox: image by image [n][K][P], or the whole batch as one matrix [K][n·P]
//
// Output (oy, ox) reads pixel (oy·stride − pad + ky, ox·stride − pad + kx); outside the image it reads zero, so pad is
// the top and left margin and windows may hang over the right and bottom edge (conv1: 224 pixels, 55 outputs).
// im2col writes every entry; col2im gathers, in order of ky, kx, and writes every pixel.
// Oracle: plain loops, and PyTorch's convolution through a plain product. 4 B (2 B) out per entry, reads from cache;
// col2im 4 B in per entry, 4 B out per pixel, 1 FLOP per entry.
#include "bf16.cuh"

struct ColumnShape {
    int batch, channels, height, width, out_height, out_width, kernel, stride, pad;
    int image_stride, row_stride, batch_stride;
};

template <class T>
__device__ inline void patches(const float* image, T* columns, const ColumnShape& s) {
    const unsigned places = s.out_height * s.out_width, taps = s.kernel * s.kernel;
    const unsigned rows = s.channels * taps;
    ALX_EACH(i, s.batch * rows * places) {
        const unsigned p = i % places, k = i / places % rows, n = i / places / rows;
        const int y = static_cast<int>(p / s.out_width * s.stride + k % taps / s.kernel) - s.pad;
        const int x = static_cast<int>(p % s.out_width * s.stride + k % s.kernel) - s.pad;
        float value = 0.0f;
        if (y >= 0 && y < s.height && x >= 0 && x < s.width)
            value = image[n * s.image_stride + (k / taps * s.height + y) * s.width + x];
        columns[k * s.row_stride + n * s.batch_stride + p] = rounded_to<T>(value);
    }
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
im2col(const float* image, float* columns, ColumnShape s) {
    patches(image, columns, s);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
im2col_bf16(const float* image, Bf16* columns, ColumnShape s) {
    patches(image, columns, s);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
col2im(const float* columns, float* image, ColumnShape s) {
    const unsigned plane = s.height * s.width, taps = s.kernel * s.kernel;
    ALX_EACH(i, s.batch * s.channels * plane) {
        const unsigned c = i / plane % s.channels, n = i / plane / s.channels;
        const int y = static_cast<int>(i % plane / s.width) + s.pad, x = static_cast<int>(i % s.width) + s.pad;
        float sum = 0.0f;
        // Only taps congruent to the pixel can reach it: start at the remainder and go on by the stride.
        for (int ky = y % s.stride; ky < s.kernel && ky <= y; ky += s.stride) {
            const int oy = (y - ky) / s.stride;
            if (oy >= s.out_height) continue;
            for (int kx = x % s.stride; kx < s.kernel && kx <= x; kx += s.stride) {
                const int ox = (x - kx) / s.stride;
                if (ox >= s.out_width) continue;
                const unsigned k = c * taps + ky * s.kernel + kx;
                sum += columns[k * s.row_stride + n * s.batch_stride + oy * s.out_width + ox];
            }
        }
        image[n * s.image_stride + i % (s.channels * plane)] = sum;
    }
}
