//! Writes a MATLAB 5 file holding one struct array in a compressed element, the form of the official `meta.mat`.
//!
//! After "MAT-File Format" (MathWorks, R2024a), "Level 5 MAT-files". Integers are stored in the class asked for,
//! text as UTF-8, up to four bytes of data in the short form of an element, everything little-endian. Reading is
//! left to `alexnet-pack`.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

const INT8: u32 = 1;
const UINT8: u32 = 2;
const UINT16: u32 = 4;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
const UTF8: u32 = 16;

const CLASS_STRUCT: u32 = 2;
const CLASS_CHAR: u32 = 4;
const CLASS_DOUBLE: u32 = 6;

/// Longest field name with its closing zero; the official file uses the same.
const NAME_BYTES: usize = 17;

/// A value of a field.
#[derive(Clone, Debug)]
pub enum Value {
    /// A 1×1 number.
    Number(u16),
    /// A 1×n row of numbers.
    Row(Vec<u16>),
    /// A 1×n row of characters.
    Text(String),
}

/// Appends an element: tag, data, padding to eight bytes; short form for one to four bytes.
fn element(out: &mut Vec<u8>, kind: u32, data: &[u8]) {
    let bytes = data.len() as u32;
    if (1..=4).contains(&bytes) {
        out.extend((bytes << 16 | kind).to_le_bytes());
        out.extend(data);
        out.resize(out.len() + 4 - data.len(), 0);
    } else {
        out.extend(kind.to_le_bytes());
        out.extend(bytes.to_le_bytes());
        out.extend(data);
        out.resize(out.len().next_multiple_of(8), 0);
    }
}

/// Flags, dimensions and name of a matrix.
fn head(class: u32, dimensions: [i32; 2], name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    element(&mut out, UINT32, &[class.to_le_bytes(), [0; 4]].concat());
    element(&mut out, INT32, &dimensions.map(i32::to_le_bytes).concat());
    element(&mut out, INT8, name.as_bytes());
    out
}

/// A row of numbers. As in the official file, numbers have MATLAB's class double and are stored in the smallest
/// integers that hold them.
fn numbers(values: &[u16]) -> Vec<u8> {
    let mut out = head(CLASS_DOUBLE, [1, values.len() as i32], "");
    if values.iter().all(|&value| value < 256) {
        element(&mut out, UINT8, &values.iter().map(|&value| value as u8).collect::<Vec<u8>>());
    } else {
        element(&mut out, UINT16, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
    }
    out
}

fn matrix(value: &Value) -> Vec<u8> {
    match value {
        Value::Number(number) => numbers(&[*number]),
        Value::Row(row) => numbers(row),
        Value::Text(text) => {
            let mut out = head(CLASS_CHAR, [1, text.chars().count() as i32], "");
            element(&mut out, UTF8, text.as_bytes());
            out
        }
    }
}

/// The bytes of a file with one variable: the struct array `name`, a column of `rows`, each with a value per field.
///
/// # Panics
/// If a field's name has more than 16 bytes, or a row not one value per field.
pub fn struct_column(name: &str, fields: &[&str], rows: &[Vec<Value>]) -> Vec<u8> {
    let mut variable = head(CLASS_STRUCT, [rows.len() as i32, 1], name);
    element(&mut variable, INT32, &(NAME_BYTES as i32).to_le_bytes());
    let mut names = Vec::new();
    for field in fields {
        assert!(field.len() < NAME_BYTES, "field name {field} is too long");
        names.extend(field.as_bytes());
        names.resize(names.len() + NAME_BYTES - field.len(), 0);
    }
    element(&mut variable, INT8, &names);
    for row in rows {
        assert_eq!(row.len(), fields.len(), "a row has one value per field");
        for value in row {
            element(&mut variable, MATRIX, &matrix(value));
        }
    }
    let mut plain = Vec::new();
    element(&mut plain, MATRIX, &variable);

    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    let packed = zlib.write_all(&plain).and_then(|()| zlib.finish());
    let packed = packed.expect("writing to memory cannot fail");

    let mut file = b"MATLAB 5.0 MAT-file, generated sample, not ImageNet".to_vec();
    file.resize(124, b' ');
    file.extend(0x0100u16.to_le_bytes());
    file.extend(b"IM");
    // A compressed element is the one kind that is not padded.
    file.extend(COMPRESSED.to_le_bytes());
    file.extend((packed.len() as u32).to_le_bytes());
    file.extend(packed);
    file
}
