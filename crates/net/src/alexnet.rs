//! The two readings of the 2012 network, as tables.
//!
//! `paper` takes the text of "ImageNet Classification with Deep Convolutional Neural Networks" (NIPS 2012) literally;
//! `original` is configuration 145 of the released source, whose logs carry the published numbers. They differ in
//! the first stage's order, in alpha, in a second normalisation and in the initial weights of conv3 to conv5, and
//! share everything else, so both are one table with those four entries as arguments; so are the net for one GPU, the
//! one with a sixth convolution and a present-day one. Narrow nets have the same rows with smaller widths.

use crate::error::Error;
use crate::layer::{DropoutConvention, DropoutLayer, Layer, Net, Normalisation, Reads};
use crate::parameters::ParameterKind;

/// Section 3.3: k = 2, n = 5, alpha = 10⁻⁴, beta = 0.75, the sum not divided by n.
const AS_PRINTED: Normalisation = Normalisation { size: 5, alpha: 1e-4, k: 2.0, beta: 0.75 };

/// Configuration 145: the same constants, but its layer divides alpha by n (`cmrnorm` with `minDiv` 2).
const DIVIDED: Normalisation = Normalisation { size: 5, alpha: 1e-4 / 5.0, k: 2.0, beta: 0.75 };

/// Configuration 145, after conv2's cross-map normalisation: 5×5 windows of one map, alpha 10⁻³ / 25 (`rnorm`).
const WITHIN: Normalisation = Normalisation { size: 5, alpha: 1e-3 / 25.0, k: 1.0, beta: 0.75 };

const OVERLAPPING: Layer = Layer::MaxPool { size: 3, stride: 2 };

/// Maps of conv1 to conv5.
const MAPS: [usize; 5] = [96, 256, 384, 384, 256];

/// One column of it, with all of conv5: section 3.2's net for one GPU.
const HALVED: [usize; 5] = [48, 128, 192, 192, 256];

/// Where the readings of the net differ.
struct Reading {
    preset: &'static str,
    maps: [usize; 5],
    /// What follows conv1 and conv2.
    stages: [Vec<Layer>; 2],
    /// Sigma of conv3 to conv5.
    middle: f64,
}

impl Reading {
    /// The text.
    fn paper() -> Reading {
        let stage = || vec![Layer::Rectifier, Layer::LocalResponse(AS_PRINTED), OVERLAPPING];
        Reading { preset: "paper", maps: MAPS, stages: [stage(), stage()], middle: 0.01 }
    }

    /// Configuration 145.
    fn original() -> Reading {
        let stage1 = vec![Layer::LocalResponse(DIVIDED), OVERLAPPING, Layer::Rectifier];
        let stage2 =
            vec![Layer::Rectifier, Layer::LocalResponse(DIVIDED), Layer::WithinMap(WITHIN), OVERLAPPING];
        Reading { preset: "original", maps: MAPS, stages: [stage1, stage2], middle: 0.03 }
    }
}

impl Net {
    /// The network as the paper describes it: 224×224 RGB input, `columns` columns (the paper has 2), `classes`
    /// classes (1000).
    pub fn paper(columns: usize, classes: usize) -> Net {
        alexnet(Reading::paper(), columns, classes)
    }

    /// The network that produced the published numbers, configuration 145 of the 2012 source: conv1's signed output
    /// is normalised and pooled before its rectifier, and conv2's is normalised twice.
    pub fn original(columns: usize, classes: usize) -> Net {
        alexnet(Reading::original(), columns, classes)
    }

    /// The net for one GPU that section 3.2 compares with two (configuration 145-half): one column of
    /// [`Net::original`], with as many kernels in the last convolution and as many dense units as both columns have.
    pub fn one_column(classes: usize) -> Net {
        alexnet(Reading { preset: "one-column", maps: HALVED, ..Reading::original() }, 1, classes)
    }

    /// The net that was trained on all of ImageNet (section 6): [`Net::original`] with a sixth convolution on the last
    /// pooling, 256 kernels of 3×3 that see both columns. Its first values are not recorded; these are conv5's.
    pub fn conv6(columns: usize, classes: usize) -> Net {
        let mut net = alexnet(Reading { preset: "conv6", ..Reading::original() }, columns, classes);
        let fc6 = net.layers.iter().position(|l| l.name() == Some("fc6")).unwrap_or(net.layers.len());
        let conv6 = convolution("conv6", 256, 3, 1, 1, Reads::AllColumns, 0.03, 1.0);
        net.layers.splice(fc6..fc6, [conv6, Layer::Rectifier]);
        net
    }

    /// What later work made of the net, as far as its operations go: no normalisation, weights drawn as He et al.
    /// (2015) do, zero biases, dropout that scales in training, inputs of about unit spread.
    pub fn modern(columns: usize, classes: usize) -> Net {
        let stage = || vec![Layer::Rectifier, OVERLAPPING];
        let reading = Reading { preset: "modern", maps: MAPS, stages: [stage(), stage()], middle: 0.0 };
        let mut net = alexnet(reading, columns, classes).with_zero_biases();
        net.dropout = DropoutConvention::ScaledInTraining;
        net.unit = 64.0;
        net.with_rectifier_gain()
    }

    /// √(2 / fan-in) as the sigma of every layer but the last, so that signals keep their size from one rectifier to
    /// the next.
    fn with_rectifier_gain(mut self) -> Net {
        // A table without sense is left alone: whoever uses it is told.
        let Ok(parameters) = self.parameters() else { return self };
        let last = self.layers.len() - 1;
        for parameter in parameters.iter().filter(|p| p.kind == ParameterKind::Weight && p.layer < last) {
            let fan_in: usize = parameter.shape[1..].iter().product();
            if let Layer::Convolution { sigma, .. } | Layer::Dense { sigma, .. } =
                &mut self.layers[parameter.layer]
            {
                *sigma = (2.0 / fan_in as f64).sqrt();
            }
        }
        self
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

    /// The same net with initial weights as strong as those of `full`, whose narrow version it is: each layer's sigma
    /// grows with the root of the fan-in it lost, so that signals keep the size they have in the full net.
    ///
    /// # Errors
    /// Either table makes no sense.
    pub fn keeping_gain(mut self, full: &Net) -> Result<Net, Error> {
        let fan_in = |net: &Net| -> Result<Vec<f64>, Error> {
            let parameters = net.parameters()?;
            let weights = parameters.iter().filter(|p| p.kind == ParameterKind::Weight);
            Ok(weights.map(|p| p.shape[1..].iter().product::<usize>() as f64).collect())
        };
        let mut ratios = fan_in(full)?.into_iter().zip(fan_in(&self)?).map(|(full, own)| (full / own).sqrt());
        for layer in &mut self.layers {
            if let Layer::Convolution { sigma, .. } | Layer::Dense { sigma, .. } = layer {
                *sigma *= ratios.next().unwrap_or(1.0);
            }
        }
        Ok(self)
    }

    /// The same net for square inputs of `side` pixels.
    pub fn with_input(mut self, side: usize) -> Net {
        self.input = [self.input[0], side, side];
        self
    }
}

fn alexnet(reading: Reading, columns: usize, classes: usize) -> Net {
    use Reads::{AllColumns, OwnColumn};
    let fc6 = Layer::Dropout { stream: DropoutLayer::Fc6, keep: 0.5 };
    let fc7 = Layer::Dropout { stream: DropoutLayer::Fc7, keep: 0.5 };
    let relu = Layer::Rectifier;
    let Reading { preset, maps, stages: [stage1, stage2], middle } = reading;
    let layers = [
        //                name     maps   kernel stride padding  reads        sigma   bias
        vec![convolution("conv1", maps[0], 11, 4, 0, AllColumns, 0.01, 0.0)],
        stage1,
        vec![convolution("conv2", maps[1], 5, 1, 2, OwnColumn, 0.01, 1.0)],
        stage2,
        vec![convolution("conv3", maps[2], 3, 1, 1, AllColumns, middle, 0.0), relu.clone()],
        vec![convolution("conv4", maps[3], 3, 1, 1, OwnColumn, middle, 1.0), relu.clone()],
        vec![convolution("conv5", maps[4], 3, 1, 1, OwnColumn, middle, 1.0), relu.clone(), OVERLAPPING],
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
        unit: 1.0,
        layers: layers.into_iter().flatten().collect(),
    }
}

// The arguments are the columns of the table above.
#[allow(clippy::too_many_arguments)]
pub(crate) fn convolution(
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

pub(crate) fn dense(name: &str, units: usize, reads: Reads, sigma: f64, bias: f64) -> Layer {
    Layer::Dense { name: name.to_owned(), units, reads, sigma, bias }
}
