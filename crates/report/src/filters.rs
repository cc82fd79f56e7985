//! Figure 3 of the paper: the kernels of the first convolution as small colour pictures.
//!
//! Sixteen a row with a black line of one pixel around each, all on one scale from the least to the greatest weight
//! of all kernels, enlarged without smoothing. With two columns of 48 the upper three rows are the first column's.

use alexnet_net::{Checkpoint, Layer};
use image::{Rgb, RgbImage};

use crate::error::Error;

/// Kernels a row.
const ACROSS: usize = 16;

/// The first convolution: maps, side of a kernel, weights `[maps, 3, side, side]`.
fn kernels(checkpoint: &Checkpoint) -> Result<(usize, usize, &[f32]), Error> {
    match checkpoint.net.layers.first() {
        Some(Layer::Convolution { maps, kernel, .. }) if checkpoint.net.input[0] == 3 => {
            Ok((*maps, *kernel, checkpoint.parameters.get(0)))
        }
        _ => Err(Error::Nothing("the first layer is no convolution of colour pictures".to_owned())),
    }
}

/// The picture, each weight `zoom` pixels wide and high.
///
/// # Errors
/// [`Error::Nothing`] if the net does not begin with a convolution of colour pictures.
pub fn filters(checkpoint: &Checkpoint, zoom: usize) -> Result<RgbImage, Error> {
    let (maps, side, weights) = kernels(checkpoint)?;
    let zoom = zoom.max(1);
    let (least, greatest) =
        weights.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), &w| (a.min(w), b.max(w)));
    let range = if greatest > least { greatest - least } else { 1.0 };
    let cell = side * zoom + 1;
    let size = |cells: usize| (cells * cell + 1) as u32;
    let mut picture = RgbImage::new(size(maps.min(ACROSS)), size(maps.div_ceil(ACROSS)));
    for map in 0..maps {
        let (left, top) = (map % ACROSS * cell + 1, map / ACROSS * cell + 1);
        for y in 0..side * zoom {
            for x in 0..side * zoom {
                let place = (y / zoom) * side + x / zoom;
                let level = |channel: usize| {
                    let weight = weights[(map * 3 + channel) * side * side + place];
                    ((weight - least) / range * 255.0).round() as u8
                };
                let pixel = Rgb([level(0), level(1), level(2)]);
                picture.put_pixel((left + x) as u32, (top + y) as u32, pixel);
            }
        }
    }
    Ok(picture)
}

/// How colourful a column's kernels are.
#[derive(Clone, Debug, PartialEq)]
pub struct ColourIndex {
    /// For each kernel the share of its energy that is not grey: 0 if its channels are equal, 1 if they sum to zero at
    /// every pixel.
    pub kernels: Vec<f64>,
}

impl ColourIndex {
    /// Mean over the column's kernels.
    pub fn mean(&self) -> f64 {
        self.kernels.iter().sum::<f64>() / self.kernels.len().max(1) as f64
    }
}

/// One entry for each column: the paper says one of two becomes largely colour-agnostic, the other colour-specific.
///
/// # Errors
/// As [`filters`].
pub fn colour_indices(checkpoint: &Checkpoint) -> Result<Vec<ColourIndex>, Error> {
    let (maps, side, weights) = kernels(checkpoint)?;
    let square = side * side;
    let index = |map: usize| {
        let own = &weights[map * 3 * square..][..3 * square];
        let (mut grey, mut all) = (0.0f64, 0.0f64);
        for place in 0..square {
            let values = [0, 1, 2].map(|channel| f64::from(own[channel * square + place]));
            grey += values.iter().sum::<f64>().powi(2) / 3.0;
            all += values.iter().map(|v| v * v).sum::<f64>();
        }
        if all > 0.0 { 1.0 - grey / all } else { 0.0 }
    };
    let columns = checkpoint.net.columns;
    let own = |column: usize| column * maps / columns..(column + 1) * maps / columns;
    Ok((0..columns).map(|c| ColourIndex { kernels: own(c).map(index).collect() }).collect())
}
