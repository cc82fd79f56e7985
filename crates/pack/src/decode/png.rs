//! PNG: there is at least one among ImageNet's photos, named like a JPEG.
//!
//! Converted as Pillow's `convert("RGB")` does: alpha is dropped, not blended; palettes and grey are expanded; of
//! 16-bit samples the upper byte is kept (of grey ones too, as OpenCV does; Pillow clips those at 255).
//!
//! A file that lacks pixels is refused. The decoder does not read what comes after them; whether the rest is there is seen
//! here, so that a file that lacks its last bytes alone is kept and named.

use png::{ColorType, InterlaceInfo, Limits, Transformations, expand_interlaced_row};

use super::{Done, Note, Refusal, reserve};

/// What the decoder may take: rows and the chunks it knows.
const MAX_BYTES: usize = 1 << 26;

pub(super) fn decode(bytes: &[u8], rgb: &mut Vec<u8>) -> Result<Done, Refusal> {
    let refusal = |e: png::DecodingError| Refusal(format!("damaged PNG: {e}"));
    let mut decoder = png::Decoder::new_with_limits(std::io::Cursor::new(bytes), Limits { bytes: MAX_BYTES });
    // Palettes and fewer bits than 8 become 8, a transparent colour an alpha channel.
    decoder.set_transformations(Transformations::EXPAND);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let (width, height) = decoder.read_header_info().map_err(refusal)?.size();
    let out = reserve(rgb, width, height)?;
    let mut reader = decoder.read_info().map_err(refusal)?;

    let (color, depth) = reader.output_color_type();
    let channels = color.samples();
    let step = if depth == png::BitDepth::Sixteen { 2 } else { 1 };
    let colours = if matches!(color, ColorType::Rgb | ColorType::Rgba) { [0, 1, 2] } else { [0; 3] };
    // Row by row, so that samples never lie beside all pixels. Those of 16 bits begin with their upper byte.
    let stride = 3 * width as usize;
    let (mut line, mut y) = (vec![0; stride], 0);
    while let Some(row) = reader.next_interlaced_row().map_err(refusal)? {
        let samples = row.data().chunks_exact(channels * step);
        let pixels = 3 * samples.len();
        let of_row = match row.interlace() {
            InterlaceInfo::Null(_) => out.get_mut(y * stride..(y + 1) * stride).unwrap_or(&mut line[..]),
            InterlaceInfo::Adam7(_) => &mut line[..],
        };
        for (pixel, sample) in of_row.chunks_exact_mut(3).zip(samples) {
            for (to, from) in pixel.iter_mut().zip(colours) {
                *to = sample[from * step];
            }
        }
        if let InterlaceInfo::Adam7(info) = row.interlace() {
            expand_interlaced_row(out, stride, &line[..pixels], info, 24);
        }
        y += 1;
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
