//! Which way a convolution goes: our own (tensor cores, or columns and products), or cuDNN. Measured once, by the device's
//! events, and kept.
//!
//! The choice holds for a shape, a direction, a precision, a device and a state of our kernels; it is kept with the compiled
//! kernels, so that later runs on the machine go the same way and give the same bits. Without cuDNN, or with
//! [`Convolutions::Own`], nothing is measured.

use std::fmt;
use std::str::FromStr;

use alexnet_net::{Convolution, DeviceError};
use cudarc::driver::sys::CUevent_flags::CU_EVENT_DEFAULT as TIMED;

use crate::cache::sources;
use crate::convolution;
use crate::device::{Device, failed};
use crate::layout::Layout;
use crate::plan::{Algorithm, Direction};
use crate::tensor::{Scratch, Type};

/// How convolutions are computed, and dense layers with their biases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Convolutions {
    /// By our own kernels and cuBLAS: the same bits in every run.
    #[default]
    Own,
    /// By cuDNN wherever it can, dense layers by cuBLASLt.
    Library,
    /// By whichever was faster when the shape was first met on this machine.
    Fastest,
}

impl Convolutions {
    /// Whether the faster way is looked for.
    pub(crate) fn timed(self) -> bool {
        self == Convolutions::Fastest
    }
}

impl fmt::Display for Convolutions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Convolutions::Own => "own",
            Convolutions::Library => "cudnn",
            Convolutions::Fastest => "fastest",
        })
    }
}

impl FromStr for Convolutions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "own" => Ok(Convolutions::Own),
            "cudnn" => Ok(Convolutions::Library),
            "fastest" => Ok(Convolutions::Fastest),
            _ => Err(format!("{text:?} is no way of convolving: give own, cudnn or fastest")),
        }
    }
}

/// One direction's way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    #[default]
    Own,
    /// cuDNN, by this algorithm.
    Library(Algorithm),
}

/// Runs of each way that are timed, after one that is not.
const RUNS: u32 = 3;
/// Images that are enough to tell the ways apart: larger batches would only take longer to try.
const IMAGES: usize = 128;
/// cuDNN must be faster by this factor.
const MARGIN: f32 = 0.98;

impl Device {
    /// The way of a direction.
    pub fn way(&self, op: &Convolution, direction: Direction) -> Way {
        self.ways.get(&(*op, direction)).copied().unwrap_or_default()
    }

    /// Chooses the ways of a convolution for batches of up to `n`.
    pub fn choose(&mut self, op: &Convolution, n: usize) -> Result<(), DeviceError> {
        if self.convolutions == Convolutions::Own || self.library.is_none() {
            return Ok(());
        }
        let n = n.min(IMAGES);
        for direction in [Direction::Forward, Direction::Input, Direction::Weights] {
            if self.ways.contains_key(&(*op, direction)) {
                continue;
            }
            let layout = Layout::new(self.activation(), op, n, direction != Direction::Input);
            let way = match self.known(op, n, direction) {
                Some(way) => way,
                None => {
                    let way = self.measure(&layout, n, direction)?;
                    self.remember(op, n, direction, way);
                    way
                }
            };
            self.ways.insert((*op, direction), way);
        }
        self.scratch[Scratch::Library as usize] = None; // the search wanted far more than any step
        Ok(())
    }

    fn key(&self, op: &Convolution, n: usize, direction: Direction) -> String {
        let (convolutions, precision, device) = (self.convolutions, self.precision, &self.name);
        let cudnn = crate::cudnn::version();
        let kernels = sources();
        format!("{device}; {kernels}; cuDNN {cudnn}; {precision}; {convolutions}; {n}; {direction:?}; {op:?}")
    }

    fn known(&self, op: &Convolution, n: usize, direction: Direction) -> Option<Way> {
        let text = self.cache.note(&self.key(op, n, direction))?;
        match text.as_str() {
            "own" => Some(Way::Own),
            text => Algorithm::read(text, direction).map(Way::Library),
        }
    }

    fn remember(&self, op: &Convolution, n: usize, direction: Direction, way: Way) {
        let text = match way {
            Way::Own => "own".to_owned(),
            Way::Library(algorithm) => algorithm.to_string(),
        };
        self.cache.keep_note(&self.key(op, n, direction), &text);
    }

    /// What is faster; our own way where cuDNN cannot do it or there is no room to try.
    fn measure(&mut self, layout: &Layout, n: usize, direction: Direction) -> Result<Way, DeviceError> {
        let op = layout.op;
        if op.inputs / op.groups * op.kernel * op.kernel != layout.row {
            return Ok(Way::Own); // filled up with zeros, which cuDNN does not know
        }
        let room = |len: usize| self.floats(len, layout.of);
        let trial = (room(n * op.input_len()), room(layout.filters()), room(n * op.output_len()));
        let (Ok(x), Ok(w), Ok(y)) = trial else { return Ok(Way::Own) };
        let buffers = [x.address, w.address, y.address];
        let Some(algorithm) = self.find_algorithm(&op, n, direction, buffers)? else {
            return Ok(Way::Own);
        };
        let way = Way::Library(algorithm);
        // What cuDNN finds and then cannot run is not chosen.
        let theirs = self.time(|d| d.convolve(way, &op, n, direction, buffers));
        if self.convolutions == Convolutions::Library {
            return Ok(theirs.map_or(Way::Own, |_| way));
        }
        let gradient = self.floats(layout.filters() + op.outputs, Type::F32)?;
        let ours = self.time(|d| convolution::try_own(d, layout, n, direction, buffers, gradient.address))?;
        Ok(if theirs.is_ok_and(|theirs| theirs < MARGIN * ours) { way } else { Way::Own })
    }

    pub fn time(
        &mut self,
        mut run: impl FnMut(&mut Device) -> Result<(), DeviceError>,
    ) -> Result<f32, DeviceError> {
        run(self)?;
        let mark = |d: &Device| d.stream.record_event(Some(TIMED)).map_err(failed(d.number, "time"));
        let begin = mark(self)?;
        for _ in 0..RUNS {
            run(self)?;
        }
        let end = mark(self)?;
        begin.elapsed_ms(&end).map_err(failed(self.number, "time"))
    }
}
