//! The normal distribution from + − × ÷ √ alone, so that a draw has the same bits on every machine.
//!
//! The quantile function is algorithm AS 241 (PPND16) of Wichura, "The percentage points of the normal
//! distribution", Applied Statistics 37 (1988): rational functions with a relative error near 10⁻¹⁶. Its tails
//! need a logarithm; a platform's `ln` may differ in the last bit from another's, so the crate has its own.

/// Natural logarithm of a positive, normal `x`, by the series of `2·artanh((m − 1) / (m + 1))` on
/// `m ∈ [√½, √2)`. The error is below 4·10⁻¹⁶ relative to the larger of |ln x| and 1.
pub fn ln(x: f64) -> f64 {
    const SQRT_2: f64 = std::f64::consts::SQRT_2;
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) as i64 - 1023) as f64;
    let mut mantissa = f64::from_bits(bits & 0x000F_FFFF_FFFF_FFFF | 0x3FF0_0000_0000_0000);
    if mantissa >= SQRT_2 {
        mantissa *= 0.5;
        exponent += 1.0;
    }
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    // 1/3 + s²/5 + s⁴/7 + …; s² ≤ 0.0295, so the term after the last is below 10⁻¹⁷.
    let mut series = 0.0;
    let mut k = 23.0;
    while k >= 3.0 {
        series = series * square + 1.0 / k;
        k -= 2.0;
    }
    exponent * std::f64::consts::LN_2 + (2.0 * s + 2.0 * s * square * series)
}

/// e to the power of `x`, for |x| up to 40: the series for `x` halved until it is at most ¼, squared back up.
/// The relative error is below 10⁻¹³.
pub fn exp(x: f64) -> f64 {
    let mut halvings = 0;
    let mut small = x;
    while small.abs() > 0.25 {
        small *= 0.5;
        halvings += 1;
    }
    // 1 + x + x²/2! + …; the term after the last is below 0.25¹⁵ / 15! < 10⁻²⁰.
    let mut sum = 1.0;
    let mut k = 14.0;
    while k >= 1.0 {
        sum = 1.0 + sum * small / k;
        k -= 1.0;
    }
    for _ in 0..halvings {
        sum *= sum;
    }
    sum
}

fn polynomial(coefficients: &[f64; 8], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

const CENTRE_P: [f64; 8] = [
    3.387_132_872_796_366_5,
    133.141_667_891_784_38,
    1_971.590_950_306_551_3,
    13_731.693_765_509_46,
    45_921.953_931_549_87,
    67_265.770_927_008_7,
    33_430.575_583_588_13,
    2_509.080_928_730_122_7,
];
const CENTRE_Q: [f64; 8] = [
    1.0,
    42.313_330_701_600_91,
    687.187_007_492_057_9,
    5_394.196_021_424_751,
    21_213.794_301_586_597,
    39_307.895_800_092_71,
    28_729.085_735_721_943,
    5_226.495_278_852_545,
];
const MIDDLE_P: [f64; 8] = [
    1.423_437_110_749_683_6,
    4.630_337_846_156_545,
    5.769_497_221_460_691,
    3.647_848_324_763_204_5,
    1.270_458_252_452_368_4,
    0.241_780_725_177_450_6,
    0.022_723_844_989_269_184,
    7.745_450_142_783_414e-4,
];
const MIDDLE_Q: [f64; 8] = [
    1.0,
    2.053_191_626_637_759,
    1.676_384_830_183_803_8,
    0.689_767_334_985_1,
    0.148_103_976_427_480_08,
    0.015_198_666_563_616_457,
    5.475_938_084_995_345e-4,
    1.050_750_071_644_416_9e-9,
];
const FAR_P: [f64; 8] = [
    6.657_904_643_501_103,
    5.463_784_911_164_114,
    1.784_826_539_917_291_3,
    0.296_560_571_828_504_87,
    0.026_532_189_526_576_124,
    0.001_242_660_947_388_078_4,
    2.711_555_568_743_487_6e-5,
    2.010_334_399_292_288_1e-7,
];
const FAR_Q: [f64; 8] = [
    1.0,
    0.599_832_206_555_888,
    0.136_929_880_922_735_8,
    0.014_875_361_290_850_615,
    7.868_691_311_456_133e-4,
    1.846_318_317_510_054_8e-5,
    1.421_511_758_316_446e-7,
    2.044_263_103_389_939_8e-15,
];

/// The value below which a standard normal variable falls with probability `p`, for `p` in (0, 1).
///
/// # Panics
/// In debug builds, if `p` is not inside (0, 1).
pub fn standard_normal_quantile(p: f64) -> f64 {
    debug_assert!(p > 0.0 && p < 1.0, "probability {p} is not inside (0, 1)");
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * polynomial(&CENTRE_P, r) / polynomial(&CENTRE_Q, r);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    let r = (-ln(tail)).sqrt();
    let value = if r <= 5.0 {
        polynomial(&MIDDLE_P, r - 1.6) / polynomial(&MIDDLE_Q, r - 1.6)
    } else {
        polynomial(&FAR_P, r - 5.0) / polynomial(&FAR_Q, r - 5.0)
    };
    if q < 0.0 { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `statistics.NormalDist().inv_cdf` (CPython 3.11).
    const PYTHON: &[(f64, f64)] = &[
        (1e-300, -37.0470962993612),
        (1e-100, -21.27345356096532),
        (1e-17, -8.4937932241096),
        (1.1e-16, -8.210646881627001),
        (1e-12, -7.034483825301132),
        (1e-09, -5.9978070150076865),
        (1e-06, -4.753424308822899),
        (0.001, -3.090232306167813),
        (0.02, -2.0537489106318225),
        (0.07, -1.4757910281791702),
        (0.0749, -1.4402382675279632),
        (0.0751, -1.4388253927525398),
        (0.1, -1.2815515655446008),
        (0.25, -0.6744897501960817),
        (0.4, -0.2533471031357998),
        (0.5, 0.0),
        (0.6, 0.2533471031357998),
        (0.75, 0.6744897501960817),
        (0.9, 1.2815515655446008),
        (0.925, 1.439531470938456),
        (0.9251, 1.4402382675279632),
        (0.99, 2.3263478740408408),
        (0.999999, 4.753424308817089),
    ];

    #[test]
    fn quantiles_agree_with_python() {
        for &(p, z) in PYTHON {
            let ours = standard_normal_quantile(p);
            assert!((ours - z).abs() <= 1e-14 * z.abs().max(1.0), "p = {p}: {ours} against {z}");
        }
    }

    #[test]
    fn logarithm_agrees_with_the_platform() {
        let mut x = 1e-300;
        while x < 1e300 {
            let (ours, theirs) = (ln(x), x.ln());
            assert!(
                (ours - theirs).abs() <= 8e-16 * theirs.abs().max(1.0),
                "ln {x}: {ours} against {theirs}"
            );
            x *= 1.37;
        }
    }

    #[test]
    fn exponential_agrees_with_the_platform() {
        let mut x = -40.0;
        while x < 40.0 {
            assert!(
                (exp(x) / f64::exp(x) - 1.0).abs() < 1e-13,
                "exp {x}: {} against {}",
                exp(x),
                f64::exp(x)
            );
            x += 0.037;
        }
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn symmetric_about_one_half() {
        for i in 1..1000 {
            let p = i as f64 / 2048.0;
            assert_eq!(standard_normal_quantile(p), -standard_normal_quantile(1.0 - p));
        }
    }
}
