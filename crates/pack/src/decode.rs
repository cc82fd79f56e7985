//! From encoded bytes to RGB, whatever the file is called.
//!
//! The format is told by the first bytes, not by the name. A JPEG is decoded strictly; only if that fails it is
//! decoded tolerantly and said to be repaired. CMYK and YCCK JPEGs and PNGs become RGB and are said to be converted;
//! grey photos, of which ImageNet has tens of thousands, become RGB without a word. Everything else is refused with
//! the reason. EXIF rotation is ignored, as it was in 2012 and is by Pillow and torchvision.
//!
//! The pixels are a function of the bytes alone. Sizes are checked from the header before memory is taken.

mod jpeg;
mod png;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Photos of more pixels than this are refused (the largest of ImageNet has about 61 million). A worker's memory is
/// bounded by it: 3 bytes a pixel, 9 for a progressive JPEG while it is decoded.
pub const MAX_PIXELS: u64 = 1 << 27;

/// Encoded files above this many bytes are refused unread.
pub const MAX_ENCODED_BYTES: u64 = 1 << 28;

/// The name and versions of the decoders, for recipes.
pub const DECODER: &str =
    "zune-jpeg 0.5.15 strict, then tolerant; png of image 0.25; alpha dropped; exif ignored";

/// What had to be done to a photo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Nothing worth a word.
    Sound,
    /// The file is damaged; what could be read of it was kept.
    Repaired(String),
    /// The file is sound but no RGB or grey JPEG.
    Converted(String),
}

/// Why there is no picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

/// A decoded photo in the decoder's buffer: RGB, row after row, no padding.
#[derive(Debug)]
pub struct Picture<'a> {
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width · height · 3` bytes.
    pub rgb: &'a [u8],
    /// What had to be done.
    pub note: Note,
}

/// Decodes one photo after the other into a buffer it keeps.
#[derive(Debug, Default)]
pub struct Decoder {
    rgb: Vec<u8>,
}

/// Sides and note of what lies in the buffer.
struct Done {
    width: u32,
    height: u32,
    note: Note,
}

impl Decoder {
    /// A decoder without a buffer yet.
    pub fn new() -> Self {
        Decoder::default()
    }

    /// Decodes a file held in memory.
    ///
    /// # Errors
    /// A [`Refusal`] if the bytes are no JPEG or PNG, are too damaged, or too large.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Picture<'_>, Refusal> {
        // The decoders are other people's code fed with untrusted bytes: a panic of theirs costs one photo, not the
        // run. The buffer holds plain bytes, so nothing can be left half-done in it.
        let rgb = &mut self.rgb;
        let decoded = catch_unwind(AssertUnwindSafe(|| match format(bytes)? {
            Format::Jpeg => jpeg::decode(bytes, rgb),
            Format::Png => png::decode(bytes, rgb),
        }));
        let done = decoded.unwrap_or_else(|_| Err(Refusal("the decoder gave up on it (a panic)".into())))?;
        Ok(Picture { width: done.width, height: done.height, rgb: &self.rgb, note: done.note })
    }
}

enum Format {
    Jpeg,
    Png,
}

fn format(bytes: &[u8]) -> Result<Format, Refusal> {
    let other = match bytes {
        [0xff, 0xd8, ..] => return Ok(Format::Jpeg),
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => return Ok(Format::Png),
        [] => "it is empty",
        [b'G', b'I', b'F', b'8', ..] => "it is a GIF",
        [b'B', b'M', ..] => "it is a BMP",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "it is a WebP",
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => "it is a TIFF",
        [0x1f, 0x8b, ..] => "it is gzip data",
        [b'<', ..] => "it is text (a web page?)",
        _ if bytes.iter().all(|&b| b == 0) => "it is all zeros",
        _ => {
            let start = &bytes[..bytes.len().min(4)];
            return Err(Refusal(format!("neither JPEG nor PNG: it starts with the bytes {start:02x?}")));
        }
    };
    Err(Refusal(format!("neither JPEG nor PNG: {other}")))
}

/// Makes room for a photo of these sides, all zero: a tolerant decoder leaves what it could not read as it was, and
/// that must not be the photo before.
fn reserve(rgb: &mut Vec<u8>, width: u32, height: u32) -> Result<&mut [u8], Refusal> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(Refusal(format!("it has no pixels ({width}×{height})")));
    }
    if pixels > MAX_PIXELS {
        return Err(Refusal(format!("{width}×{height} is more than {MAX_PIXELS} pixels")));
    }
    rgb.clear();
    rgb.resize(pixels as usize * 3, 0);
    Ok(rgb)
}
