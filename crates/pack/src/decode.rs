//! From encoded bytes to RGB, whatever the file is called.
//!
//! The format is told by the first bytes, not by the name. A JPEG is decoded strictly; only if that fails it is
//! decoded tolerantly and said to be repaired. CMYK and YCCK JPEGs and PNGs become RGB and are said to be converted;
//! grey photos, of which ImageNet has tens of thousands, become RGB without a word. Everything else is refused with
//! the reason. EXIF rotation is ignored, as it was in 2012 and is by Pillow and torchvision.
//!
//! A photo that lacks its end, were it one byte, or has an "end of image" in the middle of its data, is named even where
//! the decoder makes up what is missing. Not every damage is seen: a photo cut and closed again by an "end of image" is
//! sound to zune-jpeg (not to libjpeg-turbo), and a changed byte inside a scan often decodes.
//!
//! The pixels are a function of the bytes alone. Sizes are checked from the header before memory is taken.

mod guard;
mod jpeg;
mod png;
mod scan;
#[cfg(feature = "turbojpeg")]
mod turbo;

use std::io::Read;

#[cfg(feature = "turbojpeg")]
use crate::geometry::Region;
use crate::resize::Filter;

/// Photos of more pixels than this are refused (the largest of ImageNet has about 61 million). A worker's memory is
/// bounded by it: 3 bytes a pixel besides the file; a faulty progressive JPEG takes up to 9 while it is decoded.
pub const MAX_PIXELS: u64 = 1 << 27;

/// A progressive JPEG of up to so many pixels is decoded as it is, which takes up to 9 bytes a pixel; a larger one is first
/// written anew as a sequential one, for the same pixels.
pub const DIRECT_PIXELS: u64 = 1 << 22;

/// Encoded files above this many bytes are refused unread.
pub const MAX_ENCODED_BYTES: u64 = 1 << 28;

/// The name and versions of the decoders, for recipes.
#[cfg(feature = "turbojpeg")]
pub const DECODER: &str = "libjpeg-turbo 3.1.0 of what the crop needs, where it is sound and grey, YCbCr or RGB; else \
    zune-jpeg 0.5.15 strict, then tolerant; png 0.18; gzip unpacked; alpha dropped; exif ignored";
/// The name and versions of the decoders, for recipes.
#[cfg(not(feature = "turbojpeg"))]
pub const DECODER: &str =
    "zune-jpeg 0.5.15 strict, then tolerant; png 0.18; gzip unpacked; alpha dropped; exif ignored";

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

/// The photo that a [`Picture`] is only a part of, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Width of the photo.
    pub width: u32,
    /// Height of the photo.
    pub height: u32,
    /// The photo's column that is the picture's first.
    pub left: u32,
    /// The photo's row that is the picture's first.
    pub top: u32,
}

/// A decoded photo in the decoder's buffer: RGB, row after row, no padding.
#[derive(Debug)]
pub struct Picture<'a> {
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Where in the photo it is; `None`: it is all of it.
    pub cut: Option<Cut>,
    /// `width · height · 3` bytes.
    pub rgb: &'a [u8],
    /// What had to be done.
    pub note: Note,
}

impl Picture<'_> {
    /// Width and height of the photo.
    pub fn photo(&self) -> (u32, u32) {
        self.cut.map_or((self.width, self.height), |cut| (cut.width, cut.height))
    }
}

/// Decodes one photo after the other into a buffer it keeps.
#[derive(Debug, Default)]
pub struct Decoder {
    rgb: Vec<u8>,
    unpacked: Vec<u8>,
    jpeg: Jpeg,
}

/// What decoding a JPEG needs besides its bytes.
#[derive(Debug)]
struct Jpeg {
    direct_pixels: u64,
    /// The squares that will be made: what they do not need may be left out.
    #[cfg(feature = "turbojpeg")]
    square: Option<(u32, Filter)>,
    #[cfg(feature = "turbojpeg")]
    turbo: turbo::Turbo,
}

impl Default for Jpeg {
    fn default() -> Self {
        Jpeg {
            direct_pixels: DIRECT_PIXELS,
            #[cfg(feature = "turbojpeg")]
            square: None,
            #[cfg(feature = "turbojpeg")]
            turbo: turbo::Turbo::default(),
        }
    }
}

/// Sides and note of what lies in the buffer.
struct Done {
    width: u32,
    height: u32,
    cut: Option<Cut>,
    note: Note,
}

impl Decoder {
    /// A decoder without a buffer yet.
    pub fn new() -> Self {
        Decoder::default()
    }

    /// A decoder for squares of `size` pixels by `filter`. Where it can, it leaves out what they do not need; it still
    /// reads every photo to its end, so that damage is named wherever it is.
    pub fn for_squares(size: u32, filter: Filter) -> Self {
        #[cfg(feature = "turbojpeg")]
        let jpeg = Jpeg { square: Some((size, filter)), ..Jpeg::default() };
        #[cfg(not(feature = "turbojpeg"))]
        let (jpeg, _) = (Jpeg::default(), (size, filter));
        Decoder { jpeg, ..Decoder::default() }
    }

    /// The same decoder, with so many pixels in place of [`DIRECT_PIXELS`].
    pub fn direct_up_to(mut self, pixels: u64) -> Self {
        self.jpeg.direct_pixels = pixels;
        self
    }

    /// Decodes a file held in memory.
    ///
    /// # Errors
    /// A [`Refusal`] if the bytes are no JPEG or PNG, are too damaged, or too large.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Picture<'_>, Refusal> {
        let (rgb, unpacked, jpeg) = (&mut self.rgb, &mut self.unpacked, &mut self.jpeg);
        let done = guard::guarded(|| {
            let Format::Gzip = format(bytes)? else { return plain(bytes, rgb, jpeg) };
            // ILSVRC2010 has photos that were compressed once more under their own names.
            let damage = unpack(bytes, unpacked)?;
            let mut done = plain(unpacked, rgb, jpeg).map_err(|r| Refusal(format!("gzip data: {}", r.0)))?;
            let (repaired, what) = match done.note {
                Note::Sound => (false, None),
                Note::Converted(what) => (false, Some(what)),
                Note::Repaired(what) => (true, Some(what)),
            };
            let repaired = repaired || damage.is_some();
            let told = [Some("gzip data unpacked".to_owned()), damage, what];
            let told = told.into_iter().flatten().collect::<Vec<_>>().join("; ");
            done.note = if repaired { Note::Repaired(told) } else { Note::Converted(told) };
            Ok(done)
        })?;
        Ok(Picture { width: done.width, height: done.height, cut: done.cut, rgb: &self.rgb, note: done.note })
    }
}

enum Format {
    Jpeg,
    Png,
    Gzip,
}

impl Jpeg {
    fn decode(&mut self, bytes: &[u8], rgb: &mut Vec<u8>) -> Result<Done, Refusal> {
        // Only what is sound: all else is told of the file as it is.
        if let Some(sequential) = scan::sequential(bytes, self.direct_pixels)
            && let Ok(done) = self.decode_directly(&sequential, rgb)
            && !matches!(done.note, Note::Repaired(_))
        {
            return Ok(done);
        }
        self.decode_directly(bytes, rgb)
    }

    #[cfg(feature = "turbojpeg")]
    fn decode_directly(&mut self, bytes: &[u8], rgb: &mut Vec<u8>) -> Result<Done, Refusal> {
        let square = self.square;
        let needed = |photo: (u32, u32)| -> Option<Region> {
            let (size, filter) = square?;
            Some(crate::Geometry::new(photo.0, photo.1, size).needed(photo, size, filter.support()?))
        };
        // What it finds nothing wrong with is sound. All else is the other decoder's, which says what is wrong, or
        // overlooks it: then the warning says it.
        if let Some(done) = self.turbo.decode(bytes, needed, rgb) {
            return Ok(done);
        }
        let mut done = jpeg::decode(bytes, rgb)?;
        if let (Note::Sound, Some(warning)) = (&done.note, self.turbo.take_warning()) {
            done.note = Note::Repaired(format!("damaged JPEG: {warning}"));
        }
        Ok(done)
    }

    #[cfg(not(feature = "turbojpeg"))]
    fn decode_directly(&mut self, bytes: &[u8], rgb: &mut Vec<u8>) -> Result<Done, Refusal> {
        jpeg::decode(bytes, rgb)
    }
}

fn plain(bytes: &[u8], rgb: &mut Vec<u8>, jpeg: &mut Jpeg) -> Result<Done, Refusal> {
    match format(bytes)? {
        Format::Jpeg => jpeg.decode(bytes, rgb),
        Format::Png => png::decode(bytes, rgb),
        Format::Gzip => Err(Refusal("neither JPEG nor PNG: it is gzip data".into())),
    }
}

/// Unpacks a gzip member, to [`MAX_ENCODED_BYTES`] at most, and tells its damage. One that is cut is kept as far as it
/// goes: what is left of the photo in it is the tolerant decoder's business.
fn unpack(bytes: &[u8], unpacked: &mut Vec<u8>) -> Result<Option<String>, Refusal> {
    unpacked.clear();
    let read = flate2::read::GzDecoder::new(bytes).take(MAX_ENCODED_BYTES + 1).read_to_end(unpacked);
    match read {
        Ok(_) if unpacked.len() as u64 > MAX_ENCODED_BYTES => {
            Err(Refusal(format!("gzip data of more than {MAX_ENCODED_BYTES} bytes")))
        }
        Err(e) if unpacked.is_empty() => Err(Refusal(format!("gzip data: {e}"))),
        Err(e) => Ok(Some(format!("damaged gzip data: {e}"))),
        Ok(_) => Ok(None),
    }
}

fn format(bytes: &[u8]) -> Result<Format, Refusal> {
    let other = match bytes {
        [0xff, 0xd8, ..] => return Ok(Format::Jpeg),
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => return Ok(Format::Png),
        [0x1f, 0x8b, ..] => return Ok(Format::Gzip),
        [] => "it is empty",
        [b'G', b'I', b'F', b'8', ..] => "it is a GIF",
        [b'B', b'M', ..] => "it is a BMP",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "it is a WebP",
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => "it is a TIFF",
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
