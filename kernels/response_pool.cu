// Local response normalisation and max pooling in one pass, both ways: what lrn.cu and pool.cu compute one after the
// other, to the bit, but the normalised maps are never written.
//
//   x, dx    f32 or bf16 [batch][height][width][columns · maps]; what response.cuh says of columns and half holds here
//   y, dy    the same type [batch][out_height][out_width][columns · maps]
//   winner   u8, as y; windows and places are pool.cu's
//
// Forward: a thread takes a vector of maps and ALX_STRIP windows, one below the other; the row that two of them share
// is normalised once, the columns that neighbours share are again. Values are rounded to T before they are compared, as
// if they had been written. Backward: a thread gathers the gradient of its vector of maps and of their neighbours from
// the windows over its pixel, and takes it through the normalisation. Where x is a rectifier's output (`rectified`), its
// mask comes with it.
// Oracle: lrn.cu and pool.cu; float64 loops. In bf16 forward 2 B per input and 3 B per output, backward 4 B per input and
// 3 B per output; about 35 and 50 FLOP per input (half = 2, windows 3×3 two apart).
#include "response.cuh"
#include "windows.cuh"

#define ALX_STRIP 4

__device__ inline void put_byte(unsigned& word, int place, unsigned byte) {
    word = (word & ~(0xffu << 8 * place)) | byte << 8 * place;
}

// The first maxima of `count` normalised pixels of a row, one behind the other, and which of them they are.
template <class T, int W, int HALF>
__device__ inline void line_maxima(const T* row, int channels, int count, int first, int maps, float k, float alpha,
                                   float (&best)[W], int (&won)[W]) {
#pragma unroll
    for (int m = 0; m < W; m++) {
        best[m] = ALX_LOWEST;
        won[m] = 0;
    }
    for (int column = 0; column < count; column++) {
        float a[W + 2 * HALF], v[W];
        load_around<W, HALF>(row + column * channels, first, maps, a);
        respond<T, W, HALF>(a, k, alpha, v);
        round_as<T>(v);
#pragma unroll
        for (int m = 0; m < W; m++)
            if (beats(v[m], best[m])) {
                best[m] = v[m];
                won[m] = column;
            }
    }
}

template <class T, int W, int HALF>
__device__ inline void response_maxima(const T* x, T* y, unsigned char* winner, const PoolShape& s, int columns, float k,
                                       float alpha, int relu) {
    const unsigned vectors = s.channels / W, strips = (s.out_height + ALX_STRIP - 1) / ALX_STRIP;
    const int maps = s.channels / columns;
    ALX_EACH(i, s.batch * strips * s.out_width * vectors) {
        const unsigned c = i % vectors * W, place = i / vectors, first = c % maps;
        const unsigned ox = place % s.out_width, n = place / s.out_width / strips;
        const int begin = place / s.out_width % strips * ALX_STRIP, end = min(begin + ALX_STRIP, s.out_height);
        const int left = ox * s.stride, across = min(s.size, s.width - left);
        const T* map = x + (n * s.height * s.width + left) * s.channels + (c - first);
        float line[W] = {};
        int column[W] = {};
        for (int oy = begin; oy < end; oy++) {
            const int top = oy * s.stride, down = min(s.size, s.height - top);
            float best[W];
#pragma unroll
            for (int m = 0; m < W; m++) best[m] = ALX_LOWEST;
            unsigned won[(W + 3) / 4] = {};  // a byte for each: registers are scarce here
            for (int row = 0; row < down; row++) {
                // The last line of the window above may be this one's first.
                if (row > 0 || oy == begin || s.size != s.stride + 1)
                    line_maxima<T, W, HALF>(map + (top + row) * s.width * s.channels, s.channels, across, first, maps, k,
                                            alpha, line, column);
#pragma unroll
                for (int m = 0; m < W; m++)
                    if (beats(line[m], best[m])) {
                        best[m] = line[m];
                        put_byte(won[m / 4], m % 4, row * s.size + column[m]);
                    }
            }
            const unsigned at = ((n * s.out_height + oy) * s.out_width + ox) * s.channels + c;
#pragma unroll
            for (int m = 0; m < W; m++) best[m] = relu && best[m] < 0.0f ? 0.0f : best[m];
            store(y + at, best);
            if constexpr (W == 1) {
                winner[at] = static_cast<unsigned char>(won[0]);
            } else {
                Words32<W / 4> words;
#pragma unroll
                for (int m = 0; m < W / 4; m++) words.at[m] = won[m];
                *reinterpret_cast<Words32<W / 4>*>(winner + at) = words;
            }
        }
    }
}

// As load_around, of places.
template <int W, int SIDE>
__device__ inline void places_around(const unsigned char* row, int first, int maps, unsigned char (&v)[W + 2 * SIDE]) {
    const Bytes<W> center = *reinterpret_cast<const Bytes<W>*>(row + first);
#pragma unroll
    for (int m = 0; m < W; m++) v[SIDE + m] = center.at[m];
    if constexpr (W > 1) {
        Bytes<SIDE> before = {}, after = {};
        if (first > 0) before = *reinterpret_cast<const Bytes<SIDE>*>(row + (first - SIDE));
        if (first + W < maps) after = *reinterpret_cast<const Bytes<SIDE>*>(row + (first + W));
#pragma unroll
        for (int m = 0; m < SIDE; m++) {
            v[m] = before.at[m];
            v[SIDE + W + m] = after.at[m];
        }
    } else {
#pragma unroll
        for (int m = 0; m < SIDE; m++) {
            const int before = first - SIDE + m, after = first + W + m;
            v[m] = before >= 0 ? row[before] : 0;
            v[SIDE + W + m] = after < maps ? row[after] : 0;
        }
    }
}

// SIZE and STRIDE as in pool.cu.
template <class T, int W, int HALF, int SIZE, int STRIDE>
__device__ inline void response_to_winners(const T* x, const T* dy, const unsigned char* winner, T* dx, const PoolShape& s,
                                           int columns, float k, float alpha, int rectified) {
    const unsigned vectors = s.channels / W;
    const int maps = s.channels / columns, size = SIZE ? SIZE : s.size, stride = STRIDE ? STRIDE : s.stride;
    ALX_EACH(i, s.batch * s.height * s.width * vectors) {
        const unsigned c = i % vectors * W, pixel = i / vectors, first = c % maps;
        const int column = pixel % s.width, row = pixel / s.width % s.height;
        const unsigned n = pixel / s.width / s.height;
        const Windows down = windows_over(row, s.out_height, size, stride);
        const Windows across = windows_over(column, s.out_width, size, stride);
        float g[W + 2 * HALF] = {};
        for (int oy = down.first; oy <= down.last; oy++)
            for (int ox = across.first; ox <= across.last; ox++) {
                const unsigned at = ((n * s.out_height + oy) * s.out_width + ox) * s.channels + (c - first);
                const int here = (row - oy * stride) * size + (column - ox * stride);
                unsigned char won[W + 2 * HALF];
                float v[W + 2 * HALF];
                places_around<W, HALF>(winner + at, first, maps, won);
                load_around<W, HALF>(dy + at, first, maps, v);
#pragma unroll
                for (int m = 0; m < W + 2 * HALF; m++)
                    if (won[m] == here) g[m] += v[m];
            }
        round_as<T>(g);
        float a[W + 4 * HALF], out[W];
        load_around<W, 2 * HALF>(x + (i * W - first), first, maps, a);
        respond_back<T, W, HALF>(a, g, k, alpha, out);
        mask_middle<W, 2 * HALF>(a, rectified, out);
        store(dx + i * W, out);
    }
}

// Vectors only for AlexNet's window, as in lrn.cu.
template <class T>
__device__ inline void forward_of(const T* x, T* y, unsigned char* winner, const PoolShape& s, int columns, int half, float k,
                                  float alpha, int relu) {
    const bool whole = s.channels / columns % Lanes<T>::n == 0;
    if (half == 2 && whole) response_maxima<T, Lanes<T>::n, 2>(x, y, winner, s, columns, k, alpha, relu);
    else if (half == 1) response_maxima<T, 1, 1>(x, y, winner, s, columns, k, alpha, relu);
    else if (half == 2) response_maxima<T, 1, 2>(x, y, winner, s, columns, k, alpha, relu);
    else if (half == 3) response_maxima<T, 1, 3>(x, y, winner, s, columns, k, alpha, relu);
    else if (half == 4) response_maxima<T, 1, 4>(x, y, winner, s, columns, k, alpha, relu);
}

template <class T>
__device__ inline void backward_of(const T* x, const T* dy, const unsigned char* winner, T* dx, const PoolShape& s,
                                   int columns, int half, float k, float alpha, int rectified) {
    constexpr int n = Lanes<T>::n;
    const bool whole = s.channels / columns % n == 0;
    if (half == 2 && whole && s.size == 3 && s.stride == 2)
        response_to_winners<T, n, 2, 3, 2>(x, dy, winner, dx, s, columns, k, alpha, rectified);
    else if (half == 2 && whole) response_to_winners<T, n, 2, 0, 0>(x, dy, winner, dx, s, columns, k, alpha, rectified);
    else if (half == 1) response_to_winners<T, 1, 1, 0, 0>(x, dy, winner, dx, s, columns, k, alpha, rectified);
    else if (half == 2) response_to_winners<T, 1, 2, 0, 0>(x, dy, winner, dx, s, columns, k, alpha, rectified);
    else if (half == 3) response_to_winners<T, 1, 3, 0, 0>(x, dy, winner, dx, s, columns, k, alpha, rectified);
    else if (half == 4) response_to_winners<T, 1, 4, 0, 0>(x, dy, winner, dx, s, columns, k, alpha, rectified);
}

// y is rectified as well, if `relu`.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK, 4)
response_pool_forward(const float* x, float* y, unsigned char* winner, PoolShape s, int columns, int half, float k,
                      float alpha, int relu) {
    forward_of(x, y, winner, s, columns, half, k, alpha, relu);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK, 4)
response_pool_forward_bf16(const Bf16* x, Bf16* y, unsigned char* winner, PoolShape s, int columns, int half, float k,
                           float alpha, int relu) {
    forward_of(x, y, winner, s, columns, half, k, alpha, relu);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
response_pool_backward(const float* x, const float* dy, const unsigned char* winner, float* dx, PoolShape s, int columns,
                       int half, float k, float alpha, int rectified) {
    backward_of(x, dy, winner, dx, s, columns, half, k, alpha, rectified);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
response_pool_backward_bf16(const Bf16* x, const Bf16* dy, const unsigned char* winner, Bf16* dx, PoolShape s, int columns,
                            int half, float k, float alpha, int rectified) {
    backward_of(x, dy, winner, dx, s, columns, half, k, alpha, rectified);
}
