//! Patches of an image as the columns of a matrix, and back.
//!
//! Row (channel, ky, kx) of the matrix holds that place of every window; positions outside the image are 0. Rows
//! can be made in any range and windows by rows of the output, so that a block fits the cache.

use std::ops::Range;

use alexnet_net::Convolution;

/// The output positions of one row whose place `kx` lies inside the image: windows `begin .. end`.
fn inside(op: &Convolution, kx: usize) -> Range<usize> {
    let first = op.padding.saturating_sub(kx).div_ceil(op.stride);
    // Largest o with o·stride + kx − padding < width.
    let end = (op.width + op.padding).saturating_sub(kx).div_ceil(op.stride).min(op.out_width);
    first.min(end)..end
}

/// The input row that place `ky` of the windows in output row `row` reads, if it is inside the image.
fn input_row(op: &Convolution, row: usize, ky: usize) -> Option<usize> {
    (row * op.stride + ky).checked_sub(op.padding).filter(|&y| y < op.height)
}

/// Writes rows `places` of the matrix for output rows `rows` of the windows over `image`, which holds the channels
/// of one group: `[places.len(), rows.len() · out_width]`.
pub fn patches(op: &Convolution, image: &[f32], places: Range<usize>, rows: Range<usize>, to: &mut [f32]) {
    let square = op.kernel * op.kernel;
    let pixels = op.height * op.width;
    for (place, line) in places.zip(to.chunks_exact_mut(rows.len() * op.out_width)) {
        let (channel, ky, kx) = (place / square, place % square / op.kernel, place % op.kernel);
        let map = &image[channel * pixels..][..pixels];
        let Range { start, end } = inside(op, kx);
        for (row, to) in rows.clone().zip(line.chunks_exact_mut(op.out_width)) {
            let Some(y) = input_row(op, row, ky) else {
                to.fill(0.0);
                continue;
            };
            to[..start].fill(0.0);
            to[end..].fill(0.0);
            if start == end {
                continue;
            }
            let from = &map[y * op.width + start * op.stride + kx - op.padding..];
            if op.stride == 1 {
                to[start..end].copy_from_slice(&from[..end - start]);
            } else {
                for (to, from) in to[start..end].iter_mut().zip(from.iter().step_by(op.stride)) {
                    *to = *from;
                }
            }
        }
    }
}

/// Adds the matrix of the windows in output rows `rows` to the image's gradient: the transpose of [`patches`].
pub fn add_patches(op: &Convolution, matrix: &[f32], rows: Range<usize>, image: &mut [f32]) {
    let square = op.kernel * op.kernel;
    let pixels = op.height * op.width;
    for (place, line) in matrix.chunks_exact(rows.len() * op.out_width).enumerate() {
        let (channel, ky, kx) = (place / square, place % square / op.kernel, place % op.kernel);
        let map = &mut image[channel * pixels..][..pixels];
        let Range { start, end } = inside(op, kx);
        if start == end {
            continue;
        }
        for (row, from) in rows.clone().zip(line.chunks_exact(op.out_width)) {
            let Some(y) = input_row(op, row, ky) else { continue };
            let to = &mut map[y * op.width + start * op.stride + kx - op.padding..];
            let from = &from[start..end];
            if op.stride == 1 {
                to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
            } else {
                to.iter_mut().step_by(op.stride).zip(from).for_each(|(to, from)| *to += from);
            }
        }
    }
}
