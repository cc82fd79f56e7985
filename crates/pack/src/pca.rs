//! Mean, covariance and principal components of a set's pixels, and how they compare with published ones.
//!
//! Everything before the eigenvectors is computed in whole numbers and rounded once, and the eigenvectors with nothing
//! but + − × ÷ √ in a fixed order, so that equal sums give equal bits on every machine. That is why the solver is our
//! own: a library's may use fused multiply-adds, `hypot`, or another order in its next version. The tests hold it
//! against nalgebra's. How lighting noise is made of the components is the loader's business.

use alexnet_datasets::statistics::Published;
use alexnet_shard::Moments;
use serde::{Deserialize, Serialize};

/// The range of the components that statistics speak of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Grey levels 0..255, as stored.
    #[default]
    #[serde(rename = "0..255")]
    GreyLevels,
}

/// Statistics of the R, G, B components of all pixels of a set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistics {
    /// Pixels.
    pub count: u64,
    /// Mean of R, G, B.
    pub mean: [f64; 3],
    /// Standard deviation of R, G, B (of the population: divided by `count`).
    pub std: [f64; 3],
    /// Covariance of the population; symmetric, row by row.
    pub covariance: [[f64; 3]; 3],
    /// Eigenvalues of `covariance`, descending: variances along the eigenvectors. Their square roots are the
    /// standard deviations that the 2012 code calls for.
    pub eigenvalues: [f64; 3],
    /// Unit eigenvectors as rows, in R, G, B. A vector's sign is arbitrary; here its component of largest magnitude
    /// (the first of equals) is positive.
    pub eigenvectors: [[f64; 3]; 3],
    /// Range of a component.
    pub unit: Unit,
}

impl Statistics {
    /// The statistics of pixels with these sums; `None` if there are no pixels.
    ///
    /// Covariance of x and y is (n·Σxy − Σx·Σy) / n², taken exactly and rounded to the nearest f64.
    pub fn from_moments(moments: &Moments) -> Option<Self> {
        let n = u128::from(moments.pixels);
        if n == 0 {
            return None;
        }
        let covariance = |i: usize, j: usize| {
            let place = [[0, 1, 2], [1, 3, 4], [2, 4, 5]][i][j];
            let (a, b) = (n * u128::from(moments.products[place]), product(moments.sum[i], moments.sum[j]));
            let magnitude = nearest_quotient(a.abs_diff(b), n * n);
            if a < b { -magnitude } else { magnitude }
        };
        let covariance = [0, 1, 2].map(|i| [0, 1, 2].map(|j| covariance(i, j)));
        let (eigenvalues, eigenvectors) = eigen(covariance);
        Some(Statistics {
            count: moments.pixels,
            mean: moments.sum.map(|sum| nearest_quotient(sum.into(), n)),
            std: [0, 1, 2].map(|c| covariance[c][c].sqrt()),
            covariance,
            eigenvalues,
            eigenvectors,
            unit: Unit::GreyLevels,
        })
    }

    /// Standard deviations along the eigenvectors: the square roots of the eigenvalues.
    pub fn sigmas(&self) -> [f64; 3] {
        self.eigenvalues.map(|value| value.max(0.0).sqrt())
    }

    /// Angle in degrees between each eigenvector and its published counterpart.
    pub fn angles_to(&self, published: &Published) -> [f64; 3] {
        [0, 1, 2].map(|i| angle(&self.eigenvectors[i], &published.eigenvectors[i]))
    }
}

/// The angle in degrees, 0..=90, between two directions whose signs do not matter. For tables, not for training: it
/// calls the system's arctangent.
pub fn angle(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    let dot = a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let cross = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    let sine = (cross[0] * cross[0] + cross[1] * cross[1] + cross[2] * cross[2]).sqrt();
    sine.atan2(dot.abs()).to_degrees()
}

fn product(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}

/// `numerator / denominator`, rounded once to the nearest f64 (ties to even).
fn nearest_quotient(numerator: u128, denominator: u128) -> f64 {
    if numerator == 0 {
        return 0.0;
    }
    let (mut quotient, mut rest) = (numerator / denominator, numerator % denominator);
    // Bits after the point, until there are more of them than a significand (53) and its rounding bit need.
    let mut scale = 1.0f64;
    while quotient >> 60 == 0 {
        let room = denominator - rest;
        let bit = rest >= room;
        rest = if bit { rest - room } else { rest * 2 };
        quotient = quotient << 1 | u128::from(bit);
        scale *= 0.5;
    }
    // What is left below counts only as "more than nothing", far below the rounding bit.
    (quotient | u128::from(rest != 0)) as f64 * scale
}

/// Eigenvalues in descending order, and unit eigenvectors as rows, of a symmetric matrix: Jacobi's method, sweeping
/// over (0,1), (0,2), (1,2) until all off-diagonal elements vanish.
fn eigen(mut a: [[f64; 3]; 3]) -> ([f64; 3], [[f64; 3]; 3]) {
    // Row i of v is the eigenvector of a[i][i].
    let mut v = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    // Convergence is quadratic: six or seven sweeps do; the bound is for NaN.
    for _sweep in 0..30 {
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            if a[p][q] != 0.0 {
                rotate(&mut a, &mut v, p, q);
            }
        }
    }
    let mut order = [0, 1, 2];
    order.sort_by(|&i, &j| a[j][j].total_cmp(&a[i][i]));
    (order.map(|i| a[i][i]), order.map(|i| unit(v[i])))
}

/// The rotation in the plane of axes p and q that makes `a[p][q]` zero.
fn rotate(a: &mut [[f64; 3]; 3], v: &mut [[f64; 3]; 3], p: usize, q: usize) {
    let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    // The smaller root of t² + 2θt − 1; for huge θ the square overflows to infinity and t to zero.
    let t = 1.0 / (theta.abs() + (theta * theta + 1.0).sqrt());
    let t = if theta < 0.0 { -t } else { t };
    let cosine = 1.0 / (t * t + 1.0).sqrt();
    let sine = t * cosine;
    let shift = t * a[p][q];
    a[p][p] -= shift;
    a[q][q] += shift;
    (a[p][q], a[q][p]) = (0.0, 0.0);
    let r = 3 - p - q;
    let (x, y) = (a[r][p], a[r][q]);
    let (x, y) = (cosine * x - sine * y, sine * x + cosine * y);
    (a[r][p], a[p][r], a[r][q], a[q][r]) = (x, x, y, y);
    let (x, y) = (v[p], v[q]);
    v[p] = [0, 1, 2].map(|c| cosine * x[c] - sine * y[c]);
    v[q] = [0, 1, 2].map(|c| sine * x[c] + cosine * y[c]);
}

/// The vector at length 1, its component of largest magnitude positive.
fn unit(v: [f64; 3]) -> [f64; 3] {
    let length = (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt();
    let largest = v.iter().fold(0.0f64, |best, &x| if x.abs() > best.abs() { x } else { best });
    v.map(|x| x / if largest < 0.0 { -length } else { length })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alexnet_datasets::statistics::{FB_RESNET, KRIZHEVSKY};
    use alexnet_rng::{Purpose, Stream};
    use nalgebra::{Matrix3, SymmetricEigen};

    /// Pixels with different means and correlated components.
    fn pixels(seed: u64, n: u64) -> Vec<u8> {
        let stream = Stream::new(seed, 0, 0, Purpose::Sample);
        let shift = [seed % 7 * 20, seed % 5 * 15, seed % 3 * 30].map(|s| s as f64);
        let clamp = |x: f64| x.clamp(0.0, 255.0) as u8;
        (0..n)
            .flat_map(|i| {
                let [x, y, z] = [0, 1, 2].map(|k| stream.normal(3 * i + k));
                let light = 40.0 * x + 60.0;
                [
                    clamp(light + 9.0 * y + shift[0]),
                    clamp(light + shift[1]),
                    clamp(light - 11.0 * y + 4.0 * z + shift[2]),
                ]
            })
            .collect()
    }

    fn statistics(seed: u64, n: u64) -> Statistics {
        Statistics::from_moments(&Moments::of(&pixels(seed, n))).expect("there are pixels")
    }

    /// Python's int / int is rounded once, so it gave these bits: `struct.pack('<d', n / d)`.
    #[test]
    fn quotients_have_the_bits_of_python() {
        for (numerator, denominator, bits) in QUOTIENTS {
            let found = nearest_quotient(numerator, denominator);
            assert_eq!(found.to_bits(), bits, "{numerator} / {denominator} = {found}");
        }
    }

    const QUOTIENTS: [(u128, u128, u64); 13] = [
        (1, 3, 0x3fd5555555555555),
        (9007199254740993, 1, 0x4340000000000000),
        (18014398509481986, 2, 0x4340000000000000),
        (54043195528445955, 3, 0x4350000000000000),
        (1, 340282366920938463426481119284349108225, 0x37f0000000000000),
        (
            340282366920938463463374607431768211455,
            170141183460469231731687303715884105729,
            0x4000000000000000,
        ),
        (7628, 9216, 0x3fea7c71c71c71c7),
        (2063181142399, 2467654549129, 0x3feac13fb0453e0d),
        (8084264546566182011050842912, 11040023244826706055071334400, 0x3fe76ebef92d6005),
        (
            148261835006899555676323046849494288760,
            158308615253565937816847322036847055689,
            0x3fedf81be7a2d0bb,
        ),
        (19807040628566085497897615360, 2199023255552, 0x4340000000000000),
        (19807040628566085497897615361, 2199023255552, 0x4340000000000000),
        (19807040628566087696920870911, 2199023255552, 0x4340000000000001),
    ];

    #[test]
    fn known_matrix() {
        // Eigenvalues 7, 3, 1 along (0,0,1), (1,1,0), (1,-1,0).
        let (values, vectors) = eigen([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 7.0]]);
        let root = 0.5f64.sqrt();
        for (found, expected) in values.iter().zip([7.0, 3.0, 1.0]) {
            assert!((found - expected).abs() < 1e-15, "{values:?}");
        }
        for (found, expected) in
            vectors.iter().flatten().zip([0.0, 0.0, 1.0, root, root, 0.0, root, -root, 0.0])
        {
            assert!((found - expected).abs() < 1e-15, "{vectors:?}");
        }
        assert_eq!(eigen([[0.0; 3]; 3]).0, [0.0; 3], "one grey level only");
    }

    #[test]
    fn agrees_with_nalgebra() {
        for seed in 0..200 {
            let found = statistics(seed, 50 + seed * 10);
            let oracle = SymmetricEigen::new(Matrix3::from_fn(|i, j| found.covariance[i][j]));
            let mut order = [0, 1, 2];
            order.sort_by(|&i, &j| oracle.eigenvalues[j].total_cmp(&oracle.eigenvalues[i]));
            for (place, &i) in order.iter().enumerate() {
                let (value, expected) = (found.eigenvalues[place], oracle.eigenvalues[i]);
                assert!((value - expected).abs() < 1e-12 * oracle.eigenvalues.max(), "{value} {expected}");
                let vector = oracle.eigenvectors.column(i);
                let off = angle(&found.eigenvectors[place], &[vector[0], vector[1], vector[2]]);
                assert!(off < 1e-6, "seed {seed}, component {place}: {off} degrees");
            }
        }
    }

    /// The bits that Python's floats give for the same sweeps: nothing is fused or reordered on this machine.
    #[test]
    fn has_the_same_bits_everywhere() {
        let moments = Moments {
            pixels: 5000,
            sum: [616200, 579600, 517150],
            products: [100331234, 91234567, 80123456, 90604011, 78012345, 79392222],
        };
        let found = Statistics::from_moments(&moments).expect("there are pixels");
        assert_eq!(
            found.eigenvalues.map(f64::to_bits),
            [0x40c7ba91d8baf5ae, 0x409cabf300e8c4e1, 0x4087b0764da1ec3f]
        );
        let vectors = [
            [0x3fe26e1ceb3d3043, 0x3fe2a749275449c7, 0x3fe25733a98fd3b7],
            [0xbfe20591765876d1, 0xbfccd589e0b3a2a6, 0x3fe970f10a8f558d],
            [0xbfe2f633536187ed, 0x3fe8fb50dec7a630, 0xbfc96a0aab0c770f],
        ];
        assert_eq!(found.eigenvectors.map(|vector| vector.map(f64::to_bits)), vectors);
    }

    /// The definition: two passes over the pixels in f64.
    #[test]
    fn agrees_with_two_passes() {
        for seed in 0..20 {
            let pixels = pixels(seed, 1000);
            let found = Statistics::from_moments(&Moments::of(&pixels)).expect("there are pixels");
            let mean =
                |c: usize| pixels.iter().skip(c).step_by(3).map(|&x| f64::from(x)).sum::<f64>() / 1000.0;
            let means = [mean(0), mean(1), mean(2)];
            for (i, j) in [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)] {
                let of = |pixel: &[u8]| (f64::from(pixel[i]) - means[i]) * (f64::from(pixel[j]) - means[j]);
                let expected = pixels.chunks_exact(3).map(of).sum::<f64>() / 1000.0;
                assert!((found.covariance[i][j] - expected).abs() < 1e-9 * expected.abs().max(1.0));
                assert_eq!(found.covariance[i][j], found.covariance[j][i]);
            }
            for (c, mean) in means.into_iter().enumerate() {
                assert!((found.mean[c] - mean).abs() < 1e-12 * 255.0);
                assert_eq!(found.std[c], found.covariance[c][c].sqrt());
            }
        }
    }

    #[test]
    fn sign_order_and_length_are_fixed() {
        for seed in 0..50 {
            let found = statistics(seed, 400);
            assert!(found.eigenvalues.is_sorted_by(|a, b| a >= b));
            for vector in found.eigenvectors {
                let largest = vector.iter().map(|x| x.abs()).fold(0.0, f64::max);
                assert!(vector.contains(&largest), "{vector:?}");
                assert!((vector.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-15);
            }
        }
    }

    #[test]
    fn nothing_and_one_colour() {
        assert_eq!(Statistics::from_moments(&Moments::default()), None);
        let one = Statistics::from_moments(&Moments::of(&[7, 8, 9, 7, 8, 9])).expect("two pixels");
        assert_eq!((one.mean, one.std, one.eigenvalues), ([7.0, 8.0, 9.0], [0.0; 3], [0.0; 3]));
    }

    /// The published sets agree with each other as knowledge of them says: 0.6, 1.7, 1.6 degrees; sigmas within 4%.
    #[test]
    fn published_sets_agree() {
        let (ours, theirs) = (KRIZHEVSKY, FB_RESNET);
        for (i, expected) in [0.6, 1.7, 1.6].into_iter().enumerate() {
            let off = angle(&ours.eigenvectors[i], &theirs.eigenvectors[i]);
            assert!((off - expected).abs() < 0.06, "component {i}: {off} degrees");
        }
        for (sigma, expected) in theirs.deviations.iter().zip([118.9, 35.0, 17.1]) {
            assert!((sigma - expected).abs() < 0.06, "{sigma}");
        }
        for (sigma, expected) in ours.deviations.iter().zip([121.780061, 37.093889, 19.720833]) {
            assert!((sigma - expected).abs() < 1e-12);
        }
        let opposite = ours.eigenvectors[1].map(|x| -x);
        assert!(angle(&ours.eigenvectors[1], &opposite) < 1e-6, "signs do not count");
    }

    #[test]
    fn json_has_the_agreed_names_and_keeps_every_bit() {
        let found = statistics(3, 777);
        let text = serde_json::to_string(&found).expect("numbers serialise");
        let keys = ["count", "mean", "std", "covariance", "eigenvalues", "eigenvectors", "unit"];
        let places: Vec<usize> = keys.iter().filter_map(|key| text.find(&format!("\"{key}\":"))).collect();
        assert!(places.len() == keys.len() && places.is_sorted(), "{text}");
        assert!(text.ends_with("\"unit\":\"0..255\"}"), "{text}");
        for seed in 0..300 {
            let found = statistics(seed, 100);
            let text = serde_json::to_string(&found).expect("numbers serialise");
            assert_eq!(serde_json::from_str::<Statistics>(&text).expect("our own text"), found);
        }
        assert!(serde_json::from_str::<Statistics>(&text.replace("0..255", "0..1")).is_err(), "another unit");
    }
}
