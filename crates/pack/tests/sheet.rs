use alexnet_pack::{Sheet, contact_sheet};
use alexnet_shard::Split;

use crate::world::World;

/// Every record of the sheet is in its place, made smaller but the same picture, and between them it is white.
#[test]
fn every_tile_is_its_record() {
    const SIZE: u32 = 48;
    const TILE: u32 = 16;
    let world = World::new();
    let (_, set) = world.pack("out", |o| o.size = SIZE);
    let train = set.split(Split::Train).unwrap();
    let path = world.path("sheet.png");
    let numbers = contact_sheet(train, Sheet { columns: 7, rows: 4, tile: TILE }, &path).unwrap();
    assert_eq!(numbers, (0..28).map(|place| place * 44 / 28).collect::<Vec<u64>>());
    let sheet = image::open(&path).unwrap().into_rgb8();
    let step = TILE + 2;
    assert_eq!(sheet.dimensions(), (7 * step + 2, 4 * step + 2));
    let mut scratch = Vec::new();
    for (place, &number) in (0..).zip(&numbers) {
        let (left, top) = (place % 7 * step + 2, place / 7 * step + 2);
        let record = train.record(number, &mut scratch).unwrap();
        for (quarter, corner) in [(0, 0), (1, 0), (0, 1), (1, 1)].into_iter().enumerate() {
            // Means of quarters: filters keep them but for the edges.
            let mean = |side: u32, pixel: &dyn Fn(u32, u32, usize) -> u8| {
                let half = side / 2;
                let of = |c| {
                    let all = (0..half * half)
                        .map(|i| f64::from(pixel(corner.0 * half + i % half, corner.1 * half + i / half, c)));
                    all.sum::<f64>() / f64::from(half * half)
                };
                [of(0), of(1), of(2)]
            };
            let small = mean(TILE, &|x, y, c| sheet.get_pixel(left + x, top + y).0[c]);
            let whole = mean(SIZE, &|x, y, c| record[((y * SIZE + x) * 3) as usize + c]);
            for (a, b) in small.iter().zip(whole) {
                assert!((a - b).abs() < 6.0, "record {number}, quarter {quarter}: {small:?} for {whole:?}");
            }
        }
    }
    let between = |x: u32, y: u32| x % step < 2 || y % step < 2;
    assert!(sheet.enumerate_pixels().all(|(x, y, pixel)| !between(x, y) || pixel.0 == [255; 3]));
}
