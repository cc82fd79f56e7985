// The update rule of section 5 of the paper, one pass over a device's whole parameter buffer.
//
//   w, v, g   f32 [n], the parameters of the device one after the other
//   segments  ascending ends of the parameters with the rate and decay of each
//
//   v ← momentum · v − decay · rate · w − rate · (g / global_batch),   w ← w + v
//
// A rate of 0 freezes: neither w nor v moves, so a layer that thaws goes on with its old velocity.
// Oracle: a plain loop in the same order, bit for bit, and PyTorch. 20 B and 8 FLOP per parameter.
#include "prelude.cuh"

struct Segment {
    unsigned end;
    float rate, decay;
};

// Elements of a block: each thread takes one in blockDim.x of them and moves through the segments only forwards.
#define ALX_UPDATE_CHUNK 4096

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
momentum_update(float* w, float* v, const float* g, const Segment* segments, unsigned n, float momentum,
                float global_batch) {
    const unsigned begin = blockIdx.x * ALX_UPDATE_CHUNK, end = min(begin + ALX_UPDATE_CHUNK, n);
    unsigned s = 0;
    for (unsigned i = begin + threadIdx.x; i < end; i += blockDim.x) {
        while (segments[s].end <= i) s++;
        const float rate = segments[s].rate;
        if (rate == 0.0f) continue;
        const float step = momentum * v[i] - segments[s].decay * rate * w[i] - rate * __fdiv_rn(g[i], global_batch);
        v[i] = step;
        w[i] = w[i] + step;
    }
}
