//! Images with sixteen channels side by side: `[channels / 16, rows, columns, 16]`, the form in which the transforms
//! and products read and write whole vectors. Lanes past the last channel hold zeros.

use std::ops::Range;

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

/// Brings `maps` of `height`×`width` into panels, `padding` rows and columns of zeros before the first pixel and zeros
/// behind the last, as far as the frame goes.
#[inline(always)]
pub fn bring(maps: &[f32], [height, width]: [usize; 2], padding: usize, frame: Frame, to: &mut [f32]) {
    let pixels = height * width;
    let [rows, columns] = [(frame.rows, height), (frame.columns, width)]
        .map(|(frame, image)| image.min(frame.saturating_sub(padding)));
    to.fill(0.0);
    for (maps, to) in maps.chunks(PANEL * pixels).zip(to.chunks_exact_mut(PANEL * frame.pixels())) {
        for y in 0..rows {
            let to = &mut to[((y + padding) * frame.columns + padding) * PANEL..][..columns * PANEL];
            for (lane, map) in maps.chunks_exact(pixels).enumerate() {
                let from = &map[y * width..][..columns];
                for (to, from) in to.chunks_exact_mut(PANEL).zip(from) {
                    to[lane] = *from;
                }
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
