//! The codes of one block of 64 coefficients, in each of the five ways that scans have. The values of progressive scans are
//! put together; those of sequential ones, which nobody asks for, are passed over.

use super::bits::{Bits, Table};

/// What a scan holds of its blocks.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// All, of a sequential frame.
    Whole,
    /// The first coefficient's upper bits.
    FirstDc,
    /// One more bit of it.
    LaterDc,
    /// Other coefficients' upper bits.
    FirstAc,
    /// One more bit of them.
    LaterAc,
}

/// Reads a scan's blocks.
pub(super) struct Block {
    kind: Kind,
    /// The coefficients of the scan, in zigzag order, the last included.
    first: usize,
    last: usize,
    /// The bit that the scan's own is of them.
    low: u32,
    /// Blocks still to come without a new coefficient.
    ended: u32,
}

/// What is known of a block before a scan, and after it more.
pub(super) struct Found<'a> {
    /// Which coefficients are other than zero, a bit each.
    pub(super) known: &'a mut u64,
    /// The component's last first coefficient; the next is told as the difference.
    pub(super) before: &'a mut i32,
    /// The coefficients, in zigzag order.
    pub(super) values: &'a mut [i16; 64],
}

impl Block {
    pub(super) fn new(kind: Kind, first: usize, last: usize, low: u32) -> Option<Self> {
        (last < 64 && low < 14).then_some(Block { kind, first, last, low, ended: 0 })
    }

    pub(super) fn restart(&mut self) {
        self.ended = 0;
    }

    /// Reads the next block. `None` where the data end before it does.
    #[inline]
    pub(super) fn read(
        &mut self,
        bits: &mut Bits<'_>,
        dc: Option<&Table>,
        ac: Option<&Table>,
        found: Found<'_>,
    ) -> Option<()> {
        match self.kind {
            Kind::Whole => {
                difference(bits, dc?)?;
                pass_ac(bits, ac?)
            }
            Kind::FirstDc => {
                *found.before = found.before.wrapping_add(difference(bits, dc?)?);
                found.values[0] = (*found.before << self.low) as i16;
                Some(())
            }
            Kind::LaterDc => {
                found.values[0] |= (bits.take(1)? as i16) << self.low;
                Some(())
            }
            Kind::FirstAc => self.first_ac(bits, ac?, found),
            Kind::LaterAc => self.later_ac(bits, ac?, found),
        }
    }

    fn first_ac(&mut self, bits: &mut Bits<'_>, ac: &Table, found: Found<'_>) -> Option<()> {
        if self.ended > 0 {
            self.ended -= 1;
            return Some(());
        }
        let mut at = self.first;
        while at <= self.last {
            let (zeros, size) = split(bits.code(ac)?);
            match (zeros, size) {
                (15, 0) => at += 16,
                (run, 0) => {
                    self.ended = (1 << run) - 1 + bits.take(run)?;
                    return Some(());
                }
                _ => {
                    at += zeros as usize;
                    if at > self.last || size + self.low > 15 {
                        return None;
                    }
                    *found.known |= 1u64.checked_shl(at as u32)?;
                    found.values[at] = (signed(bits, size)? << self.low) as i16;
                    at += 1;
                }
            }
        }
        Some(())
    }

    fn later_ac(&mut self, bits: &mut Bits<'_>, ac: &Table, found: Found<'_>) -> Option<()> {
        let one = 1i16 << self.low;
        // One more bit of a coefficient is one step away from zero.
        let refine = |value: &mut i16, bit: u32| {
            *value = value.wrapping_add(bit as i16 * if *value < 0 { -one } else { one });
        };
        let mut at = self.first;
        while self.ended == 0 && at <= self.last {
            let (mut zeros, size) = split(bits.code(ac)?);
            if size == 0 && zeros < 15 {
                self.ended = (1 << zeros) + bits.take(zeros)?;
                break;
            }
            if size > 1 {
                return None;
            }
            // The new coefficient's sign.
            let positive = bits.take(u32::from(size > 0))? == 1;
            while at <= self.last {
                if *found.known >> at & 1 == 1 {
                    refine(&mut found.values[at], bits.take(1)?);
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                at += 1;
            }
            if size > 0 {
                if at > self.last {
                    return None;
                }
                *found.known |= 1 << at;
                found.values[at] = if positive { one } else { -one };
            }
            at += 1;
        }
        if self.ended > 0 {
            for at in at..=self.last {
                if *found.known >> at & 1 == 1 {
                    refine(&mut found.values[at], bits.take(1)?);
                }
            }
            self.ended -= 1;
        }
        Some(())
    }
}

fn split(code: u8) -> (u32, u32) {
    (u32::from(code >> 4), u32::from(code & 15))
}

/// How far a first coefficient is from the one before.
fn difference(bits: &mut Bits<'_>, dc: &Table) -> Option<i32> {
    let size = u32::from(bits.code(dc)?);
    if size > 15 { None } else { signed(bits, size) }
}

/// A value of so many bits, at most 15; those that begin with 0 are the negative ones.
fn signed(bits: &mut Bits<'_>, size: u32) -> Option<i32> {
    let value = bits.take(size)? as i32;
    Some(if size > 0 && value >> (size - 1) == 0 { value + 1 - (1 << size) } else { value })
}

fn pass_ac(bits: &mut Bits<'_>, ac: &Table) -> Option<()> {
    let mut at = 1;
    while at < 64 {
        match split(bits.code(ac)?) {
            (15, 0) => at += 16,
            (_, 0) => break,
            (zeros, size) => {
                at += zeros + 1;
                bits.take(size)?;
            }
        }
    }
    Some(())
}
