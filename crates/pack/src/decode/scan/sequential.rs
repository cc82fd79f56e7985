//! A large progressive JPEG written anew as a sequential one, to be decoded in less memory.
//!
//! A decoder holds all coefficients of a progressive JPEG beside the pixels, up to 9 bytes a pixel; of a sequential one a
//! row of blocks. Here the scans are walked several times, and each time the coefficients of some rows are kept and
//! written with codes of our own. The coefficients, and so the pixels, are the same.
//!
//! Only for files without any fault: all else goes to the decoder as it is, which says what is wrong with it.

use super::bits::next_marker;
use super::lawful::is_lawful;
use super::{Frame, MAX_PIXELS, content, walk};

/// Coefficients that are kept at a time.
const BYTES_A_PIXEL: usize = 2;

/// The most that the new codes may take beside the old, and a byte a block besides; other pictures are unlike photos.
const TIMES_LONGER: usize = 3;

/// The picture of a progressive JPEG of more than so many pixels as a sequential JPEG. `None` if it is no such JPEG, has any
/// fault, or holds values that sequential JPEGs can't.
pub(in super::super) fn sequential(bytes: &[u8], pixels: u64) -> Option<Vec<u8>> {
    let frame = frame(bytes)?;
    let side = |at: usize| Some(u64::from(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?])));
    let area = side(1)? * side(3)?;
    if area <= pixels || area > MAX_PIXELS || frame[0] != 8 || !is_lawful(bytes) {
        return None;
    }
    let (units, row_bytes) = {
        let frame = Frame::read(frame, false, 0..0)?;
        (frame.units.1, frame.components.iter().map(|c| c.stride * c.down * 128).sum::<usize>())
    };
    let rows = (BYTES_A_PIXEL * area as usize / row_bytes.max(1)).max(1);
    rewrite(bytes, units, rows)
}

/// What the frame header holds, if it is of a progressive JPEG.
fn frame(bytes: &[u8]) -> Option<&[u8]> {
    let mut at = 2;
    loop {
        let (marker, segment) = next_marker(bytes, at)?;
        at = segment;
        match marker {
            0xc2 => return content(bytes, segment),
            0x01 | 0xd0..=0xd8 => {}
            0xc4 | 0xcc => at += content(bytes, segment)?.len() + 2,
            0xc0..=0xcf | 0xd9 | 0xda => return None,
            _ => at += content(bytes, segment)?.len() + 2,
        }
    }
}

/// Writes so many rows of units after each walk.
fn rewrite(bytes: &[u8], units: usize, rows: usize) -> Option<Vec<u8>> {
    let [dc, ac] = [Codes::of_first(), Codes::of_others()];
    let mut out = head(bytes)?;
    dc.define(0x00, &mut out);
    ac.define(0x10, &mut out);
    let mut writer = Writer { out, buffer: 0, count: 0 };
    let mut before = [0; 4];
    for from in (0..units).step_by(rows) {
        let (frame, _) = walk(bytes, from..from + rows)?;
        if from == 0 {
            writer.scan_header(&frame);
        }
        writer.rows(&frame, &mut before, &dc, &ac)?;
        let blocks: usize = frame.components.iter().map(|component| component.known.len()).sum();
        if writer.out.len() > TIMES_LONGER * bytes.len() + blocks {
            return None;
        }
    }
    Some(writer.end())
}

/// All that stands before the first scan of a lawful file but codes and restarts, the frame's marker being a sequential one's.
fn head(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0xff, 0xd8];
    let mut at = 2;
    loop {
        let (marker, segment) = next_marker(bytes, at)?;
        let content = content(bytes, segment)?;
        at = segment + content.len() + 2;
        match marker {
            0xda => return Some(out),
            0xc4 | 0xdd => {}
            _ => {
                out.extend([0xff, if marker == 0xc2 { 0xc0 } else { marker }]);
                out.extend(&bytes[segment..at]);
                // Data of one component are the same for any factors, and decoders trip over others than 1.
                if marker == 0xc2 && content[5] == 1 {
                    let factors = out.len() - 2;
                    out[factors] = 0x11;
                }
            }
        }
    }
}

/// Codes for bytes, by which values are told.
struct Codes {
    /// Codes a length, and the bytes that they stand for, the shortest first.
    counts: [u8; 16],
    bytes: Vec<u8>,
    /// By byte: code and length.
    codes: [(u16, u32); 256],
}

impl Codes {
    fn new(lengths: impl IntoIterator<Item = (u32, u8)>) -> Self {
        let mut codes = Codes { counts: [0; 16], bytes: Vec::new(), codes: [(0, 0); 256] };
        let (mut code, mut before) = (0, 0);
        for (length, byte) in lengths {
            code <<= length - before;
            codes.counts[length as usize - 1] += 1;
            codes.bytes.push(byte);
            codes.codes[usize::from(byte)] = (code, length);
            (code, before) = (code + 1, length);
        }
        codes
    }

    /// For the sizes of the first coefficients' differences.
    fn of_first() -> Self {
        Codes::new((0..12).map(|size| (4, size)))
    }

    /// For zeros and sizes of the other coefficients, short ones for what is frequent in photos.
    fn of_others() -> Self {
        const SHORT: [(u32, u8); 9] =
            [(2, 0x01), (2, 0x02), (3, 0x03), (4, 0), (4, 0x11), (4, 0x04), (5, 0x12), (5, 0x21), (5, 0x05)];
        let all = (0..16).flat_map(|zeros| (1..=10).map(move |size| zeros << 4 | size)).chain([0, 0xf0]);
        let rest = all.filter(|byte| SHORT.iter().all(|short| short.1 != *byte)).map(|byte| (11, byte));
        Codes::new(SHORT.into_iter().chain(rest))
    }

    /// Writes the segment that defines them.
    fn define(&self, which: u8, out: &mut Vec<u8>) {
        out.extend([0xff, 0xc4]);
        out.extend((2 + 1 + 16 + self.bytes.len() as u16).to_be_bytes());
        out.push(which);
        out.extend(self.counts);
        out.extend(&self.bytes);
    }
}

/// Writes bits, the most significant first.
struct Writer {
    out: Vec<u8>,
    buffer: u64,
    count: u32,
}

impl Writer {
    /// At most 16 bits.
    fn put(&mut self, value: u32, bits: u32) {
        self.buffer = self.buffer << bits | u64::from(value);
        self.count += bits;
        while self.count >= 8 {
            self.count -= 8;
            let byte = (self.buffer >> self.count) as u8;
            self.out.push(byte);
            // A byte that could be taken for a marker's first.
            if byte == 0xff {
                self.out.push(0);
            }
        }
    }

    fn scan_header(&mut self, frame: &Frame) {
        let count = frame.components.len() as u8;
        self.out.extend([0xff, 0xda, 0, 6 + 2 * count, count]);
        self.out.extend(frame.components.iter().flat_map(|component| [component.id, 0]));
        self.out.extend([0, 63, 0]);
    }

    /// Writes what a frame has kept: of one component its blocks, of several unit after unit.
    fn rows(&mut self, frame: &Frame, before: &mut [i32; 4], dc: &Codes, ac: &Codes) -> Option<()> {
        if let [only] = &frame.components[..] {
            let from = only.skipped / only.stride;
            for (_, row) in (from..only.rows).zip(frame.kept.chunks_exact(only.stride)) {
                row[..only.columns].iter().try_for_each(|block| self.block(block, &mut before[0], dc, ac))?;
            }
            return Some(());
        }
        let rows = frame.components.first().map_or(0, |c| c.kept.len() / (c.stride * c.down));
        for (y, x) in (0..rows).flat_map(|y| (0..frame.units.0).map(move |x| (y, x))) {
            for (component, before) in frame.components.iter().zip(&mut *before) {
                let kept = &frame.kept[component.kept.clone()];
                for i in 0..component.across * component.down {
                    let (row, column) = (
                        y * component.down + i / component.across,
                        x * component.across + i % component.across,
                    );
                    self.block(kept.get(row * component.stride + column)?, before, dc, ac)?;
                }
            }
        }
        Some(())
    }

    fn block(&mut self, values: &[i16; 64], before: &mut i32, dc: &Codes, ac: &Codes) -> Option<()> {
        let first = i32::from(values[0]);
        self.value(0, first - *before, dc)?;
        *before = first;
        let mut zeros = 0;
        for &value in &values[1..] {
            if value == 0 {
                zeros += 1;
                continue;
            }
            while zeros > 15 {
                self.byte(0xf0, ac)?;
                zeros -= 16;
            }
            self.value(zeros, i32::from(value), ac)?;
            zeros = 0;
        }
        if zeros > 0 { self.byte(0, ac) } else { Some(()) }
    }

    /// A value behind so many zeros: its size, then its bits. `None` if there is no code for it.
    fn value(&mut self, zeros: u8, value: i32, codes: &Codes) -> Option<()> {
        let size = 32 - value.unsigned_abs().leading_zeros();
        if size > 15 {
            return None;
        }
        self.byte(zeros << 4 | size as u8, codes)?;
        let told = if value < 0 { value - 1 } else { value };
        self.put(told as u32 & ((1 << size) - 1), size);
        Some(())
    }

    fn byte(&mut self, byte: u8, codes: &Codes) -> Option<()> {
        let (code, length) = codes.codes[usize::from(byte)];
        self.put(u32::from(code), length);
        (length > 0).then_some(())
    }

    /// Fills the last byte up with ones and ends the picture.
    fn end(mut self) -> Vec<u8> {
        self.put(0x7f, 7);
        self.out.extend([0xff, 0xd9]);
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::scan::tests::fixture;

    /// The rows kept at a time leave no trace, and a second writing finds nothing more to do.
    #[test]
    fn any_number_of_rows() {
        for name in
            ["progressive", "progressive-restarts", "progressive-444", "progressive-grey", "progressive-cmyk"]
        {
            let bytes = fixture(&format!("{name}.jpg"));
            let whole = rewrite(&bytes, 100, 100).unwrap();
            for rows in [1, 2, 3] {
                let frame = Frame::read(frame(&bytes).unwrap(), false, 0..0).unwrap();
                assert!(rewrite(&bytes, frame.units.1, rows).unwrap() == whole, "{name} by {rows}");
            }
            assert!(sequential(&bytes, 0).unwrap() == whole && sequential(&whole, 0).is_none(), "{name}");
            assert!(sequential(&bytes, 1 << 20).is_none(), "{name}");
        }
    }

    /// Codes fit into their lengths, and none is all ones.
    #[test]
    fn codes_are_no_prefixes_of_each_other() {
        for codes in [Codes::of_first(), Codes::of_others()] {
            let taken: f64 = codes.codes.iter().filter(|c| c.1 > 0).map(|c| 0.5f64.powi(c.1 as i32)).sum();
            assert!(taken < 1.0, "{taken}");
            let ones = |&(code, length): &(u16, u32)| length > 0 && u32::from(code) == (1 << length) - 1;
            assert!(!codes.codes.iter().any(ones));
        }
    }
}
