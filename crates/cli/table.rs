//! Which network a run trains: a preset, its width and columns, and what is left away from it.

use std::fmt;
use std::str::FromStr;

use alexnet_net::{Ablation, Activation, Net};
use alexnet_train::{LightingKind, Recipe};

use crate::messages::Refusal;

/// A claim of the paper to do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// Part of the network.
    Net(Ablation),
    /// Colour noise, part of the recipe.
    Lighting,
}

impl FromStr for Without {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "lighting" => Ok(Without::Lighting),
            _ => text.parse().map(Without::Net).map_err(|e: String| e + ", lighting"),
        }
    }
}

impl fmt::Display for Without {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Without::Net(ablation) => ablation.fmt(f),
            Without::Lighting => f.write_str("lighting"),
        }
    }
}

/// The options that make the network.
#[derive(clap::Args, Clone)]
pub struct Table {
    /// Network: paper (the text, literally), original (configuration 145 of the 2012 source), one-column (the ablation
    /// for one GPU), conv6 (the pretraining net), cifar (the net of figure 1), modern
    #[arg(long, default_value = "original")]
    pub net: String,
    /// Columns of the network; the paper has 2 [default: the network's]
    #[arg(long)]
    pub columns: Option<usize>,
    /// Divide the widths of all hidden layers
    #[arg(long, default_value_t = 1)]
    pub narrow: usize,
    /// Leave away what the paper claims to help: normalisation, overlap (of pooling), crossing (columns never meet),
    /// dropout, biases (of one), lighting; several with commas
    #[arg(long, value_name = "CLAIM", value_delimiter = ',')]
    pub without: Vec<Without>,
    /// Layers that read all columns, such as conv3,fc6,fc7; the others read their own, the last one always all. none: they meet
    /// only there [default: the network's]
    #[arg(long, value_name = "LAYERS", value_delimiter = ',')]
    pub crossing: Vec<String>,
    /// Leave a middle layer out, such as conv3 or conv4
    #[arg(long, value_name = "LAYER")]
    pub without_layer: Vec<String>,
    /// relu, or tanh as in figure 1
    #[arg(long, default_value = "relu", value_parser = activation)]
    pub activation: Activation,
}

fn activation(text: &str) -> Result<Activation, String> {
    match text {
        "relu" => Ok(Activation::Rectifier),
        "tanh" => Ok(Activation::Tanh),
        _ => Err("give relu or tanh".to_owned()),
    }
}

impl Table {
    /// The number of columns.
    pub fn columns(&self) -> usize {
        self.columns.unwrap_or_else(|| Net::usual_columns(&self.net))
    }

    /// Classes where no data says how many there are.
    pub fn usual_classes(&self) -> usize {
        if self.net == "cifar" { 10 } else { 1000 }
    }

    /// The name of the recipe that belongs to the network.
    pub fn usual_recipe(&self) -> &str {
        match self.net.as_str() {
            own @ ("paper" | "modern" | "cifar") => own,
            _ => "original-2012",
        }
    }

    /// The network's input for records of so many pixels a side, where none is asked for: 7/8 of them, as 224 of 256; the cifar net
    /// sees whole records.
    pub fn usual_crop(&self, side: usize) -> usize {
        if self.net == "cifar" { side } else { side * 7 / 8 }
    }

    /// The network for records that are cropped to `crop` pixels; none given leaves the preset's own input.
    pub fn net(&self, classes: usize, crop: Option<usize>) -> anyhow::Result<Net> {
        let full = Net::preset(&self.net, self.columns(), classes)?;
        let mut net = match self.narrow {
            1 => full.clone(),
            0 => return Err(Refusal::new("--narrow 0", "1 keeps the widths, 8 divides them by 8").into()),
            divisor => full.clone().narrowed(divisor, (4096 / divisor).max(self.columns())),
        };
        // Weights that are drawn for their fan-in stay so; those of 2012 have one sigma whatever the width.
        if self.net == "modern" && self.narrow > 1 {
            net = net.keeping_gain(&full)?;
        }
        if let Some(crop) = crop {
            net = net.with_input(crop);
        }
        for name in &self.without_layer {
            net = net.without_layer(name)?;
        }
        if !self.crossing.is_empty() {
            let names: Vec<&str> = self.crossing.iter().map(String::as_str).collect();
            net = net.with_crossing(if names == ["none"] { &[] } else { &names })?;
        }
        for without in &self.without {
            if let Without::Net(ablation) = without {
                net = net.without(*ablation);
            }
        }
        let net = net.with_activation(self.activation);
        net.shapes()?;
        Ok(net)
    }

    /// Takes from the recipe what is to be left away.
    pub fn adjust(&self, recipe: &mut Recipe) {
        if self.without.contains(&Without::Lighting) && recipe.input.lighting != LightingKind::None {
            recipe.name += " without lighting";
            recipe.input.lighting = LightingKind::None;
            recipe.input.attenuate = false;
        }
    }
}
