// Softmax, cross-entropy, its gradient and whether the true class is among the best; one block per sample.
//
//   logits  f32 [batch][classes], label u32 [batch], gradient f32 or bf16
//
// A class stands before the true one if its logit is higher, or equal with a lower index, or if one of the two is NaN,
// so a diverged net is never counted as right. A label outside the classes gives a NaN loss, no hit, and a gradient
// without its target.
// Oracle: float64 loops and PyTorch. 4 B in (rows are read from cache three times), 4 B out per class; about 10 FLOP.
#include "lanes.cuh"

// The largest of a row in every thread, NaN if there is one. `scratch` as for block_sum.
__device__ inline float row_maximum(const float* row, int classes, float* scratch) {
    float highest = row[0];
    for (int c = threadIdx.x; c < classes; c += blockDim.x)
        if (row[c] > highest || is_nan(row[c])) highest = row[c];
    scratch[threadIdx.x] = highest;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) {
            const float other = scratch[threadIdx.x + half];
            if (other > scratch[threadIdx.x] || is_nan(other)) scratch[threadIdx.x] = other;
        }
        __syncthreads();
    }
    highest = scratch[0];
    __syncthreads();
    return highest;
}

// Σ exp(row − highest), the same in every thread.
__device__ inline float row_powers(const float* row, int classes, float highest, float* scratch) {
    float sum = 0.0f;
    for (int c = threadIdx.x; c < classes; c += blockDim.x) sum += expf(row[c] - highest);
    return block_sum(sum, scratch);
}

// Loss and rank of one sample whose row has this maximum and sum; `before` as for block_sum.
__device__ inline void score_row(const float* row, unsigned target, float highest, float sum, float* score, int batch,
                                 int classes, unsigned* before) {
    const bool known = target < static_cast<unsigned>(classes);
    const float own = known ? row[target] : 0.0f;
    unsigned ahead = 0;
    for (unsigned c = threadIdx.x; c < static_cast<unsigned>(classes); c += blockDim.x)
        if (c != target && (c < target ? !(row[c] < own) : !(row[c] <= own))) ahead++;
    ahead = block_sum(ahead, before);
    if (threadIdx.x == 0) {
        score[blockIdx.x] = known ? logf(sum) - (own - highest) : nanf("");
        score[batch + blockIdx.x] = known && ahead < 1 ? 1.0f : 0.0f;
        score[2 * batch + blockIdx.x] = known && ahead < 5 ? 1.0f : 0.0f;
    }
}

// score [3][batch]: the loss, 1 or 0 for whether the label ranks first, and for whether it is among the first five. Where it
// lies is read from memory, so that a graph of launches serves for every batch.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
softmax_score(const float* logits, const unsigned* label, float* const* place, int batch, int classes) {
    __shared__ float scratch[ALX_BLOCK];
    __shared__ unsigned before[ALX_BLOCK];
    const float* row = logits + blockIdx.x * classes;
    const float highest = row_maximum(row, classes, scratch);
    const float sum = row_powers(row, classes, highest, scratch);
    score_row(row, label[blockIdx.x], highest, sum, *place, batch, classes, before);
}

template <class T>
__device__ inline void gradient_of(const float* logits, const unsigned* label, T* gradient, int classes, int first,
                                   int count) {
    __shared__ float scratch[ALX_BLOCK];
    const float* row = logits + blockIdx.x * classes;
    const float highest = row_maximum(row, classes, scratch);
    const float sum = row_powers(row, classes, highest, scratch);
    for (int c = threadIdx.x; c < count; c += blockDim.x) {
        const float p = __fdiv_rn(expf(row[first + c] - highest), sum);
        const bool target = static_cast<unsigned>(first + c) == label[blockIdx.x];
        gradient[blockIdx.x * count + c] = rounded_to<T>(target ? p - 1.0f : p);
    }
}

// gradient [batch][count] = softmax − one-hot of the classes first .. first + count, of the loss summed over the batch.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
softmax_gradient(const float* logits, const unsigned* label, float* gradient, int classes, int first, int count) {
    gradient_of(logits, label, gradient, classes, first, count);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
softmax_gradient_bf16(const float* logits, const unsigned* label, Bf16* gradient, int classes, int first, int count) {
    gradient_of(logits, label, gradient, classes, first, count);
}

template <class T>
__device__ inline void spread(const float* logits, T* gradient, int classes, int first, int count, float smoothing) {
    __shared__ float scratch[ALX_BLOCK];
    const float* row = logits + blockIdx.x * classes;
    const float highest = row_maximum(row, classes, scratch);
    const float sum = row_powers(row, classes, highest, scratch);
    const float even = __fdiv_rn(smoothing, static_cast<float>(classes));
    for (int c = threadIdx.x; c < count; c += blockDim.x) {
        T* g = gradient + blockIdx.x * count + c;
        const float p = __fdiv_rn(expf(row[first + c] - highest), sum);
        const bool target = widened(*g) != widened(rounded_to<T>(p));
        *g = rounded_to<T>((target ? p - 1.0f : p) - even + (target ? smoothing : 0.0f));
    }
}

// gradient [batch][count], as softmax_gradient left it from the same logits, ← softmax − (1 − smoothing) · one-hot −
// smoothing / classes, in place. p is computed as there, bit for bit, so the label is where the two differ.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
smooth_labels(const float* logits, float* gradient, int classes, int first, int count, float smoothing) {
    spread(logits, gradient, classes, first, count, smoothing);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
smooth_labels_bf16(const float* logits, Bf16* gradient, int classes, int first, int count, float smoothing) {
    spread(logits, gradient, classes, first, count, smoothing);
}

template <class T>
__device__ inline void both_of(const float* logits, const unsigned* label, float* const* place, T* gradient, int batch, int classes,
                               int first, int count, float smoothing) {
    __shared__ float scratch[ALX_BLOCK];
    __shared__ unsigned before[ALX_BLOCK];
    const float* row = logits + blockIdx.x * classes;
    const unsigned label_here = label[blockIdx.x];
    const float highest = row_maximum(row, classes, scratch);
    const float sum = row_powers(row, classes, highest, scratch);
    score_row(row, label_here, highest, sum, *place, batch, classes, before);
    const float even = __fdiv_rn(smoothing, static_cast<float>(classes));
    for (int c = threadIdx.x; c < count; c += blockDim.x) {
        const float p = __fdiv_rn(expf(row[first + c] - highest), sum);
        const bool target = static_cast<unsigned>(first + c) == label_here;
        gradient[blockIdx.x * count + c] = rounded_to<T>((target ? p - 1.0f : p) - even + (target ? smoothing : 0.0f));
    }
}

// What softmax_score, softmax_gradient and smooth_labels leave, bit for bit, in one pass.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
softmax_both(const float* logits, const unsigned* label, float* const* place, float* gradient, int batch, int classes, int first,
             int count, float smoothing) {
    both_of(logits, label, place, gradient, batch, classes, first, count, smoothing);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
softmax_both_bf16(const float* logits, const unsigned* label, float* const* place, Bf16* gradient, int batch, int classes,
                  int first, int count, float smoothing) {
    both_of(logits, label, place, gradient, batch, classes, first, count, smoothing);
}

// probability [batch][classes].
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
softmax_forward(const float* logits, float* probability, int classes) {
    __shared__ float scratch[ALX_BLOCK];
    const float* row = logits + blockIdx.x * classes;
    const float highest = row_maximum(row, classes, scratch);
    const float sum = row_powers(row, classes, highest, scratch);
    for (int c = threadIdx.x; c < classes; c += blockDim.x)
        probability[blockIdx.x * classes + c] = __fdiv_rn(expf(row[c] - highest), sum);
}
