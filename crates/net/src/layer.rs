//! The net as a table of layers that can be read, compared, written as JSON and put into a checkpoint.
//!
//! A table says what the function is and nothing about where it runs: columns are part of the function (a layer
//! that reads its own column cannot see the others, and cross-map windows stop at a column's edge), devices are not.
//! Field order is part of the canonical JSON form and must not change. Whether a table makes sense is decided in
//! `shape.rs`.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A network: everything that fixes its function except the values of its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Net {
    /// Name of the preset the table came from.
    pub preset: String,
    /// Number of columns; each owns a contiguous share of every layer's maps or units.
    pub columns: usize,
    /// Channels, height and width of the input.
    pub input: [usize; 3],
    /// Number of classes: the width of the last dense layer.
    pub classes: usize,
    /// What dropout does to the kept units, in training and at test.
    pub dropout: DropoutConvention,
    /// Grey levels in one unit of the input: centred pixels are divided by it. The nets of 2012 have 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub unit: f64,
    /// The layers, first to last. A softmax over the last layer's units follows.
    pub layers: Vec<Layer>,
}

fn one() -> f64 {
    1.0
}

// serde hands a reference.
fn is_one(unit: &f64) -> bool {
    *unit == 1.0
}

/// One row of the table. Layers without parameters act on the output of the row above.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Layer {
    /// A convolution with square kernels, bias included. The output has
    /// `1 + ⌈(side + 2·padding − kernel) / stride⌉` positions a side; where the last window hangs over the right or
    /// bottom edge it reads zeros, as the 2012 code does.
    Convolution {
        /// Name of its parameters: `NAME.weight`, `NAME.bias`.
        name: String,
        /// Output maps over all columns.
        maps: usize,
        /// Side of the kernel in pixels.
        kernel: usize,
        /// Distance of neighbouring windows.
        stride: usize,
        /// Zeros before the first row and column.
        padding: usize,
        /// Which columns' maps it sees.
        reads: Reads,
        /// Standard deviation of the initial weights.
        sigma: f64,
        /// Initial bias.
        bias: f64,
    },
    /// A fully connected layer, bias included.
    Dense {
        /// Name of its parameters.
        name: String,
        /// Output units over all columns. Column `c` of `C` owns units `⌊c·units/C⌋ .. ⌊(c+1)·units/C⌋`.
        units: usize,
        /// Which columns' units it sees.
        reads: Reads,
        /// Standard deviation of the initial weights.
        sigma: f64,
        /// Initial bias.
        bias: f64,
    },
    /// max(x, 0).
    Rectifier,
    /// tanh(x): what the paper's first figure holds the rectifier against.
    Tanh,
    /// Normalisation over neighbouring maps at the same pixel (section 3.3 of the paper). The window stops at the
    /// edge of a column.
    LocalResponse(Normalisation),
    /// Normalisation over a square of neighbouring pixels of the same map (`rnorm` in the 2012 code), clipped at the
    /// border.
    WithinMap(Normalisation),
    /// Maximum over square windows; the last window of a row or column is clipped, `1 + ⌈(side − size) / stride⌉`
    /// outputs a side.
    MaxPool {
        /// Side of the window.
        size: usize,
        /// Distance of neighbouring windows; at most `size`.
        stride: usize,
    },
    /// As [`Layer::MaxPool`], but the mean of the window; a clipped window is divided by what is left of it.
    AveragePool {
        /// Side of the window.
        size: usize,
        /// Distance of neighbouring windows; at most `size`.
        stride: usize,
    },
    /// Dropout on the output of the row above.
    Dropout {
        /// Which of the two random streams it reads.
        stream: DropoutLayer,
        /// Probability of keeping a unit.
        keep: f64,
    },
}

/// x / (k + alpha · Σ x²)^beta. `alpha` multiplies the plain sum over the window: an implementation that divides its
/// alpha by the window's size is described by the quotient.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalisation {
    /// Width of the window (of its side, within a map); odd.
    pub size: usize,
    /// Factor of the sum of squares.
    pub alpha: f64,
    /// Constant term, above 0.
    pub k: f64,
    /// Exponent.
    pub beta: f64,
}

/// Which part of the layer below a layer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reads {
    /// Its own column only: the weights form one group per column.
    OwnColumn,
    /// Every column (or the image).
    AllColumns,
}

/// The random stream of a dropout layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DropoutLayer {
    /// `Purpose::DropoutFc6`.
    Fc6,
    /// `Purpose::DropoutFc7`.
    Fc7,
}

/// Where the factor between training and test sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DropoutConvention {
    /// The paper and the 2012 code: units are multiplied by 0 or 1 in training and by `keep` at test.
    ScaledAtTest,
    /// Caffe and PyTorch: by 0 or 1/`keep` in training and by 1 at test.
    ScaledInTraining,
}

impl Net {
    /// The canonical JSON text: one form for equal nets, no spaces, fields in the order of this file.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a net has no map with keys that are not strings")
    }

    /// A net from JSON text, checked for sense.
    ///
    /// # Errors
    /// [`Error::Json`] if the text is not a net, [`Error::Layer`] or [`Error::Net`] if the table makes no sense.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let net: Net = serde_json::from_str(text).map_err(|source| Error::Json { what: "net", source })?;
        net.shapes()?;
        Ok(net)
    }

    /// A description of the first difference from `other`, or `None` if both are the same function.
    pub fn difference(&self, other: &Net) -> Option<String> {
        if self.columns != other.columns {
            return Some(format!("{} columns against {}", self.columns, other.columns));
        }
        if self.input != other.input {
            return Some(format!("input {:?} against {:?}", self.input, other.input));
        }
        if self.classes != other.classes {
            return Some(format!("{} classes against {}", self.classes, other.classes));
        }
        if self.dropout != other.dropout {
            return Some(format!("dropout {:?} against {:?}", self.dropout, other.dropout));
        }
        if self.unit != other.unit {
            return Some(format!("inputs in units of {} grey levels against {}", self.unit, other.unit));
        }
        if self.layers.len() != other.layers.len() {
            return Some(format!("{} layers against {}", self.layers.len(), other.layers.len()));
        }
        let unequal = self.layers.iter().zip(&other.layers).enumerate().find(|(_, (a, b))| a != b);
        unequal.map(|(i, (a, b))| format!("layer {i}: {a:?} against {b:?}"))
    }
}
