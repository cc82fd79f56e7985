//! Convolutions in every way there is, with shapes that take several blocks of each kernel and leave the last half empty.

use alexnet_cuda::{Convolutions, CudaBackend, Precision};
use alexnet_net::Convolution;
use alexnet_net::conformance::{Case, check, check_coarsely};

use crate::{cache, driver};

/// Groups, channels and maps of a group, side, kernel, stride, padding, output side.
const SHAPES: [[usize; 8]; 10] = [
    [2, 16, 40, 13, 3, 1, 1, 13], // conv4 and conv5 in small: 64 maps a block, the last part of them empty
    [2, 48, 128, 9, 5, 1, 2, 9],  // conv2: 128 maps a block forward, 64 backward
    [1, 24, 192, 7, 3, 1, 1, 7],  // 96 maps a block, twice
    [1, 8, 96, 16, 5, 1, 2, 16],  // one vector of channels, enough positions for 96 maps a block
    [1, 8, 128, 16, 3, 1, 1, 16], // enough positions for 128 maps a block
    [1, 16, 64, 12, 3, 2, 1, 6],  // a stride: the input's gradient goes by columns
    [1, 3, 96, 27, 11, 4, 0, 5],  // conv1: folded to 48 channels
    [1, 3, 16, 23, 11, 4, 2, 5],  // folded, with padding, windows over the edge
    [3, 8, 8, 6, 2, 1, 0, 6],     // windows over the edge
    [1, 32, 16, 5, 1, 1, 0, 5],   // one tap
];

#[test]
fn every_way_agrees_with_the_oracle() {
    let Some((driver, _turn)) = driver() else { return };
    for (precision, convolutions) in [
        (Precision::Bf16, Convolutions::Own),
        (Precision::Bf16, Convolutions::Library),
        (Precision::F32, Convolutions::Own),
        (Precision::F32, Convolutions::Library),
    ] {
        let open = CudaBackend::new(&[0], &cache()).expect("a device").with_precision(precision);
        let mut backend = open.with_convolutions(convolutions).expect("cuDNN's stand-in");
        backend.start_profile();
        for (seed, [groups, channels, maps, side, kernel, stride, padding, out]) in (0..).zip(SHAPES) {
            driver.seed(seed);
            let op = Convolution {
                groups,
                inputs: groups * channels,
                outputs: groups * maps,
                height: side,
                width: side,
                kernel,
                stride,
                padding,
                out_height: out,
                out_width: out,
                rectify: seed % 2 == 0,
            };
            let check = if precision == Precision::F32 { check } else { check_coarsely };
            check(&mut backend, &Case::Convolution(op, 3), seed).expect("the oracle's values");
        }
        let kernels: Vec<_> = backend.profile().expect("times").iter().map(|time| time.kernel).collect();
        let used = |name: &str| kernels.iter().any(|kernel| kernel.starts_with(name));
        assert_eq!(used("cuDNN"), convolutions == Convolutions::Library, "{precision}, {convolutions}");
        for name in ["convolve_128", "convolve_96", "convolve_64"] {
            // cuDNN leaves some shapes to us.
            let tiles = precision == Precision::Bf16;
            assert!(used(name) == tiles || convolutions == Convolutions::Library, "{name} in {precision}");
        }
    }
}
