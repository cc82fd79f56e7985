// The update rule of section 5 of the paper, one pass over a device's whole parameter buffer.
//
//   w, v, g   f32 [n], the parameters of the device one after the other
//   segments  ascending, disjoint; rate is the factor of the summed gradient (ε / global batch), decay that of w (ε · wd)
//
//   v ← momentum · v − decay · w − rate · g,   w ← w + v, each operation rounded once
//
// `rounded`, if not null, is the bfloat16 copy of w that products read, and is carried on.
// Values in no segment stay as they are: the padding between parameters, and frozen layers, velocity included.
// Oracle: a plain loop in the same order, bit for bit, and PyTorch. 20 B (22 B with the copy) and 6 FLOP per parameter.
#include "bf16.cuh"

struct Segment {
    unsigned begin, end;
    float rate, decay;
};

// Elements of a block: each thread takes one in blockDim.x of them and moves through the segments only forwards.
#define ALX_UPDATE_CHUNK 4096

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
momentum_update(float* w, float* v, const float* g, const Segment* segments, int count, unsigned n, float momentum,
                Bf16* rounded) {
    const unsigned begin = blockIdx.x * ALX_UPDATE_CHUNK, end = min(begin + ALX_UPDATE_CHUNK, n);
    int s = 0;
    for (unsigned i = begin + threadIdx.x; i < end; i += blockDim.x) {
        while (s < count && segments[s].end <= i) s++;
        if (s == count) return;
        if (i < segments[s].begin) continue;
        const float step = momentum * v[i] - segments[s].decay * w[i] - segments[s].rate * g[i];
        v[i] = step;
        const float next = w[i] + step;
        w[i] = next;
        if (rounded) rounded[i] = rounded_to<Bf16>(next);
    }
}
