//! Records as pictures again: one as a PNG, or many on a contact sheet.
//!
//! For looking, not for training. A PNG of a record holds exactly its pixels.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use alexnet_shard::SplitSet;
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::error::Error;

/// Writes record `index` of a split as a PNG, replacing what is there.
///
/// # Errors
/// If there is no such record, or reading or writing fails.
pub fn extract(split: &SplitSet, index: u64, out: &Path) -> Result<(), Error> {
    let mut scratch = Vec::new();
    let record = split.record(index, &mut scratch)?;
    write_png(out, record, split.width() as u32, split.height() as u32)
}

/// How a contact sheet is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// Records side by side.
    pub columns: u32,
    /// Rows of records, at most.
    pub rows: u32,
    /// Longest side of a record on the sheet, in pixels; records are not enlarged.
    pub tile: u32,
}

impl Default for Sheet {
    /// 12 by 8 records, each of 96 pixels.
    fn default() -> Self {
        Sheet { columns: 12, rows: 8, tile: 96 }
    }
}

const GAP: u32 = 2;

/// Draws records of a split, evenly spread over it, on one PNG; rows from the left. Returns their numbers in order.
///
/// # Errors
/// If the split is empty, a side of the sheet is 0 or would pass 2¹⁶ pixels, or reading or writing fails.
pub fn contact_sheet(split: &SplitSet, sheet: Sheet, out: &Path) -> Result<Vec<u64>, Error> {
    let bad = |reason: String| Error::Options { reason, hint: "choose other columns, rows or tile".into() };
    if split.is_empty() {
        return Err(bad("the split has no records to draw".into()));
    }
    let (from_width, from_height) = (split.width() as u32, split.height() as u32);
    let longest = from_width.max(from_height);
    let tile = sheet.tile.min(longest);
    let scaled = |side: u32| ((u64::from(side) * u64::from(tile)).div_ceil(u64::from(longest)) as u32).max(1);
    let (width, height) = (scaled(from_width), scaled(from_height));
    let places = u64::from(sheet.columns) * u64::from(sheet.rows);
    let count = split.len().min(places);
    let side = |tiles: u64, one: u32| tiles * u64::from(one + GAP) + u64::from(GAP);
    let rows = count.div_ceil(u64::from(sheet.columns.max(1)));
    let (sheet_width, sheet_height) = (side(count.min(u64::from(sheet.columns)), width), side(rows, height));
    if places == 0 || tile == 0 || sheet_width.max(sheet_height) > 1 << 16 {
        let Sheet { columns, rows, tile } = sheet;
        return Err(bad(format!("a sheet of {columns}×{rows} records of {tile} pixels cannot be drawn")));
    }

    let row_bytes = sheet_width as usize * 3;
    let mut pixels = vec![255; row_bytes * sheet_height as usize];
    let mut small = vec![0; (width * height * 3) as usize];
    let (mut scratch, mut resizer, mut numbers) = (Vec::new(), Resizer::new(), Vec::new());
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    for place in 0..count {
        let number = place * split.len() / count;
        let record = split.record(number, &mut scratch)?;
        let impossible = |e: &dyn std::fmt::Display| bad(format!("record {number} cannot be drawn: {e}"));
        let from = TypedImageRef::<U8x3>::from_buffer(from_width, from_height, record)
            .map_err(|e| impossible(&e))?;
        let mut to =
            TypedImage::<U8x3>::from_buffer(width, height, &mut small).map_err(|e| impossible(&e))?;
        resizer.resize_typed(&from, &mut to, &options).map_err(|e| impossible(&e))?;
        let corner = |at: u64, one: u32| (at * u64::from(one + GAP) + u64::from(GAP)) as usize;
        let left = corner(place % u64::from(sheet.columns), width) * 3;
        let top = corner(place / u64::from(sheet.columns), height);
        for (y, row) in small.chunks_exact(width as usize * 3).enumerate() {
            pixels[(top + y) * row_bytes + left..][..row.len()].copy_from_slice(row);
        }
        numbers.push(number);
    }
    write_png(out, &pixels, sheet_width as u32, sheet_height as u32)?;
    Ok(numbers)
}

pub(crate) fn write_png(out: &Path, rgb: &[u8], width: u32, height: u32) -> Result<(), Error> {
    let mut file = BufWriter::new(File::create(out).map_err(|e| Error::io(out, e))?);
    PngEncoder::new(&mut file)
        .write_image(rgb, width, height, ExtendedColorType::Rgb8)
        .map_err(|source| Error::Picture { path: out.to_path_buf(), source })?;
    file.flush().map_err(|e| Error::io(out, e))
}
