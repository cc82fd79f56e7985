//! The paper's claims taken away one at a time: the same net without normalisation, without overlapping pooling, …
//!
//! Each ablation is a change of the table and its name becomes part of the preset's, so that a checkpoint says what it
//! is. Where the logs of 2012 record the experiment, the change is theirs. Lighting is no part of a net: its ablation
//! is the trainer's.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::layer::{Layer, Net, Reads};

/// Something the paper claims to help, to be left away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ablation {
    /// No normalisation of either kind (configuration 148; section 3.3: 1.4 / 1.2 points).
    Normalisation,
    /// Pooling windows that do not overlap, 2×2 at stride 2; conv2 and conv5 have one pixel of padding less, so that
    /// the dense layers see 6×6 maps as before (configuration 147; section 3.4: 0.4 / 0.3 points).
    Overlap,
    /// Columns that never meet before the last layer (after configuration 150, which also widens them; section 3.5).
    Crossing,
    /// No dropout (section 4.2).
    Dropout,
    /// Biases that start at zero, not at one (section 5).
    Biases,
}

impl Ablation {
    /// All of them.
    pub const ALL: [Ablation; 5] =
        [Ablation::Normalisation, Ablation::Overlap, Ablation::Crossing, Ablation::Dropout, Ablation::Biases];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Ablation::Normalisation => "normalisation",
            Ablation::Overlap => "overlap",
            Ablation::Crossing => "crossing",
            Ablation::Dropout => "dropout",
            Ablation::Biases => "biases",
        }
    }
}

impl fmt::Display for Ablation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Ablation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Ablation::ALL.map(Ablation::as_str).join(", ");
        let found = Ablation::ALL.into_iter().find(|a| a.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is no ablation; there are {}", names()))
    }
}

/// What follows the layers with parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// max(x, 0), the paper's.
    Rectifier,
    /// tanh(x), what it is compared with in section 3.1.
    Tanh,
}

impl Net {
    /// The same net without one of the things the paper claims to help.
    pub fn without(mut self, ablation: Ablation) -> Net {
        self.preset = format!("{} without {ablation}", self.preset);
        match ablation {
            Ablation::Normalisation => self.without_normalisation(),
            Ablation::Overlap => self.without_overlap(),
            Ablation::Crossing => self.without_crossing(),
            Ablation::Dropout => self.without_dropout(),
            Ablation::Biases => self.with_zero_biases(),
        }
    }

    /// The same net without a convolution or hidden dense layer, its activation, normalisation and dropout; pooling
    /// stays. If the layer saw all columns, the next one does instead (section 7: about 2 points for any middle one).
    ///
    /// # Errors
    /// [`Error::Net`] if there is no such layer, or it is the first or the last.
    pub fn without_layer(mut self, name: &str) -> Result<Net, Error> {
        let fail = |problem: String| Err(Error::Net { preset: self.preset.clone(), problem });
        let Some(at) = self.layers.iter().position(|l| l.name() == Some(name)) else {
            return fail(format!("there is no layer {name} to leave out"));
        };
        if at == 0 || at + 1 == self.layers.len() {
            return fail(format!(
                "{name} cannot be left out, only what is between the first and the last layer"
            ));
        }
        let own = self.layers[at + 1..].iter().take_while(|l| l.name().is_none()).count();
        let kept = |l: &Layer| matches!(l, Layer::MaxPool { .. } | Layer::AveragePool { .. });
        let pools: Vec<Layer> = self.layers[at + 1..][..own].iter().filter(|l| kept(l)).cloned().collect();
        let mut below = self.layers.drain(at..=at + own);
        let met = below.next().and_then(|l| l.reads()) == Some(Reads::AllColumns);
        drop(below);
        if met && let Some(next) = self.layers[at..].iter_mut().find_map(Layer::reads_mut) {
            *next = Reads::AllColumns;
        }
        self.layers.splice(at..at, pools);
        self.preset = format!("{} without {name}", self.preset);
        Ok(self)
    }

    /// The same net with these layers reading all columns and every other one its own: the connectivity of the columns, layer
    /// by layer. The first layer reads the image and the last always reads all.
    ///
    /// # Errors
    /// [`Error::Net`] if a name is none of a layer in between.
    pub fn with_crossing(mut self, names: &[&str]) -> Result<Net, Error> {
        let last = self.layers.len().saturating_sub(1);
        let mut inner: Vec<&mut Layer> = self.layers[..last].iter_mut().skip(1).collect();
        inner.retain(|layer| layer.reads().is_some());
        if let Some(unknown) = names.iter().find(|name| !inner.iter().any(|l| l.name() == Some(**name))) {
            let known: Vec<&str> = inner.iter().filter_map(|l| l.name()).collect();
            let problem = format!("{unknown} cannot be made to read all columns, only {}", known.join(", "));
            return Err(Error::Net { preset: self.preset.clone(), problem });
        }
        for layer in inner {
            let crosses = layer.name().is_some_and(|name| names.contains(&name));
            if let Some(reads) = layer.reads_mut() {
                *reads = if crosses { Reads::AllColumns } else { Reads::OwnColumn };
            }
        }
        let at = if names.is_empty() { "no layer".to_owned() } else { names.join(", ") };
        self.preset = format!("{} crossing at {at}", self.preset);
        Ok(self)
    }

    /// The same net with another activation.
    pub fn with_activation(mut self, activation: Activation) -> Net {
        if activation == Activation::Tanh {
            self.preset = format!("{} with tanh", self.preset);
            let rectifiers = self.layers.iter_mut().filter(|l| matches!(l, Layer::Rectifier));
            rectifiers.for_each(|l| *l = Layer::Tanh);
        }
        self
    }

    /// The same net with biases that start at zero.
    pub fn with_zero_biases(mut self) -> Net {
        for layer in &mut self.layers {
            if let Layer::Convolution { bias, .. } | Layer::Dense { bias, .. } = layer {
                *bias = 0.0;
            }
        }
        self
    }

    /// The same net without dropout.
    pub fn without_dropout(mut self) -> Net {
        self.layers.retain(|layer| !matches!(layer, Layer::Dropout { .. }));
        self
    }

    fn without_normalisation(mut self) -> Net {
        self.layers.retain(|layer| !matches!(layer, Layer::LocalResponse(_) | Layer::WithinMap(_)));
        self
    }

    fn without_overlap(mut self) -> Net {
        let is_alexnet = self.layers.iter().any(|l| l.name() == Some("conv5"));
        for layer in &mut self.layers {
            match layer {
                Layer::MaxPool { size, stride } | Layer::AveragePool { size, stride } => *size = *stride,
                Layer::Convolution { name, padding, .. }
                    if is_alexnet && (name == "conv2" || name == "conv5") =>
                {
                    *padding = padding.saturating_sub(1);
                }
                _ => {}
            }
        }
        self
    }

    fn without_crossing(mut self) -> Net {
        let last = self.layers.len().saturating_sub(1);
        let inner = self.layers.iter_mut().enumerate().filter(|(i, _)| (1..last).contains(i));
        inner.filter_map(|(_, l)| l.reads_mut()).for_each(|reads| *reads = Reads::OwnColumn);
        self
    }
}

impl Layer {
    /// Which columns a layer with parameters reads.
    pub fn reads(&self) -> Option<Reads> {
        match self {
            Layer::Convolution { reads, .. } | Layer::Dense { reads, .. } => Some(*reads),
            _ => None,
        }
    }

    fn reads_mut(&mut self) -> Option<&mut Reads> {
        match self {
            Layer::Convolution { reads, .. } | Layer::Dense { reads, .. } => Some(reads),
            _ => None,
        }
    }
}
