//! The codes of one block of 64 coefficients, in each of the five ways that scans have; values are passed over.

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
    /// Blocks still to come without a new coefficient.
    ended: u32,
}

impl Block {
    pub(super) fn new(kind: Kind, first: usize, last: usize) -> Option<Self> {
        (last < 64).then_some(Block { kind, first, last, ended: 0 })
    }

    pub(super) fn restart(&mut self) {
        self.ended = 0;
    }

    /// Reads the next block, of whose coefficients `known` are other than zero. `None` where the data end before it
    /// does.
    #[inline]
    pub(super) fn read(
        &mut self,
        bits: &mut Bits<'_>,
        dc: Option<&Table>,
        ac: Option<&Table>,
        known: &mut u64,
    ) -> Option<()> {
        match self.kind {
            Kind::Whole => {
                pass_dc(bits, dc?)?;
                pass_ac(bits, ac?)
            }
            Kind::FirstDc => pass_dc(bits, dc?),
            Kind::LaterDc => bits.take(1).map(drop),
            Kind::FirstAc => self.first_ac(bits, ac?, known),
            Kind::LaterAc => self.later_ac(bits, ac?, known),
        }
    }

    fn first_ac(&mut self, bits: &mut Bits<'_>, ac: &Table, known: &mut u64) -> Option<()> {
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
                    *known |= 1u64.checked_shl(at as u32)?;
                    bits.take(size)?;
                    at += 1;
                }
            }
        }
        Some(())
    }

    fn later_ac(&mut self, bits: &mut Bits<'_>, ac: &Table, known: &mut u64) -> Option<()> {
        let mut at = self.first;
        while self.ended == 0 && at <= self.last {
            let (mut zeros, size) = split(bits.code(ac)?);
            if size == 0 && zeros < 15 {
                self.ended = (1 << zeros) + bits.take(zeros)?;
                break;
            }
            // The new coefficient's sign.
            bits.take(u32::from(size > 0))?;
            while at <= self.last {
                if *known >> at & 1 == 1 {
                    bits.take(1)?;
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                at += 1;
            }
            if size > 0 && at <= self.last {
                *known |= 1 << at;
            }
            at += 1;
        }
        if self.ended > 0 {
            for at in at..=self.last {
                bits.take((*known >> at & 1) as u32)?;
            }
            self.ended -= 1;
        }
        Some(())
    }
}

fn split(code: u8) -> (u32, u32) {
    (u32::from(code >> 4), u32::from(code & 15))
}

fn pass_dc(bits: &mut Bits<'_>, dc: &Table) -> Option<()> {
    let size = u32::from(bits.code(dc)?);
    if size > 15 { None } else { bits.take(size).map(drop) }
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
