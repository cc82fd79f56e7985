//! The backend as one of several replicas: who the others are, and what [`alexnet_net::Replicas`] asks.
//!
//! Device d of a replica meets device d of every other in a communicator of its own: they hold the same columns. The ids of
//! the communicators come from one replica, by whatever way the program has.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use alexnet_net::{DeviceError, LostReplica, Replica, Replicas};

use crate::CudaBackend;
use crate::device::{Device, failed};
use crate::gate::Gate;
use crate::nccl::{self, Communicator};
use crate::peers::Peers;
use crate::tensor::Floats;
use crate::watch::{Link, Watch};

pub use crate::nccl::{NoNccl, UniqueId, nccl};

const JOIN: &str = "join the other replicas";

/// Why the other replicas cannot be relied on any more, if so; asked a few times a second.
pub type Health = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// The others, as one replica sees them.
#[derive(Clone)]
pub struct Among {
    /// Which of them it is.
    pub replica: Replica,
    /// One for each of its devices, the same in all replicas.
    pub ids: Vec<UniqueId>,
    /// What the program knows of them.
    pub health: Health,
    /// Shared by those of this process.
    pub gate: Arc<Gate>,
    /// Bytes of gradients that are summed together, at least ([`alexnet_net::BUCKET_BYTES`]).
    pub bucket_bytes: usize,
}

impl UniqueId {
    /// A new one, for all replicas' devices of one number.
    ///
    /// # Errors
    /// NCCL is missing or finds no way to be reached.
    pub fn new() -> Result<UniqueId, DeviceError> {
        let nccl = nccl::library().map_err(failed(0, "start NCCL"))?;
        nccl.unique_id().map_err(failed(0, "start NCCL"))
    }
}

impl CudaBackend {
    /// Joins the other replicas, waits until they have come.
    ///
    /// # Errors
    /// NCCL is missing, there are not as many ids as devices, two replicas have the same device, or a replica is lost.
    pub fn among(mut self, others: &Among) -> Result<Self, DeviceError> {
        if others.ids.len() != self.devices.len() {
            let (ids, devices) = (others.ids.len(), self.devices.len());
            return Err(failed(0, JOIN)(format!("{ids} communicators for {devices} devices")));
        }
        let mut links = Vec::new();
        for (device, &id) in self.devices.iter_mut().zip(&others.ids) {
            let peers = Peers::new(device, Link::new(meet(device, id, others)?, device.context.clone()))?;
            links.push(peers.link.clone());
            device.peers = Some(peers);
        }
        self.watch = Some(Watch::new(links, others.health.clone()));
        others.gate.wait(&others.health).map_err(failed(0, JOIN))?;
        self.among = Some(others.clone());
        Ok(self)
    }
}

/// The device's communicator, unless a replica is lost before all have come.
fn meet(device: &Device, id: UniqueId, others: &Among) -> Result<Communicator, DeviceError> {
    let number = device.number;
    let nccl = nccl::library().map_err(failed(number, JOIN))?;
    let (context, Replica { rank, count }) = (device.context.clone(), others.replica);
    let (come, met) = std::sync::mpsc::channel();
    // NCCL waits for the others without end: in a thread that can be left behind.
    let join = move || {
        let bound = context.bind_to_thread().map_err(|e| nccl::Failure(e.to_string()));
        let _ = come.send(bound.and_then(|()| Communicator::new(nccl, id, rank, count)));
    };
    std::thread::Builder::new().name("joining".to_owned()).spawn(join).map_err(failed(number, JOIN))?;
    loop {
        match met.recv_timeout(Duration::from_millis(20)) {
            Ok(joined) => return joined.map_err(failed(number, JOIN)),
            Err(_) => match (others.health)() {
                Some(reason) => return Err(failed(number, JOIN)(LostReplica(reason))),
                None => continue,
            },
        }
    }
}

impl Replicas<Floats> for CudaBackend {
    fn replica(&self) -> Replica {
        self.among.as_ref().map_or(Replica::ALONE, |among| among.replica)
    }

    fn bucket_bytes(&self) -> usize {
        self.among.as_ref().map_or(usize::MAX, |among| among.bucket_bytes)
    }

    fn sum_gradient(
        &mut self,
        device: usize,
        gradient: &mut Floats,
        range: Range<usize>,
    ) -> Result<(), DeviceError> {
        if self.devices.iter().all(|device| device.peers.as_ref().is_none_or(|peers| !peers.pending)) {
            self.meet_here()?;
        }
        self.devices[device].sum_floats(gradient.at(range.start), range.len())
    }

    fn sum(&mut self, values: &mut [f64]) -> Result<(), DeviceError> {
        self.meet_here()?;
        self.devices[0].sum_values(values)
    }
}

impl CudaBackend {
    /// Waits for the replicas of this process, before the first sum of each update: none of them is left making or freeing
    /// page-locked memory, which waits for the others' sums while they wait for its own. Slots of the loader's ring are freed
    /// within an epoch too, once the loader is done.
    fn meet_here(&self) -> Result<(), DeviceError> {
        let Some(Among { gate, health, .. }) = &self.among else { return Ok(()) };
        gate.wait(health).map_err(failed(0, "sum over replicas"))
    }
}
