// Several neighbouring values of a tensor at a time, as float32 in registers whatever the tensor's type.
//
// A thread moves 16 bytes in one access where the row of channels allows it (W = Lanes<T>::n, channels a multiple of W,
// so that every address is a multiple of 16 bytes from the buffer's start) and one value else (W = 1). Results never
// depend on W.
#ifndef ALX_LANES
#define ALX_LANES
#include "bf16.cuh"

template <class T> struct Lanes;
template <> struct Lanes<float> { static constexpr int n = 4; };
template <> struct Lanes<Bf16> { static constexpr int n = 8; };

template <int W> struct ALX_VECTOR(4 * W) Words32 { unsigned at[W]; };
template <int W> struct ALX_VECTOR(W) Bytes { unsigned char at[W]; };

__device__ inline float widened(float x) { return x; }
__device__ inline float widened(Bf16 x) { return __uint_as_float(static_cast<unsigned>(x.bits) << 16); }

// Two values rounded, the first in the lower half.
__device__ inline unsigned rounded_pair(float first, float second) {
#if defined(ALX_HOST_SHIM) || __CUDA_ARCH__ < 800
    return rounded_to<Bf16>(first).bits | static_cast<unsigned>(rounded_to<Bf16>(second).bits) << 16;
#else
    unsigned pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
#endif
}

template <int W>
__device__ inline void load(const float* from, float (&v)[W]) {
    const Words32<W> words = *reinterpret_cast<const Words32<W>*>(from);
#pragma unroll
    for (int m = 0; m < W; m++) v[m] = __uint_as_float(words.at[m]);
}

template <int W>
__device__ inline void load(const Bf16* from, float (&v)[W]) {
    if constexpr (W == 1) {
        v[0] = widened(*from);
    } else {
        const Words32<W / 2> words = *reinterpret_cast<const Words32<W / 2>*>(from);
#pragma unroll
        for (int m = 0; m < W; m += 2) {
            v[m] = __uint_as_float(words.at[m / 2] << 16);
            v[m + 1] = __uint_as_float(words.at[m / 2] & 0xffff0000u);
        }
    }
}

template <int W>
__device__ inline void store(float* to, const float (&v)[W]) {
    Words32<W> words;
#pragma unroll
    for (int m = 0; m < W; m++) words.at[m] = __float_as_uint(v[m]);
    *reinterpret_cast<Words32<W>*>(to) = words;
}

template <int W>
__device__ inline void store(Bf16* to, const float (&v)[W]) {
    if constexpr (W == 1) {
        *to = rounded_to<Bf16>(v[0]);
    } else {
        Words32<W / 2> words;
#pragma unroll
        for (int m = 0; m < W; m += 2) words.at[m / 2] = rounded_pair(v[m], v[m + 1]);
        *reinterpret_cast<Words32<W / 2>*>(to) = words;
    }
}

// What storing the values as T and loading them again would make of them.
template <class T, int W>
__device__ inline void round_as(float (&v)[W]) {
    if constexpr (sizeof(T) == sizeof(Bf16)) {
        if constexpr (W % 2 == 1) {
#pragma unroll
            for (int m = 0; m < W; m++) v[m] = widened(rounded_to<Bf16>(v[m]));
        } else {
#pragma unroll
            for (int m = 0; m < W; m += 2) {
                const unsigned pair = rounded_pair(v[m], v[m + 1]);
                v[m] = __uint_as_float(pair << 16);
                v[m + 1] = __uint_as_float(pair & 0xffff0000u);
            }
        }
    }
}

// d^(−3/4), and 1/d, for d > 0: exact operations for float32, the fast inverse root where the result is rounded to
// bfloat16.
template <class T> struct Power;
template <> struct Power<float> {
    float root, inverse;
    __device__ explicit Power(float d) : root(inverse_three_quarter_power(d)), inverse(__fdiv_rn(1.0f, d)) {}
};
template <> struct Power<Bf16> {
    float root, inverse;
    __device__ explicit Power(float d) {
        const float r = rsqrtf(d);
        inverse = r * r;
        root = inverse * rsqrtf(r);
    }
};

#endif
