//! Forward and both gradients against the definitions, on every width of register the machine has.

use alexnet_net::oracle;
use alexnet_rng::{Purpose, Stream};
use proptest::prelude::*;

use super::*;
use crate::workers::archs;

/// Any convolution that is taken this way, some with kernels too many for the cache.
fn operations() -> impl Strategy<Value = (Convolution, usize)> {
    let sizes = (1usize..3, 6usize..40, 6usize..40, 1usize..20, 1usize..20);
    let kernels =
        prop::sample::select(vec![(3, 1), (5, 1), (11, 4), (5, 2), (6, 2), (9, 3), (10, 2), (12, 4)]);
    (sizes, kernels, 0usize..3, 1usize..6, any::<bool>(), 0usize..8).prop_map(
        |((groups, inputs, outputs, height, width), (kernel, stride), padding, n, rectify, wide)| {
            let (inputs, outputs) = if wide == 0 { (97, 5 * outputs) } else { (inputs, outputs) };
            let inputs = if stride > 1 { inputs % 5 + 3 } else { inputs };
            let height = height.max(kernel);
            let width = width.max(kernel);
            let windows = |len: usize| (len + 2 * padding - kernel) / stride + 1;
            let op = Convolution {
                groups,
                inputs: groups * inputs,
                outputs: groups * outputs,
                height,
                width,
                kernel,
                stride,
                padding,
                out_height: windows(height),
                out_width: windows(width),
                rectify,
            };
            (op, n)
        },
    )
}

fn values(len: usize, seed: u32) -> Vec<f32> {
    (0..len as u32).map(|i| ((i ^ seed).wrapping_mul(2_654_435_761) >> 16) as f32 / 32768.0 - 1.0).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

fn near(what: &str, ours: &[f32], theirs: &[f64]) -> Result<(), TestCaseError> {
    let largest = theirs.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        let difference = (f64::from(*a) - b).abs();
        prop_assert!(difference <= 1e-5 * largest, "{what} {i}: {a} against {b}, largest {largest}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Forward and both gradients against the definitions, and the same bits from any number of threads.
    #[test]
    fn agrees_with_the_definition((op, n) in operations(), seed in 0u32..1000) {
        prop_assert!(takes(&op));
        let (x, dy) = (values(n * op.input_len(), seed), values(n * op.output_len(), seed + 1));
        let (w, bias) = (values(op.weight_len(), seed + 2), values(op.outputs, seed + 3));
        let run = |threads: usize, arch: pulp::Arch| {
            let mut workers = Workers::new(threads).unwrap().with(arch);
            workers.reserve(crate::convolution::scratch_len(&op)).unwrap();
            // What is left in the workspace must not matter.
            let mut shared = vec![f32::NAN; crate::convolution::shared_len(&op, n)];
            let mut y = vec![f32::NAN; n * op.output_len()];
            forward(&workers, &op, n, &x, (&w, false), Some(&bias), &mut y, &mut shared);
            let mut dw = values(op.weight_len(), seed + 4);
            let sum = Sum { values: &mut dw, accumulate: true };
            backward_weights(&workers, &op, n, &x, &dy, sum, &mut shared);
            let mut dx = vec![f32::NAN; n * op.input_len()];
            crate::convolution::backward_input(&workers, &op, n, &dy, &w, &mut dx, &mut shared);
            [y, dw, dx]
        };
        let bits = |of: &[Vec<f32>; 3]| of.each_ref().map(|v| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
        let first = run(1, pulp::Arch::new());
        for threads in 2..4 {
            prop_assert!(bits(&first) == bits(&run(threads, pulp::Arch::new())), "{threads} threads");
        }
        let mut exact_y = oracle::convolution(&op, n, &wide(&x), &wide(&w), &wide(&bias));
        if op.rectify {
            exact_y.iter_mut().for_each(|y| *y = y.max(0.0));
        }
        let exact_dx = oracle::convolution_input_gradient(&op, n, &wide(&dy), &wide(&w));
        let (mut exact_dw, _) = oracle::convolution_weight_gradient(&op, n, &wide(&x), &wide(&dy));
        exact_dw.iter_mut().zip(values(op.weight_len(), seed + 4)).for_each(|(g, old)| *g += f64::from(old));
        for arch in archs() {
            let [y, dw, dx] = &run(2, arch);
            near("y", y, &exact_y)?;
            near("dx", dx, &exact_dx)?;
            near("dw", dw, &exact_dw)?;
        }
    }
}

/// Rounding of each pass beside its values, root mean square, for both transforms and the folded kernel. The bars are a tenth
/// above what the points 0, ±3/4, ±3/2 give; 0, ±1, ±2 give twice that, and 0, ±1/2, ±3/2 are above every bar too.
#[test]
fn rounds_little() {
    // Kernel, stride, padding; the most that forward, input gradient and weight gradient may be off, in units of 1e-7.
    for (shape, most) in [
        ((3, 1, 1), [9.0, 8.0, 8.3]),
        ((5, 1, 2), [10.2, 9.0, 11.7]),
        ((11, 4, 0), [7.3, f64::INFINITY, 5.8]),
    ] {
        let ((kernel, stride, padding), n) = (shape, 2);
        let side = if stride > 1 { 63 } else { 26 };
        let out = (side + 2 * padding - kernel) / stride + 1;
        let channels = if stride > 1 { 3 } else { 64 };
        let op = Convolution {
            groups: 1,
            inputs: channels,
            outputs: 48,
            height: side,
            width: side,
            kernel,
            stride,
            padding,
            out_height: out,
            out_width: out,
            rectify: false,
        };
        let normal = |len: usize, which: u64| {
            let mut values = vec![0.0; len];
            Stream::new(3, 0, which, Purpose::Sample).fill_normal(1.0, &mut values);
            values
        };
        let (x, dy, w) =
            (normal(n * op.input_len(), 0), normal(n * op.output_len(), 1), normal(op.weight_len(), 2));
        let zeros = vec![0.0; op.outputs];
        let exact = [
            oracle::convolution(&op, n, &wide(&x), &wide(&w), &zeros),
            oracle::convolution_input_gradient(&op, n, &wide(&dy), &wide(&w)),
            oracle::convolution_weight_gradient(&op, n, &wide(&x), &wide(&dy)).0,
        ];
        for arch in archs() {
            let mut workers = Workers::new(2).unwrap().with(arch);
            workers.reserve(crate::convolution::scratch_len(&op)).unwrap();
            let mut shared = vec![0.0; crate::convolution::shared_len(&op, n)];
            let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
            forward(&workers, &op, n, &x, (&w, false), None, &mut y, &mut shared);
            crate::convolution::backward_input(&workers, &op, n, &dy, &w, &mut dx, &mut shared);
            let sum = Sum { values: &mut dw, accumulate: false };
            backward_weights(&workers, &op, n, &x, &dy, sum, &mut shared);
            for (pass, (ours, exact)) in [y, dx, dw].iter().zip(&exact).enumerate() {
                let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
                let off = squares(&mut ours.iter().zip(exact).map(|(a, b)| f64::from(*a) - b));
                let off = 1e7 * (off / squares(&mut exact.iter().copied())).sqrt();
                assert!(off <= most[pass], "{shape:?}, pass {pass}: {off}");
            }
        }
    }
}

/// The nets' layers are of both kinds: kernels that stay in the cache, and kernels that do not.
#[test]
fn both_kinds_of_tiling_occur() {
    let op = |inputs, outputs, side| Convolution {
        groups: 1,
        inputs,
        outputs,
        height: side,
        width: side,
        kernel: 3,
        stride: 1,
        padding: 1,
        out_height: side,
        out_width: side,
        rectify: false,
    };
    assert!(Tiling::new(&op(48, 128, 27)).near);
    assert!(!Tiling::new(&op(256, 384, 13)).near);
    assert!(!Tiling::new(&op(97, 100, 9)).near);
}
