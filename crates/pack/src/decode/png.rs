//! PNG: there is at least one among ImageNet's photos, named like a JPEG.
//!
//! Converted as Pillow's `convert("RGB")` does: alpha is dropped, not blended; palettes and grey are expanded; of
//! 16-bit samples the upper byte is kept (of grey ones too, as OpenCV does; Pillow clips those at 255).
//!
//! A file that lacks pixels is refused. The decoder does not read what comes after them; whether the rest is there is seen
//! here, so that a file that lacks its last bytes alone is kept and named.

use image::codecs::png::PngDecoder;
use image::{ColorType, ImageDecoder, Limits};

use super::{Done, MAX_PIXELS, Note, Refusal, reserve};

/// Bytes of a decoded PNG: four 16-bit samples a pixel.
const MAX_BYTES: u64 = MAX_PIXELS * 8;

pub(super) fn decode(bytes: &[u8], rgb: &mut Vec<u8>) -> Result<Done, Refusal> {
    let refusal = |e: image::ImageError| Refusal(format!("damaged PNG: {e}"));
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_BYTES);
    let decoder = PngDecoder::with_limits(std::io::Cursor::new(bytes), limits).map_err(refusal)?;
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    let out = reserve(rgb, width, height)?;
    let mut samples = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut samples).map_err(refusal)?;

    // Channels a pixel, bytes a sample; 16-bit samples come in native byte order.
    let (channels, wide) = match color {
        ColorType::L8 => (1, false),
        ColorType::La8 => (2, false),
        ColorType::Rgb8 => (3, false),
        ColorType::Rgba8 => (4, false),
        ColorType::L16 => (1, true),
        ColorType::La16 => (2, true),
        ColorType::Rgb16 => (3, true),
        ColorType::Rgba16 => (4, true),
        other => return Err(Refusal(format!("a PNG of type {other:?}"))),
    };
    let step = if wide { 2 } else { 1 };
    let high = if wide && cfg!(target_endian = "little") { 1 } else { 0 };
    let colours = if channels < 3 { [0, 0, 0] } else { [0, 1, 2] };
    for (pixel, sample) in out.chunks_exact_mut(3).zip(samples.chunks_exact(channels * step)) {
        for (to, from) in pixel.iter_mut().zip(colours) {
            *to = sample[from * step + high];
        }
    }
    let bits = step * 8;
    let alpha = if channels % 2 == 0 { ", alpha dropped" } else { "" };
    let converted = format!("PNG of {bits} bits a sample made RGB{alpha}");
    let note = match has_end(bytes) {
        true => Note::Converted(converted),
        false => Note::Repaired(format!("damaged PNG: it ends before its last chunk, IEND; {converted}")),
    };
    Ok(Done { width, height, cut: None, note })
}

/// Whether the chunks go on, unbroken, to a whole IEND.
fn has_end(bytes: &[u8]) -> bool {
    const SIGNATURE: usize = 8;
    /// IEND is empty: type and checksum.
    const END: &[u8] = b"IEND\xae\x42\x60\x82";
    let mut rest = bytes.get(SIGNATURE..);
    while let Some((length, chunk)) = rest.and_then(|rest| rest.split_first_chunk::<4>()) {
        if chunk.starts_with(b"IEND") {
            return chunk.starts_with(END);
        }
        // Length counts data alone; type and checksum are of 4 bytes each.
        rest = chunk.get((u32::from_be_bytes(*length) as usize).saturating_add(8)..);
    }
    false
}
