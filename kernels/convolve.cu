// Convolution on tensor cores without columns in memory: patches are read from the image straight into shared memory.
//
//   x        bf16 [batch][height][width][groups · channels]
//   w        bf16 [groups · maps][row], row = kernel · kernel · channels: taps, each with the group's channels
//   y, dy    bf16 [batch][out_height][out_width][groups · maps]
//   bias     f32 [groups · maps], or null
//   parts    f32 [shares][groups · maps][row], the weights' gradient from each share of the output's positions
//
// Output (oy, ox) reads pixel (oy·stride − pad + ky, ox·stride − pad + kx), zeros outside the image. channels and maps are
// multiples of 8. The input's gradient of a convolution with stride 1 is the same kernel on dy with the filters turned.
// A block makes 128 × N values (N = 128, 96, 64) of one group's product, 32 terms of the sum at a time, three such steps
// on their way; a warp takes 32 × N/2. Chunks of 16 bytes stand in shared memory so that no two lanes meet in a bank.
// Oracle: float64 loops; im2col.cu and a plain product. 2 · batch · out · groups · maps · row FLOP; reads from cache.
#include "tensor_core.cuh"

struct ConvolveShape {
    int batch, groups, channels, maps, height, width, out_height, out_width, kernel, stride, pad, row, relu;
};

#define ALX_STEPS 3    // steps in shared memory
#define ALX_TALL 128   // positions of a block, forward
#define ALX_DEEP 32    // terms of the sum in a step

// Where chunk 0..4 of a row stands in a tile of rows of 32 values.
__device__ inline unsigned in_row(unsigned row, unsigned chunk) { return row * 4 + (chunk ^ (row / 2 % 4)); }

// A tap and the first of eight channels, moving along the sum.
struct Tap {
    int ky, kx, channel;
    __device__ void advance(int by, const ConvolveShape& s) {
        channel += by;
        while (channel >= s.channels) {
            channel -= s.channels;
            if (++kx == s.kernel) kx = 0, ky++;
        }
    }
};

template <int N>
__device__ inline void convolved(const Bf16* x, const Bf16* w, const float* bias, Bf16* y, const ConvolveShape& s) {
    __shared__ Chunk a[ALX_STEPS][ALX_TALL * 4];
    __shared__ Chunk b[ALX_STEPS][N * 4];
    const unsigned across = (s.maps + N - 1) / N, thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const unsigned group = blockIdx.x / across % s.groups, all = s.groups * s.channels;
    const unsigned first_map = blockIdx.x % across * N, first_place = blockIdx.x / across / s.groups * ALX_TALL;
    const unsigned places = s.batch * s.out_height * s.out_width;

    // A thread fetches chunk thread % 4 of rows thread / 4 and thread / 4 + 64 of both tiles.
    const unsigned fetched = thread % 4;
    int top[2], left[2];
    const Bf16* image[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
        const unsigned place = first_place + thread / 4 + 64 * h, n = place / s.out_width / s.out_height;
        const bool there = place < places;
        top[h] = there ? static_cast<int>(place / s.out_width % s.out_height * s.stride) - s.pad : -(1 << 20);
        left[h] = static_cast<int>(place % s.out_width * s.stride) - s.pad;
        image[h] = x + static_cast<size_t>(there ? n : 0) * s.height * s.width * all + group * s.channels;
    }
    Tap tap = {0, 0, 0};
    tap.advance(fetched * 8, s);
    int term = fetched * 8;
    const Bf16* filters = w + static_cast<size_t>(group * s.maps + first_map) * s.row;

    auto fetch = [&](int step) __attribute__((always_inline)) {
        const bool there = term < s.row;
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const int row = top[h] + tap.ky, column = left[h] + tap.kx;
            const bool inside = there && row >= 0 && row < s.height && column >= 0 && column < s.width;
            const Bf16* from = inside ? image[h] + (row * s.width + column) * static_cast<int>(all) + tap.channel : x;
            copy_async(&a[step][in_row(thread / 4 + 64 * h, fetched)], from, inside);
        }
#pragma unroll
        for (int h = 0; h < (N + 63) / 64; h++) {
            const unsigned map = thread / 4 + 64 * h;
            if (map < N) {
                const bool known = there && first_map + map < static_cast<unsigned>(s.maps);
                copy_async(&b[step][in_row(map, fetched)], known ? filters + map * s.row + term : w, known);
            }
        }
        copy_commit();
        tap.advance(ALX_DEEP, s);
        term += ALX_DEEP;
    };

    float sum[2][N / 16][4] = {};
    const unsigned tall = warp % 4 * 32, wide = warp / 4 * (N / 2), g = lane / 4, t = lane % 4;
    const int steps = (s.row + ALX_DEEP - 1) / ALX_DEEP;
    fetch(0);
    fetch(1);
    int now = 0, next = 2;
    for (int step = 0; step < steps; step++) {
        copy_wait<1>();
        __syncthreads();  // this step is there, and the one before has been used
        fetch(next);
        next = next + 1 == ALX_STEPS ? 0 : next + 1;
#pragma unroll
        for (unsigned half = 0; half < 4; half += 2) {
            unsigned rows[2][4];
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const unsigned row = tall + i * 16 + g;
                rows[i][0] = a[now][in_row(row, half)].at[t];
                rows[i][1] = a[now][in_row(row + 8, half)].at[t];
                rows[i][2] = a[now][in_row(row, half + 1)].at[t];
                rows[i][3] = a[now][in_row(row + 8, half + 1)].at[t];
            }
#pragma unroll
            for (int j = 0; j < N / 16; j++) {
                const unsigned map = wide + j * 8 + g;
                const unsigned column[2] = {b[now][in_row(map, half)].at[t], b[now][in_row(map, half + 1)].at[t]};
#pragma unroll
                for (int i = 0; i < 2; i++) multiply_add(sum[i][j], rows[i], column);
            }
        }
        now = now + 1 == ALX_STEPS ? 0 : now + 1;
    }
    copy_wait<0>();

#pragma unroll
    for (int j = 0; j < N / 16; j++) {
        const unsigned map = first_map + wide + j * 8 + 2 * t, of_all = group * s.maps + map;
        if (map >= static_cast<unsigned>(s.maps)) continue;
        const float b0 = bias ? bias[of_all] : 0.0f, b1 = bias ? bias[of_all + 1] : 0.0f;
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int h = 0; h < 2; h++) {
                const unsigned place = first_place + tall + i * 16 + 8 * h + g;
                float v0 = sum[i][j][2 * h] + b0, v1 = sum[i][j][2 * h + 1] + b1;
                if (s.relu) {
                    v0 = v0 < 0.0f ? 0.0f : v0;
                    v1 = v1 < 0.0f ? 0.0f : v1;
                }
                if (place < places) {
                    const size_t at = static_cast<size_t>(place) * s.groups * s.maps + of_all;
                    reinterpret_cast<Words32<1>*>(y + at)->at[0] = rounded_pair(v0, v1);
                }
            }
    }
}

// Blocks: for each group, positions / 128 and maps / N, both rounded up.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK, 2)
convolve_128(const Bf16* x, const Bf16* w, const float* bias, Bf16* y, ConvolveShape s) {
    convolved<128>(x, w, bias, y, s);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK, 2)
convolve_96(const Bf16* x, const Bf16* w, const float* bias, Bf16* y, ConvolveShape s) {
    convolved<96>(x, w, bias, y, s);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK, 2)
convolve_64(const Bf16* x, const Bf16* w, const float* bias, Bf16* y, ConvolveShape s) {
    convolved<64>(x, w, bias, y, s);
}

// Where chunk 0..16 of a row stands in a tile of 32 rows of 128 values.
__device__ inline unsigned in_line(unsigned row, unsigned chunk) { return row * 16 + (chunk ^ (row % 8)); }

// An output position, moving along the sum.
struct Position {
    int n, oy, ox;
    __device__ void advance(int by, const ConvolveShape& s) {
        ox += by;
        while (ox >= s.out_width) {
            ox -= s.out_width;
            if (++oy == s.out_height) oy = 0, n++;
        }
    }
};

template <int M>
__device__ inline void correlated(const Bf16* x, const Bf16* dy, float* parts, const ConvolveShape& s, int share) {
    __shared__ Chunk a[ALX_STEPS][ALX_DEEP * 16];
    __shared__ Chunk b[ALX_STEPS][ALX_DEEP * 16];
    const unsigned thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const unsigned across = (s.row + 127) / 128, down = (s.maps + M - 1) / M, outputs = s.groups * s.maps;
    const unsigned first_term = blockIdx.x % across * 128, first_map = blockIdx.x / across % down * M;
    const unsigned group = blockIdx.x / across / down % s.groups, part = blockIdx.x / across / down / s.groups;
    const int places = s.batch * s.out_height * s.out_width, all = s.groups * s.channels;
    const int first_place = part * share, last_place = min(first_place + share, places);

    // A thread fetches chunk thread % 16 of rows thread / 16 and thread / 16 + 16 of both tiles.
    const unsigned fetched = thread % 16;
    const bool map_there = fetched * 8 < M && first_map + fetched * 8 < static_cast<unsigned>(s.maps);
    const bool term_there = first_term + fetched * 8 < static_cast<unsigned>(s.row);
    Tap tap = {0, 0, 0};
    const int term = term_there ? first_term + fetched * 8 : 0;
    tap.ky = term / s.channels / s.kernel;
    tap.kx = term / s.channels % s.kernel;
    tap.channel = term % s.channels;
    Position position[2];
    int place[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
        place[h] = first_place + thread / 16 + 16 * h;
        position[h] = Position{place[h] / s.out_width / s.out_height, place[h] / s.out_width % s.out_height,
                               place[h] % s.out_width};
    }
    const Bf16* gradients = dy + group * s.maps + first_map + fetched * 8;
    const Bf16* image = x + group * s.channels + tap.channel;

    auto fetch = [&](int step) __attribute__((always_inline)) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const bool there = place[h] < last_place;
            const unsigned to = in_line(thread / 16 + 16 * h, fetched);
            const bool known = there && map_there;
            copy_async(&a[step][to], known ? gradients + static_cast<size_t>(place[h]) * outputs : dy, known);
            const int row = position[h].oy * s.stride - s.pad + tap.ky, column = position[h].ox * s.stride - s.pad + tap.kx;
            const bool inside =
                there && term_there && row >= 0 && row < s.height && column >= 0 && column < s.width;
            const Bf16* from = x;
            if (inside) from = image + (static_cast<size_t>(position[h].n * s.height + row) * s.width + column) * all;
            copy_async(&b[step][to], from, inside);
            place[h] += ALX_DEEP;
            position[h].advance(ALX_DEEP, s);
        }
        copy_commit();
    };

    float sum[M / 32][4][4] = {};
    const unsigned tall = warp % 2 * (M / 2), wide = warp / 2 * 32, g = lane / 4, t = lane % 4;
    const unsigned square = lane / 8, line = lane % 8;
    const int steps = (last_place - first_place + ALX_DEEP - 1) / ALX_DEEP;
    fetch(0);
    fetch(1);
    int now = 0, next = 2;
    for (int step = 0; step < steps; step++) {
        copy_wait<1>();
        __syncthreads();
        fetch(next);
        next = next + 1 == ALX_STEPS ? 0 : next + 1;
#pragma unroll
        for (unsigned half = 0; half < 32; half += 16) {
            unsigned columns[2][4];
#pragma unroll
            for (int j = 0; j < 2; j++) {
                const unsigned row = half + square % 2 * 8 + line, chunk = wide / 8 + 2 * j + square / 2;
                load_turned(columns[j], &b[now][in_line(row, chunk)]);
            }
#pragma unroll
            for (int i = 0; i < M / 32; i++) {
                const unsigned row = half + square / 2 * 8 + line, chunk = tall / 8 + 2 * i + square % 2;
                unsigned rows[4];
                load_turned(rows, &a[now][in_line(row, chunk)]);
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    const unsigned column[2] = {columns[j / 2][j % 2 * 2], columns[j / 2][j % 2 * 2 + 1]};
                    multiply_add(sum[i][j], rows, column);
                }
            }
        }
        now = now + 1 == ALX_STEPS ? 0 : now + 1;
    }
    copy_wait<0>();

    float* to = parts + static_cast<size_t>(part) * outputs * s.row;
#pragma unroll
    for (int i = 0; i < M / 32; i++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const unsigned map = first_map + tall + i * 16 + 8 * h + g;
            if (map >= static_cast<unsigned>(s.maps)) continue;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const unsigned k = first_term + wide + j * 8 + 2 * t;
                if (k < static_cast<unsigned>(s.row)) {
                    const float pair[2] = {sum[i][j][2 * h], sum[i][j][2 * h + 1]};
                    store(to + static_cast<size_t>(group * s.maps + map) * s.row + k, pair);
                }
            }
        }
}

// Blocks: for each share and group, row / 128 and maps / M, both rounded up; a share is a multiple of 32 positions.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK, 2)
convolve_weights_128(const Bf16* x, const Bf16* dy, float* parts, ConvolveShape s, int share) {
    correlated<128>(x, dy, parts, s, share);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK, 2)
convolve_weights_96(const Bf16* x, const Bf16* dy, float* parts, ConvolveShape s, int share) {
    correlated<96>(x, dy, parts, s, share);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK, 2)
convolve_weights_64(const Bf16* x, const Bf16* dy, float* parts, ConvolveShape s, int share) {
    correlated<64>(x, dy, parts, s, share);
}
