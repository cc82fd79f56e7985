//! A reader for the part of MAT version 5 that ImageNet's `meta.mat` uses.
//!
//! Read are numeric arrays (widened to `f64`, which is exact below 2⁵³), characters (8-bit, UTF-8, UTF-16), logicals,
//! structs, cells and compressed elements, in either byte order. Objects, sparse and complex arrays become
//! [`Value::Other`]. The bytes are untrusted: nesting and unpacked size are bounded and every length is checked before
//! use, so hostile input gives an error, never a panic or an endless allocation. Version 7.3 files are HDF5 and refused.

mod element;

pub use element::{MAX_UNPACKED_BYTES, MatError};

use element::{Kind, Reader};

/// One array of a MAT file. Elements are in column-major order, as stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Numbers or logicals.
    Numeric {
        /// Sides, at least two.
        dims: Vec<usize>,
        /// As many as the product of the sides.
        data: Vec<f64>,
    },
    /// Characters; rows of a matrix of characters are not separated.
    Text(String),
    /// A struct array: `values[element · fields.len() + field]`.
    Struct {
        /// Sides, at least two.
        dims: Vec<usize>,
        /// Names of the fields.
        fields: Vec<String>,
        /// All fields of the first element, then of the second, and so on.
        values: Vec<Value>,
    },
    /// A cell array.
    Cell {
        /// Sides, at least two.
        dims: Vec<usize>,
        /// As many as the product of the sides.
        values: Vec<Value>,
    },
    /// An array of a class outside the subset, skipped.
    Other,
}

impl Value {
    /// The only number of a 1×1 array.
    pub fn scalar(&self) -> Option<f64> {
        match self {
            Value::Numeric { data, .. } if data.len() == 1 => Some(data[0]),
            _ => None,
        }
    }

    /// The text of a character array. An empty numeric array counts as empty text, since MATLAB stores `''` so.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::Numeric { data, .. } if data.is_empty() => Some(""),
            _ => None,
        }
    }
}

/// Structs and cells nest at most this deep.
const MAX_DEPTH: usize = 16;

/// Reads every variable of a MAT file: name and value, in file order.
///
/// # Errors
/// If the bytes are no MAT 5 file, are cut or damaged, or exceed the bounds.
pub fn read(bytes: &[u8]) -> Result<Vec<(String, Value)>, MatError> {
    let big = match bytes.get(124..128) {
        Some([0, 1, b'I', b'M']) => false,
        Some([1, 0, b'M', b'I']) => true,
        Some([0, 2, b'I', b'M'] | [2, 0, b'M', b'I']) => {
            return Err(MatError::new(124, "a version 7.3 file (HDF5), not version 5"));
        }
        Some(_) => return Err(MatError::new(124, "no MAT version 5 header")),
        None => return Err(MatError::new(bytes.len(), "too short for a MAT header of 128 bytes")),
    };
    let mut budget = MAX_UNPACKED_BYTES;
    let mut reader = Reader::new(&bytes[128..], 128, big);
    let mut variables = Vec::new();
    while !reader.at_end() {
        let element = reader.element()?;
        match element.kind {
            Kind::Compressed => {
                let unpacked = element.inflate(&mut budget)?;
                // Offsets inside are those of the unpacked bytes; the error is placed at the packed element.
                let mut inner = Reader::new(&unpacked, 0, big);
                let at = element.offset;
                let matrix = inner.element().map_err(|e| e.inside(at))?;
                variables.push(variable(&matrix, big).map_err(|e| e.inside(at))?);
            }
            _ => variables.push(variable(&element, big)?),
        }
    }
    Ok(variables)
}

fn variable(element: &element::Element<'_>, big: bool) -> Result<(String, Value), MatError> {
    if element.kind != Kind::Matrix {
        return Err(MatError::new(element.offset, "expected an array"));
    }
    matrix(element, big, 0)
}

const CLASS_CELL: u8 = 1;
const CLASS_STRUCT: u8 = 2;
const CLASS_CHAR: u8 = 4;
const CLASS_DOUBLE: u8 = 6;
const CLASS_UINT64: u8 = 15;
const FLAG_COMPLEX: u32 = 0x0800;

/// Name and value of an array element.
fn matrix(element: &element::Element<'_>, big: bool, depth: usize) -> Result<(String, Value), MatError> {
    if element.data.is_empty() {
        return Ok((String::new(), Value::Numeric { dims: vec![0, 0], data: Vec::new() }));
    }
    if depth >= MAX_DEPTH {
        return Err(MatError::new(element.offset, format!("nested deeper than {MAX_DEPTH}")));
    }
    let mut reader = Reader::new(element.data, element.offset + 8, big);
    let flags = reader.element()?;
    let flags = match (flags.kind, flags.numbers()?.as_slice()) {
        (Kind::Number(_), [flags, _]) => *flags as u32,
        _ => return Err(MatError::new(flags.offset, "expected array flags")),
    };
    let class = flags as u8;
    if !matches!(class, CLASS_CELL | CLASS_STRUCT | CLASS_CHAR | CLASS_DOUBLE..=CLASS_UINT64)
        || flags & FLAG_COMPLEX != 0
    {
        return Ok((String::new(), Value::Other));
    }
    let dims_element = reader.element()?;
    let (dims, count) = dimensions(&dims_element)?;
    let name = reader.element()?.text()?;
    let value = match class {
        CLASS_CHAR => Value::Text(reader.element()?.text()?),
        CLASS_CELL => Value::Cell { values: children(&mut reader, count, depth, big)?, dims },
        CLASS_STRUCT => {
            let fields = field_names(&mut reader)?;
            let total = count.checked_mul(fields.len());
            let total = total.ok_or_else(|| MatError::new(dims_element.offset, "too many fields"))?;
            Value::Struct { values: children(&mut reader, total, depth, big)?, dims, fields }
        }
        _ => {
            let numbers = reader.element()?;
            let data = numbers.numbers()?;
            if data.len() != count {
                let what = format!("{} numbers where the sides say {count}", data.len());
                return Err(MatError::new(numbers.offset, what));
            }
            Value::Numeric { dims, data }
        }
    };
    Ok((name, value))
}

fn children(reader: &mut Reader<'_>, count: usize, depth: usize, big: bool) -> Result<Vec<Value>, MatError> {
    // Each child takes at least its 8-byte tag, so the count is bounded by the bytes left.
    if count > reader.remaining() / 8 {
        return Err(MatError::new(reader.offset(), format!("{count} elements do not fit in what is left")));
    }
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let child = reader.element()?;
        if child.kind != Kind::Matrix {
            return Err(MatError::new(child.offset, "expected an array"));
        }
        values.push(matrix(&child, big, depth + 1)?.1);
    }
    Ok(values)
}

fn dimensions(element: &element::Element<'_>) -> Result<(Vec<usize>, usize), MatError> {
    let bad = || MatError::new(element.offset, "unusable sides of an array");
    let numbers = element.numbers()?;
    if !(2..=32).contains(&numbers.len()) || numbers.iter().any(|&n| !(0.0..=u32::MAX as f64).contains(&n)) {
        return Err(bad());
    }
    let dims: Vec<usize> = numbers.iter().map(|&n| n as usize).collect();
    let count = dims.iter().try_fold(1usize, |product, &n| product.checked_mul(n)).ok_or_else(bad)?;
    Ok((dims, count))
}

fn field_names(reader: &mut Reader<'_>) -> Result<Vec<String>, MatError> {
    let length = reader.element()?;
    let width = match length.numbers()?.as_slice() {
        [width] if (1.0..=4096.0).contains(width) => *width as usize,
        _ => return Err(MatError::new(length.offset, "unusable length of the field names")),
    };
    let names = reader.element()?;
    if names.data.len() % width != 0 {
        return Err(MatError::new(names.offset, "field names are cut"));
    }
    let name = |bytes: &[u8]| {
        let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    };
    Ok(names.data.chunks_exact(width).map(name).collect())
}
