// Input layer: raw records to network input. Crop, mirror, mean, lighting and scale in one pass.
//
//   source   where records and draws lie, itself read from memory, so that a graph of launches serves for every batch
//   records  u8 [batch][record_height][record_width][3], RGB, one every record_stride bytes
//   draws    one per image: corner of the crop in the record, mirror, the three lighting shifts (drawn by the CPU)
//   out      f32 or bf16 [batch][height][width][3]
//
//   y = ((f32(x) − mean) + shift_c) · scale_c, three operations, each rounded once, never fused
//
// Mirroring reverses the columns of the crop. The mean belongs to the source pixel (aligned), or to the output
// position, from the centre of the mean image and not mirrored (centre: what the 2012 code does), or to the channel.
// Oracle: the CPU loader, bit for bit. Moves 3 B in and 12 B (6 B) out per pixel (+ 12 B of mean from cache); 9 FLOP.
#include "lanes.cuh"

struct AugmentDraw {
    int left, top, mirror;
    float shift[3];
};

struct AugmentSource {
    const unsigned char* records;
    const AugmentDraw* draws;
};

struct AugmentShape {
    int batch, record_stride, record_height, record_width, height, width;
    int mean_mode;  // 0 none, 1 aligned [record_height][record_width][3], 2 centre of the same, 3 channel [3]
    float scale[3];
};

template <class T>
__device__ inline void augmented(const AugmentSource source, const float* mean, T* out, const AugmentShape& s) {
    const unsigned plane = s.height * s.width;
    ALX_EACH(i, s.batch * plane) {
        const unsigned image = i / plane, pixel = i % plane;
        const unsigned row = pixel / s.width, column = pixel % s.width;
        const AugmentDraw draw = source.draws[image];
        const unsigned y = draw.top + row;
        const unsigned x = draw.left + (draw.mirror ? s.width - 1 - column : column);
        const unsigned char* bytes =
            source.records + static_cast<size_t>(image) * s.record_stride + (y * s.record_width + x) * 3u;
        unsigned mean_at = 0;
        if (s.mean_mode == 1) mean_at = (y * s.record_width + x) * 3u;
        if (s.mean_mode == 2) {
            const unsigned top = (s.record_height - s.height) / 2, left = (s.record_width - s.width) / 2;
            mean_at = ((top + row) * s.record_width + left + column) * 3u;
        }
        for (unsigned c = 0; c < 3; c++) {
            float value = static_cast<float>(bytes[c]);
            if (s.mean_mode != 0) value = __fsub_rn(value, mean[mean_at + c]);
            value = __fmul_rn(__fadd_rn(value, draw.shift[c]), s.scale[c]);
            out[i * 3u + c] = rounded_to<T>(value);
        }
    }
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
augment(const AugmentSource* source, const float* mean, float* out, AugmentShape s) {
    augmented(*source, mean, out, s);
}

extern "C" __global__ void __launch_bounds__(ALX_BLOCK)
augment_bf16(const AugmentSource* source, const float* mean, Bf16* out, AugmentShape s) {
    augmented(*source, mean, out, s);
}
