use alexnet_pack::decode::{Decoder, Note};

use crate::archive::{fixture, jpeg};

const NAMES: [&str; 8] =
    ["progressive", "progressive-restarts", "restarts", "turned", "grey", "cmyk", "thin", "exif-broken"];

fn photos() -> Vec<(String, Vec<u8>)> {
    let mut photos: Vec<_> = NAMES.map(|name| (name.to_owned(), fixture(&format!("{name}.jpg")))).into();
    photos.extend((0..4).map(|seed| (format!("seed {seed}"), jpeg(33 + 40 * seed as u32, 57, seed))));
    photos
}

/// With libjpeg-turbo built in, its word comes first, so these tests hold the two builds to the same verdicts.
fn is_named(bytes: &[u8]) -> bool {
    match Decoder::new().decode(bytes).map(|picture| picture.note) {
        Ok(Note::Repaired(detail)) => {
            assert!(detail.starts_with("damaged JPEG: "), "{detail}");
            true
        }
        Ok(_) => false,
        Err(_) => true,
    }
}

/// The loss of any number of last bytes, were it one of the end marker's two, is named, and costs no photo that has
/// most of its data.
#[test]
fn lost_last_bytes_are_named() {
    for (name, whole) in photos() {
        assert!(!is_named(&whole), "{name}");
        for lost in 1..=40 {
            assert!(is_named(&whole[..whole.len() - lost]), "{name}, {lost} bytes lost");
        }
        assert!(Decoder::new().decode(&whole[..whole.len() - 10]).is_ok(), "{name}");
    }
}

/// An end marker written over or put into the data of any scan is named: in the middle, and up to the last but one byte.
#[test]
fn an_end_in_the_data_is_named() {
    const END: [u8; 2] = [0xff, 0xd9];
    for (name, whole) in photos() {
        for data in scans(&whole) {
            for part in 1..10 {
                let at = data.start + data.len() * part / 10;
                // A pair of bytes that stand for one is not torn: what is meant here is the end alone.
                if data.len() < 8 || whole[at - 1..at + 3].contains(&0xff) {
                    continue;
                }
                let put = [&whole[..at], &END, &whole[at..]].concat();
                assert!(is_named(&put), "{name}: an end put at {at} of {data:?}");
                let mut over = whole.clone();
                over[at..at + 2].copy_from_slice(&END);
                assert!(is_named(&over), "{name}: an end over {at} of {data:?}");
            }
        }
    }
}

/// What follows the end of a whole photo is not the photo's: zeros, text, another photo, more ends.
#[test]
fn bytes_behind_the_end_are_not_damage() {
    for (name, whole) in photos() {
        let others = [vec![0; 5], b"\r\n".to_vec(), fixture("grey.jpg"), vec![0xff, 0xd9], vec![7; 300]];
        for other in others {
            assert!(!is_named(&[&whole[..], &other].concat()), "{name}, {} bytes more", other.len());
        }
    }
}

/// A PNG cut anywhere is named: where pixels are lost it is refused, behind them it is kept. What follows its end is not its.
#[test]
fn cut_pngs_are_named() {
    for name in ["rgba", "grey-alpha", "palette", "rgb16", "grey16"] {
        let (whole, mut decoder) = (fixture(&format!("{name}.png")), Decoder::new());
        let sound = decoder.decode(&whole).unwrap();
        let (note, pixels) = (sound.note.clone(), sound.rgb.to_vec());
        assert!(matches!(note, Note::Converted(_)), "{name}");
        let mut kept = 0;
        for end in 8..whole.len() {
            match decoder.decode(&whole[..end]) {
                Ok(picture) => {
                    let Note::Repaired(what) = &picture.note else {
                        panic!("{name} cut at {end}: {:?}", picture.note)
                    };
                    assert!(what.starts_with("damaged PNG: ") && what.contains("made RGB"), "{what}");
                    assert!(picture.rgb == pixels, "{name} cut at {end}: pixels differ");
                    kept += 1;
                }
                Err(refusal) => {
                    assert!(refusal.0.contains("damaged PNG"), "{name} cut at {end}: {}", refusal.0)
                }
            }
        }
        // Those that lack no more than their end marker's 12 bytes.
        assert!((1..=12).contains(&kept), "{name}: {kept}");
        let mut end = whole.clone();
        *end.last_mut().unwrap() ^= 1;
        assert!(!matches!(decoder.decode(&end).map(|p| p.note), Ok(Note::Converted(_))), "{name}");
        for more in [&b"\0\0\0"[..], b"\r\n", &whole] {
            let longer = [&whole, more].concat();
            assert_eq!(decoder.decode(&longer).unwrap().note, note, "{name} and {} bytes", more.len());
        }
    }
}

/// The entropy-coded data of every scan.
fn scans(jpeg: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut at, mut scans) = (2, Vec::new());
    while jpeg[at + 1] != 0xd9 {
        let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        let is_scan = jpeg[at + 1] == 0xda;
        at += 2 + length;
        if is_scan {
            let start = at;
            while jpeg[at] != 0xff || matches!(jpeg[at + 1], 0 | 0xd0..=0xd7) {
                at += 1;
            }
            scans.push(start..at);
        }
    }
    scans
}

/// What large progressive JPEGs are, those of 5 pixels here: written anew as sequential ones. Sound ones have the same pixels, and
/// what is cut or changed anywhere is called the same. (A changed byte that decodes makes other pixels, which may be others yet.)
#[test]
fn large_progressive_jpegs_are_as_small_ones() {
    let (mut direct, mut anew) = (Decoder::new(), Decoder::new().direct_up_to(5));
    for name in ["", "-restarts", "-444", "-422", "-grey", "-cmyk"] {
        let whole = fixture(&format!("progressive{name}.jpg"));
        let told = direct.decode(&whole).map(|p| (p.width, p.height, p.rgb.to_vec(), p.note)).unwrap();
        let as_large = anew.decode(&whole).map(|p| (p.width, p.height, p.rgb.to_vec(), p.note)).unwrap();
        assert!(
            told == as_large && !matches!(told.3, Note::Repaired(_)),
            "{name}: {:?}, {:?}",
            told.3,
            as_large.3
        );
        let mut compare = |bytes: &[u8], what: &str, at: usize| {
            let (told, anew) = (direct.decode(bytes).map(|p| p.note), anew.decode(bytes).map(|p| p.note));
            assert_eq!(told, anew, "{name}, {what} at {at}");
        };
        for at in (2..whole.len()).step_by(3) {
            compare(&whole[..at], "cut", at);
            for (what, put) in [
                ("255", &[255][..]),
                ("zeros", &[0, 0, whole[at]]),
                ("a bit", &[whole[at] ^ 0x10]),
                ("nothing", &[]),
            ] {
                compare(&[&whole[..at], put, &whole[at + 1..]].concat(), what, at);
            }
        }
    }
}
