//! The update rule of section 5: v ← 0.9·v − decay·rate·w − rate·g; w ← w + v.
//!
//! The rate is inside v, so a change of rate acts on new gradients only. Gradients arrive summed; the division by the
//! global batch is folded into the factor of g. Biases never decay. A rate of 0 leaves a parameter and its velocity
//! as they are (no momentum either), and a weight's rate of 0 does the same to its bias: the 2012 code skips frozen
//! layers whole.

use std::ops::Range;

use crate::error::Error;
use crate::parameters::{Parameter, ParameterKind};
use crate::placement::ParameterRange;

/// Rate and decay of one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Learning rate ε; 0 freezes.
    pub rate: f64,
    /// Weight decay (0.0005 in the paper); ignored for biases.
    pub decay: f64,
}

/// One update of every parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateRule {
    /// Momentum (0.9 in the paper).
    pub momentum: f64,
    /// Samples whose gradients were summed, over all ranks.
    pub global_batch: usize,
    /// One entry a parameter, in global order.
    pub rates: Vec<Rate>,
}

/// A range of a flat buffer that is updated with the same factors.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Where in the flat buffers.
    pub range: Range<usize>,
    /// rate / global batch: the factor of the summed gradient.
    pub rate: f32,
    /// decay · rate: the factor of the parameter.
    pub decay: f32,
}

impl UpdateRule {
    /// The paper's rule with one rate for all: momentum 0.9, decay 0.0005.
    pub fn paper(rate: f64, global_batch: usize, parameters: usize) -> Self {
        UpdateRule { momentum: 0.9, global_batch, rates: vec![Rate { rate, decay: 0.0005 }; parameters] }
    }

    /// Which parameters stand still: those of rate 0, and biases whose weights are.
    ///
    /// # Errors
    /// As [`UpdateRule::segments`].
    pub(crate) fn frozen(&self, parameters: &[Parameter]) -> Result<Vec<bool>, Error> {
        self.check(parameters)?;
        // A bias follows its weight in global order.
        let still = |(i, parameter): (usize, &Parameter)| {
            let bias = parameter.kind == ParameterKind::Bias;
            self.rates[i].rate == 0.0 || (bias && self.rates[i - 1].rate == 0.0)
        };
        Ok(parameters.iter().enumerate().map(still).collect())
    }

    fn check(&self, parameters: &[Parameter]) -> Result<(), Error> {
        let fail = |problem: String| Err(Error::Rule { problem });
        if self.rates.len() != parameters.len() {
            return fail(format!("{} rates for {} parameters", self.rates.len(), parameters.len()));
        }
        if self.global_batch == 0 {
            return fail("a global batch of 0".to_owned());
        }
        for (parameter, Rate { rate, decay }) in parameters.iter().zip(&self.rates) {
            let numbers = [self.momentum, *rate, *decay];
            if numbers.iter().any(|x| !x.is_finite() || *x < 0.0) {
                return fail(format!("{}: momentum, rate and decay are {numbers:?}", parameter.name));
            }
        }
        Ok(())
    }

    /// The segments of a device that are not frozen.
    ///
    /// # Errors
    /// [`Error::Rule`] if the rule has not one rate a parameter, or a number is negative or not finite.
    pub(crate) fn segments(
        &self,
        parameters: &[Parameter],
        ranges: &[ParameterRange],
    ) -> Result<Vec<Segment>, Error> {
        let frozen = self.frozen(parameters)?;
        let moving = parameters.iter().zip(ranges).zip(&self.rates).zip(frozen).filter(|(_, frozen)| !frozen);
        Ok(moving
            .map(|(((parameter, range), &Rate { rate, decay }), _)| Segment {
                range: range.flat.clone(),
                rate: (rate / self.global_batch as f64) as f32,
                decay: if parameter.kind == ParameterKind::Bias { 0.0 } else { (decay * rate) as f32 },
            })
            .collect())
    }
}
