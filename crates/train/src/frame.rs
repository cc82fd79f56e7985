//! What processes of a run say to each other: a kind, a length, and as many bytes.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;

/// Longer ones come from somebody else.
const LONGEST: u32 = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Who comes.
    Hello = b'h' as isize,
    /// All have come.
    Accepted = b'a' as isize,
    /// A process does not fit.
    Refused = b'r' as isize,
    /// Still there.
    Beat = b'b' as isize,
    /// Why the run cannot go on.
    Failed = b'f' as isize,
    /// Nothing more will come.
    Done = b'd' as isize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub kind: Kind,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn text(kind: Kind, words: &str) -> Frame {
        Frame { kind, payload: words.as_bytes().to_vec() }
    }

    pub fn words(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    pub fn write(&self, mut to: &TcpStream) -> Result<()> {
        let mut bytes = vec![self.kind as u8];
        bytes.extend((self.payload.len() as u32).to_le_bytes());
        bytes.extend(&self.payload);
        to.write_all(&bytes)
    }

    /// The next one; within the stream's time limit for each part.
    pub fn read(mut from: &TcpStream) -> Result<Frame> {
        let foreign = || Error::new(ErrorKind::InvalidData, "not a process of this program");
        let mut head = [0; 5];
        from.read_exact(&mut head)?;
        let kinds = [Kind::Hello, Kind::Accepted, Kind::Refused, Kind::Beat, Kind::Failed, Kind::Done];
        let kind = kinds.into_iter().find(|&kind| kind as u8 == head[0]).ok_or_else(foreign)?;
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
        if length > LONGEST {
            return Err(foreign());
        }
        let mut payload = vec![0; length as usize];
        from.read_exact(&mut payload)?;
        Ok(Frame { kind, payload })
    }
}
