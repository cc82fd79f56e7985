//! Sine and cosine from + − × alone.
//!
//! A platform's `sin` may differ from another's in the last bit, and one bit can change a byte of a photo. These
//! have the same bits everywhere, since Rust neither reorders nor fuses IEEE operations. Their error stays below
//! 10⁻⁶, which is far below what a grey level can show.

/// Sine and cosine of a number of whole turns (1.0 is 360°), for |turns| below a million.
pub fn sin_cos(turns: f32) -> (f32, f32) {
    // The nearest quarter turn, and what is left: at most an eighth of a turn either way.
    let quarter = (turns * 4.0 + 0.5).floor();
    let x = (turns - quarter * 0.25) * std::f32::consts::TAU;
    let square = x * x;
    // Taylor series; at |x| ≤ π/4 the terms left out are below 4·10⁻⁷.
    let sine = x * (1.0 + square * (-1.0 / 6.0 + square * (1.0 / 120.0 - square * (1.0 / 5040.0))));
    let cosine =
        1.0 + square * (-0.5 + square * (1.0 / 24.0 + square * (-1.0 / 720.0 + square * (1.0 / 40320.0))));
    match (quarter as i64).rem_euclid(4) {
        0 => (sine, cosine),
        1 => (cosine, -sine),
        2 => (-sine, -cosine),
        _ => (-cosine, sine),
    }
}

/// Sine of a number of whole turns.
pub fn sin(turns: f32) -> f32 {
    sin_cos(turns).0
}

#[cfg(test)]
mod tests {
    use super::sin_cos;

    #[test]
    fn agrees_with_the_platform() {
        for i in -4000..4000 {
            let turns = i as f32 * 0.001_37;
            let (sine, cosine) = sin_cos(turns);
            let angle = f64::from(turns) * std::f64::consts::TAU;
            assert!((f64::from(sine) - angle.sin()).abs() < 3e-6, "sine of {turns} turns: {sine}");
            assert!((f64::from(cosine) - angle.cos()).abs() < 3e-6, "cosine of {turns} turns: {cosine}");
        }
    }

    #[test]
    fn quarters_are_exact() {
        assert_eq!(sin_cos(0.0), (0.0, 1.0));
        assert_eq!(sin_cos(0.25), (1.0, 0.0));
        assert_eq!(sin_cos(-0.5).1, -1.0);
    }
}
