//! What a run needs of this machine's memory, and what there is.

use alexnet_train::Job;

use crate::messages::Refusal;
use crate::progress::size;

/// Batches that are loaded ahead.
const RING: u64 = 3;

/// Bytes that a run on the CPU takes, some megabytes of workspaces apart.
pub(crate) struct Need {
    /// Weights, velocities, gradients, and the activations of a batch.
    pub network: u64,
    /// Batches that are loaded ahead.
    pub ring: u64,
}

impl Need {
    /// Of `job`, whose largest share of a batch is `share`, on one device.
    pub fn of(job: &Job, share: usize) -> anyhow::Result<Self> {
        let network = job.net.device_bytes(1, share)?.iter().sum();
        let ring = RING * (share * job.net.input_shape().len() * size_of::<f32>()) as u64;
        Ok(Need { network, ring })
    }
}

/// Bytes of memory that programs can still get, and all of the machine's, swap space counted in both; none where the system
/// does not say.
pub(crate) fn available() -> Option<[u64; 2]> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kibibytes = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    let free = kibibytes("MemAvailable")? + kibibytes("SwapFree").unwrap_or(0);
    let all = kibibytes("MemTotal")? + kibibytes("SwapTotal").unwrap_or(0);
    Some([1024 * free, 1024 * all])
}

/// Refuses what cannot fit into this machine, before anything is made.
pub(crate) fn check(job: &Job) -> anyhow::Result<()> {
    let share = job.largest_share(1);
    let Need { network, ring } = Need::of(job, share)?;
    match available() {
        Some([_, all]) if network + ring > all => {
            let cause = format!(
                "batches of {share} take {} of memory, this machine has {}",
                size(network + ring),
                size(all)
            );
            Err(Refusal::new(cause, "give a smaller --batch").into())
        }
        _ => Ok(()),
    }
}
