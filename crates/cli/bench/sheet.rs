//! One photo under many draws: what the network gets to see, lighting included, without the mean.

use std::path::Path;

use alexnet_load::{Augment, Config, HeapMemory, Layout, Mean, Memory, Output, Records, Varied};
use anyhow::Context;
use image::{Rgb, RgbImage};

/// Rows of the sheet times pictures in each.
pub const DRAWS: u32 = 32;
const COLUMNS: u32 = 8;
const GAP: u32 = 4;

/// Draws the first record under the draws of the first positions of epoch 0.
pub fn draw(records: &dyn Records, config: &Config, file: &Path) -> anyhow::Result<()> {
    let mut scratch = Vec::new();
    let record = records.record(0, &mut scratch)?;
    let augment = Augment {
        mean: Mean::Channel([0.0; 3]),
        scale: [1.0; 3],
        output: Output::F32,
        layout: Layout::Nhwc,
        ..config.augment.clone()
    };
    let [width, height] = augment.crop.map(|side| side as u32);
    let mut sample = HeapMemory::new(augment.sample_bytes());
    let resized = config.drawer.vary.is_some_and(|(_, vary)| vary.resized_crop.is_some());
    let varied = Varied::new(augment, resized)?;
    let mut workspace = varied.workspace();
    let size = |count: u32, side: u32| count * (side + GAP) - GAP;
    let white = Rgb([255; 3]);
    let mut sheet = RgbImage::from_pixel(size(COLUMNS, width), size(DRAWS / COLUMNS, height), white);
    for i in 0..DRAWS {
        varied.apply(record, &config.drawer.draw(0, u64::from(i)), sample.bytes_mut(), &mut workspace);
        let (left, top) = (i % COLUMNS * (width + GAP), i / COLUMNS * (height + GAP));
        for (at, pixel) in sample.bytes().chunks_exact(12).enumerate() {
            let value = |c: usize| {
                let bytes = [pixel[4 * c], pixel[4 * c + 1], pixel[4 * c + 2], pixel[4 * c + 3]];
                f32::from_ne_bytes(bytes).round().clamp(0.0, 255.0) as u8
            };
            let (x, y) = (at as u32 % width, at as u32 / width);
            sheet.put_pixel(left + x, top + y, Rgb([value(0), value(1), value(2)]));
        }
    }
    sheet.save(file).with_context(|| format!("cannot write {}", file.display()))
}
