//! Steps as CUDA graphs: a step's work is held back until it is whole, captured when it comes the second time, and
//! replayed by one call from then on.
//!
//! From [`Device::hold`] on, operations are put on a list instead of the stream, while all that the host keeps about them
//! (how buffers lie, which copies are fresh) goes on as ever. [`Device::release`] looks the list up: a new one is launched
//! operation by operation, which also wakes the libraries; one that came before is captured; one that has a graph is
//! replayed. The list holds every argument, addresses and sizes included, and a graph is used only for a list that equals
//! its own, so none can be stale: another batch size, a frozen layer, a buffer made anew, evaluation or a checkpoint in
//! between give another list or the same one, and either is right. What differs at every step is read from memory
//! ([`crate::settings`]), so that it does not make another list. That is simpler than to change the nodes of a graph, and
//! needs no rule for what may change.
//!
//! Whatever is not on the list (copies from and to the host, allocations, waits between streams and devices) first queues
//! what is held ([`Device::order`]): a list may end anywhere, and a capture holds nothing that cannot be captured. So with
//! several devices the work between two exchanges is a graph, and the exchanges, which cannot be captured, are launched.
//! A capture that the driver refuses is told in [`Replays`]; work is launched one by one from then on. What is measured
//! kernel by kernel ([`crate::profile`]) is launched, too.

use std::fmt;
use std::str::FromStr;

use alexnet_net::{DeviceError, Replays};
use cudarc::driver::CudaGraph;
use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};

use crate::device::{Device, failed};
use crate::launch::Captured;
use crate::work::Work;

/// Lists that are remembered: steps of a few sizes, cut by the exchanges of four columns.
const KNOWN: usize = 64;
/// Fewer operations than these are launched: there is nothing to gain.
const FEWEST: usize = 4;

/// Whether steps are replayed as graphs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Graphs {
    /// Where the driver can.
    #[default]
    Auto,
    /// Always: a capture that fails is an error.
    On,
    /// Never.
    Off,
}

impl fmt::Display for Graphs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Graphs::Auto => "auto",
            Graphs::On => "on",
            Graphs::Off => "off",
        })
    }
}

impl FromStr for Graphs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Graphs::Auto),
            "on" => Ok(Graphs::On),
            "off" => Ok(Graphs::Off),
            _ => Err(format!("{text:?} is no way of launching: give auto, on or off")),
        }
    }
}

/// A list, and the graph that was made of it.
struct Known {
    list: Vec<Work>,
    graph: Option<Captured>,
}

/// The lists of one device, the last one used first.
#[derive(Default)]
pub(crate) struct Lists {
    pub use_of: Graphs,
    known: Vec<Known>,
    pub told: Replays,
}

impl Lists {
    /// Forgets all lists and their graphs.
    pub fn forget(&mut self) {
        self.known.clear();
    }
}

impl Device {
    /// Whether work is held back.
    pub fn holds(&self) -> bool {
        self.held.borrow().is_some()
    }

    /// Holds work back from here on, behind what is held already.
    pub fn hold(&self) -> Result<(), DeviceError> {
        self.release()?;
        if self.spans.borrow().is_none() {
            self.held.replace(Some(Vec::new()));
        }
        Ok(())
    }

    /// Queues an operation in its turn.
    pub fn queue(&self, work: Work) -> Result<(), DeviceError> {
        if let Some(list) = self.held.borrow_mut().as_mut() {
            list.push(work);
            return Ok(());
        }
        self.submit(&work)
    }

    /// Queues what is held back, so that what the caller queues by other means, or waits for, comes behind it; what comes
    /// later is held back as before.
    pub fn order(&self) -> Result<(), DeviceError> {
        let list = self.held.borrow_mut().as_mut().map(std::mem::take).unwrap_or_default();
        if list.is_empty() { Ok(()) } else { self.run(list) }
    }

    /// Queues what is held back, and holds nothing back any more.
    pub fn release(&self) -> Result<(), DeviceError> {
        self.order()?;
        self.held.replace(None);
        Ok(())
    }

    fn run(&self, list: Vec<Work>) -> Result<(), DeviceError> {
        self.send_settings()?;
        let mut lists = self.lists.borrow_mut();
        if list.len() < FEWEST || lists.use_of == Graphs::Off || self.spans.borrow().is_some() {
            return self.submit_all(&list);
        }
        lists.told.lists += 1;
        let Some(at) = lists.known.iter().position(|known| known.list == list) else {
            self.submit_all(&list)?;
            lists.known.insert(0, Known { list, graph: None });
            lists.known.truncate(KNOWN);
            return Ok(());
        };
        lists.known[..=at].rotate_right(1);
        if lists.known[0].graph.is_none() {
            match self.capture(&list) {
                Ok(graph) => lists.known[0].graph = Some(Captured(graph)),
                Err(error) if lists.use_of == Graphs::On => return Err(error),
                Err(error) => {
                    lists.told.refused = Some(error.to_string());
                    lists.use_of = Graphs::Off;
                }
            }
        }
        let Some(Captured(graph)) = &lists.known[0].graph else { return self.submit_all(&list) };
        graph.launch().map_err(failed(self.number, "launch a graph"))?;
        lists.told.replayed += 1;
        Ok(())
    }

    fn submit_all(&self, list: &[Work]) -> Result<(), DeviceError> {
        list.iter().try_for_each(|work| self.submit(work))
    }

    /// The graph of a list; nothing of it is done.
    fn capture(&self, list: &[Work]) -> Result<CudaGraph, DeviceError> {
        let fail = "capture a step";
        // Other threads may lock and free memory meanwhile.
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        self.stream.begin_capture(mode).map_err(failed(self.number, fail))?;
        let queued = self.submit_all(list);
        // In any case, else the stream would go on capturing.
        let ended = self.stream.end_capture(CUgraphInstantiate_flags(0));
        let told = |e: DeviceError| failed(self.number, fail)(format!("{}: {}", e.operation, e.cause));
        queued.map_err(told)?;
        let graph = ended.map_err(failed(self.number, fail))?;
        graph.ok_or_else(|| failed(self.number, fail)("it is empty"))
    }
}

/// What all devices tell together.
pub(crate) fn told(devices: &[Device]) -> Option<Replays> {
    devices.iter().map(|device| device.lists.borrow().told.clone()).reduce(|a, b| a + b)
}
