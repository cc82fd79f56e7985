use std::collections::BTreeMap;

use alexnet_pack::{
    Error, Estimate, Inputs, LabelOrder, OnBad, Options, Plan, Sheet, Source, contact_sheet, extract, pack,
};
use alexnet_rng::{Permutation, Purpose};
use alexnet_shard::{ReportEntry, ReportKind, ShardSet, Split, State, verify};

use crate::archive::{jpeg, train_tar, write};
use crate::world::{PHOTOS, ROWS, SIZE, VAL, World, photo};

fn record(set: &ShardSet, split: Split, i: u64) -> Vec<u8> {
    let mut scratch = Vec::new();
    set.split(split).unwrap().record(i, &mut scratch).unwrap().to_vec()
}

fn kinds(report: &[ReportEntry]) -> Vec<(u64, &str, ReportKind)> {
    report.iter().map(|e| (e.entry, e.name.as_str(), e.kind)).collect()
}

#[test]
fn names_labels_and_report() {
    let world = World::new();
    let (summary, set) = world.pack("out", |_| ());
    let wnids: Vec<&str> = set.classes().iter().map(|c| c.wnid.as_str()).collect();
    assert_eq!(wnids, ["n00000001", "n00000002", "n00000003", "n00000004"]);
    assert_eq!(set.classes()[3].words, "four");

    let train = set.split(Split::Train).unwrap();
    let planned: Vec<String> = ["n00000003", "n00000001", "n00000002"]
        .iter()
        .flat_map(|wnid| (0..PHOTOS).map(move |i| format!("{wnid}_{i}.JPEG")))
        .collect();
    let report = train.report();
    let expected = [
        (5, "n00000003_5.JPEG", ReportKind::Refused),
        (14, "n00000003_14.JPEG", ReportKind::Repaired),
        (18, "n00000001_3.JPEG", ReportKind::Converted),
        (30, "n00000002_0.JPEG", ReportKind::Converted),
    ];
    assert_eq!(kinds(&report), expected);
    assert!(report[0].detail.contains("neither JPEG nor PNG"), "{}", report[0].detail);
    assert!(report[2].detail.contains("PNG") && report[3].detail.contains("CMYK"));
    assert_eq!(train.len(), 44);
    assert_eq!(train.shards().iter().map(|s| s.len()).collect::<Vec<_>>(), [15, 16, 13]);
    for i in 0..train.len() {
        let name = train.name(i);
        assert_eq!(name, planned[train.entry(i) as usize]);
        let wnid = &set.classes()[train.label(i).unwrap() as usize].wnid;
        assert!(name.starts_with(wnid.as_str()), "{name} has the label of {wnid}");
    }

    let val = set.split(Split::Val).unwrap();
    let refused = ["ILSVRC2012_val_00000061.JPEG", "ILSVRC2012_val_00001000.JPEG"];
    let report = val.report();
    assert_eq!(
        kinds(&report),
        [(10, refused[0], ReportKind::Refused), (11, refused[1], ReportKind::Refused)]
    );
    assert!(report[0].detail.contains("60 lines") && report[0].detail.contains("number 61"));
    for (i, number) in (0..val.len()).zip(VAL) {
        assert_eq!(val.name(i), format!("ILSVRC2012_val_{number:08}.JPEG"));
        let id = world.truth[number as usize - 1] as u16;
        let wnid = ROWS.iter().find(|row| row.0 == id).unwrap().1;
        assert_eq!(set.classes()[val.label(i).unwrap() as usize].wnid, wnid);
    }
    assert_eq!(val.len(), 10);
    assert_eq!(summary.complaints(), (1, 2, 3));
    assert_eq!((summary.photos, summary.shards_before, summary.was_complete), (57, 0, false));
    assert_eq!(summary.identity, set.identity());
    assert_eq!(verify(&world.path("out"), 2, &|_| ()).unwrap(), []);
}

/// A refused photo leaves a gap in the entries and changes nothing of the others.
#[test]
fn a_refused_photo_moves_nothing_else() {
    let world = World::new();
    let (_, set) = world.pack("out", |_| ());
    let mended = World::new();
    let mut tar = std::fs::read(mended.path("train.tar")).unwrap();
    let (_, broken) = photo("n00000003", 5);
    let at = tar.windows(broken.len()).position(|w| w == broken).unwrap();
    // A photo of the same length, so that nothing else of the archive moves either.
    let mut sound = jpeg(30, 20, 9);
    sound.resize(broken.len(), 0);
    tar[at..at + broken.len()].copy_from_slice(&sound);
    std::fs::write(mended.path("train.tar"), tar).unwrap();
    let (_, other) = mended.pack("out", |_| ());
    let (train, whole) = (set.split(Split::Train).unwrap(), other.split(Split::Train).unwrap());
    assert_eq!((train.len(), whole.len()), (44, 45));
    for i in 0..train.len() {
        let entry = train.entry(i);
        assert_eq!(whole.entry(entry), entry);
        assert_eq!(whole.name(entry), train.name(i));
        assert_eq!(record(&other, Split::Train, entry), record(&set, Split::Train, i));
    }
}

#[test]
fn bad_photos_can_stop_a_run() {
    let world = World::new();
    let plan = world.plan(|_| ());
    let mut run = world.run("out", 3);
    run.on_bad = OnBad::Fail;
    let error = pack(&plan, &run, &()).unwrap_err();
    let Error::BadPhoto { name, offset, path, .. } = &error else { panic!("{error}") };
    assert_eq!((name.as_str(), path), ("n00000003_5.JPEG", &world.path("train.tar")));
    let tar = std::fs::read(path).unwrap();
    assert!(tar[*offset as usize..].starts_with(&photo("n00000003", 5).1), "the offset is not the photo's");
    // The same folder goes on once bad photos may be skipped.
    run.on_bad = OnBad::Skip;
    pack(&plan, &run, &()).unwrap();
    assert_eq!(world.open("out").split(Split::Train).unwrap().len(), 44);
}

#[test]
fn shuffling_permutes_the_training_entries() {
    let world = World::new();
    let (_, plain) = world.pack("plain", |_| ());
    let (_, mixed) = world.pack("mixed", |o| o.shuffle_seed = Some(2012));
    let order = Permutation::new(2012, 0, Purpose::PackOrder, 45);
    let (plain_train, mixed_train) = (plain.split(Split::Train).unwrap(), mixed.split(Split::Train).unwrap());
    assert_eq!(mixed_train.len(), 44);
    let place: BTreeMap<u64, u64> = (0..44).map(|i| (plain_train.entry(i), i)).collect();
    for i in 0..mixed_train.len() {
        let from = place[&order.at(mixed_train.entry(i))];
        assert_eq!(mixed_train.name(i), plain_train.name(from));
        assert_eq!(mixed_train.label(i), plain_train.label(from));
        assert_eq!(record(&mixed, Split::Train, i), record(&plain, Split::Train, from));
    }
    let names = |set: &ShardSet| {
        let val = set.split(Split::Val).unwrap();
        (0..val.len()).map(|i| val.name(i).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&plain), names(&mixed));
    assert_eq!(plain_train.moments(), mixed_train.moments());
}

#[test]
fn label_order_and_chosen_classes() {
    let world = World::new();
    let (_, set) = world.pack("devkit", |o| o.label_order = LabelOrder::Devkit);
    for split in set.splits() {
        for i in 0..split.len() {
            let wnid = match split.split() {
                Split::Train => split.name(i)[..9].to_owned(),
                _ => {
                    let number: usize = split.name(i)[15..23].parse().unwrap();
                    let id = world.truth[number - 1] as u16;
                    ROWS.iter().find(|row| row.0 == id).unwrap().1.to_owned()
                }
            };
            let id = ROWS.iter().find(|row| row.1 == wnid).unwrap().0;
            assert_eq!(split.label(i), Some(u32::from(id) - 1), "{}", split.name(i));
        }
    }
    let chosen = vec!["n00000004".to_owned(), "n00000002".to_owned()];
    let plan = world.plan(|o| o.classes = Some(chosen));
    assert_eq!((plan.splits()[0].entries(), plan.splits()[0].left_out()), (15, 30));
    pack(&plan, &world.run("chosen", 2), &()).unwrap();
    let set = world.open("chosen");
    assert_eq!(set.classes().iter().map(|c| c.wnid.as_str()).collect::<Vec<_>>(), ["n00000002", "n00000004"]);
    let train = set.split(Split::Train).unwrap();
    assert!((0..train.len()).all(|i| train.label(i) == Some(0) && train.name(i).starts_with("n00000002")));
    let val = set.split(Split::Val).unwrap();
    assert!(val.len() > 2 && (0..val.len()).any(|i| val.label(i) == Some(1)));
    assert_eq!(val.report().len(), 2, "photos of no known class are still refused, not left out");
}

/// Without a devkit the classes are those of both splits; val photos must then be filed under one.
#[test]
fn without_a_devkit() {
    let world = World::new();
    let inputs = Inputs { devkit: None, ..world.inputs() };
    let plan = Plan::new(inputs, Options { size: SIZE, ..Options::default() }).unwrap();
    assert_eq!(plan.splits()[1].unlabelled(), 12);
    pack(&plan, &world.run("flat", 1), &()).unwrap();
    let val = &world.open("flat");
    let val = val.split(Split::Val).unwrap();
    assert_eq!((val.len(), val.report().len()), (0, 12));
    assert!(
        val.report().iter().all(|e| e.kind == ReportKind::Refused && e.detail.contains("without a devkit"))
    );

    let photo = |number: u64| (format!("ILSVRC2012_val_{number:08}.JPEG"), jpeg(40, 40, number));
    let nested = train_tar(&[("n00000009", vec![photo(1), photo(2)]), ("n00000001", vec![photo(3)])]);
    let val = Source::open(&write(world.dir.path(), "nested.tar", &nested)).unwrap();
    let inputs = Inputs { val: Some(val), devkit: None, ..world.inputs() };
    let plan = Plan::new(inputs, Options { size: SIZE, ..Options::default() }).unwrap();
    pack(&plan, &world.run("nested", 1), &()).unwrap();
    let set = world.open("nested");
    assert_eq!(set.classes().len(), 4, "n00000009 occurs in val alone");
    let val = set.split(Split::Val).unwrap();
    assert_eq!((0..3).map(|i| val.label(i).unwrap()).collect::<Vec<_>>(), [3, 3, 0]);

    // With one, what a photo is filed under must agree with the ground truth, and be a class.
    let val = Source::open(&world.path("nested.tar")).unwrap();
    let plan =
        Plan::new(Inputs { val: Some(val), train: None, ..world.inputs() }, Options::default()).unwrap();
    assert_eq!(plan.splits()[0].unlabelled(), 3);
    pack(&plan, &world.run("contradiction", 1), &()).unwrap();
    let set = world.open("contradiction");
    let details: Vec<String> = set.splits()[0].report().into_iter().map(|e| e.detail).collect();
    assert_eq!(details[0], "it is filed under n00000009, but the ground truth says n00000002");
}

#[test]
fn class_folders_pack_like_archives() {
    let world = World::new();
    let folder = world.path("folders");
    for wnid in ["n00000001", "n00000002", "n00000003"] {
        for i in 0..PHOTOS {
            let (name, bytes) = photo(wnid, i);
            write(&folder, &format!("{wnid}/{name}"), &bytes);
        }
    }
    let inputs = Inputs { train: Some(Source::open(&folder).unwrap()), ..world.inputs() };
    let plan = Plan::new(inputs, Options { size: SIZE, ..Options::default() }).unwrap();
    pack(&plan, &world.run("out", 2), &()).unwrap();
    let set = world.open("out");
    let (_, tar) = world.pack("tar", |_| ());
    let listed = |set: &ShardSet| {
        let train = set.split(Split::Train).unwrap();
        let one = |i| (train.name(i).to_owned(), train.label(i), record(set, Split::Train, i));
        (0..train.len())
            .map(one)
            .map(|(name, label, record)| (name, (label, record)))
            .collect::<BTreeMap<_, _>>()
    };
    assert!(listed(&set) == listed(&tar));
}

/// A dry run writes nothing, and its bytes are a bound that is near.
#[test]
fn estimates() {
    let world = World::new();
    let plan = world.plan(|o| o.size = 64);
    let estimate = Estimate::new(&plan, &world.path("out")).unwrap();
    assert!(!world.path("out").exists());
    assert_eq!((&estimate.state, estimate.classes), (&State::Fresh, 4));
    let (train, val) = (&estimate.splits[0], &estimate.splits[1]);
    assert_eq!((train.photos, train.shards, train.unlabelled), (45, 3, 0));
    assert_eq!((val.photos, val.shards, val.unlabelled), (12, 1, 2));
    assert_eq!(estimate.needed_bytes, train.shard_bytes + val.shard_bytes);
    assert!(estimate.free_bytes.is_some_and(|free| free > 0));
    let memory = |threads| Estimate::memory_bytes(&plan, threads, 1_000_000);
    assert!(
        (24_000_000..26_000_000).contains(&memory(2)) && memory(3) - memory(2) >= 9_000_000,
        "{}",
        memory(2)
    );
    let summary = pack(&plan, &world.run("out", 2), &()).unwrap();
    let refused = 3 * (64 * 64 * 3);
    for (split, bound) in summary.manifest.splits.values().zip([train.shard_bytes, val.shard_bytes]) {
        assert!(
            (split.bytes..split.bytes * 11 / 10 + refused).contains(&bound),
            "{bound} for {}",
            split.bytes
        );
    }
    let after = Estimate::new(&plan, &world.path("out")).unwrap();
    assert_eq!((after.state, after.needed_bytes), (State::Complete, 0));
}

#[test]
fn impossible_options() {
    let world = World::new();
    let error = |inputs, change: fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        let error = Plan::new(inputs, options).unwrap_err();
        assert!(error.hint().is_some(), "{error}");
        error.to_string()
    };
    assert!(error(Inputs::default(), |_| ()).contains("neither training nor validation"));
    assert!(error(world.inputs(), |o| o.size = 0).contains("size"));
    assert!(error(world.inputs(), |o| o.size = 100_000).contains("size"));
    assert!(error(world.inputs(), |o| o.shard_records = 0).contains("records"));
    assert!(error(world.inputs(), |o| o.classes = Some(vec!["n9".into()])).contains("n9"));
    let val = Inputs { train: None, devkit: None, ..world.inputs() };
    assert!(error(val, |_| ()).contains("no photo is filed under a class"));
    let no_devkit = Inputs { devkit: None, ..world.inputs() };
    assert!(error(no_devkit, |o| o.label_order = LabelOrder::Devkit).contains("needs a devkit"));
}

/// An archive that shrinks after the walk is an error with file and offset, not a photo less.
#[test]
fn a_source_that_shrinks_stops_the_run() {
    let world = World::new();
    let plan = world.plan(|_| ());
    let file = std::fs::File::options().write(true).open(world.path("train.tar")).unwrap();
    file.set_len(40_000).unwrap();
    let error = pack(&plan, &world.run("out", 2), &()).unwrap_err();
    assert!(matches!(error, Error::Changed { .. }), "{error}");
    assert!(error.to_string().contains("train.tar") && error.to_string().contains("has 40000"), "{error}");
}

#[test]
fn records_as_pictures() {
    let world = World::new();
    let (_, set) = world.pack("out", |_| ());
    let train = set.split(Split::Train).unwrap();
    let png = world.path("one.png");
    extract(train, 7, &png).unwrap();
    let image = image::open(&png).unwrap().into_rgb8();
    assert_eq!((image.width(), image.height()), (SIZE, SIZE));
    assert_eq!(image.into_raw(), record(&set, Split::Train, 7));
    assert!(extract(train, 44, &png).is_err());

    let sheet = Sheet { columns: 5, rows: 3, tile: SIZE };
    let numbers = contact_sheet(train, sheet, &png).unwrap();
    assert_eq!(numbers.len(), 15);
    assert!(numbers.is_sorted_by(|a, b| a < b) && numbers[0] == 0);
    let image = image::open(&png).unwrap().into_rgb8();
    assert_eq!((image.width(), image.height()), (5 * (SIZE + 2) + 2, 3 * (SIZE + 2) + 2));
    // The eighth is in the second row, third column, unchanged.
    let tile = image::imageops::crop_imm(&image, 2 * (SIZE + 2) + 2, SIZE + 4, SIZE, SIZE).to_image();
    assert_eq!(tile.into_raw(), record(&set, Split::Train, numbers[7]));
    let wide = contact_sheet(train, Sheet { columns: 100, rows: 2, tile: 10 }, &png).unwrap();
    assert_eq!(wide, (0..44).collect::<Vec<_>>());
    assert!(contact_sheet(train, Sheet { columns: 0, ..sheet }, &png).is_err());
    assert!(contact_sheet(train, Sheet { columns: u32::MAX, rows: u32::MAX, tile: 0 }, &png).is_err());
}

/// The portrait shows the photo as it is, and with the shift added; the same set gives the same picture.
#[test]
fn portraits() {
    let world = World::new();
    let (_, set) = world.pack("out", |o| o.size = 64);
    let train = set.split(Split::Train).unwrap();
    let statistics = alexnet_pack::pca::Statistics::from_moments(&train.moments()).unwrap();
    let shifts = [[30.0, -20.0, 0.4], [300.0, 300.0, 300.0]];
    let (one, two) = (world.path("one.png"), world.path("two.png"));
    alexnet_pack::portrait(train, &statistics, 9, &shifts, &one).unwrap();
    alexnet_pack::portrait(train, &statistics, 9, &shifts, &two).unwrap();
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
    let image = image::open(&one).unwrap().into_rgb8();
    let record = record(&set, Split::Train, 9);
    // The middle of each tile is within a few levels of the middle of the record, which is smooth, with the shift added.
    let tile = (720 - 3 * 8) / 4;
    for (place, shift) in [[0.0; 3], shifts[0], shifts[1]].iter().enumerate() {
        let x = 720 + 24 + place as u32 * (tile + 8) + tile / 2;
        let pixel = image.get_pixel(x, 8 + tile / 2);
        for c in 0..3 {
            let expected = (f32::from(record[(32 * 64 + 32) * 3 + c]) + shift[c]).clamp(0.0, 255.0);
            let found = f32::from(pixel[c]);
            assert!((found - expected).abs() < 12.0, "light {place}, component {c}: {found} for {expected}");
        }
    }
    assert!(alexnet_pack::portrait(train, &statistics, 1000, &shifts, &one).is_err());
}
