//! What `train --summary` prints: shapes, parameters, multiply-adds, neurons, and which layers cross columns.

use serde::Serialize;

use crate::error::Error;
use crate::layer::{Layer, Net, Reads};
use crate::shape::Shape;

/// One row of the summary.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerSummary {
    /// The layer's name, or what it does.
    pub name: String,
    /// Output over all columns.
    pub output: Shape,
    /// Number of weights.
    pub weights: usize,
    /// Number of biases.
    pub biases: usize,
    /// Multiply-adds of the forward pass, per sample.
    pub macs: usize,
    /// Units with parameters of their own or shared: the output's size of a convolution or dense layer.
    pub neurons: usize,
    /// Whether it reads other columns' maps.
    pub crosses: bool,
}

/// A net in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Preset.
    pub preset: String,
    /// Columns.
    pub columns: usize,
    /// Input over all channels.
    pub input: Shape,
    /// A row for each layer of the table.
    pub layers: Vec<LayerSummary>,
    /// Weights and biases (60,965,224 for the paper's net).
    pub parameters: usize,
    /// Multiply-adds of a forward pass, per sample (724,406,816).
    pub macs: usize,
    /// Neurons (659,272; the caption of figure 2 counts 55×48×96 for conv1, which gives 622,312).
    pub neurons: usize,
}

impl Net {
    /// The net in numbers.
    ///
    /// # Errors
    /// Those of [`Net::shapes`].
    pub fn summary(&self) -> Result<Summary, Error> {
        let shapes = self.shapes()?;
        let parameters = self.parameters()?;
        let rows = self.layers.iter().zip(&shapes).enumerate().map(|(i, (layer, &output))| {
            let own: Vec<_> = parameters.iter().filter(|p| p.layer == i).collect();
            let (weights, biases) = match own[..] {
                [weight, bias] => (weight.len(), bias.len()),
                _ => (0, 0),
            };
            let reads = match layer {
                Layer::Convolution { reads, .. } | Layer::Dense { reads, .. } => *reads,
                _ => Reads::OwnColumn,
            };
            LayerSummary {
                name: layer.label().to_owned(),
                output,
                weights,
                biases,
                macs: weights * output.pixels(),
                neurons: if weights > 0 { output.len() } else { 0 },
                crosses: i > 0 && self.columns > 1 && reads == Reads::AllColumns,
            }
        });
        let layers: Vec<LayerSummary> = rows.collect();
        Ok(Summary {
            preset: self.preset.clone(),
            columns: self.columns,
            input: self.input_shape(),
            parameters: layers.iter().map(|l| l.weights + l.biases).sum(),
            macs: layers.iter().map(|l| l.macs).sum(),
            neurons: layers.iter().map(|l| l.neurons).sum(),
            layers,
        })
    }
}
