//! The bits of the separate operations, on every width of register the machine has.

use alexnet_net::LocalResponse;
use alexnet_rng::{Purpose, Stream};
use proptest::prelude::*;

use super::*;
use crate::workers::archs;
use crate::{elementwise, pooling};

fn operations() -> impl Strategy<Value = (ResponsePool, usize)> {
    let channels = (1usize..4, 1usize..12, 1usize..8);
    let sides = (1usize..80, 1usize..90);
    let windows = prop::sample::select(vec![(3, 2), (2, 2), (3, 1), (1, 1), (5, 2), (15, 2), (4, 3), (2, 5)]);
    let normalisation = (1usize..8, prop::sample::select(vec![0.75f32, 0.5]));
    (channels, sides, windows, normalisation, any::<bool>(), any::<bool>()).prop_map(
        |((columns, width, n), (height, across), (size, stride), (reach, beta), rectify, rectified)| {
            let (height, across) = (height.max(size), across.max(size));
            // As the nets have it: what is left of a window that hangs over counts, one that begins outside does not.
            let out = |len: usize| (len - size).div_ceil(stride) + 1;
            let out = |len: usize| out(len) - usize::from((out(len) - 1) * stride >= len);
            let channels = columns * width;
            let pixels = height * across;
            let response = LocalResponse {
                channels,
                columns,
                pixels,
                size: 2 * (reach / 2) + 1,
                k: 2.0,
                alpha: 1e-1,
                beta,
            };
            let (out_height, out_width) = (out(height), out(across));
            let pool = MaxPool { channels, height, width: across, size, stride, out_height, out_width };
            (ResponsePool { response, pool, rectify, rectified }, n)
        },
    )
}

/// Values of which a few are equal, and some, if `odd`, none at all or without bound.
fn values(len: usize, seed: u64, odd: bool) -> Vec<f32> {
    let mut values = vec![0.0; len];
    Stream::new(seed, 0, 0, Purpose::Sample).fill_normal(4.0, &mut values);
    for (i, x) in values.iter_mut().enumerate() {
        *x = match i * 2_654_435_761 % 61 {
            0 if odd => f32::NAN,
            1 if odd => f32::INFINITY,
            2 if odd => f32::NEG_INFINITY,
            3..20 => x.round(),
            _ => *x,
        };
    }
    values
}

fn bits(values: &[f32]) -> Vec<u32> {
    // Which NaN it is means nothing.
    values.iter().map(|x| if x.is_nan() { f32::NAN } else { *x }.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn fused_is_separate((op, n) in operations(), seed in 0u64..1 << 40, odd in any::<bool>()) {
        let ResponsePool { response, pool, rectify, rectified } = &op;
        let (input, output) = (n * pool.input_len(), n * pool.output_len());
        let mut x = values(input, seed, odd);
        if *rectified {
            x.iter_mut().for_each(|x| *x = if *x < 0.0 { 0.0 } else { *x });
        }
        let dy = values(output, seed + 1, false);
        let workers = |threads, arch| {
            let mut workers = Workers::new(threads).unwrap().with(arch);
            workers.reserve(scratch_len(&op)).unwrap();
            workers
        };

        let plain = workers(1, pulp::Arch::Scalar);
        let mut between = vec![f32::NAN; input];
        normalisation::local_response_forward(&plain, response, n, &x, &mut between);
        let (mut y, mut places) = (vec![f32::NAN; output], vec![255; output]);
        pooling::forward(&plain, pool, n, &between, &mut y, &mut places);
        if *rectify {
            elementwise::rectify(&plain, &mut y);
        }
        let mut dx = vec![f32::NAN; input];
        pooling::backward(&plain, pool, n, (&places, None), &dy, &mut between);
        normalisation::local_response_backward(&plain, response, false, n, (&x, &between), &mut dx);
        if *rectified {
            elementwise::rectify_backward(&plain, &x, &mut dx);
        }

        for arch in archs() {
            let fused = workers(2, arch);
            let (mut ours, mut won) = (vec![f32::NAN; output], vec![255; output]);
            forward(&fused, &op, n, &x, &mut ours, &mut won);
            prop_assert_eq!(bits(&ours), bits(&y), "{:?}", op);
            prop_assert_eq!(&won, &places, "{:?}", op);
            let mut back = vec![f32::NAN; input];
            backward(&fused, &op, n, &x, (&won, &dy), &mut back);
            prop_assert_eq!(bits(&back), bits(&dx), "{:?}", op);
        }
    }
}
