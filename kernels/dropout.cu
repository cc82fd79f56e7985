// Dropout after fc6 and fc7 (section 4.2 of the paper).
//
//   x     f32 or bf16 [batch][units] in place; row n is the sample at position first_position + n of the epoch, unit u of the
//         row is unit first_unit + u of the whole layer, over all columns
//   mask  f32 [batch][units], written: `scale` where kept, else 0; backward multiplies by it
//
// The key is read from memory, so that a graph of launches serves for every batch.
//
// Unit u of the sample at position p is kept iff word u of Stream(seed, epoch, p, purpose) < threshold: integers, so
// every device draws the CPU's mask; the threshold keep · 2^32 may be 2^32. `scale` is 1 in the paper's convention
// (the test halves instead), 1/keep if inverted.
// Oracle: crates/rng, bit for bit. 12 B per unit forward and backward; about 100 integer operations per four units.
#include "lanes.cuh"
#include "philox.cuh"

struct DropoutKey {
    unsigned long long seed, first_position, threshold;
    unsigned epoch, purpose;
    int units, first_unit;
    float scale;
    int batch;
};

template <class T>
__device__ inline void drop(T* x, float* mask, const DropoutKey key) {
    // One work item per sample and per Philox block of four words that touches the device's units.
    const unsigned first = key.first_unit / 4, blocks = (key.first_unit + key.units + 3) / 4 - first;
    ALX_EACH(i, key.batch * blocks) {
        const unsigned sample = i / blocks, block = first + i % blocks;
        const Words words = stream_block(key.seed, key.epoch, key.first_position + sample, key.purpose, block);
        for (int lane = 0; lane < 4; lane++) {
            const int unit = static_cast<int>(block * 4 + lane) - key.first_unit;
            if (unit < 0 || unit >= key.units) continue;
            const unsigned at = sample * key.units + unit;
            mask[at] = words.word[lane] < key.threshold ? key.scale : 0.0f;
            x[at] = rounded_to<T>(widened(x[at]) * mask[at]);
        }
    }
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
dropout_forward(float* x, float* mask, const DropoutKey* key) { drop(x, mask, *key); }

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
dropout_forward_bf16(Bf16* x, float* mask, const DropoutKey* key) { drop(x, mask, *key); }

template <class T>
__device__ inline void multiply_by(const float* mask, T* dy, int n) {
    ALX_EACH(i, n) { dy[i] = rounded_to<T>(widened(dy[i]) * mask[i]); }
}

// dy ← dy · mask: dropout backward.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
multiply(const float* mask, float* dy, int n) { multiply_by(mask, dy, n); }

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
multiply_bf16(const float* mask, Bf16* dy, int n) { multiply_by(mask, dy, n); }

template <class T>
__device__ inline void scale_by(T* x, float factor, int n) {
    ALX_EACH(i, n) { x[i] = rounded_to<T>(widened(x[i]) * factor); }
}

// x ← x · factor: the test-time half of the paper's convention, forward.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
scale(float* x, float factor, int n) { scale_by(x, factor, n); }

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
scale_bf16(Bf16* x, float factor, int n) { scale_by(x, factor, n); }
