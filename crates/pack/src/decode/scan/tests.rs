//! The walk against pictures whose blocks one can count.

use super::*;

/// Blocks of all scans.
fn count(bytes: &[u8]) -> Option<u64> {
    walk(bytes, 0..0).map(|(_, blocks)| blocks)
}

pub(super) fn fixture(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    std::fs::read(path).unwrap()
}

/// Random pictures of every small size: the walk counts each block (4:2:0 or 4:4:4, as the encoder has it), and misses
/// it as soon as the data lack more than padding.
#[test]
fn every_block_is_counted() {
    let stream = alexnet_rng::Stream::new(5, 0, 0, alexnet_rng::Purpose::Sample);
    for case in 0..120u64 {
        let side = |i| 1 + (stream.uniform(case * 2 + i) * 70.0) as u32;
        let (width, height) = (side(0), side(1));
        let noise =
            |x: u32, y: u32, c| (stream.uniform(1000 + case + u64::from(x * 211 + y * 13 + c)) * 256.0) as u8;
        let image =
            image::RgbImage::from_fn(width, height, |x, y| image::Rgb([0, 1, 2].map(|c| noise(x, y, c))));
        let mut bytes = Vec::new();
        let quality = 5 + (case * 3 % 95) as u8;
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(&image).unwrap();
        // The encoder writes three components of one block each.
        let blocks = u64::from(width.div_ceil(8) * height.div_ceil(8)) * 3;
        assert_eq!(count(&bytes), Some(blocks), "{width}×{height}, quality {quality}");
        assert!(!is_cut(&bytes));
        let end = bytes.len() - 2;
        for lost in [1, 2, 3, 10, 40] {
            let closed = [&bytes[..end - lost], &END_OF_IMAGE].concat();
            assert_eq!(count(&closed), None, "{width}×{height}, quality {quality}, {lost} bytes lost");
        }
    }
}

/// Progressive scans, subsampled colour, restarts: whole up to the last byte of data. The numbers are the blocks that
/// the pictures' sides and scans have.
#[test]
fn every_kind_of_scan() {
    for name in ["progressive", "progressive-restarts", "restarts", "turned", "grey", "cmyk", "thin", "pixel"]
    {
        let bytes = fixture(&format!("{name}.jpg"));
        assert!(count(&bytes).is_some() && !is_cut(&bytes), "{name}");
        // Bits that end a byte may be padding alone, never a whole byte of data.
        let end = bytes.len() - 2;
        let closed = [&bytes[..end - 1], &END_OF_IMAGE].concat();
        assert_eq!(count(&closed), None, "{name}");
    }
}

/// Anything at all behind the magic bytes: no panic, no endless loop.
#[test]
fn survives_anything() {
    for name in ["progressive.jpg", "progressive-restarts.jpg", "restarts.jpg"] {
        let whole = fixture(name);
        for at in 2..whole.len() {
            for value in [0, 1, 0x7f, 0xff, whole[at] ^ 0x10] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _ = (is_cut(&bytes), count(&bytes), count(&bytes[..at]));
            }
        }
    }
}

/// More scans than a decoder reads are not walked: each costs time for every block.
#[test]
fn no_endless_scans() {
    let whole = fixture("progressive.jpg");
    let scans: Vec<usize> = (0..whole.len() - 1).filter(|&i| whole[i..i + 2] == [0xff, 0xda]).collect();
    let first =
        &whole[scans[0]..whole[scans[0]..].windows(2).position(|w| w == [0xff, 0xc4]).unwrap() + scans[0]];
    let many = |count: usize| [&whole[..scans[0]], &first.repeat(count), &END_OF_IMAGE].concat();
    assert!(count(&many(MAX_SCANS)).is_some());
    assert_eq!(count(&many(MAX_SCANS + 1)), None);
}

/// A second frame is another picture's; and no frame takes memory for more pixels than the decoder would.
#[test]
fn one_frame_of_few_pixels() {
    let whole = fixture("progressive.jpg");
    let at = whole.windows(2).position(|w| w == [0xff, 0xc2]).unwrap();
    let end = at + 2 + usize::from(u16::from_be_bytes([whole[at + 2], whole[at + 3]]));
    assert!(count(&whole).is_some());
    let twice = [&whole[..end], &whole[at..]].concat();
    assert_eq!(count(&twice), None);
    let frame = |sides: [u8; 4]| {
        let mut content = whole[at + 4..end].to_vec();
        content[1..5].copy_from_slice(&sides);
        Frame::read(&content, true, 0..0)
    };
    // 11,585² is just below 2²⁷ pixels, 11,586² above.
    assert!(frame([0x2d, 0x41, 0x2d, 0x41]).is_some());
    assert!(frame([0x2d, 0x42, 0x2d, 0x42]).is_none() && frame([0xff; 4]).is_none());
    // More components than a picture has would take as much memory each.
    let mut many = whole[at + 4..end].to_vec();
    many[5] = 5;
    many.extend([4, 0x11, 0, 5, 0x11, 0]);
    assert!(Frame::read(&many, true, 0..0).is_none());
    many[5] = 4;
    assert!(Frame::read(&many, true, 0..0).is_some());
}
