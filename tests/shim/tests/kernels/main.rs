//! Every kernel in three orders of its threads, against plain loops and against PyTorch's golden numbers.
//!
//! Outputs must be the same bits in every order; oracles are float64 loops written from the definitions, or the
//! bit-exact order where the project promises bits. Kernels of float32 and of bfloat16 are held to the same oracles, with
//! channels that fill vectors of 16 bytes and channels that do not. `SHIM_REQUIRE_ALL=1` (set by `tests/shim/run`) makes a
//! run fail at its end if some kernel was never launched.

mod augment; //    crop, mirror, mean, lighting, scale: bit for bit, and PyTorch's
mod bias_relu; //  bias, ReLU, their gradients
mod convolve; //   convolution on tensor cores, forward and both ways back
mod dropout; //    masks of crates/rng, bit for bit
mod element; //    the two types, and channels last
mod exchange; //   column slices and fixed-order sums
mod golden; //     reader of ../shared/golden/ops.safetensors
mod im2col; //     patches, and whole convolutions against PyTorch's
mod lrn; //        across maps, clipped at the column, and PyTorch's
mod operand; //    rounding to bfloat16, layouts of tensors and filters, bit for bit
mod pool; //       overlapping max pooling, ties, NaN, and PyTorch's
mod response_pool; // both in one, bit for bit
mod shim; //       the shim finds the faults of host/faulty.cu; report of kernels never launched
mod softmax; //    loss, gradient, ranks with ties
mod tanh; //       tanh and its gradient
mod update; //     the update rule, bit for bit, and PyTorch's
mod within_map; // normalisation within a map, and PyTorch's

use alexnet_rng::{Purpose, Stream};
use alexnet_shim::{Arg, ORDERS, Order};
use element::{Element, channels_last, elements, in_both_types, lanes, rounded, unwritten};

/// `n` normal values, the same at each call with the same `salt`.
fn values(n: usize, salt: u64) -> Vec<f32> {
    let mut out = vec![0.0; n];
    Stream::new(99, 0, salt, Purpose::Sample).fill_normal(1.0, &mut out);
    out
}

/// [`alexnet_shim::launch`]; each test keeps what its arguments point at alive, and the sanitizer checks the sizes.
fn launch(kernel: &str, grid: Grid, order: Order, args: &[Arg]) -> Result<(), String> {
    let Grid(blocks, threads, shared) = grid;
    // SAFETY: the callers make arguments of slices that they own until the launch has returned.
    #[allow(unsafe_code)]
    unsafe {
        alexnet_shim::launch(kernel, blocks, threads, shared, order, args)
    }
}

/// One launch: blocks, threads, dynamic shared bytes.
#[derive(Clone, Copy)]
struct Grid(usize, usize, usize);

/// Enough blocks for some threads to go round the grid-stride loop twice, and a last block that is not full.
fn grid(n: usize) -> Grid {
    Grid(n.div_ceil(2 * 64).max(1), 64, 0)
}

/// Runs `kernel` in each order on a fresh copy of `output`, demands the same bits each time, and returns them.
/// `args` places the output among the arguments.
fn in_every_order<T: Bits>(
    kernel: &str,
    grid: Grid,
    output: &[T],
    args: impl Fn(&mut [T]) -> Vec<Arg>,
) -> Vec<T> {
    let mut first: Option<Vec<T>> = None;
    for order in ORDERS {
        let mut out = output.to_vec();
        launch(kernel, grid, order, &args(&mut out)).unwrap_or_else(|e| panic!("{e}"));
        match &first {
            None => first = Some(out),
            Some(first) => {
                let differs = first.iter().zip(&out).position(|(a, b)| a.bits() != b.bits());
                assert_eq!(differs, None, "{kernel}: first element that differs in order {order:?}");
            }
        }
    }
    first.expect("three orders ran")
}

/// Values compared as bits, so that NaN equals itself and −0 differs from 0.
trait Bits: Copy {
    /// The value as a whole number.
    fn bits(self) -> u64;
}
impl Bits for f32 {
    fn bits(self) -> u64 {
        u64::from(self.to_bits())
    }
}
impl Bits for f64 {
    fn bits(self) -> u64 {
        self.to_bits()
    }
}
impl Bits for half::bf16 {
    fn bits(self) -> u64 {
        u64::from(self.to_bits())
    }
}
impl Bits for u8 {
    fn bits(self) -> u64 {
        u64::from(self)
    }
}
impl Bits for u16 {
    fn bits(self) -> u64 {
        u64::from(self)
    }
}
impl Bits for u32 {
    fn bits(self) -> u64 {
        u64::from(self)
    }
}
impl Bits for u64 {
    fn bits(self) -> u64 {
        self
    }
}

/// Equal bits.
#[track_caller]
fn same_bits<T: Bits + std::fmt::Debug>(what: &str, ours: &[T], theirs: &[T]) {
    assert_eq!(ours.len(), theirs.len(), "{what}: lengths");
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!(a.bits() == b.bits(), "{what}: element {i}: {a:?}, expected {b:?}");
    }
}

/// |ours − theirs| ≤ tolerance · max |theirs|, and in bfloat16 one rounding of the value itself.
#[track_caller]
fn close<T: Element>(what: &str, ours: &[T], theirs: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len(), "{what}: lengths");
    let scale = theirs.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for (i, (&a, b)) in ours.iter().zip(theirs).enumerate() {
        let difference = (wide(&[a])[0] - b).abs();
        let allowed = tolerance * scale + T::ROUNDING * b.abs();
        assert!(
            difference <= allowed,
            "{what}{}: element {i}: {a:?}, expected {b}, scale {scale}",
            T::SUFFIX
        );
    }
}

/// As float64.
fn wide<T: Element>(values: &[T]) -> Vec<f64> {
    values.iter().map(|&v| v.into()).collect()
}

/// Sizes as kernels take them.
fn ints<const N: usize>(sizes: [usize; N]) -> Vec<Arg> {
    sizes.map(|v| (v as i32).into()).into()
}
