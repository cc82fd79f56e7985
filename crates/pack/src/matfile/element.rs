//! Data elements of a MAT file: a tag (type and length), the data, padding to eight bytes.
//!
//! A [`Reader`] hands out elements whose data lies inside the bytes it was given; nothing here interprets arrays.

use std::io::Read;

/// All compressed elements of a file together may unpack to this many bytes (the real `meta.mat` needs 1 MB).
pub const MAX_UNPACKED_BYTES: usize = 32 << 20;

/// What is wrong with a MAT file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("offset {offset}: {reason}")]
pub struct MatError {
    /// Bytes from the start of the file; inside a compressed element, the start of that element.
    pub offset: usize,
    /// What is wrong.
    pub reason: String,
}

impl MatError {
    pub(super) fn new(offset: usize, reason: impl Into<String>) -> Self {
        MatError { offset, reason: reason.into() }
    }

    /// The same error, placed at the compressed element it is inside of.
    pub(super) fn inside(self, packed: usize) -> Self {
        MatError::new(packed, format!("unpacked byte {}: {}", self.offset, self.reason))
    }
}

/// The type of an element, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Number(Number),
    Utf8,
    Utf16,
    Utf32,
    Matrix,
    Compressed,
}

/// A storage type of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    F32,
    F64,
    I64,
    U64,
}

impl Kind {
    fn of(code: u32) -> Option<Kind> {
        Some(match code {
            1 => Kind::Number(Number::I8),
            2 => Kind::Number(Number::U8),
            3 => Kind::Number(Number::I16),
            4 => Kind::Number(Number::U16),
            5 => Kind::Number(Number::I32),
            6 => Kind::Number(Number::U32),
            7 => Kind::Number(Number::F32),
            9 => Kind::Number(Number::F64),
            12 => Kind::Number(Number::I64),
            13 => Kind::Number(Number::U64),
            14 => Kind::Matrix,
            15 => Kind::Compressed,
            16 => Kind::Utf8,
            17 => Kind::Utf16,
            18 => Kind::Utf32,
            _ => return None,
        })
    }
}

/// One element; `offset` is that of its tag.
pub(super) struct Element<'a> {
    pub kind: Kind,
    pub offset: usize,
    pub data: &'a [u8],
    big: bool,
}

/// Elements one after the other.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
    big: bool,
}

impl<'a> Reader<'a> {
    /// Elements in `rest`, whose first byte is byte `offset` of the file (or of the unpacked element).
    pub(super) fn new(rest: &'a [u8], offset: usize, big: bool) -> Self {
        Reader { rest, offset, big }
    }

    pub(super) fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    pub(super) fn element(&mut self) -> Result<Element<'a>, MatError> {
        let offset = self.offset;
        let tag = self.rest.get(..8).ok_or_else(|| MatError::new(offset, "cut in a tag"))?;
        let (first, second) = (u32_at(&tag[..4], self.big), u32_at(&tag[4..], self.big));
        // A small element keeps its length in the upper half of the first word and its data in the second.
        let (code, data, used) = if first >> 16 != 0 {
            let length = (first >> 16) as usize;
            let data = tag.get(4..4 + length);
            (first & 0xFFFF, data.ok_or_else(|| MatError::new(offset, "small element above 4 bytes"))?, 8)
        } else {
            let length = second as usize;
            let body = &self.rest[8..];
            let data = body.get(..length).ok_or_else(|| {
                MatError::new(offset, format!("an element of {length} bytes, {} are left", body.len()))
            })?;
            // Compressed elements are not padded; the last element of a file may lack its padding.
            let padded = if first == 15 { length } else { length.next_multiple_of(8) };
            (first, data, 8 + padded.min(body.len()))
        };
        let kind =
            Kind::of(code).ok_or_else(|| MatError::new(offset, format!("unknown data type {code}")))?;
        self.rest = &self.rest[used..];
        self.offset += used;
        Ok(Element { kind, offset, data, big: self.big })
    }
}

impl Element<'_> {
    /// The numbers of a numeric element as `f64`.
    pub(super) fn numbers(&self) -> Result<Vec<f64>, MatError> {
        let Kind::Number(number) = self.kind else {
            return Err(MatError::new(self.offset, "expected numbers"));
        };
        macro_rules! widen {
            ($type:ty) => {{
                const SIZE: usize = size_of::<$type>();
                let numbers = self.data.chunks_exact(SIZE);
                if !numbers.remainder().is_empty() {
                    return Err(MatError::new(self.offset, "numbers are cut"));
                }
                let one = |bytes: &[u8]| {
                    let mut array = [0; SIZE];
                    array.copy_from_slice(bytes);
                    let value =
                        if self.big { <$type>::from_be_bytes(array) } else { <$type>::from_le_bytes(array) };
                    value as f64
                };
                numbers.map(one).collect()
            }};
        }
        Ok(match number {
            Number::I8 => widen!(i8),
            Number::U8 => widen!(u8),
            Number::I16 => widen!(i16),
            Number::U16 => widen!(u16),
            Number::I32 => widen!(i32),
            Number::U32 => widen!(u32),
            Number::F32 => widen!(f32),
            Number::F64 => widen!(f64),
            Number::I64 => widen!(i64),
            Number::U64 => widen!(u64),
        })
    }

    /// The characters of an element of any type that can hold them. 8-bit codes that are no UTF-8 are Latin-1.
    pub(super) fn text(&self) -> Result<String, MatError> {
        match self.kind {
            Kind::Number(Number::I8 | Number::U8) | Kind::Utf8 => Ok(match std::str::from_utf8(self.data) {
                Ok(text) => text.to_owned(),
                Err(_) => self.data.iter().map(|&b| b as char).collect(),
            }),
            Kind::Number(Number::U16) | Kind::Utf16 => {
                let unit = |c: &[u8]| if self.big { [c[0], c[1]] } else { [c[1], c[0]] };
                let units = self.data.chunks_exact(2).map(|c| u16::from_be_bytes(unit(c)));
                Ok(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
            }
            Kind::Number(Number::U32) | Kind::Utf32 => {
                let code = |c: &[u8]| char::from_u32(u32_at(c, self.big));
                Ok(self
                    .data
                    .chunks_exact(4)
                    .map(|c| code(c).unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect())
            }
            _ => Err(MatError::new(self.offset, "expected text")),
        }
    }

    /// The unpacked bytes of a compressed element, taken from `budget`.
    pub(super) fn inflate(&self, budget: &mut usize) -> Result<Vec<u8>, MatError> {
        let mut unpacked = Vec::new();
        let limit = *budget as u64 + 1;
        flate2::read::ZlibDecoder::new(self.data)
            .take(limit)
            .read_to_end(&mut unpacked)
            .map_err(|e| MatError::new(self.offset, format!("compressed element: {e}")))?;
        *budget = budget.checked_sub(unpacked.len()).ok_or_else(|| {
            MatError::new(self.offset, format!("unpacks to more than {MAX_UNPACKED_BYTES} bytes"))
        })?;
        Ok(unpacked)
    }
}

fn u32_at(bytes: &[u8], big: bool) -> u32 {
    let mut array = [0; 4];
    array.copy_from_slice(bytes);
    if big { u32::from_be_bytes(array) } else { u32::from_le_bytes(array) }
}
