//! Curves of rates from + − × ÷ alone, so that a rate has the same bits on every machine.

/// (1 + cos πx) / 2 for x in 0 ..= 1: the cosine's series about the middle, where it is a sine.
pub(crate) fn half_cosine(x: f64) -> f64 {
    let angle = std::f64::consts::PI * (0.5 - x);
    let square = angle * angle;
    let (mut sine, mut term) = (0.0, angle);
    for k in 0..12 {
        sine += term;
        term *= -square / f64::from((2 * k + 2) * (2 * k + 3));
    }
    0.5 * (1.0 + sine)
}

/// The positive `degree`-th root of x ≥ 1, by Newton's iteration from above, which falls until it stands.
pub(crate) fn root(x: f64, degree: u32) -> f64 {
    let mut y = x;
    loop {
        let power = (1..degree).fold(1.0, |power, _| power * y);
        let next = y - (y - x / power) / f64::from(degree);
        if next.is_nan() || next >= y {
            return y;
        }
        y = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_agree_with_the_library() {
        for i in 0..=100 {
            let x = f64::from(i) / 100.0;
            assert!((half_cosine(x) - (1.0 + (std::f64::consts::PI * x).cos()) / 2.0).abs() < 1e-14);
        }
        for degree in 1..10 {
            for x in [1.0, 1.5, 10.0, 250.0, 1e6] {
                let exact = f64::powf(x, 1.0 / f64::from(degree));
                assert!((root(x, degree) / exact - 1.0).abs() < 1e-12, "{x}, {degree}");
            }
        }
    }
}
