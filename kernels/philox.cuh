// Philox4x32-10 and the streams of crates/rng, word for word: a mask drawn here is the mask drawn by the CPU.
// Oracle: crates/rng (known answers of the Random123 authors), compared in tests/shim.
#ifndef ALX_PHILOX
#define ALX_PHILOX

#include "prelude.cuh"

struct Words {
    unsigned word[4];
};

__device__ inline Words philox4x32_10(unsigned c0, unsigned c1, unsigned c2, unsigned c3, unsigned k0, unsigned k1) {
    for (int round = 0; round < 10; round++) {
        const unsigned long long p0 = 0xD2511F53ull * c0;
        const unsigned long long p1 = 0xCD9E8D57ull * c2;
        c0 = static_cast<unsigned>(p1 >> 32) ^ c1 ^ k0;
        c1 = static_cast<unsigned>(p1);
        c2 = static_cast<unsigned>(p0 >> 32) ^ c3 ^ k1;
        c3 = static_cast<unsigned>(p0);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return Words{{c0, c1, c2, c3}};
}

// Words 4·block .. 4·block + 4 of Stream(seed, epoch, index, purpose); index has 56 bits.
__device__ inline Words stream_block(unsigned long long seed, unsigned epoch, unsigned long long index,
                                     unsigned purpose, unsigned block) {
    const unsigned high = (purpose << 24) | (static_cast<unsigned>(index >> 32) & 0x00FFFFFFu);
    return philox4x32_10(block, static_cast<unsigned>(index), epoch, high, static_cast<unsigned>(seed),
                         static_cast<unsigned>(seed >> 32));
}

#endif
