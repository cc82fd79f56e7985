//! JPEG by zune-jpeg: baseline and progressive, grey, YCbCr, RGB, CMYK and YCCK.
//!
//! Four-component files are taken as inverted, as Adobe writes them and Pillow reads them, with or without Adobe's
//! marker.

use std::borrow::Cow;

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::{Done, Note, Refusal, reserve, scan};

/// The longest side the format can express.
const MAX_SIDE: usize = 65_535;

pub(super) fn decode(bytes: &[u8], rgb: &mut Vec<u8>) -> Result<Done, Refusal> {
    if let Some(coding) = foreign_coding(bytes) {
        return Err(Refusal(coding));
    }
    match attempt(bytes, rgb, true) {
        // Some ends the decoder does not miss: it makes up what is missing. What it made of the rest is kept.
        Ok(done) if scan::is_cut(bytes) => {
            let end = DecodeErrors::FormatStatic("Premature end of buffer");
            Ok(repaired(done, &end.to_string()))
        }
        Ok(done) => Ok(done),
        Err(Failure::Final(reason)) => Err(Refusal(reason)),
        Err(Failure::Damage(damage)) => {
            let done = tolerant(bytes, rgb).map_err(|reason| Refusal(format!("damaged JPEG: {reason}")))?;
            Ok(repaired(done, &damage))
        }
    }
}

fn repaired(mut done: Done, damage: &str) -> Done {
    let mut detail = format!("damaged JPEG: {damage}");
    if let Note::Converted(how) = done.note {
        detail = format!("{detail}; {how}");
    }
    done.note = Note::Repaired(detail);
    done
}

/// Decodes what can be read. A file cut inside the tables between two scans of a progressive JPEG is an error even to
/// the tolerant decoder; then those tables are taken away and the scans before them are used.
fn tolerant(bytes: &[u8], rgb: &mut Vec<u8>) -> Result<Done, String> {
    const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];
    const MOST_MARKERS_DROPPED: usize = 8;
    let (mut end, mut first) = (bytes.len(), None);
    for _ in 0..=MOST_MARKERS_DROPPED {
        let closed: Cow<'_, [u8]> =
            if first.is_none() { bytes.into() } else { [&bytes[..end], &END_OF_IMAGE].concat().into() };
        match attempt(&closed, rgb, false) {
            Ok(done) => return Ok(done),
            Err(Failure::Final(reason)) => return Err(reason),
            Err(Failure::Damage(reason)) => first.get_or_insert(reason),
        };
        // Not 0, which is data, and not 0xd0 to 0xd7, which are restarts inside a scan.
        let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd8 | 0xff);
        let Some(marker) = bytes[..end].windows(2).rposition(is_marker) else { break };
        end = marker;
    }
    Err(first.unwrap_or_default())
}

/// What codings there are besides the two that photos have, 8-bit Huffman-coded baseline and progressive; they are no
/// damage, so they are told by name. `None` where the header does not lead to a frame: that is damage.
fn foreign_coding(bytes: &[u8]) -> Option<String> {
    let mut rest = bytes.get(2..)?;
    loop {
        let [0xff, marker, after @ ..] = rest else { return None };
        match marker {
            0xff => rest = &rest[1..],
            0x01 | 0xd0..=0xd8 => rest = after,
            0xc4 | 0xc8 | 0xcc => rest = behind_segment(after)?,
            0xc0..=0xcf => {
                let bits = after.get(2)?;
                return match marker {
                    0xc0..=0xc2 if *bits == 8 => None,
                    0xc0..=0xc2 => Some(format!("a JPEG of {bits} bits a sample")),
                    0xc3 => Some("a lossless JPEG".into()),
                    0xc5..=0xc7 => Some("a hierarchical JPEG".into()),
                    _ => Some("an arithmetic-coded JPEG".into()),
                };
            }
            0xd9 | 0xda => return None,
            _ => rest = behind_segment(after)?,
        }
    }
}

/// What follows a segment that begins with its length.
fn behind_segment(segment: &[u8]) -> Option<&[u8]> {
    let length = u16::from_be_bytes([*segment.first()?, *segment.get(1)?]);
    segment.get(usize::from(length.max(2))..)
}

enum Failure {
    /// Another attempt can only fail too.
    Final(String),
    /// The tolerant decoder may still read it.
    Damage(String),
}

fn attempt(bytes: &[u8], rgb: &mut Vec<u8>, strict: bool) -> Result<Done, Failure> {
    let options = DecoderOptions::default()
        .set_strict_mode(strict)
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let damage = |e: DecodeErrors| Failure::Damage(e.to_string());
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(damage)?;
    let Some(info) = decoder.info() else {
        return Err(Failure::Damage("no header".into()));
    };
    if !matches!(info.components, 1 | 3 | 4) {
        return Err(Failure::Final(format!("a JPEG of {} components", info.components)));
    }
    // Adobe's marker has the same number for CMYK and RGB, and for YCCK and YCbCr: the components tell them apart.
    let note = match (info.components, decoder.input_colorspace()) {
        (4, Some(ColorSpace::CMYK)) => Note::Converted("CMYK JPEG made RGB".into()),
        (4, Some(ColorSpace::YCCK)) => Note::Converted("YCCK JPEG made RGB".into()),
        _ => Note::Sound,
    };
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    let out = reserve(rgb, width, height).map_err(|refusal| Failure::Final(refusal.0))?;
    decoder.decode_into(out).map_err(damage)?;
    Ok(Done { width, height, cut: None, note })
}
