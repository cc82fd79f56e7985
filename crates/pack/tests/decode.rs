use alexnet_pack::decode::{Decoder, Note};

use crate::archive::{fixture, fixture_pixels, gzip, jpeg, real_data};

/// Largest and mean difference to Pillow's pixels.
fn difference(name: &str, rgb: &[u8]) -> (u8, f64) {
    let (_, _, expected) = fixture_pixels(name);
    assert_eq!(rgb.len(), expected.len(), "{name}");
    let differences = rgb.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b));
    let sum: u64 = differences.clone().map(u64::from).sum();
    (differences.max().unwrap(), sum as f64 / rgb.len() as f64)
}

/// JPEG decoders may differ by rounding; colours that are inverted or swapped differ by tens.
#[test]
fn jpegs_like_pillow() {
    let mut decoder = Decoder::new();
    let converted = |what: &str| Note::Converted(format!("{what} JPEG made RGB"));
    for (name, note, largest) in [
        ("cmyk", converted("CMYK"), 2),
        ("cmyk-bare", converted("CMYK"), 2),
        ("ycck", converted("YCCK"), 4),
        ("grey", Note::Sound, 2),
        ("rgb", Note::Sound, 2),
        ("rgb-adobe", Note::Sound, 2),
        ("progressive", Note::Sound, 8),
        ("turned", Note::Sound, 8),
        ("exif-broken", Note::Sound, 8),
        ("trailing", Note::Sound, 8),
        ("pixel", Note::Sound, 2),
        ("thin", Note::Sound, 8),
        ("restarts", Note::Sound, 8),
        ("progressive-restarts", Note::Sound, 8),
        ("progressive-444", Note::Sound, 4),
        ("progressive-422", Note::Sound, 8),
        ("progressive-grey", Note::Sound, 2),
        ("progressive-cmyk", converted("CMYK"), 2),
    ] {
        let picture = decoder.decode(&fixture(&format!("{name}.jpg"))).unwrap();
        let (width, height, _) = fixture_pixels(&format!("{name}.rgb.png"));
        assert_eq!((picture.width, picture.height), (width, height), "{name}");
        assert_eq!(picture.note, note, "{name}");
        let (most, mean) = difference(&format!("{name}.rgb.png"), picture.rgb);
        assert!(most <= largest && mean <= 1.5, "{name}: largest difference {most}, mean {mean:.3}");
    }
}

/// Exactly Pillow's pixels (16-bit grey: OpenCV's), whatever the PNG holds.
#[test]
fn pngs_like_pillow() {
    let mut decoder = Decoder::new();
    for (name, bits, alpha) in [
        ("rgba", 8, ", alpha dropped"),
        ("grey-alpha", 8, ", alpha dropped"),
        ("palette", 8, ", alpha dropped"),
        ("interlaced", 8, ""),
        ("rgb16", 16, ""),
        ("grey16", 16, ""),
    ] {
        let picture = decoder.decode(&fixture(&format!("{name}.png"))).unwrap();
        let note = format!("PNG of {bits} bits a sample made RGB{alpha}");
        assert_eq!(picture.note, Note::Converted(note), "{name}");
        assert_eq!(difference(&format!("{name}.rgb.png"), picture.rgb).0, 0, "{name}");
    }
}

/// Cut anywhere in its image data, a JPEG is repaired or refused, never taken for sound; what was read of it is
/// what the whole has there, and nothing of the photo before shows through.
#[test]
fn cut_jpegs_are_named() {
    let mut decoder = Decoder::new();
    let whole = jpeg(320, 240, 1);
    let before = decoder.decode(&jpeg(320, 240, 2)).unwrap().rgb.to_vec();
    let sound = decoder.decode(&whole).unwrap();
    assert_eq!(sound.note, Note::Sound);
    let sound = sound.rgb.to_vec();
    for percent in (5..100).step_by(5) {
        let cut = &whole[..whole.len() * percent / 100];
        decoder.decode(&jpeg(320, 240, 2)).unwrap();
        match decoder.decode(cut) {
            Ok(picture) => {
                let Note::Repaired(detail) = &picture.note else {
                    panic!("cut at {percent}%: {:?}", picture.note)
                };
                assert!(detail.starts_with("damaged JPEG: "), "{detail}");
                // The tolerant decoder may be another one than the strict: rounding apart.
                let kept = picture.rgb.iter().zip(&sound).take_while(|(a, b)| a.abs_diff(**b) <= 8).count();
                if percent == 50 {
                    assert!(kept > sound.len() / 4, "only {kept} of {} bytes kept", sound.len());
                }
                let tail = sound.len() - 320 * 3;
                assert_ne!(picture.rgb[tail..], before[tail..], "cut at {percent}%: the photo before shows");
                let again = Decoder::new().decode(cut).unwrap().rgb.to_vec();
                assert_eq!(picture.rgb, again, "cut at {percent}%: depends on the photo before");
            }
            Err(refusal) => assert!(percent < 50, "cut at {percent}%: {}", refusal.0),
        }
    }
}

/// A progressive JPEG keeps its first scans wherever it is cut behind them, be it inside tables.
#[test]
fn cut_progressive_jpegs_are_named() {
    let mut decoder = Decoder::new();
    let whole = fixture("progressive.jpg");
    let scans: Vec<usize> = (0..whole.len() - 1).filter(|&i| whole[i..i + 2] == [0xff, 0xda]).collect();
    assert!(scans.len() > 4);
    for cut in scans[1]..whole.len() - 2 {
        let note = decoder.decode(&whole[..cut]).map(|p| p.note);
        assert!(matches!(note, Ok(Note::Repaired(_))), "cut at {cut}: {note:?}");
    }
}

#[test]
fn refusals_say_why() {
    let mut decoder = Decoder::new();
    let mut refusal = |bytes: &[u8]| decoder.decode(bytes).map(|p| p.note).unwrap_err().0;
    assert!(refusal(b"").contains("empty"));
    assert!(refusal(b"GIF89a....").contains("GIF"));
    assert!(refusal(b"<html>").contains("web page"));
    assert!(refusal(&[0; 100]).contains("zeros"));
    assert!(refusal(&[1, 2, 3]).contains("[01, 02, 03]"));
    assert!(refusal(&[0xff, 0xd8, 0xff, 0xe0]).contains("damaged JPEG"));
    let png = fixture("rgba.png");
    assert!(refusal(&png[..png.len() / 2]).contains("damaged PNG"));
    // A header that claims 60,000 × 60,000 pixels must not cost their memory.
    let mut huge = fixture("grey.jpg");
    let sof = huge.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    huge[sof + 5..sof + 9].copy_from_slice(&[0xea, 0x60, 0xea, 0x60]);
    assert!(refusal(&huge).contains("60000×60000 is more than"));
    let mut two = fixture("grey.jpg");
    two[sof + 9] = 2;
    assert!(refusal(&two).contains("JPEG"));
}

/// Codings that no photo should have are refused by name, whole or cut, and not called damage.
#[test]
fn foreign_codings_are_named() {
    let mut decoder = Decoder::new();
    for (name, reason) in
        [("twelve-bits", "a JPEG of 12 bits a sample"), ("arithmetic", "an arithmetic-coded JPEG")]
    {
        let data = fixture(&format!("{name}.jpg"));
        for end in [data.len(), data.len() - 10] {
            assert_eq!(decoder.decode(&data[..end]).unwrap_err().0, reason);
        }
    }
    let mut lossless = fixture("grey.jpg");
    let frame = lossless.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    for (marker, reason) in [(0xc3, "a lossless JPEG"), (0xc6, "a hierarchical JPEG")] {
        lossless[frame + 1] = marker;
        assert_eq!(decoder.decode(&lossless).unwrap_err().0, reason);
    }
}

/// The limit on pixels is above 100 million; a photo of so many becomes a record like any other: waves that lie where they
/// lay, so that a crop that is off by one pixel of the record would be off by up to 20 grey levels.
#[test]
fn a_hundred_million_pixels() {
    use alexnet_pack::resize::Squarer;

    const SIDES: (u32, u32) = (12_000, 10_000);
    let wave = |at: f64, length: f64| 55.0 * (std::f64::consts::TAU * at / length).sin();
    let along = |side: u32, length| (0..side).map(|at| wave(f64::from(at) + 0.5, length)).collect::<Vec<_>>();
    let (across, down) = (along(SIDES.0, 2900.0), along(SIDES.1, 2300.0));
    let value = |x: u32, y: u32| (128.0 + across[x as usize] + down[y as usize]) as u8;
    let grey = image::GrayImage::from_fn(SIDES.0, SIDES.1, |x, y| image::Luma([value(x, y)]));
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(&grey).unwrap();
    drop(grey);
    let mut decoder = Decoder::for_squares(64, alexnet_pack::Filter::Bilinear);
    let picture = decoder.decode(&bytes).unwrap();
    assert_eq!((picture.photo(), &picture.note), (SIDES, &Note::Sound));
    let mut record = vec![0; 64 * 64 * 3];
    Squarer::new(64, alexnet_pack::Filter::Bilinear).square(&picture, &mut record).unwrap();
    // 12,000 become 77, of which the first 6 are cut away; rows are as many as the record's.
    let place =
        |i: usize, first: f64, scaled: f64, side: u32| (i as f64 + first + 0.5) * f64::from(side) / scaled;
    for y in 1..63 {
        for x in 0..64 {
            let pixel = &record[(y * 64 + x) * 3..][..3];
            let expected = 128.0
                + wave(place(x, 6.0, 77.0, SIDES.0), 2900.0)
                + wave(place(y, 0.0, 64.0, SIDES.1), 2300.0);
            let off = pixel.iter().map(|&value| (f64::from(value) - expected).abs()).fold(0.0, f64::max);
            assert!(off < 5.0, "{pixel:?} at {x}, {y} where {expected:.1} belongs");
        }
    }
    const { assert!(alexnet_pack::decode::MAX_PIXELS == 1 << 27) };
    let frame = bytes.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    bytes[frame + 5..frame + 9].copy_from_slice(&[0x2e, 0xe0, 0x2e, 0xe0]);
    let refusal = decoder.decode(&bytes).unwrap_err().0;
    assert_eq!(refusal, "12000×12000 is more than 134217728 pixels");
}

/// Three components that Adobe's marker calls YCCK are what they are without it.
#[test]
fn a_marker_of_four_components_before_three() {
    let whole = jpeg(60, 40, 5);
    let marker = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x02";
    let marked = [&whole[..2], marker, &whole[2..]].concat();
    let mut decoder = Decoder::new();
    let pixels = decoder.decode(&whole).unwrap().rgb.to_vec();
    let picture = decoder.decode(&marked).unwrap();
    assert!(picture.rgb == pixels);
    assert_eq!(picture.note, Note::Sound);
}

/// Every byte of small files set to every of a few values: no panic escapes, and the decoder stays usable.
#[test]
fn survives_mangled_files() {
    let mut decoder = Decoder::new();
    for name in ["grey.jpg", "cmyk.jpg", "progressive.jpg", "exif-broken.jpg", "rgba.png"] {
        let whole = fixture(name);
        for at in 0..whole.len() {
            for value in [0, 0xff, whole[at] ^ 0x10] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _ = decoder.decode(&bytes);
            }
        }
        assert!(decoder.decode(&whole).is_ok());
    }
}

/// libjpeg-turbo's pixels are Pillow's, bit for bit: it is the same library. A cut photo has the whole one's pixels
/// where it lies, is never less than the square needs, and gives the whole one's square but for rounding.
#[cfg(feature = "turbojpeg")]
#[test]
fn libjpeg_turbo_cuts_without_a_trace() {
    use alexnet_pack::Filter;
    use alexnet_pack::resize::Squarer;

    for name in ["grey", "progressive", "turned"] {
        let (data, mut decoder) = (fixture(&format!("{name}.jpg")), Decoder::new());
        let picture = decoder.decode(&data).unwrap();
        assert_eq!(difference(&format!("{name}.rgb.png"), picture.rgb).0, 0, "{name}");
    }
    let mut photos: Vec<Vec<u8>> = Vec::new();
    for (i, (width, height)) in [(1000, 300), (301, 997), (640, 33), (9, 700)].into_iter().enumerate() {
        photos.push(jpeg(width, height, i as u64));
    }
    let name = "ilsvrc2012-mini/ILSVRC2012_img_train.tar";
    if let Some(path) = real_data("decode::libjpeg_turbo_cuts_without_a_trace (real photos)", name) {
        let source = alexnet_pack::Source::open(&path).unwrap();
        for i in (0..source.photos().len()).step_by(9) {
            photos.push(Vec::new());
            source.read(i, photos.last_mut().unwrap()).unwrap();
        }
    }
    for (filter, size) in [(Filter::Bilinear, 256), (Filter::Lanczos3, 64), (Filter::CatmullRom, 300)] {
        let (mut cutting, mut whole) = (Decoder::for_squares(size, filter), Decoder::new());
        let mut squarer = Squarer::new(size, filter);
        let [mut a, mut b] = [(); 2].map(|()| vec![0; (size * size * 3) as usize]);
        let (mut cuts, mut differing) = (0, 0);
        for (i, bytes) in photos.iter().enumerate() {
            let (part, all) = (cutting.decode(bytes).unwrap(), whole.decode(bytes).unwrap());
            assert_eq!(part.note, Note::Sound);
            assert_eq!(part.photo(), (all.width, all.height));
            squarer.square(&part, &mut a).unwrap();
            squarer.square(&all, &mut b).unwrap();
            let off = a.iter().zip(&b).filter(|(a, b)| a != b);
            assert!(off.clone().all(|(a, b)| a.abs_diff(*b) <= 1), "photo {i}, {filter}");
            differing += off.count();
            let Some(cut) = part.cut else { continue };
            cuts += 1;
            // The outermost pixels may lack their neighbours' chroma, or be blocks begun outside; the square reads none.
            const EDGE: usize = 8;
            let (width, height) = (part.width as usize, part.height as usize);
            let inside = |at: u32, n: usize, all: u32| {
                let first = if at == 0 { 0 } else { EDGE };
                first..if at as usize + n == all as usize { n } else { n - EDGE }
            };
            for y in inside(cut.top, height, all.height) {
                let columns = inside(cut.left, width, all.width);
                let from = ((cut.top as usize + y) * all.width as usize + cut.left as usize) * 3;
                let row = &all.rgb[from..][columns.start * 3..columns.end * 3];
                assert!(
                    part.rgb[y * width * 3..][columns.start * 3..columns.end * 3] == *row,
                    "photo {i}, row {y}"
                );
            }
        }
        assert!(cuts * 2 > photos.len(), "{cuts} of {} were cut", photos.len());
        let components = photos.len() * a.len();
        assert!(differing * 100_000 <= components, "{differing} of {components} components differ, {filter}");
    }
}

/// Damage below the last row that the crop needs is still named, and no photo that was cut short is taken for sound.
#[cfg(feature = "turbojpeg")]
#[test]
fn libjpeg_turbo_reads_to_the_end() {
    let mut decoder = Decoder::for_squares(64, alexnet_pack::Filter::Bilinear);
    let whole = jpeg(80, 400, 3);
    let picture = decoder.decode(&whole).unwrap();
    assert!(picture.cut.is_some_and(|cut| cut.top > 100), "{:?}", picture.cut);
    for lost in [1, 2, 3, 20, 200, whole.len() / 8] {
        let picture = decoder.decode(&whole[..whole.len() - lost]).unwrap();
        assert!(matches!(picture.note, Note::Repaired(_)), "{lost} bytes lost: {:?}", picture.note);
        assert_eq!(picture.cut, None);
    }
    // "End of image" in the middle of the data.
    let data = scan_start(&whole);
    for part in [50, 4, 2] {
        let mut damaged = whole.clone();
        let at = data + (whole.len() - data) / part;
        damaged[at..at + 2].copy_from_slice(&[0xff, 0xd9]);
        let picture = decoder.decode(&damaged).unwrap();
        assert!(matches!(picture.note, Note::Repaired(_)), "end at 1/{part}: {:?}", picture.note);
        assert_eq!(picture.cut, None);
    }
}

/// Pixels do not depend on the processor: the decoder's portable code gives what its vector code gives.
#[cfg(not(feature = "turbojpeg"))]
#[test]
fn portable_code_gives_the_same_pixels() {
    use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
    let mut photos: Vec<Vec<u8>> =
        ["cmyk.jpg", "ycck.jpg", "grey.jpg", "progressive.jpg"].map(fixture).into_iter().collect();
    photos.extend((0..8).map(|i| jpeg(100 + 7 * i as u32, 131, i)));
    let name = "ilsvrc2012-mini/ILSVRC2012_img_train.tar";
    if let Some(path) = real_data("decode::portable_code_gives_the_same_pixels (real photos)", name) {
        let source = alexnet_pack::Source::open(&path).unwrap();
        for i in (0..source.photos().len()).step_by(10) {
            photos.push(Vec::new());
            source.read(i, photos.last_mut().unwrap()).unwrap();
        }
    }
    let portable = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB).set_use_unsafe(false);
    for (i, bytes) in photos.iter().enumerate() {
        let slow = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), portable).decode().unwrap();
        assert!(Decoder::new().decode(bytes).unwrap().rgb == slow, "photo {i}");
    }
}

/// Where the first scan's data begin: behind all segments before it.
fn scan_start(jpeg: &[u8]) -> usize {
    let mut at = 2;
    loop {
        let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        let is_scan = jpeg[at + 1] == 0xDA;
        at += 2 + length;
        if is_scan {
            return at;
        }
    }
}

/// All real training photos are sound; each cut in half is named.
#[test]
fn real_photos() {
    let name = "ilsvrc2012-mini/ILSVRC2012_img_train.tar";
    let Some(path) = real_data("decode::real_photos", name) else { return };
    let source = alexnet_pack::Source::open(&path).unwrap();
    let (mut decoder, mut bytes) = (Decoder::new(), Vec::new());
    for (i, photo) in source.photos().iter().enumerate() {
        source.read(i, &mut bytes).unwrap();
        assert_eq!(decoder.decode(&bytes).unwrap().note, Note::Sound, "{}", photo.name);
        let half = &bytes[..bytes.len() / 2];
        match decoder.decode(half).map(|p| p.note) {
            Ok(Note::Repaired(_)) => {}
            // Where metadata fills more than half of the file, no pixel is left.
            Err(_) if half.len() < scan_start(&bytes) => {}
            other => panic!("{}: {other:?}", photo.name),
        }
    }
}

/// A gzip member is the photo inside it; cut or damaged ones say so; a bomb and gzip in gzip are refused.
#[test]
fn gzip_members() {
    let whole = jpeg(90, 60, 7);
    let packed = gzip(&whole);
    let mut decoder = Decoder::new();
    let plain = decoder.decode(&whole).unwrap().rgb.to_vec();
    let picture = decoder.decode(&packed).unwrap();
    assert_eq!((picture.rgb, &picture.note), (&plain[..], &Note::Converted("gzip data unpacked".into())));
    // The checksum behind the data, one byte of it changed: the photo is whole, the file is not.
    let mut damaged = packed.clone();
    let at = damaged.len() - 6;
    damaged[at] ^= 1;
    let picture = decoder.decode(&damaged).unwrap();
    assert_eq!(picture.rgb, plain);
    assert!(
        matches!(&picture.note, Note::Repaired(what) if what.contains("damaged gzip")),
        "{:?}",
        picture.note
    );
    let picture = decoder.decode(&packed[..packed.len() * 3 / 4]).unwrap();
    assert!(matches!(&picture.note, Note::Repaired(what) if what.contains("gzip") && what.contains("JPEG")));
    assert!(decoder.decode(&gzip(&packed)).unwrap_err().0.contains("it is gzip data"));
    assert!(decoder.decode(&packed[..5]).is_err() && decoder.decode(&gzip(b"")).is_err());
    let bomb = gzip(&vec![0; (alexnet_pack::decode::MAX_ENCODED_BYTES + 5) as usize]);
    assert!(decoder.decode(&bomb).unwrap_err().0.contains("gzip data of more than"));
}
