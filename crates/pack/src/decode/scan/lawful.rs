//! Whether a progressive JPEG is put together as the standard wants it (ITU-T T.81, annexes B and G).
//!
//! Decoders call damage what a walk through the codes passes over: bytes between segments, restarts out of turn, scans that
//! no encoder writes. A file that is to be written anew must have none of it, or the damage would be gone without a word.
//! Codes are not read here.

use super::bits::{Table, next_marker};
use super::content;

/// Above any bit that a scan may begin with.
const UNREAD: u8 = 16;

/// Blocks that a unit of several components may have; decoders refuse more.
const MOST_BLOCKS: u32 = 10;

pub(super) fn is_lawful(bytes: &[u8]) -> bool {
    read(bytes).is_some_and(|scans| scans.are_complete())
}

/// Follows the segments to the end of the image.
fn read(bytes: &[u8]) -> Option<Scans> {
    let (mut at, mut scans, mut tables) = (2, None::<Scans>, [[false; 4]; 2]);
    loop {
        let (marker, segment) = next_marker(bytes, at)?;
        // Nothing is between segments but fill, which is as a marker's first byte.
        if !bytes[at..segment - 1].iter().all(|&byte| byte == 0xff) {
            return None;
        }
        if marker == 0xd9 {
            return scans;
        }
        let content = content(bytes, segment)?;
        at = segment + content.len() + 2;
        let lawful = match marker {
            0xc2 if scans.is_none() => {
                scans = Some(Scans::of_frame(content)?);
                true
            }
            0xc4 => define(content, &mut tables).is_some(),
            0xdd => content.len() == 2,
            0xda => {
                at = data_end(bytes, at)?;
                scans.as_mut()?.admit(content, &tables).is_some()
            }
            // Between scans they would be of coefficients that were read.
            0xdb | 0xe0..=0xef | 0xfe => scans.as_ref().is_none_or(|scans| scans.count == 0),
            _ => false,
        };
        if !lawful {
            return None;
        }
    }
}

/// Where the marker behind a scan's data is; the restarts amid them are counted from 0 to 7, again and again.
fn data_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut next = 0;
    loop {
        let (marker, behind) = next_marker(bytes, at)?;
        match marker {
            0xd0..=0xd7 if marker - 0xd0 == next => (at, next) = (behind, (next + 1) % 8),
            0xd0..=0xd7 => return None,
            _ => return Some(behind - 2),
        }
    }
}

/// Notes which tables are there, those of first coefficients and those of others.
fn define(mut content: &[u8], tables: &mut [[bool; 4]; 2]) -> Option<()> {
    while let [which, rest @ ..] = content {
        let (_, rest) = Table::read(rest).filter(|(table, _)| !table.is_full)?;
        *tables.get_mut(usize::from(which >> 4))?.get_mut(usize::from(which & 15))? = true;
        content = rest;
    }
    Some(())
}

/// What the scans so far have told.
struct Scans {
    count: usize,
    /// The components' numbers, and the lowest bit that was read of each of their coefficients.
    components: Vec<(u8, [u8; 64])>,
}

impl Scans {
    fn of_frame(content: &[u8]) -> Option<Self> {
        let count = usize::from(*content.get(5)?);
        let listed = content.get(6..).filter(|listed| listed.len() == 3 * count)?;
        let blocks: u32 = listed.chunks_exact(3).map(|c| u32::from(c[1] >> 4) * u32::from(c[1] & 15)).sum();
        let components: Vec<_> = listed.chunks_exact(3).map(|c| (c[0], [UNREAD; 64])).collect();
        let is_new = |(i, c): (usize, &(u8, _))| components[..i].iter().all(|other| other.0 != c.0);
        let distinct = components.iter().enumerate().all(is_new);
        (distinct && (count == 1 || blocks <= MOST_BLOCKS)).then_some(Scans { count: 0, components })
    }

    /// Takes one more scan, if it is one that may follow.
    fn admit(&mut self, header: &[u8], tables: &[[bool; 4]; 2]) -> Option<()> {
        self.count += 1;
        let count = usize::from(*header.first()?);
        let listed = header.get(1..1 + 2 * count)?;
        let &[first, last, bits] = header.get(1 + 2 * count..)? else { return None };
        let (high, low) = (bits >> 4, bits & 15);
        let is_dc = (first, last) == (0, 0) && (1..=4).contains(&count);
        let is_ac = 1 <= first && first <= last && last < 64 && count == 1;
        if !(is_dc || is_ac) || low > 13 {
            return None;
        }
        for entry in listed.chunks_exact(2) {
            // Later bits of first coefficients need no codes; a decoder may want them all the same.
            let which = if is_dc { entry[1] >> 4 } else { entry[1] & 15 };
            tables[usize::from(is_ac)].get(usize::from(which)).filter(|&&is_there| is_there)?;
            let (_, lowest) = self.components.iter_mut().find(|component| component.0 == entry[0])?;
            for lowest in &mut lowest[usize::from(first)..=usize::from(last)] {
                // The upper bits come at once and first, each later one alone. A component listed twice fails here.
                let follows = if high == 0 { *lowest == UNREAD } else { *lowest == high && high == low + 1 };
                *lowest = follows.then_some(low)?;
            }
        }
        Some(())
    }

    /// Whether all bits of all coefficients were told. Decoders may smooth a picture that lacks some.
    fn are_complete(&self) -> bool {
        self.components.iter().all(|(_, lowest)| lowest.iter().all(|&low| low == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::scan::tests::fixture;

    /// What each fault looks like, in a file that is else sound.
    #[test]
    fn faults_are_seen() {
        for name in ["progressive", "progressive-444", "progressive-grey", "progressive-cmyk"] {
            assert!(is_lawful(&fixture(&format!("{name}.jpg"))), "{name}");
        }
        let whole = fixture("progressive-restarts.jpg");
        assert!(is_lawful(&whole) && !is_lawful(&fixture("restarts.jpg")));
        let places = |marker: u8| -> Vec<usize> {
            (0..whole.len() - 1).filter(|&i| whole[i..i + 2] == [0xff, marker]).collect()
        };
        let spoilt = |what: &str, change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = whole.clone();
            change(&mut bytes);
            assert!(!is_lawful(&bytes), "{what}");
        };
        let (scans, frame, tables) = (places(0xda), places(0xc2)[0], places(0xc4)[0]);
        spoilt("bytes between segments", &|b| drop(b.splice(frame..frame, [0, 0])));
        spoilt("no end", &|b| b.truncate(b.len() - 2));
        spoilt("a restart out of turn", &|b| b[places(0xd1)[0] + 1] = 0xd2);
        spoilt("two frames", &|b| drop(b.splice(frame..frame, whole[frame..frame + 19].to_vec())));
        spoilt("two components of one number", &|b| b[frame + 13] = b[frame + 10]);
        spoilt("too many blocks", &|b| (b[frame + 14], b[frame + 17]) = (0x22, 0x22));
        spoilt("a code of ones", &|b| {
            b[tables + 5..tables + 21].copy_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        });
        spoilt("tables amid scans", &|b| drop(b.splice(scans[1]..scans[1], [0xff, 0xdb, 0, 3, 0])));
        // Header: marker, length, 3 components of two bytes; first, last, bits.
        spoilt("first coefficients with others", &|b| b[scans[0] + 12] = 1);
        spoilt("a bit told twice", &|b| {
            drop(b.splice(scans[1]..scans[1], whole[scans[0]..scans[1]].to_vec()))
        });
        spoilt("a component twice", &|b| b[scans[0] + 7] = b[scans[0] + 5]);
        let last = *scans.last().unwrap();
        spoilt("bits that never come", &|b| drop(b.drain(last..whole.len() - 2)));
        spoilt("a longer interval", &|b| b[places(0xdd)[0] + 3] = 5);
    }
}
