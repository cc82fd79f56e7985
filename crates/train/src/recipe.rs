//! A recipe: everything about a training run that is not the network, the data or the machine.
//!
//! Recipes are TOML tables; the built-in ones are the files in `recipes/`, whose comments name their sources. A
//! recipe of the user's own has the same form. Unknown keys are refused, so that a misspelt one cannot pass.

use std::collections::BTreeMap;
use std::path::Path;

use alexnet_load::{Order, Vary};
use alexnet_net::Net;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::schedule::{LayerRates, Rates, Schedule, Stall};

/// Hyper-parameters of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Its name, for people.
    pub name: String,
    /// Samples in a global batch.
    pub batch: u32,
    /// Epochs to train.
    pub epochs: u32,
    /// Momentum of the update rule.
    pub momentum: f32,
    /// Weight decay; never applied to biases.
    pub weight_decay: f32,
    /// Share of each label that is spread evenly over all classes, in training only.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub label_smoothing: f32,
    /// How pixels become inputs.
    pub input: Input,
    /// Learning rates over time.
    pub schedule: Schedule,
    /// Layers whose rates are the schedule's times these factors; 0 for the weights freezes a layer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub layers: BTreeMap<String, LayerRates>,
}

// serde hands a reference.
fn is_zero(x: &f32) -> bool {
    *x == 0.0
}

/// How pixels become inputs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What is subtracted.
    pub mean: MeanKind,
    /// How PCA lighting is scaled.
    pub lighting: LightingKind,
    /// Whether lit pixels are divided by 1 + 0.1, as the 2012 code does while its noise is on.
    pub attenuate: bool,
    /// Which part of a photo is trained on.
    #[serde(default, skip_serializing_if = "ViewKind::is_random")]
    pub view: ViewKind,
    /// In which order an epoch visits the photos: `"shuffled"`, `"sequential"`, or `{ blocks = { records = 16, window =
    /// 512 } }`.
    #[serde(default, skip_serializing_if = "is_shuffled")]
    pub order: Order,
    /// What is drawn past the paper: see [`alexnet_load::Vary`] for its keys and their sources. `crops_shared = 32` is
    /// what the 2012 code did.
    #[serde(default, skip_serializing_if = "Vary::is_none")]
    pub vary: Vary,
}

// serde hands a reference.
fn is_shuffled(order: &Order) -> bool {
    *order == Order::Shuffled
}

/// Which part of a photo is trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ViewKind {
    /// A crop at random, mirrored or not.
    #[default]
    Random,
    /// The centre, as it is: no augmentation.
    Centre,
}

impl ViewKind {
    // serde hands a reference.
    fn is_random(&self) -> bool {
        *self == ViewKind::Random
    }
}

/// What is subtracted from the pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeanKind {
    /// The mean image, at the pixel's own place in the record.
    Aligned,
    /// The centre of the mean image, wherever the crop lies.
    Centre,
    /// One value a channel.
    Channel,
}

/// How strong PCA lighting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LightingKind {
    /// 0.1 times the standard deviations along the principal axes (the 2012 code).
    Stddev,
    /// 0.1 times the eigenvalues for pixels in [0, 1] (the paper's formula).
    Eigenvalue,
    /// No lighting.
    None,
}

const BUILT_IN: [(&str, &str); 6] = [
    ("paper", include_str!("../recipes/paper.toml")),
    ("original-2010", include_str!("../recipes/original-2010.toml")),
    ("original-2012", include_str!("../recipes/original-2012.toml")),
    ("krizhevsky-2014", include_str!("../recipes/krizhevsky-2014.toml")),
    ("modern", include_str!("../recipes/modern.toml")),
    ("cifar", include_str!("../recipes/cifar.toml")),
];

impl Recipe {
    /// Names of the built-in recipes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A built-in recipe by name, or else the TOML file at that path.
    pub fn find(name: &str) -> Result<Self, Error> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(n, _)| *n == name) {
            return Recipe::parse(text, name);
        }
        let text = std::fs::read_to_string(Path::new(name))
            .map_err(|source| Error::NoRecipe { name: name.to_owned(), source })?;
        Recipe::parse(&text, name)
    }

    /// Reads a recipe from TOML; `origin` names it in errors.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Error> {
        let bad = |cause: String| Error::Recipe { origin: origin.to_owned(), cause };
        let recipe: Recipe = toml::from_str(text).map_err(|e| bad(e.to_string().trim_end().to_owned()))?;
        recipe.check().map_err(bad)?;
        Ok(recipe)
    }

    fn check(&self) -> Result<(), String> {
        if self.batch == 0 || self.epochs == 0 {
            return Err("batch and epochs must be at least 1".into());
        }
        for (name, value) in [
            ("momentum", self.momentum),
            ("weight_decay", self.weight_decay),
            ("label_smoothing", self.label_smoothing),
        ] {
            if !(0.0..1.0).contains(&value) {
                return Err(format!("{name} is {value}, not in 0 .. 1"));
            }
        }
        for (layer, factor) in &self.layers {
            if [factor.weights, factor.biases].iter().any(|f| !f.is_finite() || *f < 0.0) {
                return Err(format!("factors of {} and {} for {layer}", factor.weights, factor.biases));
            }
        }
        self.input.vary.check().map_err(|e| e.to_string())?;
        self.schedule.check()
    }

    /// Refuses a network that lacks a layer with rates of its own, by name.
    ///
    /// # Errors
    /// [`Error::Recipe`].
    pub fn fits(&self, net: &Net) -> Result<(), Error> {
        let has = |layer: &str| net.layers.iter().any(|l| l.name() == Some(layer));
        let mut named = self.layers.keys().chain(self.schedule.layers());
        match named.find(|layer| !has(layer)) {
            None => Ok(()),
            Some(layer) => Err(Error::Recipe {
                origin: self.name.clone(),
                cause: format!("it has rates for {layer}, which is no layer of {}", net.preset),
            }),
        }
    }

    /// The rates at `epochs` (fractional) of a run of `length` epochs, layers' factors applied.
    pub fn rates(&self, epochs: f64, length: f64, stall: &Stall) -> Rates {
        let mut rates = self.schedule.rates(epochs, length, stall);
        for (layer, factor) in &self.layers {
            let own = rates.of(layer);
            let own =
                LayerRates { weights: own.weights * factor.weights, biases: own.biases * factor.biases };
            rates.layers.insert(layer.clone(), own);
        }
        rates
    }

    /// The recipe as TOML, for the run's folder.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a recipe has only tables, numbers and strings")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_draws_past_the_paper_are_keys_of_the_input() {
        let text = Recipe::find("modern").unwrap().to_toml();
        assert!(!text.contains("order") && !text.contains("vary"), "recipes of old must keep their text");
        let add = "[input]\norder = { blocks = { window = 64 } }\nvary = { crops_shared = 32, jitter = { contrast = 0.4 }, \
                   resized_crop = {} }";
        let recipe = Recipe::parse(&text.replace("[input]", add), "a test").unwrap();
        let blocks = alexnet_load::Blocks { window: 64, ..Default::default() };
        assert_eq!(recipe.input.order, Order::Blocks(blocks));
        assert_eq!(recipe.input.vary.crops_shared, 32);
        assert_eq!(recipe.input.vary.resized_crop, Some(Default::default()));
        assert_eq!(Recipe::parse(&recipe.to_toml(), "again").unwrap(), recipe);
        let bad = text.replace("[input]", "[input]\nvary = { erasing = { probability = 2.0 } }");
        assert!(Recipe::parse(&bad, "a test").unwrap_err().to_string().contains("probability of 2"));
    }

    #[test]
    fn built_in_recipes_parse_and_survive_a_round_trip() {
        for name in Recipe::names() {
            let recipe = Recipe::find(name).unwrap();
            assert_eq!(recipe.name, name);
            assert_eq!(Recipe::parse(&recipe.to_toml(), name).unwrap(), recipe);
        }
    }

    #[test]
    fn factors_scale_any_schedule_and_freeze() {
        let more =
            "[layers]\nconv1 = { weights = 0.0, biases = 1.0 }\nfc8 = { weights = 10.0, biases = 5.0 }\n";
        for name in ["paper", "modern", "krizhevsky-2014", "original-2012"] {
            let plain = Recipe::find(name).unwrap();
            let recipe = Recipe::parse(&(plain.to_toml() + more), name).unwrap();
            assert_eq!(Recipe::parse(&recipe.to_toml(), name).unwrap(), recipe);
            let rates = recipe.rates(10.0, 90.0, &Stall::default());
            let all = plain.schedule.rates(10.0, 90.0, &Stall::default()).all;
            assert_eq!(rates.of("conv1"), LayerRates { weights: 0.0, biases: all.biases });
            let fc8 = LayerRates { weights: 10.0 * all.weights, biases: 5.0 * all.biases };
            assert_eq!((rates.of("fc8"), rates.of("fc7")), (fc8, all));
            assert!(recipe.fits(&Net::paper(2, 10)).is_ok());
            let error = recipe.fits(&Net::cifar(10)).unwrap_err().to_string();
            assert!(error.contains("fc8, which is no layer of cifar"), "{error}");
        }
    }

    #[test]
    fn a_misspelt_key_is_named() {
        let text = include_str!("../recipes/paper.toml").replace("momentum", "momentun");
        let error = Recipe::parse(&text, "mine.toml").unwrap_err().to_string();
        assert!(error.contains("mine.toml") && error.contains("momentun"), "{error}");
    }

    #[test]
    fn a_missing_file_names_the_built_in_recipes() {
        let error = Recipe::find("nowhere.toml").unwrap_err();
        assert!(error.to_string().contains("nowhere.toml"));
        assert!(error.hint().unwrap().contains("original-2012"));
    }
}
