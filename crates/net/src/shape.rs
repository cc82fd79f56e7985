//! The shape of every layer's output, and whether the table makes sense.
//!
//! Everything else in the crate relies on a table having passed here: widths divide by the columns, windows fit,
//! names are unique, the last layer is as wide as there are classes.

use std::collections::HashSet;

use serde::Serialize;

use crate::error::Error;
use crate::layer::{Layer, Net, Normalisation, Reads};

/// Channels, height and width over all columns; a dense layer's units are channels of 1×1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Maps or units over all columns.
    pub channels: usize,
    /// Rows of a map.
    pub height: usize,
    /// Columns of pixels of a map.
    pub width: usize,
}

impl Shape {
    /// Values per sample.
    pub fn len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pixels of one map.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }
}

/// Windows a side of `side` pixels takes, the last one perhaps hanging over the end: `1 + ⌈(side − size) / stride⌉`.
pub(crate) fn windows(side: usize, size: usize, stride: usize) -> Option<usize> {
    (side >= size && size >= stride && stride > 0).then(|| 1 + (side - size).div_ceil(stride))
}

impl Net {
    /// The input's shape.
    pub fn input_shape(&self) -> Shape {
        let [channels, height, width] = self.input;
        Shape { channels, height, width }
    }

    /// The output shape of each layer, in the order of the table.
    ///
    /// # Errors
    /// [`Error::Layer`] or [`Error::Net`], naming the row and the numbers that do not fit.
    pub fn shapes(&self) -> Result<Vec<Shape>, Error> {
        let net = |problem: String| Error::Net { preset: self.preset.clone(), problem };
        if self.columns == 0 || self.classes == 0 || self.input.contains(&0) {
            let Net { columns, classes, input, .. } = self;
            return Err(net(format!("{columns} columns, {classes} classes, input {input:?}: none may be 0")));
        }
        if self.classes < self.columns {
            return Err(net(format!(
                "{} classes cannot be split over {} columns",
                self.classes, self.columns
            )));
        }
        if !(self.unit.is_finite() && self.unit > 0.0) {
            return Err(net(format!("inputs in units of {} grey levels", self.unit)));
        }
        let mut names = HashSet::new();
        let mut shapes = Vec::with_capacity(self.layers.len());
        let mut below = Below { shape: self.input_shape(), whole: true, dense: false };
        for (i, layer) in self.layers.iter().enumerate() {
            let fail = |problem: String| Error::Layer { layer: i, name: layer.label().to_owned(), problem };
            if let Some(name) = layer.name()
                && (name.is_empty() || !names.insert(name))
            {
                return Err(fail("its name is empty or taken".to_owned()));
            }
            below = self.output(layer, below).map_err(fail)?;
            shapes.push(below.shape);
        }
        match self.layers.last() {
            Some(Layer::Dense { units, .. }) if *units == self.classes => Ok(shapes),
            _ => Err(net(format!(
                "the last layer must be dense with one unit for each of {} classes",
                self.classes
            ))),
        }
    }

    fn output(&self, layer: &Layer, below: Below) -> Result<Below, String> {
        let shape = below.shape;
        let side = |size, stride, padding: usize| match (
            windows(shape.height + 2 * padding, size, stride),
            windows(shape.width + 2 * padding, size, stride),
        ) {
            (Some(height), Some(width)) => Ok((height, width)),
            _ => Err(format!(
                "windows of {size} at stride {stride} with padding {padding} do not fit {}x{}",
                shape.height, shape.width
            )),
        };
        let columns = self.columns;
        let own = |reads: Reads| match reads {
            Reads::OwnColumn if below.whole => {
                Err("it reads its own column, but the layer below has none".to_owned())
            }
            _ => Ok(()),
        };
        if below.whole && layer.name().is_none() {
            return Err("the first layer must be a convolution or dense".to_owned());
        }
        match *layer {
            Layer::Convolution { maps, kernel, stride, padding, reads, sigma, bias, .. } => {
                own(reads)?;
                initial(sigma, bias)?;
                if below.dense {
                    return Err("a convolution cannot follow a dense layer".to_owned());
                }
                if maps == 0 || !maps.is_multiple_of(columns) {
                    return Err(format!("{maps} maps cannot be divided evenly among {columns} columns"));
                }
                if padding >= kernel {
                    return Err(format!("padding {padding} must be smaller than the kernel, {kernel}"));
                }
                let (height, width) = side(kernel, stride, padding)?;
                Ok(Below { shape: Shape { channels: maps, height, width }, whole: false, dense: false })
            }
            Layer::Dense { units, reads, sigma, bias, .. } => {
                own(reads)?;
                initial(sigma, bias)?;
                if units < columns {
                    return Err(format!("{units} units cannot be split over {columns} columns"));
                }
                let even = units.is_multiple_of(columns);
                // Only classes may be split unevenly, and a group needs equal shares on both sides.
                let groups = reads == Reads::OwnColumn;
                if (groups && !(even && shape.channels.is_multiple_of(columns)))
                    || !(even || units == self.classes)
                {
                    return Err(format!("{units} units cannot be divided evenly among {columns} columns"));
                }
                Ok(Below { shape: Shape { channels: units, height: 1, width: 1 }, whole: false, dense: true })
            }
            Layer::MaxPool { size, stride } | Layer::AveragePool { size, stride } => {
                if size > 15 {
                    return Err(format!("a window of {size} has more than 255 places"));
                }
                let (height, width) = side(size, stride, 0)?;
                Ok(Below { shape: Shape { height, width, ..shape }, ..below })
            }
            Layer::LocalResponse(constants) | Layer::WithinMap(constants) => {
                positive(constants)?;
                Ok(below)
            }
            Layer::Dropout { keep, .. } if !(keep > 0.0 && keep <= 1.0) => {
                Err(format!("probability {keep} of keeping a unit is not in (0, 1]"))
            }
            Layer::Dropout { .. } | Layer::Rectifier | Layer::Tanh => Ok(below),
        }
    }
}

fn initial(sigma: f64, bias: f64) -> Result<(), String> {
    if sigma >= 0.0 && sigma.is_finite() && bias.is_finite() {
        Ok(())
    } else {
        Err(format!("initial sigma {sigma} and bias {bias} must be finite, sigma not negative"))
    }
}

fn positive(n: Normalisation) -> Result<(), String> {
    if n.size % 2 == 1 && n.k > 0.0 && n.alpha >= 0.0 && n.beta > 0.0 && n.alpha.is_finite() {
        Ok(())
    } else {
        Err(format!(
            "normalisation constants {n:?}: size must be odd, k and beta above 0, alpha not negative"
        ))
    }
}

#[derive(Clone, Copy)]
struct Below {
    shape: Shape,
    /// Whether every column sees all of it: true of the image only.
    whole: bool,
    dense: bool,
}

impl Layer {
    /// The name of a layer with parameters.
    pub fn name(&self) -> Option<&str> {
        match self {
            Layer::Convolution { name, .. } | Layer::Dense { name, .. } => Some(name),
            _ => None,
        }
    }

    /// The layer's name, or what it does.
    pub fn label(&self) -> &str {
        match self {
            Layer::Convolution { name, .. } | Layer::Dense { name, .. } => name,
            Layer::Rectifier => "rectifier",
            Layer::Tanh => "tanh",
            Layer::LocalResponse(_) => "local response",
            Layer::WithinMap(_) => "within map",
            Layer::MaxPool { .. } => "max pool",
            Layer::AveragePool { .. } => "average pool",
            Layer::Dropout { .. } => "dropout",
        }
    }
}
