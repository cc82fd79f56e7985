//! Images with sixteen channels side by side: `[channels / 16, rows, columns, 16]`, the form in which the transforms
//! and products read and write whole vectors. Lanes past the last channel hold zeros.

use std::ops::Range;

use alexnet_net::Convolution;

/// Channels of a panel.
pub const PANEL: usize = 16;

/// Rows and columns of an image in panels.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub rows: usize,
    pub columns: usize,
}

impl Frame {
    pub fn pixels(self) -> usize {
        self.rows * self.columns
    }
}

/// Maps of an image, and how they lie in a frame: behind `padding` rows and columns of zeros, `fold`×`fold` pixels of a
/// map side by side as so many channels.
#[derive(Clone, Copy, Debug)]
pub struct Maps<'a> {
    pub values: &'a [f32],
    pub height: usize,
    pub width: usize,
    pub padding: usize,
    pub fold: usize,
}

impl<'a> Maps<'a> {
    /// What a convolution reads.
    pub fn read(op: &Convolution, values: &'a [f32]) -> Self {
        Maps { values, height: op.height, width: op.width, padding: op.padding, fold: op.stride }
    }

    /// What it writes.
    pub fn written(op: &Convolution, values: &'a [f32]) -> Self {
        Maps { values, height: op.out_height, width: op.out_width, padding: 0, fold: 1 }
    }
}

/// Brings maps into panels; zeros behind the last pixel, as far as the frame goes.
#[inline(always)]
pub fn bring(maps: Maps, frame: Frame, to: &mut [f32]) {
    let Maps { values, height, width, padding, fold } = maps;
    to.fill(0.0);
    let channels =
        values.chunks_exact(height * width).flat_map(|map| (0..fold * fold).map(move |i| (map, i)));
    for (channel, (map, part)) in channels.enumerate() {
        let (panel, lane) = (channel / PANEL, channel % PANEL);
        let (above, before) = (part / fold, part % fold);
        // The frame's columns whose pixel lies inside the map.
        let start = padding.saturating_sub(before).div_ceil(fold);
        let end = (width + padding).saturating_sub(before).div_ceil(fold).min(frame.columns);
        for row in 0..frame.rows {
            let Some(y) = (row * fold + above).checked_sub(padding).filter(|&y| y < height) else { continue };
            if start >= end {
                continue;
            }
            let to = &mut to[(panel * frame.pixels() + row * frame.columns + start) * PANEL..];
            let to = to[..(end - start) * PANEL].chunks_exact_mut(PANEL);
            let from = &map[y * width + start * fold + before - padding..];
            if fold == 1 {
                to.zip(from).for_each(|(to, from)| to[lane] = *from);
            } else {
                to.zip(from.iter().step_by(fold)).for_each(|(to, from)| to[lane] = *from);
            }
        }
    }
}

/// Takes rows `rows` of one panel of an image back to its maps of `width` pixels a row: `from` begins with the first
/// of those rows and has `columns` pixels in each.
#[inline(always)]
pub fn take(from: &[f32], columns: usize, rows: Range<usize>, [height, width]: [usize; 2], maps: &mut [f32]) {
    for (from, y) in from.chunks_exact(columns * PANEL).zip(rows.start..rows.end.min(height)) {
        for (lane, map) in maps.chunks_exact_mut(height * width).take(PANEL).enumerate() {
            let to = &mut map[y * width..][..width];
            for (to, from) in to.iter_mut().zip(from.chunks_exact(PANEL)) {
                *to = from[lane];
            }
        }
    }
}
