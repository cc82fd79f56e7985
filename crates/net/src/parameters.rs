//! The parameters of a net: names, shapes and their global order, and their values on the host.
//!
//! Global order is the table's, weight before bias; a parameter's number in it names its random stream. Values are
//! row-major in the whole net's shape, whatever the devices: column `c` owns a contiguous range of rows.

use crate::error::Error;
use crate::layer::{Layer, Net, Reads};

/// Weights decay and biases do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// A weight tensor.
    Weight,
    /// A bias vector.
    Bias,
}

/// One parameter of a net.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Such as `conv1.weight`.
    pub name: String,
    /// `[out, in / groups, kernel, kernel]`, `[out, in / groups]` or `[out]`.
    pub shape: Vec<usize>,
    /// Weight or bias.
    pub kind: ParameterKind,
    /// Its layer's place in the table.
    pub layer: usize,
    /// Standard deviation of its initial values, 0 for a bias.
    pub sigma: f64,
    /// Mean of its initial values.
    pub mean: f64,
}

impl Parameter {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows: the layer's maps or units.
    pub fn rows(&self) -> usize {
        self.shape[0]
    }
}

impl Net {
    /// All parameters in global order. A layer's bias follows its weight.
    ///
    /// # Errors
    /// Those of [`Net::shapes`].
    pub fn parameters(&self) -> Result<Vec<Parameter>, Error> {
        let shapes = self.shapes()?;
        let mut parameters = Vec::new();
        for (i, layer) in self.layers.iter().enumerate() {
            let below = if i == 0 { self.input_shape() } else { shapes[i - 1] };
            let groups = |reads| if reads == Reads::OwnColumn { self.columns } else { 1 };
            let (name, shape, sigma, mean) = match layer {
                Layer::Convolution { name, maps, kernel, reads, sigma, bias, .. } => {
                    (name, vec![*maps, below.channels / groups(*reads), *kernel, *kernel], *sigma, *bias)
                }
                Layer::Dense { name, units, reads, sigma, bias } => {
                    (name, vec![*units, below.len() / groups(*reads)], *sigma, *bias)
                }
                _ => continue,
            };
            let rows = shape[0];
            let weight = format!("{name}.weight");
            parameters.push(Parameter {
                name: weight,
                shape,
                kind: ParameterKind::Weight,
                layer: i,
                sigma,
                mean: 0.0,
            });
            parameters.push(Parameter {
                name: format!("{name}.bias"),
                shape: vec![rows],
                kind: ParameterKind::Bias,
                layer: i,
                sigma: 0.0,
                mean,
            });
        }
        Ok(parameters)
    }
}

/// Host values of all parameters (or velocities, or gradients) of a net, in global order.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    values: Vec<Vec<f32>>,
}

impl Parameters {
    /// Zeros in the shapes of `net`.
    ///
    /// # Errors
    /// Those of [`Net::shapes`].
    pub fn zeros(net: &Net) -> Result<Self, Error> {
        Ok(Parameters { values: net.parameters()?.iter().map(|p| vec![0.0; p.len()]).collect() })
    }

    /// Takes values in global order.
    ///
    /// # Errors
    /// [`Error::Parameter`] or [`Error::Net`] if a length or the number of parameters is not the net's.
    pub fn new(net: &Net, values: Vec<Vec<f32>>) -> Result<Self, Error> {
        let parameters = Parameters { values };
        parameters.check(net)?;
        Ok(parameters)
    }

    /// Whether these are values for `net`.
    ///
    /// # Errors
    /// As [`Parameters::new`].
    pub fn check(&self, net: &Net) -> Result<(), Error> {
        let expected = net.parameters()?;
        if expected.len() != self.values.len() {
            let problem = format!("{} parameters, but the net has {}", self.values.len(), expected.len());
            return Err(Error::Net { preset: net.preset.clone(), problem });
        }
        for (parameter, values) in expected.iter().zip(&self.values) {
            if parameter.len() != values.len() {
                return Err(Error::Parameter {
                    name: parameter.name.clone(),
                    found: format!("{} values", values.len()),
                    expected: format!("{} {:?}", parameter.len(), parameter.shape),
                });
            }
        }
        Ok(())
    }

    /// Values of parameter `number`, row-major.
    ///
    /// # Panics
    /// If there is no such parameter.
    pub fn get(&self, number: usize) -> &[f32] {
        &self.values[number]
    }

    /// Values of parameter `number`, to be changed.
    ///
    /// # Panics
    /// If there is no such parameter.
    pub fn get_mut(&mut self, number: usize) -> &mut [f32] {
        &mut self.values[number]
    }

    /// How many parameters there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The values, one slice a parameter, in global order.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.values.iter().map(Vec::as_slice)
    }
}
