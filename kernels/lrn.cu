// Local response normalisation across maps (section 3.3 of the paper): the formulas are response.cuh's.
//
//   x, y, dy, dx  f32 or bf16 [rows][columns · maps]; a window never crosses from one column into the next
//
// A thread takes one vector of maps of one pixel and the neighbours it needs from the cache, so each tensor is touched
// once and the denominators are recomputed rather than kept. half is 1, 2 (AlexNet), 3 or 4.
// Oracle: float64 loops and PyTorch. In f32 forward 8 B and 15 FLOP per element, backward 12 B and 27 FLOP (half = 2).
#include "response.cuh"

template <class T, int W, int HALF>
__device__ inline void across_maps(const T* x, T* y, int rows, int columns, int maps, float k, float alpha) {
    const unsigned vectors = columns * maps / W;
    ALX_EACH(i, rows * vectors) {
        const unsigned c = i % vectors * W, first = c % maps;
        float a[W + 2 * HALF], out[W];
        load_around<W, HALF>(x + (i * W - first), first, maps, a);
        respond<T, W, HALF>(a, k, alpha, out);
        store(y + i * W, out);
    }
}

template <class T, int W, int HALF>
__device__ inline void across_maps_back(const T* x, const T* dy, T* dx, int rows, int columns, int maps, float k, float alpha,
                                        int rectified) {
    const unsigned vectors = columns * maps / W;
    ALX_EACH(i, rows * vectors) {
        const unsigned c = i % vectors * W, first = c % maps, at = i * W - first;
        float a[W + 4 * HALF], g[W + 2 * HALF], out[W];
        load_around<W, 2 * HALF>(x + at, first, maps, a);
        load_around<W, HALF>(dy + at, first, maps, g);
        respond_back<T, W, HALF>(a, g, k, alpha, out);
        mask_middle<W, 2 * HALF>(a, rectified, out);
        store(dx + i * W, out);
    }
}

// Vectors only for AlexNet's window; the others, which ablations use, go value by value.
template <class T>
__device__ inline void forward_of(const T* x, T* y, int rows, int columns, int maps, int half, float k, float alpha) {
    if (half == 2 && maps % Lanes<T>::n == 0) across_maps<T, Lanes<T>::n, 2>(x, y, rows, columns, maps, k, alpha);
    else if (half == 1) across_maps<T, 1, 1>(x, y, rows, columns, maps, k, alpha);
    else if (half == 2) across_maps<T, 1, 2>(x, y, rows, columns, maps, k, alpha);
    else if (half == 3) across_maps<T, 1, 3>(x, y, rows, columns, maps, k, alpha);
    else if (half == 4) across_maps<T, 1, 4>(x, y, rows, columns, maps, k, alpha);
}

template <class T>
__device__ inline void backward_of(const T* x, const T* dy, T* dx, int rows, int columns, int maps, int half, float k,
                                   float alpha, int rectified) {
    const bool whole = maps % Lanes<T>::n == 0;
    if (half == 2 && whole) across_maps_back<T, Lanes<T>::n, 2>(x, dy, dx, rows, columns, maps, k, alpha, rectified);
    else if (half == 1) across_maps_back<T, 1, 1>(x, dy, dx, rows, columns, maps, k, alpha, rectified);
    else if (half == 2) across_maps_back<T, 1, 2>(x, dy, dx, rows, columns, maps, k, alpha, rectified);
    else if (half == 3) across_maps_back<T, 1, 3>(x, dy, dx, rows, columns, maps, k, alpha, rectified);
    else if (half == 4) across_maps_back<T, 1, 4>(x, dy, dx, rows, columns, maps, k, alpha, rectified);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
lrn_forward(const float* x, float* y, int rows, int columns, int maps, int half, float k, float alpha) {
    forward_of(x, y, rows, columns, maps, half, k, alpha);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
lrn_forward_bf16(const Bf16* x, Bf16* y, int rows, int columns, int maps, int half, float k, float alpha) {
    forward_of(x, y, rows, columns, maps, half, k, alpha);
}

// Masked by x where x is a rectifier's output, if `rectified`.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
lrn_backward(const float* x, const float* dy, float* dx, int rows, int columns, int maps, int half, float k,
             float alpha, int rectified) {
    backward_of(x, dy, dx, rows, columns, maps, half, k, alpha, rectified);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
lrn_backward_bf16(const Bf16* x, const Bf16* dy, Bf16* dx, int rows, int columns, int maps, int half, float k,
                  float alpha, int rectified) {
    backward_of(x, dy, dx, rows, columns, maps, half, k, alpha, rectified);
}
