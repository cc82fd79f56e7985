//! The four-layer net of the paper's first figure, for 32×32 photos.
//!
//! The paper says "a four-layer convolutional neural network" on CIFAR-10 and no more, and no configuration with tanh
//! was released. This is the likeliest candidate among those that were: three convolutions and a dense layer, the
//! 18 % net of the 2012 source, without its normalisation and (in the recipe) without its decay.

use crate::alexnet::{convolution, dense};
use crate::layer::{DropoutConvention, Layer, Net, Reads::AllColumns};

impl Net {
    /// The net of figure 1: 32×32 RGB input, one column, no dropout.
    pub fn cifar(classes: usize) -> Net {
        let average = Layer::AveragePool { size: 3, stride: 2 };
        let layers = [
            //                name     maps kernel stride padding reads    sigma  bias
            vec![convolution("conv1", 32, 5, 1, 2, AllColumns, 0.0001, 0.0)],
            vec![Layer::MaxPool { size: 3, stride: 2 }, Layer::Rectifier],
            vec![convolution("conv2", 32, 5, 1, 2, AllColumns, 0.01, 0.0)],
            vec![Layer::Rectifier, average.clone()],
            vec![convolution("conv3", 64, 5, 1, 2, AllColumns, 0.01, 0.0)],
            vec![Layer::Rectifier, average],
            vec![dense("fc4", classes, AllColumns, 0.01, 0.0)],
        ];
        Net {
            preset: "cifar".to_owned(),
            columns: 1,
            input: [3, 32, 32],
            classes,
            dropout: DropoutConvention::ScaledAtTest,
            unit: 1.0,
            layers: layers.into_iter().flatten().collect(),
        }
    }
}
