//! Learning rates as a function of the position in the run, and of the validation errors so far.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::curve::{half_cosine, root};

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
    /// Steps of equal length that fall exponentially (`dexp` in cuda-convnet2).
    Exponential {
        /// Of the weights.
        weights: Decay,
        /// Of the biases.
        biases: Decay,
    },
    /// Linear warm-up, then a straight line down to zero at the end.
    Linear {
        /// Highest rate of weights.
        weights: f64,
        /// Highest rate of biases.
        biases: f64,
        /// Length of the warm-up, epochs.
        warm_up: f64,
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

/// A rate that falls from `base` to `base / factor` in `steps` steps; each step divides by the same number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decay {
    /// First rate.
    pub base: f64,
    /// First rate divided by the last, at least 1.
    pub factor: f64,
    /// Number of steps.
    pub steps: u32,
}

impl Decay {
    /// The rate when the part `done` (0 ..= 1) of the run is behind.
    fn rate(&self, done: f64) -> f64 {
        let step = ((done * f64::from(self.steps)) as u32).min(self.steps - 1);
        let each = if self.steps > 1 { root(self.factor, self.steps - 1) } else { 1.0 };
        (0..step).fold(self.base, |rate, _| rate / each)
    }
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
            Schedule::Exponential { weights, biases } => {
                let done = (epochs / length.max(f64::MIN_POSITIVE)).min(1.0);
                plain(weights.rate(done), biases.rate(done))
            }
            Schedule::Linear { weights, biases, warm_up } => {
                let part = ramp(epochs, length, *warm_up, |done| 1.0 - done);
                plain(weights * part, biases * part)
            }
            Schedule::Cosine { weights, biases, warm_up } => {
                let part = ramp(epochs, length, *warm_up, half_cosine);
                plain(weights * part, biases * part)
            }
        }
    }

    /// Layers with rates of their own.
    pub(crate) fn layers(&self) -> impl Iterator<Item = &String> {
        let phases = if let Schedule::Phases { phases } = self { &phases[..] } else { &[] };
        phases.iter().flat_map(|p| p.layers.keys())
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
            Schedule::Exponential { weights, biases } => {
                for decay in [weights, biases] {
                    if !(sound(decay.base) && decay.factor.is_finite() && decay.factor >= 1.0) {
                        return Err(format!("a rate of {} that falls {}-fold", decay.base, decay.factor));
                    }
                    if !(1..=1000).contains(&decay.steps) {
                        return Err(format!("{} steps, not 1 to 1000", decay.steps));
                    }
                }
                Ok(())
            }
            Schedule::Linear { weights, biases, warm_up } | Schedule::Cosine { weights, biases, warm_up } => {
                match [weights, biases, warm_up] {
                    all if all.iter().all(|r| sound(**r)) => Ok(()),
                    _ => Err(format!("rates of {weights} and {biases}, warm-up of {warm_up}")),
                }
            }
        }
    }
}

/// A straight line up to 1 during the warm-up, then `fall` of the part that is done of the rest.
fn ramp(epochs: f64, length: f64, warm_up: f64, fall: fn(f64) -> f64) -> f64 {
    if epochs < warm_up {
        return epochs / warm_up;
    }
    let done = (epochs - warm_up) / (length - warm_up).max(f64::MIN_POSITIVE);
    fall(done.min(1.0))
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
        assert_eq!(rates("modern", 0.5).all.weights, 0.005);
        assert_eq!(rates("modern", 1.0).all.weights, 0.01);
        assert!(rates("modern", 90.0).all.weights.abs() < 1e-16);
    }

    /// dexp[base=0.01; tgtFactor=250; numSteps=4]: ÷ 6.3 after each quarter, 4e-5 at the end; biases ÷ 10 at half time.
    #[test]
    fn exponential_steps_are_cuda_convnets() {
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-12;
        for (epochs, drops) in [(0.0, 0), (22.4, 0), (22.5, 1), (44.9, 1), (45.0, 2), (67.5, 3), (90.0, 3)] {
            let all = rates("krizhevsky-2014", epochs).all;
            assert!(near(all.weights, 0.01 / 250f64.powf(f64::from(drops) / 3.0)), "{epochs}: {all:?}");
            assert!(near(all.biases, if epochs < 45.0 { 0.02 } else { 0.002 }), "{epochs}: {all:?}");
        }
        assert!(near(rates("krizhevsky-2014", 89.0).all.weights, 4e-5));
    }

    #[test]
    fn linear_warms_up_and_falls_to_zero() {
        let schedule = Schedule::Linear { weights: 0.1, biases: 0.2, warm_up: 2.0 };
        let weights = |epochs| schedule.rates(epochs, 12.0, &Stall::default()).all.weights;
        assert_eq!([0.0, 1.0, 2.0, 7.0, 12.0].map(weights), [0.0, 0.05, 0.1, 0.05, 0.0]);
        assert_eq!(schedule.rates(7.0, 12.0, &Stall::default()).all.biases, 0.1);
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        let decay = |base, factor, steps| Decay { base, factor, steps };
        let fine = decay(0.01, 250.0, 4);
        for wrong in [decay(-1.0, 10.0, 4), decay(0.01, 0.5, 4), decay(0.01, 10.0, 0)] {
            assert!(Schedule::Exponential { weights: wrong, biases: fine }.check().is_err(), "{wrong:?}");
            assert!(Schedule::Exponential { weights: fine, biases: wrong }.check().is_err(), "{wrong:?}");
        }
        assert!(Schedule::Exponential { weights: fine, biases: fine }.check().is_ok());
        assert!(Schedule::Linear { weights: f64::NAN, biases: 0.0, warm_up: 0.0 }.check().is_err());
    }
}
