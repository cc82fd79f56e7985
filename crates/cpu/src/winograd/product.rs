//! The products between transforms: at each of the 36 points a small matrix product over channels (forward and input
//! gradient) or over tiles (weight gradient), all operands in panels.
//!
//! A few rows by a few vectors of the result stay in registers while the sum runs; every sum goes through its terms in
//! order, whatever its neighbours in registers are.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::panels::PANEL;
use super::transform::POINTS;

/// Points of a tile.
const SQUARE: usize = POINTS * POINTS;

/// Rows of the result that the widest kernel takes at once; buffers hold a multiple of it.
pub const ROWS: usize = 8;

/// Sizes of a set of products: `tiles` a buffer has room for (a multiple of [`ROWS`]) and `used` of them, and the
/// panels of the channels below and above.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub tiles: usize,
    pub used: usize,
    pub inputs: usize,
    pub outputs: usize,
}

impl Sizes {
    /// Values from one point to the next where `panels` panels of tiles lie at each: an odd number of cache lines, so
    /// that a tile's points do not compete for one set of the cache.
    pub fn apart(self, panels: usize) -> usize {
        (panels * self.tiles + 1) * PANEL
    }
}

/// m = v · u at every point: v `[36, inputs, tiles, 16]`, u `[outputs, 36, 16 · inputs, 16]`, m `[36, outputs, tiles,
/// 16]`, inputs and outputs counted in panels, points [`Sizes::apart`]. Rows of m past the tiles used hold anything.
pub struct Forward<'a> {
    pub sizes: Sizes,
    pub v: &'a [f32],
    pub u: &'a [f32],
    pub m: &'a mut [f32],
}

/// u += Σ over tiles of v · d, in the forms of [`Forward`]; d `[36, outputs, tiles, 16]`.
pub struct Backward<'a> {
    pub sizes: Sizes,
    pub v: &'a [f32],
    pub d: &'a [f32],
    pub u: &'a mut [f32],
}

/// Vectors of a panel.
#[inline(always)]
fn vectors<S: Simd>() -> usize {
    PANEL / S::F32_LANES
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        forward(simd, self);
    }
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        backward(simd, self);
    }
}

/// Whether there are registers for 8 rows by 3 vectors of sums (32 of them, with AVX-512); else 6 by 2 leave one of 16 free. With
/// 4 by 3 none is free, and a sum that spills waits for its own store at every step, which takes twice as long.
#[inline(always)]
fn many_registers<S: Simd>() -> bool {
    S::F32_LANES == 16
}

#[inline(always)]
fn forward<S: Simd>(simd: S, product: Forward) {
    let Forward { sizes, v, u, m } = product;
    let Sizes { tiles, used, inputs, outputs } = sizes;
    let columns = outputs * vectors::<S>();
    for point in 0..SQUARE {
        let v = &v[point * sizes.apart(inputs)..][..inputs * tiles * PANEL];
        let m = &mut m[point * sizes.apart(outputs)..][..outputs * tiles * PANEL];
        let u = &u[point * inputs * PANEL * PANEL..];
        let mut column = 0;
        while column < columns {
            let block = Columns { u, inputs, first: column, tiles };
            column += match columns - column {
                _ if !many_registers::<S>() => {
                    let sixes = used - used % 6;
                    block.forward::<S, 6, 2>(simd, v, 0..sixes, m);
                    block.forward::<S, 2, 2>(simd, v, sixes..used, m)
                }
                1 => block.forward::<S, 8, 1>(simd, v, 0..used, m),
                2 | 4 => block.forward::<S, 8, 2>(simd, v, 0..used, m),
                _ => block.forward::<S, 8, 3>(simd, v, 0..used, m),
            };
        }
    }
}

/// Neighbouring vectors of output channels at one point.
#[derive(Clone, Copy)]
struct Columns<'a> {
    u: &'a [f32],
    inputs: usize,
    first: usize,
    tiles: usize,
}

impl Columns<'_> {
    /// C vectors of these tiles, R at a time; gives C.
    #[inline(always)]
    fn forward<S: Simd, const R: usize, const C: usize>(
        self,
        simd: S,
        v: &[f32],
        rows: Range<usize>,
        m: &mut [f32],
    ) -> usize {
        let Columns { u, inputs, first, tiles } = self;
        let w = vectors::<S>();
        let v = v.as_chunks::<PANEL>().0;
        let m = S::as_mut_simd_f32s(m).0;
        let kernels = S::as_simd_f32s(u).0;
        let mut starts = [0; C];
        for (c, start) in starts.iter_mut().enumerate() {
            *start = (first + c) / w * SQUARE * inputs * PANEL * w + (first + c) % w;
        }
        for row in rows.step_by(R) {
            let mut sums = [[simd.splat_f32s(0.0); C]; R];
            for panel in 0..inputs {
                let rows = &v[panel * tiles + row..][..R];
                let mut near = [kernels; C];
                for (near, start) in near.iter_mut().zip(starts) {
                    *near = &kernels[start + panel * PANEL * w..][..(PANEL - 1) * w + 1];
                }
                for k in 0..PANEL {
                    let mut vector = [sums[0][0]; C];
                    for (vector, near) in vector.iter_mut().zip(near) {
                        *vector = near[k * w];
                    }
                    for (sums, row) in sums.iter_mut().zip(rows) {
                        let factor = simd.splat_f32s(row[k]);
                        for (sum, vector) in sums.iter_mut().zip(vector) {
                            *sum = simd.mul_add_e_f32s(factor, vector, *sum);
                        }
                    }
                }
            }
            for (r, sums) in sums.into_iter().enumerate() {
                for (c, sum) in sums.into_iter().enumerate() {
                    let (panel, part) = ((first + c) / w, (first + c) % w);
                    m[(panel * tiles + row + r) * w + part] = sum;
                }
            }
        }
        C
    }
}

#[inline(always)]
fn backward<S: Simd>(simd: S, product: Backward) {
    let Backward { sizes, v, d, u } = product;
    let Sizes { tiles, inputs, outputs, .. } = sizes;
    let columns = outputs * vectors::<S>();
    for point in 0..SQUARE {
        let v = &v[point * sizes.apart(inputs)..][..inputs * tiles * PANEL];
        let d = &d[point * sizes.apart(outputs)..][..outputs * tiles * PANEL];
        let mut column = 0;
        while column < columns {
            let at = (point, column);
            column += match columns - column {
                _ if !many_registers::<S>() => {
                    gather::<S, 6, 2>(simd, sizes, at, 0..12, v, d, u);
                    gather::<S, 4, 2>(simd, sizes, at, 12..PANEL, v, d, u)
                }
                1 => gather::<S, 8, 1>(simd, sizes, at, 0..PANEL, v, d, u),
                2 | 4 => gather::<S, 8, 2>(simd, sizes, at, 0..PANEL, v, d, u),
                _ => gather::<S, 8, 3>(simd, sizes, at, 0..PANEL, v, d, u),
            };
        }
    }
}

/// Adds the products of `lanes` of all panels of inputs, R lanes at a time, with C vectors of outputs; each block of tiles is summed
/// for itself first, which keeps the rounding of long sums down; gives C.
#[inline(always)]
fn gather<S: Simd, const R: usize, const C: usize>(
    simd: S,
    Sizes { tiles, used, inputs, .. }: Sizes,
    (point, first): (usize, usize),
    lanes: Range<usize>,
    v: &[f32],
    d: &[f32],
    u: &mut [f32],
) -> usize {
    let w = vectors::<S>();
    let u = S::as_mut_simd_f32s(u).0;
    let gradients = S::as_simd_f32s(d).0;
    let mut near = [gradients; C];
    let mut starts = [0; C];
    for (c, (near, start)) in near.iter_mut().zip(&mut starts).enumerate() {
        let (panel, part) = ((first + c) / w, (first + c) % w);
        *near = &gradients[panel * tiles * w + part..][..(used - 1) * w + 1];
        *start = (panel * SQUARE + point) * inputs * PANEL * w + part;
    }
    for (panel, v) in v.as_chunks::<PANEL>().0.chunks_exact(tiles).enumerate() {
        for lane in lanes.clone().step_by(R) {
            let row = |r: usize| (panel * PANEL + lane + r) * w;
            let mut sums = [[simd.splat_f32s(0.0); C]; R];
            for (tile, v) in v[..used].iter().enumerate() {
                let mut vector = [sums[0][0]; C];
                for (vector, near) in vector.iter_mut().zip(near) {
                    *vector = near[tile * w];
                }
                for (sums, factor) in sums.iter_mut().zip(&v[lane..][..R]) {
                    let factor = simd.splat_f32s(*factor);
                    for (sum, vector) in sums.iter_mut().zip(vector) {
                        *sum = simd.mul_add_e_f32s(factor, vector, *sum);
                    }
                }
            }
            for (r, sums) in sums.into_iter().enumerate() {
                for (sum, start) in sums.into_iter().zip(starts) {
                    u[start + row(r)] = simd.add_f32s(u[start + row(r)], sum);
                }
            }
        }
    }
    C
}
