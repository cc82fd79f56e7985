//! Distributions of the draws against those of torchvision's `get_params`, which are known in closed form.

use super::*;
use alexnet_rng::Purpose;

fn streams(purpose: Purpose) -> impl Iterator<Item = Stream> {
    (0..20_000).map(move |i| Stream::new(7, 0, i, purpose))
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

#[test]
fn resized_crops_have_the_areas_and_ratios_they_were_asked_for() {
    let crop = ResizedCrop { area: [0.1, 0.5], ratio: [0.75, 4.0 / 3.0] };
    let rects: Vec<Rect> = streams(Purpose::Area).map(|s| crop.draw(&s, [256, 256])).collect();
    let area = |r: &Rect| f64::from(r.width * r.height) / 65_536.0;
    let ratio = |r: &Rect| f64::from(r.width) / f64::from(r.height);
    assert!(rects.iter().all(|r| r.left + r.width <= 256 && r.top + r.height <= 256));
    assert!(rects.iter().all(|r| (0.098..0.51).contains(&area(r)) && (0.74..1.35).contains(&ratio(r))));
    // At most half the record always fits, so areas are even in 0.1 … 0.5 and logarithms of ratios about 0.
    assert!((mean(rects.iter().map(area)) - 0.3).abs() < 0.003);
    assert!(mean(rects.iter().map(|r| ratio(r).ln())).abs() < 0.004);
    // Places are even over all that fit.
    let places = mean(rects.iter().map(|r| f64::from(r.left) / f64::from(256 - r.width + 1)));
    assert!((places - 0.5).abs() < 0.01, "{places}");
}

/// A narrow record cannot hold a square of its whole area: the middle square is what torchvision falls back to.
#[test]
fn what_never_fits_becomes_the_middle() {
    let crop = ResizedCrop { area: [1.0, 1.0], ratio: [1.0, 1.0] };
    let stream = Stream::new(1, 0, 0, Purpose::Area);
    assert_eq!(crop.draw(&stream, [200, 100]), Rect { left: 50, top: 0, width: 100, height: 100 });
    assert_eq!(crop.draw(&stream, [100, 200]), Rect { left: 0, top: 50, width: 100, height: 100 });
}

#[test]
fn jitter_is_even_in_its_range_and_order() {
    let jitter = Jitter { brightness: 0.4, contrast: 1.5, saturation: 0.0 };
    let tints: Vec<Tint> = streams(Purpose::Jitter).map(|s| jitter.draw(&s)).collect();
    assert!(tints.iter().all(|t| (0.6..=1.4).contains(&t.factors[0])));
    assert!(tints.iter().all(|t| (0.0..=2.5).contains(&t.factors[1]) && t.factors[2] == 1.0));
    assert!((mean(tints.iter().map(|t| f64::from(t.factors[0]))) - 1.0).abs() < 0.005);
    assert!((mean(tints.iter().map(|t| f64::from(t.factors[1]))) - 1.25).abs() < 0.01);
    for first in [Adjust::Brightness, Adjust::Contrast, Adjust::Saturation] {
        let share = tints.iter().filter(|t| t.order[0] == first).count();
        assert!((6400..6900).contains(&share), "{first:?} is first in {share} of 20,000");
    }
}

#[test]
fn holes_have_the_probability_and_area_they_were_asked_for() {
    let erasing = Erasing { probability: 0.25, area: [0.02, 0.1], ratio: [0.3, 3.3] };
    let holes: Vec<Rect> = streams(Purpose::Erase).filter_map(|s| erasing.draw(&s, [224, 224])).collect();
    assert!((4750..5250).contains(&holes.len()), "{} holes", holes.len());
    assert!(holes.iter().all(|r| r.left + r.width <= 224 && r.top + r.height <= 224));
    let area = mean(holes.iter().map(|r| f64::from(r.width * r.height) / 50_176.0));
    assert!((area - 0.06).abs() < 0.002, "{area}");
}

#[test]
fn impossible_ranges_are_refused_by_name() {
    let refused = |vary: Vary| vary.check().expect_err("an impossible range").to_string();
    let crop = Some(ResizedCrop { area: [0.5, 0.2], ..ResizedCrop::default() });
    assert!(refused(Vary { resized_crop: crop, ..Vary::NONE }).contains("area from 0.5 to 0.2"));
    let jitter = Some(Jitter { contrast: -1.0, ..Jitter::default() });
    assert!(refused(Vary { jitter, ..Vary::NONE }).contains("jitter of -1"));
    let erasing = Some(Erasing { probability: 1.5, ..Erasing::default() });
    assert!(refused(Vary { erasing, ..Vary::NONE }).contains("probability of 1.5"));
    assert!(refused(Vary { crops_shared: 0, ..Vary::NONE }).contains("0 samples"));
    Vary { resized_crop: Some(ResizedCrop::default()), erasing: Some(Erasing::default()), ..Vary::NONE }
        .check()
        .expect("torchvision's own ranges");
}
