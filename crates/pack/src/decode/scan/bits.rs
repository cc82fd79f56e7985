//! Bits and Huffman codes of entropy-coded data, up to the next marker and never across it.

/// The first marker from `at` on that is none of data's own bytes, and where what belongs to it begins.
pub(super) fn next_marker(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        at += memchr::memchr(0xff, bytes.get(at..)?)?;
        match *bytes.get(at + 1)? {
            0 => at += 2,
            0xff => at += 1,
            marker => return Some((marker, at + 2)),
        }
    }
}

/// Reads bits from the most significant on.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The next byte that is not in `buffer`; stays at a marker.
    next: usize,
    /// The bits at hand, the first of them on top; zeros below.
    buffer: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Bits { bytes, next: at, buffer: 0, count: 0 }
    }

    /// Where to look for the marker behind what was read.
    pub(super) fn at(&self) -> usize {
        self.next
    }

    /// Fills the buffer with at least 57 bits, or with all that there are before the marker.
    fn fill(&mut self) {
        while self.count <= 56 {
            let Some(&byte) = self.bytes.get(self.next) else { return };
            let stuffed = byte == 0xff;
            if stuffed && self.bytes.get(self.next + 1) != Some(&0) {
                return;
            }
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
            self.next += if stuffed { 2 } else { 1 };
        }
    }

    /// The next bits' value, at most 16; `None` if there are fewer.
    pub(super) fn take(&mut self, bits: u32) -> Option<u32> {
        if bits > self.count {
            self.fill();
            if bits > self.count {
                return None;
            }
        }
        let value = if bits == 0 { 0 } else { (self.buffer >> (64 - bits)) as u32 };
        self.buffer <<= bits;
        self.count -= bits;
        Some(value)
    }

    /// The value of the next code; `None` if data end before it does, or no such code is.
    pub(super) fn code(&mut self, table: &Table) -> Option<u8> {
        if self.count < 16 {
            self.fill();
        }
        let next = (self.buffer >> 48) as u16;
        let (length, value) = match table.short[usize::from(next >> (16 - SHORT))] {
            (0, _) => table.long(next)?,
            short => short,
        };
        self.take(u32::from(length))?;
        Some(value)
    }

    /// Passes the padding and the restart marker that must follow.
    pub(super) fn restart(&mut self) -> Option<()> {
        let (0xd0..=0xd7, next) = next_marker(self.bytes, self.next)? else { return None };
        *self = Bits::new(self.bytes, next);
        Some(())
    }

    /// Whether nothing but padding is left before the next marker.
    pub(super) fn are_spent(&mut self) -> bool {
        self.fill();
        self.count < 8
    }
}

/// Codes of so many bits are looked up at once.
const SHORT: u32 = 9;

/// A Huffman table.
pub(super) struct Table {
    /// By the next bits: length and value of the code that they begin with; length 0 where it is longer.
    short: Box<[(u8, u8); 1 << SHORT]>,
    /// By length less one: the first code that is longer, as the top of 16 bits, and the values' place less the code.
    ends: [(u32, i32); 16],
    values: Vec<u8>,
    /// Whether a code of ones alone is among them, which the standard forbids.
    pub(super) is_full: bool,
}

impl Table {
    /// Reads a table from a segment, and what follows it. `None` if it is cut or has more codes than there can be.
    pub(super) fn read(content: &[u8]) -> Option<(Self, &[u8])> {
        let (counts, rest) = content.split_first_chunk::<16>()?;
        let (values, rest) = rest.split_at_checked(counts.iter().map(|&n| usize::from(n)).sum())?;
        let mut table = Table {
            short: Box::new([(0, 0); 1 << SHORT]),
            ends: [(0, 0); 16],
            values: values.to_vec(),
            is_full: false,
        };
        let (mut code, mut place) = (0u32, 0u32);
        for (i, &count) in counts.iter().enumerate() {
            let length = i as u32 + 1;
            for n in (0..u32::from(count)).filter(|_| length <= SHORT) {
                let from = ((code + n) << (SHORT - length)) as usize;
                let entry = (length as u8, values[(place + n) as usize]);
                table.short.get_mut(from..from + (1 << (SHORT - length)))?.fill(entry);
            }
            table.ends[i] = ((code + u32::from(count)) << (16 - length), place as i32 - code as i32);
            table.is_full |= code + u32::from(count) >= 1 << length;
            code = (code + u32::from(count)) << 1;
            place += u32::from(count);
        }
        Some((table, rest))
    }

    fn long(&self, next: u16) -> Option<(u8, u8)> {
        let at = (SHORT as usize..16).find(|&i| u32::from(next) < self.ends[i].0)?;
        let place = i32::from(next >> (15 - at)) + self.ends[at].1;
        Some((at as u8 + 1, *self.values.get(usize::try_from(place).ok()?)?))
    }
}
