//! Dropout masks from the named streams: integers are compared, so the mask is the same on every device.

use alexnet_net::Dropout;
use alexnet_rng::Stream;
use rayon::prelude::*;

use crate::workers::Workers;

/// Draws the mask and applies it. A block is one sample.
pub fn forward(workers: &Workers, op: &Dropout, n: usize, y: &mut [f32], mask: &mut [f32]) {
    let units = op.units;
    workers.run(|| {
        let samples = y[..n * units].par_chunks_exact_mut(units).zip(mask.par_chunks_exact_mut(units));
        samples.enumerate().for_each(|(sample, (y, mask))| {
            let stream = Stream::new(op.seed, op.epoch, op.first_position + sample as u64, op.purpose);
            draw(op, stream, mask);
            y.iter_mut().zip(mask).for_each(|(y, mask)| *y *= *mask);
        });
    });
}

fn draw(op: &Dropout, stream: Stream, mask: &mut [f32]) {
    // A block of the stream has four words; the first and last may be used in part.
    let mut words = [0; 4];
    for (i, mask) in mask.iter_mut().enumerate() {
        let unit = op.first_unit + i as u64;
        if i == 0 || unit % 4 == 0 {
            words = stream.block((unit / 4) as u32);
        }
        let kept = u64::from(words[(unit % 4) as usize]) < op.threshold;
        *mask = if kept { op.scale } else { 0.0 };
    }
}
