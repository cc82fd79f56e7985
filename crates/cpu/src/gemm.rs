//! Matrix products on one core, through the `gemm` crate (AVX-512, AVX2 or NEON, whatever the machine has).
//!
//! This is the crate's only file with `unsafe`: the library takes raw pointers. [`multiply`] checks that every
//! element it will touch lies inside the slices, so it is safe to call. A result depends on the shapes and strides
//! and on the machine's caches, never on who calls it or from which thread; parallelism is the callers' business.
#![allow(unsafe_code)]

/// A strided view: element (i, j) is `values[i · row + j · column]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// The values.
    pub values: &'a [f32],
    /// Distance of neighbouring rows.
    pub row: usize,
    /// Distance of neighbouring columns.
    pub column: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of `columns` contiguous values.
    pub fn rows_of(columns: usize, values: &'a [f32]) -> Self {
        Matrix { values, row: columns, column: 1 }
    }

    /// The transposed view.
    pub fn transposed(self) -> Self {
        Matrix { row: self.column, column: self.row, ..self }
    }

    fn holds(&self, rows: usize, columns: usize) -> bool {
        last(rows, columns, self.row, self.column).is_some_and(|last| last < self.values.len())
    }
}

/// Where the product goes; as [`Matrix`], but rows or columns must be contiguous.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    /// The values.
    pub values: &'a mut [f32],
    /// Distance of neighbouring rows.
    pub row: usize,
    /// Distance of neighbouring columns.
    pub column: usize,
}

fn last(rows: usize, columns: usize, row: usize, column: usize) -> Option<usize> {
    row.checked_mul(rows.checked_sub(1)?)?.checked_add(column.checked_mul(columns.checked_sub(1)?)?)
}

/// `to` (m×n) = `a` (m×k) · `b` (k×n), added to what is there if `accumulate`.
///
/// # Panics
/// If a matrix does not fit its slice, or two elements of `to` would share a place: a bug of the caller.
pub fn multiply(m: usize, n: usize, k: usize, a: Matrix, b: Matrix, to: MatrixMut, accumulate: bool) {
    assert!(m > 0 && n > 0 && k > 0, "an empty product, {m}x{k} times {k}x{n}");
    assert!(a.holds(m, k), "a left matrix of {m}x{k} does not fit {} values", a.values.len());
    assert!(b.holds(k, n), "a right matrix of {k}x{n} does not fit {} values", b.values.len());
    let fits = last(m, n, to.row, to.column).is_some_and(|last| last < to.values.len());
    let apart = (to.column == 1 && to.row >= n) || (to.row == 1 && to.column >= m);
    assert!(fits && apart, "a product of {m}x{n} does not fit {} values", to.values.len());
    // SAFETY: for i < m, j < n, l < k all of a[i, l], b[l, j] and to[i, j] lie inside their slices, as just checked;
    // elements of `to` are distinct, and `to` is borrowed mutably, so neither `a` nor `b` can alias it. Strides were
    // multiplied without overflow and are below the length of a slice, so they fit an isize.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            to.values.as_mut_ptr(),
            to.column as isize,
            to.row as isize,
            accumulate,
            a.values.as_ptr(),
            a.column as isize,
            a.row as isize,
            b.values.as_ptr(),
            b.column as isize,
            b.row as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(n: usize, seed: u32) -> Vec<f32> {
        (0..n as u32).map(|i| ((i.wrapping_mul(2_654_435_761) ^ seed) >> 20) as f32 / 2048.0 - 1.0).collect()
    }

    #[test]
    fn agrees_with_the_definition_for_all_orders() {
        for (m, n, k) in [(1, 1, 1), (3, 5, 7), (17, 33, 65), (48, 6, 300), (100, 97, 5)] {
            let (a, b) = (values(m * k, 1), values(k * n, 2));
            let views =
                |v, rows, columns| [Matrix::rows_of(columns, v), Matrix { values: v, row: 1, column: rows }];
            for a in views(&a, m, k) {
                for b in views(&b, k, n) {
                    for (row, column) in [(n, 1), (1, m)] {
                        let mut to = vec![0.5f32; m * n];
                        multiply(m, n, k, a, b, MatrixMut { values: &mut to, row, column }, true);
                        for i in 0..m {
                            for j in 0..n {
                                let product = |l| {
                                    f64::from(a.values[i * a.row + l * a.column])
                                        * f64::from(b.values[l * b.row + j * b.column])
                                };
                                let exact = 0.5 + (0..k).map(product).sum::<f64>();
                                let ours = f64::from(to[i * row + j * column]);
                                assert!((ours - exact).abs() < 1e-4, "{m}x{n}x{k}: {ours} against {exact}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn a_matrix_past_its_end_is_refused() {
        let a = values(11, 1);
        let mut to = vec![0.0; 9];
        let to = MatrixMut { values: &mut to, row: 3, column: 1 };
        multiply(3, 3, 4, Matrix::rows_of(4, &a), Matrix::rows_of(3, &a), to, false);
    }
}
