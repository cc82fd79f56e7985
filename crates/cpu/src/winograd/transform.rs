//! The one-dimensional transforms of minimal filtering over the points 0, ±3/4, ±3/2 and infinity, and how a square is
//! taken through one of them in both directions.
//!
//! Points whose powers stay near 1 round three to four times less than the usual 0, ±1, ±2, and these have exact squares
//! in binary.
//!
//! With M outputs and K kernel values, M + K − 1 = 6: for a line d of 6 inputs and a kernel g the outputs are
//! `output(kernel(g) · input(d))`. The transposes take gradients back. Everything works on vectors whose lanes are
//! channels, so no transform ever moves a value from lane to lane. (Winograd 1980; Lavin and Gray 2016.)

use pulp::Simd;

/// Values of a transformed line.
pub const POINTS: usize = 6;

/// The finite points beside 0, and their squares.
const A: f32 = 0.75;
const B: f32 = 1.5;
const P: f32 = A * A;
const Q: f32 = B * B;

/// One over the product of a point's distances to the others: 0, ±A, ±B.
const FACTORS: [f32; 3] = [1.0 / (P * Q), 1.0 / (2.0 * P * (P - Q)), 1.0 / (2.0 * Q * (Q - P))];

/// A line's values in every lane.
type Line<S, const N: usize> = [<S as Simd>::f32s; N];

/// Six inputs to their values at the points.
#[inline(always)]
pub fn input<S: Simd>(simd: S, d: Line<S, 6>) -> Line<S, 6> {
    // a · factor + b.
    let madd = |a, factor: f32, b| simd.mul_add_e_f32s(a, simd.splat_f32s(factor), b);
    let (even_a, odd_a) = (madd(d[2], -Q, d[4]), madd(d[1], -Q, d[3]));
    let (even_b, odd_b) = (madd(d[2], -P, d[4]), madd(d[1], -P, d[3]));
    [
        madd(d[0], P * Q, madd(d[2], -(P + Q), d[4])),
        madd(odd_a, A, even_a),
        madd(odd_a, -A, even_a),
        madd(odd_b, B, even_b),
        madd(odd_b, -B, even_b),
        madd(d[1], P * Q, madd(d[3], -(P + Q), d[5])),
    ]
}

/// Six products to M outputs.
#[inline(always)]
pub fn output<S: Simd, const M: usize>(simd: S, m: Line<S, 6>) -> Line<S, M> {
    let add = |a, b| simd.add_f32s(a, b);
    let sub = |a, b| simd.sub_f32s(a, b);
    let (even_a, odd_a) = (add(m[1], m[2]), sub(m[1], m[2]));
    let (even_b, odd_b) = (add(m[3], m[4]), sub(m[3], m[4]));
    let mut y = [even_a; M];
    let (mut power_a, mut power_b) = (1.0, 1.0);
    for (j, y) in y.iter_mut().enumerate() {
        let (a, b) = if j % 2 == 0 { (even_a, even_b) } else { (odd_a, odd_b) };
        *y = simd.mul_add_e_f32s(b, simd.splat_f32s(power_b), simd.mul_f32s(a, simd.splat_f32s(power_a)));
        power_a *= A;
        power_b *= B;
    }
    y[0] = add(y[0], m[0]);
    y[M - 1] = add(y[M - 1], m[5]);
    y
}

/// M output gradients to six: the transpose of [`output`].
#[inline(always)]
pub fn output_back<S: Simd, const M: usize>(simd: S, y: Line<S, M>) -> Line<S, 6> {
    let [even_a, odd_a, even_b, odd_b] = parities(simd, y);
    let add = |a, b| simd.add_f32s(a, b);
    let sub = |a, b| simd.sub_f32s(a, b);
    [y[0], add(even_a, odd_a), sub(even_a, odd_a), add(even_b, odd_b), sub(even_b, odd_b), y[M - 1]]
}

/// K kernel values to six.
#[inline(always)]
pub fn kernel<S: Simd, const K: usize>(simd: S, g: Line<S, K>) -> Line<S, 6> {
    let [even_a, odd_a, even_b, odd_b] = parities(simd, g);
    let scale = |factor, a| simd.mul_f32s(simd.splat_f32s(factor), a);
    let add = |a, b| simd.add_f32s(a, b);
    let sub = |a, b| simd.sub_f32s(a, b);
    [
        scale(FACTORS[0], g[0]),
        scale(FACTORS[1], add(even_a, odd_a)),
        scale(FACTORS[1], sub(even_a, odd_a)),
        scale(FACTORS[2], add(even_b, odd_b)),
        scale(FACTORS[2], sub(even_b, odd_b)),
        g[K - 1],
    ]
}

/// Six products to K kernel gradients: the transpose of [`kernel`].
#[inline(always)]
pub fn kernel_back<S: Simd, const K: usize>(simd: S, mut m: Line<S, 6>) -> Line<S, K> {
    for (m, factor) in m.iter_mut().zip([0, 1, 1, 2, 2].map(|point| FACTORS[point])) {
        *m = simd.mul_f32s(simd.splat_f32s(factor), *m);
    }
    output(simd, m)
}

/// Sums of a polynomial's even and odd terms at A and at B, coefficients in rising order.
#[inline(always)]
fn parities<S: Simd, const N: usize>(simd: S, y: Line<S, N>) -> [S::f32s; 4] {
    let mut sums = [simd.splat_f32s(0.0); 4];
    let (mut power_a, mut power_b) = (1.0, 1.0);
    for (j, y) in y.into_iter().enumerate() {
        for (sum, power) in [(j % 2, power_a), (2 + j % 2, power_b)] {
            sums[sum] = simd.mul_add_e_f32s(y, simd.splat_f32s(power), sums[sum]);
        }
        power_a *= A;
        power_b *= B;
    }
    sums
}

/// Takes the rows of a square through `line`, then the columns.
#[inline(always)]
pub fn square<T: Copy, const A: usize, const B: usize>(
    x: [[T; A]; A],
    line: impl Fn([T; A]) -> [T; B],
) -> [[T; B]; B] {
    let mut turned = [[x[0][0]; A]; B];
    for (i, row) in x.into_iter().enumerate() {
        for (j, value) in line(row).into_iter().enumerate() {
            turned[j][i] = value;
        }
    }
    let mut y = [[x[0][0]; B]; B];
    for (j, column) in turned.into_iter().enumerate() {
        for (i, value) in line(column).into_iter().enumerate() {
            y[i][j] = value;
        }
    }
    y
}
