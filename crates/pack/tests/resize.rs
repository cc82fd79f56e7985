use alexnet_pack::Filter;
use alexnet_pack::decode::{Decoder, Note, Picture};
use alexnet_pack::resize::Squarer;

use crate::archive::{fixture, fixture_pixels};

fn squared(filter: Filter, size: u32, width: u32, height: u32, rgb: &[u8]) -> Vec<u8> {
    let mut record = vec![0; (size * size * 3) as usize];
    let picture = Picture { width, height, rgb, cut: None, note: Note::Sound };
    Squarer::new(size, filter).square(&picture, &mut record).unwrap();
    record
}

/// Smaller and larger than the photo: Pillow for the antialiased filters, OpenCV for the 2012 code's.
#[test]
fn filters_like_pillow_and_opencv() {
    let (width, height, rgb) = fixture_pixels("scene.png");
    for filter in Filter::ALL {
        for size in [24, 64] {
            let name = format!("scene.{filter}.{size}.png");
            let (w, h, expected) = fixture_pixels(&name);
            assert_eq!((w, h), (size, size));
            let record = squared(filter, size, width, height, &rgb);
            let differences = record.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b));
            let mean = differences.clone().map(f64::from).sum::<f64>() / record.len() as f64;
            let most = differences.max().unwrap();
            let largest = if filter == Filter::Lanczos3 { 6 } else { 2 };
            assert!(most <= largest && mean < 0.3, "{name}: largest difference {most}, mean {mean:.3}");
            // The filters differ from each other by more than that.
            for other in Filter::ALL.into_iter().filter(|&o| o != filter) {
                let record = squared(other, size, width, height, &rgb);
                let mean = record.iter().zip(&expected).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>();
                assert!(mean / record.len() as f64 > 0.3, "{other} passes for {filter} at {size}");
            }
        }
    }
}

/// A photo that has the sides already is cut, not filtered.
#[test]
fn same_size_is_copied() {
    let (width, height, rgb) = fixture_pixels("scene.png");
    for filter in Filter::ALL {
        let record = squared(filter, 43, width, height, &rgb);
        for y in 0..43 {
            // (61 − 43) / 2 = 9 columns are cut on the left.
            let from = (y * 61 + 9) * 3;
            assert_eq!(record[y * 43 * 3..][..43 * 3], rgb[from..from + 43 * 3], "{filter}, row {y}");
        }
    }
}

/// One worker's buffers serve photos of all sizes, in any order.
#[test]
fn buffers_do_not_leak() {
    let (width, height, rgb) = fixture_pixels("scene.png");
    let mut decoder = Decoder::new();
    for filter in Filter::ALL {
        let mut squarer = Squarer::new(32, filter);
        let mut record = vec![0; 32 * 32 * 3];
        let wide = Picture { width: 5, height: 100, rgb: &vec![200; 1500], cut: None, note: Note::Sound };
        squarer.square(&wide, &mut record).unwrap();
        squarer.square(&decoder.decode(&fixture("cmyk.jpg")).unwrap(), &mut record).unwrap();
        squarer
            .square(&Picture { width, height, rgb: &rgb, cut: None, note: Note::Sound }, &mut record)
            .unwrap();
        assert_eq!(record, squared(filter, 32, width, height, &rgb), "{filter}");
    }
}

#[test]
fn thin_photos() {
    let rgb = vec![77; 3 * 2 * 5000];
    for filter in Filter::ALL {
        assert!(squared(filter, 16, 2, 5000, &rgb).iter().all(|&v| v == 77), "{filter}");
        let thin = Picture { width: 1, height: 10_000, rgb: &rgb, cut: None, note: Note::Sound };
        let mut record = vec![0; 256 * 256 * 3];
        let refusal = Squarer::new(256, filter).square(&thin, &mut record).unwrap_err();
        assert!(refusal.0.contains("too thin"), "{}", refusal.0);
    }
}
