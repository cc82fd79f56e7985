//! Learning rates as a function of the position in the run, and of the validation errors so far.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Rates over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// Recorded steps: each phase holds from its epoch to the next one's.
    Phases {
        /// In order of their epochs; the first from epoch 0.
        phases: Vec<Phase>,
    },
    /// Divide all rates when validation stops improving; end after the last stall.
    Plateau {
        /// First rate of weights.
        weights: f64,
        /// First rate of biases.
        biases: f64,
        /// What the rates are divided by.
        divide: f64,
        /// Epochs without a lower validation error that count as a stall.
        patience: u32,
        /// How often the rates are divided before the next stall ends the run.
        drops: u32,
    },
    /// Linear warm-up, then half a cosine down to zero at the end.
    Cosine {
        /// Highest rate of weights.
        weights: f64,
        /// Highest rate of biases.
        biases: f64,
        /// Length of the warm-up, epochs.
        warm_up: f64,
    },
}

/// Rates from one epoch on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// First epoch, from 0.
    pub from: u32,
    /// Rate of weights.
    pub weights: f64,
    /// Rate of biases.
    pub biases: f64,
    /// Whether lighting is on.
    #[serde(default = "yes")]
    pub noise: bool,
    /// Layers with rates of their own.
    #[serde(default)]
    pub layers: BTreeMap<String, LayerRates>,
}

fn yes() -> bool {
    true
}

/// Rates of one layer. A weight rate of 0 freezes the layer, its biases and its decay too.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerRates {
    /// Rate of its weights.
    pub weights: f64,
    /// Rate of its biases.
    pub biases: f64,
}

/// The rates of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    /// Rates of all layers that are not named below.
    pub all: LayerRates,
    /// Layers with rates of their own.
    pub layers: BTreeMap<String, LayerRates>,
    /// Whether lighting is on.
    pub noise: bool,
}

impl Rates {
    /// The rates of the layer called `name`.
    pub fn of(&self, name: &str) -> LayerRates {
        self.layers.get(name).copied().unwrap_or(self.all)
    }
}

/// What a plateau schedule remembers; part of a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stall {
    /// Lowest validation error so far at this rate or before.
    pub best: Option<f64>,
    /// Epochs since then.
    pub waited: u32,
    /// How often the rates were divided.
    pub drops: u32,
    /// Whether the last allowed stall has happened.
    pub over: bool,
}

impl Schedule {
    /// The rates at `epochs` (fractional) of a run of `length` epochs.
    pub fn rates(&self, epochs: f64, length: f64, stall: &Stall) -> Rates {
        let plain = |weights, biases| Rates {
            all: LayerRates { weights, biases },
            layers: BTreeMap::new(),
            noise: true,
        };
        match self {
            Schedule::Phases { phases } => {
                let phase = phases
                    .iter()
                    .rev()
                    .find(|p| f64::from(p.from) <= epochs)
                    .expect("check() holds the first phase to epoch 0");
                let all = LayerRates { weights: phase.weights, biases: phase.biases };
                Rates { all, layers: phase.layers.clone(), noise: phase.noise }
            }
            Schedule::Plateau { weights, biases, divide, .. } => {
                let by = divide.powi(stall.drops as i32);
                plain(weights / by, biases / by)
            }
            Schedule::Cosine { weights, biases, warm_up } => {
                let part = if epochs < *warm_up {
                    epochs / warm_up
                } else {
                    let done = (epochs - warm_up) / (length - warm_up).max(f64::MIN_POSITIVE);
                    half_cosine(done.min(1.0))
                };
                plain(weights * part, biases * part)
            }
        }
    }

    /// Takes note of the validation error after an epoch.
    pub fn validated(&self, error: f64, stall: &mut Stall) {
        let Schedule::Plateau { patience, drops, .. } = self else { return };
        if stall.best.is_none_or(|best| error < best) {
            stall.best = Some(error);
            stall.waited = 0;
            return;
        }
        stall.waited += 1;
        if stall.waited >= *patience {
            stall.waited = 0;
            if stall.drops == *drops {
                stall.over = true;
            } else {
                stall.drops += 1;
            }
        }
    }

    /// Refuses what cannot be followed, in words.
    pub fn check(&self) -> Result<(), String> {
        let sound = |rate: f64| rate.is_finite() && rate >= 0.0;
        match self {
            Schedule::Phases { phases } => {
                if phases.first().is_none_or(|p| p.from != 0) {
                    return Err("the first phase must start from epoch 0".into());
                }
                if let Some(pair) = phases.windows(2).find(|p| p[0].from >= p[1].from) {
                    return Err(format!("phase from {} stands before from {}", pair[0].from, pair[1].from));
                }
                let rates = phases.iter().flat_map(|p| {
                    let own = p.layers.values().flat_map(|l| [l.weights, l.biases]);
                    own.chain([p.weights, p.biases])
                });
                rates.into_iter().find(|r| !sound(*r)).map_or(Ok(()), |r| Err(format!("a rate of {r}")))
            }
            Schedule::Plateau { weights, biases, divide, patience, .. } => {
                if !sound(*weights) || !sound(*biases) {
                    return Err(format!("rates of {weights} and {biases}"));
                }
                if !(divide.is_finite() && *divide >= 1.0) || *patience == 0 {
                    return Err(format!("divide by {divide} with patience {patience}"));
                }
                Ok(())
            }
            Schedule::Cosine { weights, biases, warm_up } => match [weights, biases, warm_up] {
                all if all.iter().all(|r| sound(**r)) => Ok(()),
                _ => Err(format!("rates of {weights} and {biases}, warm-up of {warm_up}")),
            },
        }
    }
}

/// (1 + cos πx) / 2 for x in 0 ..= 1, from + − × ÷ alone, so that rates have the same bits on every machine: the
/// cosine's series about the middle, where it is a sine.
fn half_cosine(x: f64) -> f64 {
    let angle = std::f64::consts::PI * (0.5 - x);
    let square = angle * angle;
    let (mut sine, mut term) = (0.0, angle);
    for k in 0..12 {
        sine += term;
        term *= -square / f64::from((2 * k + 2) * (2 * k + 3));
    }
    0.5 * (1.0 + sine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;

    fn rates(recipe: &str, epochs: f64) -> Rates {
        let recipe = Recipe::find(recipe).unwrap();
        recipe.schedule.rates(epochs, f64::from(recipe.epochs), &Stall::default())
    }

    /// The steps that the 2012 logs record (knowledge: epochs 25, 51, 67, 72, 79 and 23, 51, 68, 72, 78).
    #[test]
    fn original_runs_follow_their_logs() {
        let weights = |recipe, epoch: u32| rates(recipe, f64::from(epoch)).all.weights;
        for (recipe, first, second, last) in [("original-2012", 25, 51, 79), ("original-2010", 23, 51, 78)] {
            let at = [first - 1, first, second - 1, second, last - 1, last].map(|e| weights(recipe, e));
            assert_eq!(at, [0.01, 0.001, 0.001, 1e-4, 1e-4, 1e-5]);
            assert_eq!(rates(recipe, 72.0).of("conv1"), LayerRates { weights: 0.0, biases: 0.0 });
            assert_eq!(rates(recipe, 71.5).of("conv1").weights, 1e-5);
        }
        assert!(rates("original-2012", 66.9).noise && !rates("original-2012", 67.0).noise);
        assert!(rates("original-2010", 67.9).noise && !rates("original-2010", 68.0).noise);
        assert_eq!(rates("original-2012", 90.0).of("fc8").biases, 0.02);
        assert_eq!(rates("original-2010", 92.0).of("fc8").biases, 0.002);
    }

    #[test]
    fn a_plateau_divides_three_times_and_ends() {
        let schedule = Recipe::find("paper").unwrap().schedule;
        let mut stall = Stall::default();
        schedule.validated(0.9, &mut stall);
        schedule.validated(0.8, &mut stall);
        let mut seen = vec![];
        while !stall.over {
            schedule.validated(0.8, &mut stall);
            seen.push(schedule.rates(9.0, 90.0, &stall).all.weights);
        }
        let want = [0.01, 0.01, 1e-3, 1e-3, 1e-3, 1e-4, 1e-4, 1e-4, 1e-5, 1e-5, 1e-5, 1e-5];
        assert_eq!(seen.len(), want.len());
        assert!(seen.iter().zip(want).all(|(s, w)| (s / w - 1.0).abs() < 1e-12), "{seen:?}");
    }

    #[test]
    fn cosine_warms_up_and_ends_at_zero() {
        for i in 0..=100 {
            let x = f64::from(i) / 100.0;
            let want = (1.0 + (std::f64::consts::PI * x).cos()) / 2.0;
            assert!((half_cosine(x) - want).abs() < 1e-14);
        }
        assert_eq!(rates("modern", 0.5).all.weights, 0.005);
        assert_eq!(rates("modern", 1.0).all.weights, 0.01);
        assert!(rates("modern", 90.0).all.weights.abs() < 1e-16);
    }
}
