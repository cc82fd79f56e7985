//! The two readings of the 2012 network, as tables.
//!
//! `paper` takes the text of "ImageNet Classification with Deep Convolutional Neural Networks" (NIPS 2012) literally;
//! `original` is configuration 145 of the released source, whose logs carry the published numbers. They differ in
//! the first stage's order, in alpha, in a second normalisation and in the initial weights of conv3 to conv5, and
//! share everything else, so both are one table with those four entries as arguments. Narrow nets have the same
//! rows with smaller widths.

use crate::error::Error;
use crate::layer::{DropoutConvention, DropoutLayer, Layer, Net, Normalisation, Reads};

/// Section 3.3: k = 2, n = 5, alpha = 10⁻⁴, beta = 0.75, the sum not divided by n.
const AS_PRINTED: Normalisation = Normalisation { size: 5, alpha: 1e-4, k: 2.0, beta: 0.75 };

/// Configuration 145: the same constants, but its layer divides alpha by n (`cmrnorm` with `minDiv` 2).
const DIVIDED: Normalisation = Normalisation { size: 5, alpha: 1e-4 / 5.0, k: 2.0, beta: 0.75 };

/// Configuration 145, after conv2's cross-map normalisation: 5×5 windows of one map, alpha 10⁻³ / 25 (`rnorm`).
const WITHIN: Normalisation = Normalisation { size: 5, alpha: 1e-3 / 25.0, k: 1.0, beta: 0.75 };

const OVERLAPPING: Layer = Layer::MaxPool { size: 3, stride: 2 };

impl Net {
    /// The network as the paper describes it: 224×224 RGB input, `columns` columns (the paper has 2), `classes`
    /// classes (1000).
    pub fn paper(columns: usize, classes: usize) -> Net {
        let stage1 = vec![Layer::Rectifier, Layer::LocalResponse(AS_PRINTED), OVERLAPPING];
        let stage2 = vec![Layer::Rectifier, Layer::LocalResponse(AS_PRINTED), OVERLAPPING];
        alexnet("paper", columns, classes, stage1, stage2, 0.01)
    }

    /// The network that produced the published numbers, configuration 145 of the 2012 source: conv1's signed output
    /// is normalised and pooled before its rectifier, and conv2's is normalised twice.
    pub fn original(columns: usize, classes: usize) -> Net {
        let stage1 = vec![Layer::LocalResponse(DIVIDED), OVERLAPPING, Layer::Rectifier];
        let stage2 =
            vec![Layer::Rectifier, Layer::LocalResponse(DIVIDED), Layer::WithinMap(WITHIN), OVERLAPPING];
        alexnet("original", columns, classes, stage1, stage2, 0.03)
    }

    /// A preset by its name: `paper` or `original`.
    ///
    /// # Errors
    /// [`Error::Net`] for any other name.
    pub fn preset(name: &str, columns: usize, classes: usize) -> Result<Net, Error> {
        match name {
            "paper" => Ok(Net::paper(columns, classes)),
            "original" => Ok(Net::original(columns, classes)),
            _ => Err(Error::Net {
                preset: name.to_owned(),
                problem: "no such preset; there are paper and original".to_owned(),
            }),
        }
    }

    /// The same topology, narrower: convolutions have 1/`divisor` of their maps, hidden dense layers `dense_units`
    /// units. The golden nets are `narrowed(8, 64)`.
    pub fn narrowed(mut self, divisor: usize, dense_units: usize) -> Net {
        let last = self.layers.len() - 1;
        for (i, layer) in self.layers.iter_mut().enumerate() {
            match layer {
                Layer::Convolution { maps, .. } => *maps /= divisor.max(1),
                Layer::Dense { units, .. } if i < last => *units = dense_units,
                _ => {}
            }
        }
        self
    }

    /// The same net for square inputs of `side` pixels.
    pub fn with_input(mut self, side: usize) -> Net {
        self.input = [self.input[0], side, side];
        self
    }
}

fn alexnet(
    preset: &str,
    columns: usize,
    classes: usize,
    stage1: Vec<Layer>,
    stage2: Vec<Layer>,
    middle: f64,
) -> Net {
    use Reads::{AllColumns, OwnColumn};
    let fc6 = Layer::Dropout { stream: DropoutLayer::Fc6, keep: 0.5 };
    let fc7 = Layer::Dropout { stream: DropoutLayer::Fc7, keep: 0.5 };
    let relu = Layer::Rectifier;
    let layers = [
        //                name     maps  kernel stride padding  reads        sigma   bias
        vec![convolution("conv1", 96, 11, 4, 0, AllColumns, 0.01, 0.0)],
        stage1,
        vec![convolution("conv2", 256, 5, 1, 2, OwnColumn, 0.01, 1.0)],
        stage2,
        vec![convolution("conv3", 384, 3, 1, 1, AllColumns, middle, 0.0), relu.clone()],
        vec![convolution("conv4", 384, 3, 1, 1, OwnColumn, middle, 1.0), relu.clone()],
        vec![convolution("conv5", 256, 3, 1, 1, OwnColumn, middle, 1.0), relu.clone(), OVERLAPPING],
        //         name   units    reads       sigma bias
        vec![dense("fc6", 4096, AllColumns, 0.01, 1.0), relu.clone(), fc6],
        vec![dense("fc7", 4096, AllColumns, 0.01, 1.0), relu, fc7],
        vec![dense("fc8", classes, AllColumns, 0.01, 0.0)],
    ];
    Net {
        preset: preset.to_owned(),
        columns,
        input: [3, 224, 224],
        classes,
        dropout: DropoutConvention::ScaledAtTest,
        layers: layers.into_iter().flatten().collect(),
    }
}

// The arguments are the columns of the table above.
#[allow(clippy::too_many_arguments)]
fn convolution(
    name: &str,
    maps: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    reads: Reads,
    sigma: f64,
    bias: f64,
) -> Layer {
    Layer::Convolution { name: name.to_owned(), maps, kernel, stride, padding, reads, sigma, bias }
}

fn dense(name: &str, units: usize, reads: Reads, sigma: f64, bias: f64) -> Layer {
    Layer::Dense { name: name.to_owned(), units, reads, sigma, bias }
}
