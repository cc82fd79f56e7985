//! What matrix products read, and the bfloat16 copy of the parameters.
//!
//! Master weights, gradients of weights, sums and logits are float32 in every precision. With [`Precision::Bf16`] activations
//! and their gradients are bfloat16, and products read a copy of the parameters that is kept beside them: it is made when
//! a product first needs it, goes on with each update (update.cu), and is made again after values were put there in any
//! other way.

use std::fmt;
use std::str::FromStr;

use alexnet_net::DeviceError;

use crate::device::Device;
use crate::launch::Arg;
use crate::tensor::{Floats, Type};

/// What matrix products multiply; they add in float32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// float32, as the CPU.
    #[default]
    F32,
    /// float32 with 10 bits of fraction, by tensor cores.
    Tf32,
    /// bfloat16 with 7 bits of fraction, by tensor cores; activations are kept in it too.
    Bf16,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Tf32 => "tf32",
            Precision::Bf16 => "bf16",
        })
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "f32" => Ok(Precision::F32),
            "tf32" => Ok(Precision::Tf32),
            "bf16" => Ok(Precision::Bf16),
            _ => Err(format!("{text:?} is no precision: give f32, tf32 or bf16")),
        }
    }
}

/// The bfloat16 copy of one buffer of parameters.
pub(crate) struct Shadow {
    /// Address of the buffer.
    of: u64,
    copy: Floats<u16>,
    /// Whether every value is the buffer's.
    fresh: bool,
}

impl Precision {
    /// The type of activations and of what products read.
    pub(crate) fn activation(self) -> Type {
        if self == Precision::Bf16 { Type::Bf16 } else { Type::F32 }
    }
}

impl Device {
    /// Where a product finds value `at` of a buffer of parameters.
    pub fn weights(&mut self, buffer: &Floats, at: usize) -> Result<u64, DeviceError> {
        if self.precision != Precision::Bf16 {
            return Ok(buffer.address + 4 * at as u64);
        }
        let fits = |s: &Shadow| s.of == buffer.address && s.copy.len() == buffer.len();
        if !self.shadow.as_ref().is_some_and(fits) {
            self.order()?; // what still reads the other
        }
        let mut shadow = match self.shadow.take().filter(fits) {
            Some(shadow) => shadow,
            None => Shadow { of: buffer.address, copy: self.zeros(buffer.len())?, fresh: false },
        };
        if !shadow.fresh {
            self.pairwise("narrow", buffer.len(), buffer.address, shadow.copy.address)?;
            shadow.fresh = true;
        }
        let address = shadow.copy.address + 2 * at as u64;
        self.shadow = Some(shadow);
        Ok(address)
    }

    /// The copy that an update of the buffer at `address` must carry on; 0 for none.
    pub fn shadow_of(&self, address: u64) -> Arg<'static> {
        let kept = self.shadow.as_ref().filter(|shadow| shadow.fresh && shadow.of == address);
        Arg::Address(kept.map_or(0, |shadow| shadow.copy.address))
    }

    /// Says that the buffer at `address` was made or written by something else than an update or an operation's forward
    /// pass: no copy of it holds any more.
    pub fn stale(&mut self, address: u64) {
        if let Some(shadow) = self.shadow.as_mut().filter(|shadow| shadow.of == address) {
            shadow.fresh = false;
        }
        self.kept_fold = None;
    }
}
