// Softmax, cross-entropy, its gradient and the rank of the true class, one block per sample.
//
//   logits, gradient, probability  f32 [batch][classes]; gradient and probability may be null
//   label                          u32 [batch]
//   loss f32 [batch], rank u32 [batch]: how many classes stand before the true one
//
// gradient = probability − [class = label], of one sample's loss, not divided by the batch. A class stands before the
// true one if its score is higher, or equal with a lower index; a NaN stands before every number, and a sample whose
// own score is NaN has all others before it, so a diverged net is never counted as right.
// A label outside the classes gives a NaN loss, the last rank, and a gradient without its target.
// Oracle: float64 loops and PyTorch. 4 B in, 4 B out per class (rows are read from cache three times); about 10 FLOP.
#include "prelude.cuh"

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
softmax_loss(const float* logits, const unsigned* label, float* gradient, float* probability, float* loss,
             unsigned* rank, int classes) {
    __shared__ float scratch[ALX_BLOCK];
    __shared__ unsigned before[ALX_BLOCK];
    const float* row = logits + blockIdx.x * classes;
    const int target = label[blockIdx.x] < static_cast<unsigned>(classes) ? static_cast<int>(label[blockIdx.x]) : -1;

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

    const float score = target >= 0 ? row[target] : 0.0f;
    float sum = 0.0f;
    unsigned ahead = 0;
    for (int c = threadIdx.x; c < classes; c += blockDim.x) {
        sum += expf(row[c] - highest);
        if (c != target && (c < target ? !(row[c] < score) : !(row[c] <= score))) ahead++;
    }
    sum = block_sum(sum, scratch);
    ahead = block_sum(ahead, before);

    for (int c = threadIdx.x; c < classes; c += blockDim.x) {
        const float p = __fdiv_rn(expf(row[c] - highest), sum);
        if (probability) probability[blockIdx.x * classes + c] = p;
        if (gradient) gradient[blockIdx.x * classes + c] = c == target ? p - 1.0f : p;
    }
    if (threadIdx.x == 0) {
        loss[blockIdx.x] = target >= 0 ? logf(sum) - (score - highest) : nanf("");
        rank[blockIdx.x] = target >= 0 ? ahead : classes - 1;
    }
}

struct Score {
    double loss;
    unsigned long long top1, top5, samples;
};

// score += the sums over a batch; one block, so that the order is fixed.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
score_add(const float* loss, const unsigned* rank, Score* score, int batch) {
    __shared__ double losses[ALX_BLOCK];
    __shared__ unsigned counts[ALX_BLOCK];
    double sum = 0.0;
    unsigned top1 = 0, top5 = 0;
    for (int n = threadIdx.x; n < batch; n += blockDim.x) {
        sum += loss[n];
        top1 += rank[n] < 1;
        top5 += rank[n] < 5;
    }
    sum = block_sum(sum, losses);
    top1 = block_sum(top1, counts);
    top5 = block_sum(top5, counts);
    if (threadIdx.x == 0) {
        score->loss += sum;
        score->top1 += top1;
        score->top5 += top5;
        score->samples += batch;
    }
}
