// Dropout after fc6 and fc7 (section 4.2 of the paper).
//
//   x  f32 [batch][units] in place; row n is the sample at position first_position + n of the epoch, unit u of the
//      row is unit first_unit + u of the whole layer, over all columns
//
// Unit u of the sample at position p is kept iff word u of Stream(seed, epoch, p, purpose) < threshold: integers, so
// every device draws the CPU's mask. Nothing is saved: backward is the same kernel on the gradient.
// `scale` multiplies what is kept: 1 in the paper's convention (the test halves instead), 1/keep if inverted.
// Oracle: crates/rng, bit for bit. 8 B per unit; about 100 integer operations per four units.
#include "philox.cuh"

struct DropoutKey {
    unsigned long long seed, first_position;
    unsigned epoch, purpose, threshold;
    float scale;
};

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
dropout_apply(float* x, int batch, int units, int first_unit, DropoutKey key) {
    // One work item per sample and per Philox block of four words that touches the device's units.
    const unsigned first = first_unit / 4, blocks = (first_unit + units + 3) / 4 - first;
    ALX_EACH(i, batch * blocks) {
        const unsigned sample = i / blocks, block = first + i % blocks;
        const Words words = stream_block(key.seed, key.epoch, key.first_position + sample, key.purpose, block);
        for (int lane = 0; lane < 4; lane++) {
            const int unit = static_cast<int>(block * 4 + lane) - first_unit;
            if (unit < 0 || unit >= units) continue;
            float* at = x + sample * units + unit;
            *at = words.word[lane] < key.threshold ? *at * key.scale : 0.0f;
        }
    }
}

// x ← x · factor: the test-time half of the paper's convention, forward.
extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
scale_forward(float* x, float factor, int n) {
    ALX_EACH(i, n) { x[i] = x[i] * factor; }
}
