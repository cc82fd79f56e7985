// bfloat16, the upper half of a float32: what tensor cores read when `--precision bf16` is chosen. Written with whole
// numbers, so that every machine rounds alike: to nearest, ties to even; a NaN stays one.
#ifndef ALX_BF16
#define ALX_BF16
#include "prelude.cuh"

struct Bf16 {
    unsigned short bits;
};

template <class T>
__device__ inline T rounded_to(float x);

template <>
__device__ inline float rounded_to<float>(float x) { return x; }

template <>
__device__ inline Bf16 rounded_to<Bf16>(float x) {
    const unsigned bits = __float_as_uint(x);
    if (is_nan(x)) return {static_cast<unsigned short>(bits >> 16 | 0x40)};
    return {static_cast<unsigned short>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

#endif
