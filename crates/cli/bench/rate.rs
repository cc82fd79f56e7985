//! A loader's rate, and the bound it is measured against.
//!
//! Windows of the loader and of the bare loops alternate, so that both see the same machine; while a bare loop runs
//! the loader's threads wait with a full ring, and that ring is emptied before the next window begins.

use std::time::{Duration, Instant};

use alexnet_load::{Bare, Config, Loader, Output, Records, Stages};
use anyhow::Context;
use serde::Serialize;

/// How to measure.
pub struct Windows {
    /// Seconds of all windows together.
    pub seconds: f64,
    /// How many windows.
    pub repetitions: usize,
    /// Images a second that the consumer takes; as many as there are without.
    pub consumer: Option<f64>,
}

/// What was measured with one number of threads.
#[derive(Serialize)]
pub struct Rate {
    /// Median over the windows.
    pub images_per_second: f64,
    pub images_per_second_per_thread: f64,
    pub threads: usize,
    /// Images a second in each window.
    pub runs: Vec<f64>,
    /// (Largest − smallest) / median.
    pub spread: f64,
    /// A bare loop that turns as many bytes of the same records into as many elements; for raw records, memcpy.
    pub bound_images_per_second: f64,
    /// Median of the windows' shares.
    pub share_of_bound: f64,
    /// Bytes that memcpy copies from the records.
    pub copy_bytes_per_second: f64,
    /// Bytes of the crops.
    pub bytes_in_per_second: f64,
    pub bytes_out_per_second: f64,
    /// Share of the time that the consumer waited.
    pub stalled: f64,
    /// Seconds in the windows.
    pub seconds: f64,
    pub stages: Stages,
}

impl Windows {
    /// Measures a running loader of `records`, and its bound.
    pub fn measure(
        &self,
        loader: &mut Loader,
        records: &dyn Records,
        config: &Config,
    ) -> anyhow::Result<Rate> {
        let output = config.augment.output;
        let [width, height] = if output == Output::Raw { config.augment.record } else { config.augment.crop };
        let values = width * height * 3;
        let bare = if output == Output::Raw { Bare::Copy } else { Bare::Widen(output) };
        let window = Duration::from_secs_f64(self.seconds / self.repetitions as f64);
        let bare_window = (window / 2).min(Duration::from_millis(500));
        self.take(loader, Duration::from_secs_f64(self.seconds / 10.0))?;
        let (mut runs, mut bounds, mut shares, mut copies) = (vec![], vec![], vec![], vec![]);
        let (mut stages, mut seconds, mut images, mut bytes) = (Stages::default(), 0.0, 0, 0);
        for _ in 0..self.repetitions {
            for _ in 0..config.slots {
                drop(loader.next().context("the loader stopped")??);
            }
            let (before, start) = (loader.stages(), Instant::now());
            let taken = self.take(loader, window)?;
            let took = start.elapsed().as_secs_f64();
            add(&mut stages, loader.stages(), before);
            seconds += took;
            images += taken.0;
            bytes += taken.1;
            runs.push(taken.0 as f64 / took);
            let rate = |bare: Bare, window| bare.rate(records, values, config.threads, window);
            bounds.push(rate(bare, bare_window)?);
            copies.push(rate(Bare::Copy, bare_window / 2)? * values as f64);
            shares.push(runs[runs.len() - 1] / bounds[bounds.len() - 1]);
        }
        let rate = median(&mut runs.clone());
        let ends = runs.iter().fold((f64::MAX, 0f64), |(low, high), r| (low.min(*r), high.max(*r)));
        Ok(Rate {
            images_per_second: rate,
            images_per_second_per_thread: rate / config.threads as f64,
            threads: config.threads,
            spread: (ends.1 - ends.0) / rate,
            bound_images_per_second: median(&mut bounds),
            share_of_bound: median(&mut shares),
            copy_bytes_per_second: median(&mut copies),
            bytes_in_per_second: images as f64 * values as f64 / seconds,
            bytes_out_per_second: bytes as f64 / seconds,
            stalled: stages.starved_seconds / seconds,
            seconds,
            stages,
            runs,
        })
    }

    /// Takes batches for `length`, at the consumer's speed; gives images and bytes.
    fn take(&self, loader: &mut Loader, length: Duration) -> anyhow::Result<(u64, u64)> {
        let (start, mut images, mut bytes) = (Instant::now(), 0, 0);
        let mut busy_until = start;
        while start.elapsed() < length {
            let batch = loader.next().context("the loader stopped")??;
            images += batch.len() as u64;
            bytes += batch.bytes().len() as u64;
            if let Some(rate) = self.consumer {
                // A batch that came late is begun late; time lost is not made up.
                let begun = busy_until.max(Instant::now());
                busy_until = begun + Duration::from_secs_f64(batch.len() as f64 / rate);
                std::thread::sleep(busy_until.saturating_duration_since(Instant::now()));
            }
        }
        Ok((images, bytes))
    }
}

/// Bytes that this process has read from disk so far, where the system tells.
pub fn disk_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/io").ok()?;
    text.lines().find_map(|line| line.strip_prefix("read_bytes: ")?.parse().ok())
}

fn add(total: &mut Stages, after: Stages, before: Stages) {
    total.work_seconds += after.work_seconds - before.work_seconds;
    total.blocked_seconds += after.blocked_seconds - before.blocked_seconds;
    total.starved_seconds += after.starved_seconds - before.starved_seconds;
    total.samples += after.samples - before.samples;
}

/// The middle value; the upper of two.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
