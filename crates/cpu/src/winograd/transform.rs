//! The one-dimensional transforms of minimal filtering over the points 0, ±1, ±2 and infinity, and how a square is
//! taken through one of them in both directions.
//!
//! With M outputs and K kernel values, M + K − 1 = 6: for a line d of 6 inputs and a kernel g the outputs are
//! `output(kernel(g) · input(d))`. The transposes take gradients back. Everything works on vectors whose lanes are
//! channels, so no transform ever moves a value from lane to lane. (Winograd 1980; Lavin and Gray 2016.)

use pulp::Simd;

/// Values of a transformed line.
pub const POINTS: usize = 6;

/// A line's values in every lane.
type Line<S, const N: usize> = [<S as Simd>::f32s; N];

/// Six inputs to their values at the points.
#[inline(always)]
pub fn input<S: Simd>(simd: S, d: Line<S, 6>) -> Line<S, 6> {
    let c = |value| simd.splat_f32s(value);
    let add = |a, b| simd.add_f32s(a, b);
    let sub = |a, b| simd.sub_f32s(a, b);
    // a · factor + b.
    let madd = |a, factor, b| simd.mul_add_e_f32s(a, c(factor), b);
    let (even, odd) = (madd(d[2], -4.0, d[4]), madd(d[1], -4.0, d[3]));
    let (far, near) = (sub(d[4], d[2]), sub(d[3], d[1]));
    [
        madd(d[0], 4.0, madd(d[2], -5.0, d[4])),
        add(even, odd),
        sub(even, odd),
        madd(near, 2.0, far),
        madd(near, -2.0, far),
        madd(d[1], 4.0, madd(d[3], -5.0, d[5])),
    ]
}

/// Six products to M outputs.
#[inline(always)]
pub fn output<S: Simd, const M: usize>(simd: S, m: Line<S, 6>) -> Line<S, M> {
    let add = |a, b| simd.add_f32s(a, b);
    let sub = |a, b| simd.sub_f32s(a, b);
    let (even, odd) = (add(m[1], m[2]), sub(m[1], m[2]));
    let (even_2, odd_2) = (add(m[3], m[4]), sub(m[3], m[4]));
    let mut y = [even; M];
    let mut power = 1.0;
    for (j, y) in y.iter_mut().enumerate() {
        let (one, two) = if j % 2 == 0 { (even, even_2) } else { (odd, odd_2) };
        *y = simd.mul_add_e_f32s(two, simd.splat_f32s(power), one);
        power *= 2.0;
    }
    y[0] = add(y[0], m[0]);
    y[M - 1] = add(y[M - 1], m[5]);
    y
}

/// M output gradients to six: the transpose of [`output`].
#[inline(always)]
pub fn output_back<S: Simd, const M: usize>(simd: S, y: Line<S, M>) -> Line<S, 6> {
    let [even, odd, even_2, odd_2] = parities(simd, y);
    let add = |a, b| simd.add_f32s(a, b);
    let sub = |a, b| simd.sub_f32s(a, b);
    [y[0], add(even, odd), sub(even, odd), add(even_2, odd_2), sub(even_2, odd_2), y[M - 1]]
}

/// K kernel values to six.
#[inline(always)]
pub fn kernel<S: Simd, const K: usize>(simd: S, g: Line<S, K>) -> Line<S, 6> {
    let [even, odd, even_2, odd_2] = parities(simd, g);
    let scale = |factor, a| simd.mul_f32s(simd.splat_f32s(factor), a);
    let add = |a, b| simd.add_f32s(a, b);
    let sub = |a, b| simd.sub_f32s(a, b);
    let (sixth, small) = (-1.0 / 6.0, 1.0 / 24.0);
    [
        scale(0.25, g[0]),
        scale(sixth, add(even, odd)),
        scale(sixth, sub(even, odd)),
        scale(small, add(even_2, odd_2)),
        scale(small, sub(even_2, odd_2)),
        g[K - 1],
    ]
}

/// Six products to K kernel gradients: the transpose of [`kernel`].
#[inline(always)]
pub fn kernel_back<S: Simd, const K: usize>(simd: S, mut m: Line<S, 6>) -> Line<S, K> {
    for (m, factor) in m.iter_mut().zip([0.25, -1.0 / 6.0, -1.0 / 6.0, 1.0 / 24.0, 1.0 / 24.0]) {
        *m = simd.mul_f32s(simd.splat_f32s(factor), *m);
    }
    output(simd, m)
}

/// Sums of a polynomial's even and odd terms at 1 and at 2, coefficients in rising order.
#[inline(always)]
fn parities<S: Simd, const N: usize>(simd: S, y: Line<S, N>) -> [S::f32s; 4] {
    let zero = simd.splat_f32s(0.0);
    let mut sums = [zero; 4];
    let mut power = 1.0;
    for (j, y) in y.into_iter().enumerate() {
        sums[j % 2] = simd.add_f32s(sums[j % 2], y);
        sums[2 + j % 2] = simd.mul_add_e_f32s(y, simd.splat_f32s(power), sums[2 + j % 2]);
        power *= 2.0;
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
