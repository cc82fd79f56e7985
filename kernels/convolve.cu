// Convolution on tensor cores without columns in memory: patches are read from the image straight into shared memory.
//
//   x        bf16 [batch][height][width][groups · channels]
//   w        bf16 [groups · maps][row], row = kernel · kernel · channels: taps, each with the group's channels
//   y, dy    bf16 [batch][out_height][out_width][groups · maps]
//   bias     f32 [groups · maps], or null
//   gate     bf16, as y, or null: y is 0 where it is not above 0 (or NaN), which is a rectifier's way back
//   parts    f32 [shares][groups · maps][row], the weights' gradient from each share of the output's positions
//            (with `bias` rows of row + 8 values, of which the first behind the filter is the bias' gradient)
//   spots    [out_height · out_width], where the patch of each output begins in an image and which taps lie inside
//
// Output (oy, ox) reads pixel (oy·stride − pad + ky, ox·stride − pad + kx), zeros outside the image. channels and maps are
// multiples of 8, kernel is at most 12. The input's gradient of a convolution with stride 1 is the same kernel on dy with the filters turned.
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
// Keeps an address in its register: the compiler would compute it again in every step.
#define ALX_KEEP(address) asm volatile("" : "+r"(address))

// Where chunk 0..4 of a row stands in a tile of rows of 32 values.
__device__ inline unsigned in_row(unsigned row, unsigned chunk) { return row * 4 + (chunk ^ (row / 2 % 4)); }

// Bit k is set if position first + k lies inside 0 .. length, for k below `count`.
__device__ inline unsigned inside_bits(int first, int length, int count) {
    unsigned bits = 0;
    for (int k = 0; k < count; k++)
        if (first + k >= 0 && first + k < length) bits |= 1u << k;
    return bits;
}

// A tap and the first of eight channels, moving along the sum, and how far from the patch's first value they stand.
struct Tap {
    int ky, kx, channel, offset;
    __device__ void advance(int by, const ConvolveShape& s, int all) {
        channel += by;
        offset += by;
        while (channel >= s.channels) {
            channel -= s.channels;
            offset += all - s.channels;
            if (++kx == s.kernel) {
                kx = 0;
                ky++;
                offset += (s.width - s.kernel) * all;
            }
        }
    }
};

template <int N>
__device__ inline void convolved(const Bf16* x, const Bf16* w, const float* bias, const Bf16* gate, Bf16* y, const ConvolveShape& s) {
    __shared__ Chunk a[ALX_STEPS][ALX_TALL * 4];
    __shared__ Chunk b[ALX_STEPS][N * 4];
    const unsigned across = (s.maps + N - 1) / N, thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const unsigned group = blockIdx.x / across % s.groups;
    const unsigned first_map = blockIdx.x % across * N, first_place = blockIdx.x / across / s.groups * ALX_TALL;
    const unsigned places = s.batch * s.out_height * s.out_width;
    const int all = s.groups * s.channels;

    // A thread fetches chunk thread % 4 of rows thread / 4 and thread / 4 + 64 of both tiles.
    const unsigned fetched = thread % 4, row0 = thread / 4;
    unsigned inside[2];  // rows of taps in the low half, columns in the high
    int start[2], filter[2], left_over[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
        const unsigned place = first_place + row0 + 64 * h, n = place / s.out_width / s.out_height;
        const int top = static_cast<int>(place / s.out_width % s.out_height * s.stride) - s.pad;
        const int left = static_cast<int>(place % s.out_width * s.stride) - s.pad;
        inside[h] = inside_bits(top, s.height, s.kernel) | inside_bits(left, s.width, s.kernel) << 16;
        if (place >= places) inside[h] = 0;
        start[h] = ((static_cast<int>(n) * s.height + top) * s.width + left) * all + group * s.channels;
        const unsigned map = first_map + row0 + 64 * h;
        const bool known = row0 + 64 * h < N && map < static_cast<unsigned>(s.maps);
        filter[h] = known ? (group * s.maps + map) * s.row + fetched * 8 : 0;
        left_over[h] = known ? s.row - static_cast<int>(fetched * 8) : 0;  // terms of the filter from here on
    }
    Tap tap = {0, 0, 0, 0};
    tap.advance(fetched * 8, s, all);
    // 64 rows further down the place in the row is the same.
    const Shared a_to = shared_at(&a[0][in_row(row0, fetched)]), b_to = shared_at(&b[0][in_row(row0, fetched)]);
    const int a_step = sizeof a[0], b_step = sizeof b[0];

    auto fetch = [&](int step) __attribute__((always_inline)) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const bool there = inside[h] >> tap.ky & inside[h] >> (16 + tap.kx) & 1;  // none behind the last tap
            copy_async(a_to + (step * a_step + 4096 * h), x + (start[h] + tap.offset), there);
        }
#pragma unroll
        for (int h = 0; h < (N + 63) / 64; h++)
            if (N % 64 == 0 || row0 + 64 * h < N) {
                copy_async(b_to + (step * b_step + 4096 * h), w + filter[h], left_over[h] > 0);
                filter[h] += ALX_DEEP;
                left_over[h] -= ALX_DEEP;
            }
        copy_commit();
        tap.advance(ALX_DEEP, s, all);
    };

    float sum[2][N / 16][4] = {};
    const unsigned tall = warp % 4 * 32, wide = warp / 4 * (N / 2), g = lane / 4, t = lane % 4;
    const unsigned square = lane / 8, line = lane % 8;
    // Where a lane's row of the first squares stands; 8 rows and more on the place in the row is the same.
    Shared a_from[2], b_from[2];
#pragma unroll
    for (unsigned half = 0; half < 2; half++) {
        a_from[half] = shared_at(&a[0][in_row(tall + square % 2 * 8 + line, 2 * half + square / 2)]);
        b_from[half] = shared_at(&b[0][in_row(wide + square / 2 * 8 + line, 2 * half + square % 2)]);
        ALX_KEEP(a_from[half]);
        ALX_KEEP(b_from[half]);
    }
    const int steps = (s.row + ALX_DEEP - 1) / ALX_DEEP;
    fetch(0);
    fetch(1);
    int now = 0, next = 2;
    for (int step = 0; step < steps; step++) {
        copy_wait<1>();
        __syncthreads();  // this step is there, and the one before has been used
#pragma unroll
        for (int half = 0; half < 2; half++) {
            unsigned rows[2][4];
#pragma unroll
            for (int i = 0; i < 2; i++) load_rows(rows[i], a_from[half] + (now * a_step + i * 1024));
#pragma unroll
            for (int j = 0; j < N / 16; j += 2) {
                unsigned columns[4];
                load_rows(columns, b_from[half] + (now * b_step + j * 512));
#pragma unroll
                for (int m = 0; m < 2; m++) {
                    const unsigned column[2] = {columns[2 * m], columns[2 * m + 1]};
#pragma unroll
                    for (int i = 0; i < 2; i++) multiply_add(sum[i][j + m], rows[i], column);
                }
            }
            if (half == 0) {  // in the shadow of the products
                fetch(next);
                next = next + 1 == ALX_STEPS ? 0 : next + 1;
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
                    if (gate) {
                        float open[2];
                        load(gate + at, open);
                        v0 = open[0] <= 0.0f ? 0.0f : v0;
                        v1 = open[1] <= 0.0f ? 0.0f : v1;
                    }
                    reinterpret_cast<Words32<1>*>(y + at)->at[0] = rounded_pair(v0, v1);
                }
            }
    }
}

// Blocks: for each group, positions / 128 and maps / N, both rounded up.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK, 2)
convolve_128(const Bf16* x, const Bf16* w, const float* bias, const Bf16* gate, Bf16* y, ConvolveShape s) {
    convolved<128>(x, w, bias, gate, y, s);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK, 2)
convolve_96(const Bf16* x, const Bf16* w, const float* bias, const Bf16* gate, Bf16* y, ConvolveShape s) {
    convolved<96>(x, w, bias, gate, y, s);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK, 2)
convolve_64(const Bf16* x, const Bf16* w, const float* bias, const Bf16* gate, Bf16* y, ConvolveShape s) {
    convolved<64>(x, w, bias, gate, y, s);
}

// Where chunk 0..16 of a row stands in a tile of 32 rows of 128 values.
__device__ inline unsigned in_line(unsigned row, unsigned chunk) { return row * 16 + (chunk ^ (row % 8)); }

// Where the patch of an output begins, in values from the image's, and which rows (low half) and columns of taps lie inside.
struct Spot {
    int start;
    unsigned taps;
};

// `one` becomes 1 and seven zeros: what the bias multiplies.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
convolve_spots(Spot* spots, Bf16* one, ConvolveShape s) {
    if (blockIdx.x == 0 && threadIdx.x < 8) one[threadIdx.x] = rounded_to<Bf16>(threadIdx.x == 0 ? 1.0f : 0.0f);
    ALX_EACH(i, s.out_height * s.out_width) {
        const int top = static_cast<int>(i / s.out_width * s.stride) - s.pad;
        const int left = static_cast<int>(i % s.out_width * s.stride) - s.pad;
        spots[i] = Spot{(top * s.width + left) * s.groups * s.channels,
                        inside_bits(top, s.height, s.kernel) | inside_bits(left, s.width, s.kernel) << 16};
    }
}

template <int M>
__device__ inline void correlated(const Bf16* x, const Bf16* dy, const Spot* spots, const Bf16* one, float* parts,
                                  const ConvolveShape& s, int share, int with_bias) {
    __shared__ Chunk a[ALX_STEPS][ALX_DEEP * 16];
    __shared__ Chunk b[ALX_STEPS][ALX_DEEP * 16];
    const unsigned thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const int width = with_bias ? s.row + 8 : s.row;
    const unsigned across = (width + 127) / 128, down = (s.maps + M - 1) / M, outputs = s.groups * s.maps;
    const unsigned first_term = blockIdx.x % across * 128, first_map = blockIdx.x / across % down * M;
    const unsigned group = blockIdx.x / across / down % s.groups, part = blockIdx.x / across / down / s.groups;
    const int image_places = s.out_height * s.out_width, places = s.batch * image_places;
    const int all = s.groups * s.channels, image_values = s.height * s.width * all;
    const int first_place = part * share, last_place = min(first_place + share, places);

    // A thread fetches chunk thread % 16 of rows thread / 16 and thread / 16 + 16 of both tiles.
    const unsigned fetched = thread % 16, row0 = thread / 16;
    const bool map_there = fetched * 8 < M && first_map + fetched * 8 < static_cast<unsigned>(s.maps);
    const bool term_there = first_term + fetched * 8 < static_cast<unsigned>(s.row);
    const int term = term_there ? first_term + fetched * 8 : 0, tap = term / s.channels;
    const int ky = tap / s.kernel, kx = tap % s.kernel;
    const bool biased = with_bias && first_term + fetched * 8 == static_cast<unsigned>(s.row);
    // Taps that must lie inside: none for the bias, more than there are behind it.
    const unsigned wanted = term_there ? 1u << ky | 1u << 16 << kx : biased ? 0u : 0xffffffffu;
    const Bf16* image = x + (ky * s.width + kx) * all + group * s.channels + term % s.channels;
    int left_over[2], place[2], before[2];  // places from here on, place in the image, values of the images before it
    int gradient[2];
    Spot spot[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
        const int first = first_place + static_cast<int>(row0) + 16 * h;
        left_over[h] = last_place - first;
        place[h] = first % image_places;
        before[h] = first / image_places * image_values;
        gradient[h] = first * static_cast<int>(outputs) + group * s.maps + first_map + fetched * 8;
        spot[h] = spots[place[h]];
    }
    const Shared a_to = shared_at(&a[0][in_line(row0, fetched)]), b_to = shared_at(&b[0][in_line(row0, fetched)]);
    const int step_bytes = sizeof a[0];

    auto fetch = [&](int step) __attribute__((always_inline)) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const bool there = left_over[h] > 0;
            copy_async(a_to + (step * step_bytes + 4096 * h), dy + gradient[h], there && map_there);
            const bool inside = there && (spot[h].taps & wanted) == wanted;
            const Bf16* from = biased ? one : image + (before[h] + spot[h].start);
            copy_async(b_to + (step * step_bytes + 4096 * h), from, inside);
            left_over[h] -= ALX_DEEP;
            gradient[h] += ALX_DEEP * outputs;
            place[h] += ALX_DEEP;
            while (place[h] >= image_places) {
                place[h] -= image_places;
                before[h] += image_values;
            }
            spot[h] = spots[place[h]];
        }
        copy_commit();
    };

    float sum[M / 32][4][4] = {};
    const unsigned tall = warp % 2 * (M / 2), wide = warp / 2 * 32, g = lane / 4, t = lane % 4;
    const unsigned square = lane / 8, line = lane % 8;
    Shared a_from[M / 32], b_from[2];  // as in convolved
#pragma unroll
    for (int i = 0; i < M / 32; i++)
        a_from[i] = shared_at(&a[0][in_line(square / 2 * 8 + line, tall / 8 + 2 * i + square % 2)]);
#pragma unroll
    for (int j = 0; j < 2; j++) {
        b_from[j] = shared_at(&b[0][in_line(square % 2 * 8 + line, wide / 8 + 2 * j + square / 2)]);
        ALX_KEEP(b_from[j]);
    }
    const int steps = (last_place - first_place + ALX_DEEP - 1) / ALX_DEEP;
    fetch(0);
    fetch(1);
    int now = 0, next = 2;
    for (int step = 0; step < steps; step++) {
        copy_wait<1>();
        __syncthreads();
#pragma unroll
        for (int half = 0; half < 2; half++) {
            unsigned columns[2][4];
#pragma unroll
            for (int j = 0; j < 2; j++) load_turned(columns[j], b_from[j] + (now * step_bytes + half * 4096));
#pragma unroll
            for (int i = 0; i < M / 32; i++) {
                unsigned rows[4];
                load_turned(rows, a_from[i] + (now * step_bytes + half * 4096));
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    const unsigned column[2] = {columns[j / 2][j % 2 * 2], columns[j / 2][j % 2 * 2 + 1]};
                    multiply_add(sum[i][j], rows, column);
                }
            }
            if (half == 0) {
                fetch(next);
                next = next + 1 == ALX_STEPS ? 0 : next + 1;
            }
        }
        now = now + 1 == ALX_STEPS ? 0 : now + 1;
    }
    copy_wait<0>();

    float* to = parts + static_cast<size_t>(part) * outputs * width;
#pragma unroll
    for (int i = 0; i < M / 32; i++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const unsigned map = first_map + tall + i * 16 + 8 * h + g;
            if (map >= static_cast<unsigned>(s.maps)) continue;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const unsigned k = first_term + wide + j * 8 + 2 * t;
                if (k < static_cast<unsigned>(width)) {
                    const float pair[2] = {sum[i][j][2 * h], sum[i][j][2 * h + 1]};
                    store(to + static_cast<size_t>(group * s.maps + map) * width + k, pair);
                }
            }
        }
}

// Blocks: for each share and group, the row of parts / 128 and maps / M, both rounded up; a share is a multiple of 32 positions.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK, 2)
convolve_weights_128(const Bf16* x, const Bf16* dy, const Spot* spots, const Bf16* one, float* parts, ConvolveShape s,
                    int share, int with_bias) {
    correlated<128>(x, dy, spots, one, parts, s, share, with_bias);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK, 2)
convolve_weights_96(const Bf16* x, const Bf16* dy, const Spot* spots, const Bf16* one, float* parts, ConvolveShape s,
                    int share, int with_bias) {
    correlated<96>(x, dy, spots, one, parts, s, share, with_bias);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK, 2)
convolve_weights_64(const Bf16* x, const Bf16* dy, const Spot* spots, const Bf16* one, float* parts, ConvolveShape s,
                    int share, int with_bias) {
    correlated<64>(x, dy, spots, one, parts, s, share, with_bias);
}
