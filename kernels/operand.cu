// What a matrix product reads, made from float32 tensors: narrowed to bfloat16, or with maps before images.
//
//   narrow              y [n] = x [n] in bfloat16
//   maps_first[_bf16]   x, image n at n · image_stride: [maps][plane]; y [maps][batch · plane], so that the gradient of a
//                       convolution's weights is one product over all images of a chunk
//
// Oracle: plain loops, bit for bit. narrow 6 B per value; maps_first 8 or 6 B.
#include "bf16.cuh"

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
narrow(const float* x, Bf16* y, int n) {
    ALX_EACH(i, n) { y[i] = rounded_to<Bf16>(x[i]); }
}

template <class T>
__device__ inline void turn(const float* x, T* y, int batch, int maps, int plane, int image_stride) {
    ALX_EACH(i, batch * maps * plane) {
        const unsigned p = i % plane, n = i / plane % batch, map = i / plane / batch;
        y[i] = rounded_to<T>(x[n * image_stride + map * plane + p]);
    }
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
maps_first(const float* x, float* y, int batch, int maps, int plane, int image_stride) {
    turn(x, y, batch, maps, plane, image_stride);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
maps_first_bf16(const float* x, Bf16* y, int batch, int maps, int plane, int image_stride) {
    turn(x, y, batch, maps, plane, image_stride);
}
