//! Replicas: copies of a network that train on parts of each global batch and sum their gradients.
//!
//! The invariant: all replicas hold the same parameters and velocities, bit for bit, because they start from the same and
//! each update uses the same summed gradient. Gradients lie flat in the order of the layers and become final from the last
//! layer to the first, so a bucket is a range of them: it is summed as soon as its lowest layer is done, while the layers
//! below still compute. Every replica names the same buckets in the same order, one without samples too. How values travel
//! is left to the backend, who is which replica to the program, and which samples it gets to the loader.

use std::ops::Range;

use crate::backend::Backend;
use crate::error::{DeviceError, Error};
use crate::network::Network;
use crate::placement::Placement;
use crate::program::Program;

/// Gradients that are summed together, at least, in bytes: an all-reduce of so much takes about as long again as its start
/// (some 30 µs) at the 100 to 300 GB/s of one machine's links, and what is left for the end, when nothing is left to hide
/// behind, stays small: AlexNet's last bucket is conv1 alone, 140 kB of 244 MB.
pub const BUCKET_BYTES: usize = 4 << 20;

/// Which of several replicas one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Its number, below `count`.
    pub rank: usize,
    /// How many there are.
    pub count: usize,
}

impl Replica {
    /// The only one.
    pub const ALONE: Replica = Replica { rank: 0, count: 1 };
}

/// What a backend does with the other replicas. All replicas call all of this in the same order.
pub trait Replicas<Buffer> {
    /// Which one this is.
    fn replica(&self) -> Replica;

    /// Bytes of a bucket, at least.
    fn bucket_bytes(&self) -> usize;

    /// Queues the sum of `gradient[range]` over the same device of all replicas: after all that was queued on the device,
    /// beside what is queued from here on. [`Backend::update`] and [`Backend::download`] wait for it. The first of an update
    /// waits on the host until the replicas of this process have all come to it.
    fn sum_gradient(
        &mut self,
        device: usize,
        gradient: &mut Buffer,
        range: Range<usize>,
    ) -> Result<(), DeviceError>;

    /// Replaces host values by their sums over all replicas, the same everywhere; waits for them.
    fn sum(&mut self, values: &mut [f64]) -> Result<(), DeviceError>;
}

/// The cause of a [`DeviceError`] when another replica is gone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LostReplica(pub String);

/// Gradients of one device that are summed together once `step` of the program has gone backward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    step: usize,
    range: Range<usize>,
}

/// The buckets of a device, in the order in which they become final. Together they are its whole flat buffer.
pub(crate) fn buckets(program: &Program, placement: &Placement, device: usize, bytes: usize) -> Vec<Bucket> {
    let mut end = placement.flat_len(device);
    let mut buckets: Vec<Bucket> = Vec::new();
    for (number, step) in program.steps.iter().enumerate().rev() {
        let Some(weight) = step.weight() else { continue };
        let start = placement.ranges(device)[weight].flat.start;
        if 4 * (end - start) >= bytes || start == 0 {
            buckets.push(Bucket { step: number, range: start..end });
            end = start;
        }
    }
    buckets
}

impl<B: Backend> Network<B> {
    /// Which of the replicas of its run this network is.
    pub fn replica(&mut self) -> Replica {
        self.backend.replicas().map_or(Replica::ALONE, |replicas| replicas.replica())
    }

    /// Replaces values by their sums over all replicas; waits for them.
    ///
    /// # Errors
    /// A device failed, or another replica is gone.
    pub fn sum_over_replicas(&mut self, values: &mut [f64]) -> Result<(), Error> {
        match self.backend.replicas() {
            Some(replicas) => Ok(replicas.sum(values)?),
            None => Ok(()),
        }
    }

    /// In how many buckets gradients are summed over the replicas, and the bytes of all, on all devices of this one.
    pub fn buckets(&self) -> [u64; 2] {
        let all = self.buckets.iter().flatten();
        all.fold([0, 0], |[n, bytes], bucket| [n + 1, bytes + 4 * bucket.range.len() as u64])
    }

    /// Hands on the gradients that are final once `step` has gone backward.
    pub(crate) fn sum_gradients(&mut self, step: usize) -> Result<(), DeviceError> {
        let Network { backend, gradient, buckets, .. } = self;
        let Some(replicas) = backend.replicas() else { return Ok(()) };
        for (device, (buckets, gradient)) in buckets.iter().zip(gradient).enumerate() {
            for bucket in buckets.iter().filter(|bucket| bucket.step == step) {
                replicas.sum_gradient(device, gradient, bucket.range.clone())?;
            }
        }
        Ok(())
    }

    /// Gradients that were summed over the replicas can't grow any more.
    pub(crate) fn check_fresh(&mut self) -> Result<(), Error> {
        if self.accumulated && self.backend.replicas().is_some() {
            let problem = "replicas take one batch for each update".to_owned();
            return Err(Error::Batch { problem });
        }
        Ok(())
    }

    /// A training batch of which no sample came here: it adds nothing, but to the sums over the replicas.
    pub(crate) fn train_nothing(&mut self) -> Result<(), Error> {
        self.check_fresh()?;
        self.next_score(0);
        if self.backend.replicas().is_none() {
            return Ok(());
        }
        for (device, gradient) in self.gradient.iter_mut().enumerate() {
            self.backend.upload(device, &vec![0.0; self.placement.flat_len(device)], gradient, 0)?;
        }
        for step in (0..self.program.steps.len()).rev() {
            self.sum_gradients(step)?;
        }
        self.accumulated = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Net;

    fn of(net: &Net, devices: usize, device: usize, bytes: usize) -> (Placement, Vec<Bucket>) {
        let placement = Placement::new(net, devices).unwrap();
        let program = Program::new(net, &placement).unwrap();
        let buckets = buckets(&program, &placement, device, bytes);
        (placement, buckets)
    }

    #[test]
    fn buckets_are_the_whole_buffer_from_the_last_layer_to_the_first() {
        for (devices, bytes) in [(1, 0), (1, 4096), (2, 0), (2, 1 << 20), (2, BUCKET_BYTES), (1, usize::MAX)]
        {
            for device in 0..devices {
                let (placement, buckets) = of(&Net::original(2, 1000), devices, device, bytes);
                let mut end = placement.flat_len(device);
                for bucket in &buckets {
                    assert_eq!(bucket.range.end, end);
                    assert!(4 * bucket.range.len() >= bytes || bucket.range.start == 0);
                    end = bucket.range.start;
                }
                assert_eq!(end, 0);
                assert!(buckets.windows(2).all(|pair| pair[1].step < pair[0].step));
                assert_eq!(
                    buckets.len(),
                    match bytes {
                        0 => 8,
                        usize::MAX => 1,
                        _ => buckets.len(),
                    }
                );
            }
        }
    }

    /// fc8, fc7, fc6, conv5 with conv4, conv3 with conv2, conv1: as the constant's words say.
    #[test]
    fn what_alexnet_leaves_for_the_end_is_small() {
        let (_, buckets) = of(&Net::original(2, 1000), 1, 0, BUCKET_BYTES);
        let bytes: Vec<usize> = buckets.iter().map(|bucket| 4 * bucket.range.len() / 1000).collect();
        assert_eq!(bytes, [16_388, 67_125, 151_011, 4_426, 4_770, 140]);
    }
}
