//! Whether a JPEG holds its whole picture: what the decoder, which makes up what is missing, does not tell.
//!
//! A cheap look finds what is suspicious: no "end of image", or one that is not the file's end. What follows an early
//! one is either foreign to the photo, as some cameras and copies leave it, or the rest of its data, cut in two by
//! damage. Which, only the data say: then the Huffman codes of every scan are read up to its last block, and no pixel
//! is made. Layout and codes: ITU-T T.81, annexes B, F and G. The same walk finds the coefficients of a progressive JPEG,
//! of as many rows as one wants, for `sequential`.
//!
//! Not seen is a photo that was cut and closed again by an "end of image" in its last two bytes.

mod bits;
mod block;
mod lawful;
mod sequential;

use std::ops::Range;

use bits::{Bits, Table, next_marker};
use block::{Block, Found, Kind};
use memchr::memmem;
pub(super) use sequential::sequential;

use super::MAX_PIXELS;

const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];

/// As many scans as the decoder reads. A scan of few bytes may tell of all blocks that there is nothing new.
const MAX_SCANS: usize = 100;

/// Whether a JPEG that a decoder took for sound ends before its picture, or without an end.
pub(super) fn is_cut(bytes: &[u8]) -> bool {
    let Some(data) = first_scan(bytes) else { return false };
    match memmem::find(&bytes[data..], &END_OF_IMAGE) {
        None => true,
        Some(at) if data + at + END_OF_IMAGE.len() == bytes.len() => false,
        Some(_) => walk(bytes, 0..0).is_none(),
    }
}

/// Where the first scan's segment begins. Whatever lies before it (a preview, say) may hold ends of images.
fn first_scan(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    loop {
        let (marker, segment) = next_marker(bytes, at)?;
        match marker {
            0xda => return Some(segment),
            0x01 | 0xd0..=0xd8 => at = segment,
            _ => at = segment + content(bytes, segment)?.len() + 2,
        }
    }
}

/// What a segment holds behind its length.
fn content(bytes: &[u8], segment: usize) -> Option<&[u8]> {
    let length = u16::from_be_bytes([*bytes.get(segment)?, *bytes.get(segment + 1)?]);
    bytes.get(segment + 2..segment + usize::from(length))
}

/// One component of the frame.
struct Component {
    id: u8,
    /// Blocks a unit of interleaved data, across and down.
    across: usize,
    down: usize,
    /// Blocks that the picture needs; data of one component alone have no more.
    columns: usize,
    rows: usize,
    /// Blocks a row with whole units.
    stride: usize,
    /// Coefficients that earlier scans made other than zero, a bit each; progressive frames only.
    known: Vec<u64>,
    /// The last first coefficient that was read.
    before: i32,
    /// Where the frame keeps blocks of it, and how many lie before those.
    kept: Range<usize>,
    skipped: usize,
}

struct Frame {
    progressive: bool,
    /// Units of interleaved data, across and down.
    units: (usize, usize),
    components: Vec<Component>,
    /// The coefficients of the blocks that are kept, in zigzag order. In one piece, as large memory goes back when freed.
    kept: Vec<[i16; 64]>,
}

impl Frame {
    /// A frame that will keep the coefficients of these rows of units.
    fn read(content: &[u8], progressive: bool, keep: Range<usize>) -> Option<Self> {
        let side =
            |at: usize| Some(usize::from(u16::from_be_bytes([*content.get(at)?, *content.get(at + 1)?])));
        let (height, width) = (side(1)?, side(3)?);
        if (height * width) as u64 > MAX_PIXELS {
            return None;
        }
        let listed = content.get(6..6 + 3 * usize::from(*content.get(5)?))?;
        let factors = |c: &[u8]| (usize::from(c[1] >> 4), usize::from(c[1] & 15));
        let most_across = listed.chunks_exact(3).map(|c| factors(c).0).max()?;
        let most_down = listed.chunks_exact(3).map(|c| factors(c).1).max()?;
        let is_factor = |factor| (1..=4).contains(&factor);
        if listed.len() > 3 * 4
            || !listed.chunks_exact(3).map(factors).all(|f| is_factor(f.0) && is_factor(f.1))
        {
            return None;
        }
        let units = (width.div_ceil(8 * most_across), height.div_ceil(8 * most_down));
        let mut kept = 0;
        let components = listed.chunks_exact(3).map(|c| {
            let (across, down) = factors(c);
            let stride = units.0 * across;
            let start = kept;
            kept += keep.end.min(units.1).saturating_sub(keep.start) * down * stride;
            Component {
                id: c[0],
                across,
                down,
                columns: (width * across).div_ceil(8 * most_across),
                rows: (height * down).div_ceil(8 * most_down),
                stride,
                known: vec![0; if progressive { stride * units.1 * down } else { 0 }],
                before: 0,
                kept: start..kept,
                skipped: keep.start * down * stride,
            }
        });
        let components = components.collect();
        Some(Frame { progressive, units, components, kept: vec![[0; 64]; kept] })
    }
}

/// The tables in force: of each kind four.
#[derive(Default)]
struct Tables {
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
}

impl Tables {
    fn read(&mut self, mut content: &[u8]) -> Option<()> {
        while let [which, rest @ ..] = content {
            let (table, rest) = Table::read(rest)?;
            let kind = if which >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            *kind.get_mut(usize::from(which & 15))? = Some(table);
            content = rest;
        }
        Some(())
    }
}

/// Reads all codes of all scans; the frame, with the coefficients of the rows of units to keep, and blocks read. `None`
/// where data end, or make no sense, before a scan's last block, or the file before the end of the image; and, where
/// coefficients are kept, if data are left over.
fn walk(bytes: &[u8], keep: Range<usize>) -> Option<(Frame, u64)> {
    let (mut tables, mut frame, mut interval, mut blocks) = (Tables::default(), None, 0, 0);
    let mut scans = 0;
    let mut at = 2;
    loop {
        let (marker, segment) = next_marker(bytes, at)?;
        at = segment;
        if matches!(marker, 0x01 | 0xd0..=0xd8) {
            continue;
        }
        if marker == 0xd9 {
            return frame.filter(|_| blocks > 0).map(|frame| (frame, blocks));
        }
        let content = content(bytes, segment)?;
        at += content.len() + 2;
        match marker {
            // There is one; a second would be another picture's, and its memory was not asked for.
            0xc0..=0xc2 if frame.is_some() => return None,
            0xc0..=0xc2 => frame = Some(Frame::read(content, marker == 0xc2, keep.clone())?),
            0xc4 => tables.read(content)?,
            // Tables that change between scans are of coefficients already kept.
            0xdb if blocks > 0 && !keep.is_empty() => return None,
            0xdd => interval = usize::from(u16::from_be_bytes([*content.first()?, *content.get(1)?])),
            0xda if scans == MAX_SCANS => return None,
            0xda => {
                scans += 1;
                let mut bits = Bits::new(bytes, at);
                blocks += scan(frame.as_mut()?, content, &tables, interval, &mut bits)?;
                at = bits.at();
            }
            _ => {}
        }
    }
}

/// Reads one scan to its last block; blocks read.
fn scan(
    frame: &mut Frame,
    header: &[u8],
    tables: &Tables,
    interval: usize,
    bits: &mut Bits<'_>,
) -> Option<u64> {
    let count = usize::from(*header.first()?);
    let listed = header.get(1..1 + 2 * count)?;
    let [first, last, approximation] = *header.get(1 + 2 * count..)?.first_chunk()?;
    let low = u32::from(approximation & 15);
    let kind = match (frame.progressive, first, approximation >> 4) {
        (false, ..) => Kind::Whole,
        (true, 0, 0) => Kind::FirstDc,
        (true, 0, _) => Kind::LaterDc,
        (true, _, 0) => Kind::FirstAc,
        (true, ..) => Kind::LaterAc,
    };
    let members: Option<Vec<(usize, &[u8])>> = listed
        .chunks_exact(2)
        .map(|entry| Some((frame.components.iter().position(|c| c.id == entry[0])?, entry)))
        .collect();
    let members = members?;
    let alone = match members[..] {
        [] => return None,
        [(only, _)] => Some((frame.components[only].columns, frame.components[only].rows)),
        _ => None,
    };
    let (columns, rows) = alone.unwrap_or(frame.units);
    let mut blocks = 0;
    let mut block = Block::new(kind, usize::from(first), usize::from(last), low)?;
    frame.components.iter_mut().for_each(|component| component.before = 0);
    let (mut passed, strict) = ([0; 64], !frame.kept.is_empty());
    for unit in 0..columns * rows {
        if interval > 0 && unit > 0 && unit % interval == 0 {
            if strict && !bits.are_spent() {
                return None;
            }
            bits.restart()?;
            block.restart();
            frame.components.iter_mut().for_each(|component| component.before = 0);
        }
        let (x, y) = (unit % columns, unit / columns);
        for &(member, entry) in &members {
            let component = &mut frame.components[member];
            let dc = tables.dc.get(usize::from(entry[1] >> 4))?.as_ref();
            let ac = tables.ac.get(usize::from(entry[1] & 15))?.as_ref();
            let (across, down) = if alone.is_some() { (1, 1) } else { (component.across, component.down) };
            for i in 0..across * down {
                let at = (y * down + i / across) * component.stride + x * across + i % across;
                let mut nothing = 0;
                let known = if frame.progressive { component.known.get_mut(at)? } else { &mut nothing };
                let place = at.checked_sub(component.skipped).map(|at| component.kept.start + at);
                let values = match place.filter(|place| component.kept.contains(place)) {
                    Some(place) => &mut frame.kept[place],
                    None => &mut passed,
                };
                block.read(bits, dc, ac, Found { known, before: &mut component.before, values })?;
                blocks += 1;
            }
        }
    }
    if strict && !bits.are_spent() {
        return None;
    }
    Some(blocks)
}

#[cfg(test)]
mod tests;
