//! First values of the parameters: normal weights, constant biases.
//!
//! Value `e` of parameter `p` is a function of (seed, p, e) alone, so it does not depend on how many threads draw or
//! which device will own it.

use std::thread;

use alexnet_rng::{Purpose, Stream};

use crate::error::Error;
use crate::layer::Net;
use crate::parameters::Parameters;

/// Values a thread draws at a time.
const BLOCK: usize = 1 << 18;

impl Parameters {
    /// Initial values of `net` for `seed` (section 5 of the paper; sigmas and biases are the table's).
    ///
    /// # Errors
    /// Those of [`Net::shapes`].
    pub fn initial(net: &Net, seed: u64) -> Result<Self, Error> {
        let mut parameters = Parameters::zeros(net)?;
        let threads = thread::available_parallelism().map_or(1, usize::from);
        for (number, parameter) in net.parameters()?.iter().enumerate() {
            let values = parameters.get_mut(number);
            if parameter.sigma > 0.0 {
                let stream = Stream::new(seed, 0, number as u64, Purpose::Weights);
                fill_normal(stream, parameter.mean, parameter.sigma, values, threads);
            } else {
                values.fill(parameter.mean as f32);
            }
        }
        Ok(parameters)
    }
}

fn fill_normal(stream: Stream, mean: f64, sigma: f64, values: &mut [f32], threads: usize) {
    let share = values.len().div_ceil(threads).next_multiple_of(BLOCK);
    thread::scope(|scope| {
        for (t, part) in values.chunks_mut(share).enumerate() {
            scope.spawn(move || {
                for (i, value) in part.iter_mut().enumerate() {
                    *value = (mean + sigma * stream.normal((t * share + i) as u64)) as f32;
                }
            });
        }
    });
}
