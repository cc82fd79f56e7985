//! What matrix products compute in, and the bfloat16 copies of what they read.
//!
//! Tensors, master weights, sums and everything outside the products are float32 in every precision. With
//! [`Precision::Bf16`] a product reads rounded copies: of inputs and gradients made just before it, of the parameters
//! kept beside them. The parameters' copy is made when a product first needs it, goes on with each update
//! (update.cu), and is made again after values were put there in any other way.

use std::fmt;
use std::str::FromStr;

use alexnet_net::DeviceError;

use crate::device::{Device, Floats};
use crate::launch::Arg;

/// What matrix products multiply; they add in float32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// float32, as the CPU.
    #[default]
    F32,
    /// float32 with 10 bits of fraction, by tensor cores.
    Tf32,
    /// bfloat16 with 7 bits of fraction, by tensor cores.
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

/// Inputs and gradients on their way into a product.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slot {
    Input,
    Gradient,
}

impl Device {
    /// Bytes of a value that a product reads.
    pub fn width(&self) -> u64 {
        if self.precision == Precision::Bf16 { 2 } else { 4 }
    }

    /// Makes room for `len` values in a slot.
    pub fn reserve_operand(&mut self, slot: Slot, len: usize) -> Result<(), DeviceError> {
        if self.precision != Precision::Bf16 {
            return Ok(());
        }
        let mut place = self.operands[slot as usize].take();
        let grown = self.grown(&mut place, len).map(drop);
        self.operands[slot as usize] = place;
        grown
    }

    /// Where a product finds `len` values of a tensor: at their address, or rounded in a slot.
    pub fn operand(&mut self, slot: Slot, x: u64, len: usize) -> Result<u64, DeviceError> {
        if self.precision != Precision::Bf16 {
            return Ok(x);
        }
        self.reserve_operand(slot, len)?;
        let copy = self.operands[slot as usize].as_ref().map_or(0, |buffer| buffer.address);
        self.pairwise("narrow", len, x, copy)?;
        Ok(copy)
    }

    /// Where a product finds value `at` of a buffer of parameters.
    pub fn weights(&mut self, buffer: &Floats, at: usize) -> Result<u64, DeviceError> {
        if self.precision != Precision::Bf16 {
            return Ok(buffer.address + 4 * at as u64);
        }
        let kept = self.shadow.take().filter(|s| s.of == buffer.address && s.copy.len() == buffer.len());
        let mut shadow = match kept {
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

    /// Says that the buffer at `address` was made or written by something else than an update.
    pub fn stale(&mut self, address: u64) {
        if let Some(shadow) = self.shadow.as_mut().filter(|shadow| shadow.of == address) {
            shadow.fresh = false;
        }
    }
}
