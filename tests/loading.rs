//! `loader-bench`.

use crate::program::{run, shards};

#[test]
fn every_output_and_layout_is_measured() {
    for output in ["u8", "bf16", "f16", "f32"] {
        for layout in ["nchw", "nhwc"] {
            let said = run(
                "loader-bench",
                args![
                    shards(),
                    "--split",
                    "train",
                    "--threads",
                    "2",
                    "--batch",
                    "16",
                    "--output",
                    output,
                    "--layout",
                    layout,
                    "--seconds",
                    "0.05",
                    "--json"
                ],
            )
            .ends(0)
            .json();
            assert_eq!((said["output"].as_str(), said["layout"].as_str()), (Some(output), Some(layout)));
            assert_eq!((said["threads"].as_u64(), said["batch"].as_u64()), (Some(2), Some(16)));
            let rate = said["images_per_second"].as_f64().unwrap();
            assert!(
                rate > 0.0
                    && said["images_per_second_per_thread"].as_f64().unwrap() * 2.0 / rate - 1.0 < 1e-9
            );
            assert!(said["first_batch_ms"].as_f64().unwrap() > 0.0);
            assert!(said["stages"]["samples"].as_u64().unwrap() > 0);
        }
    }
}

#[test]
fn pread_and_val_split_work_too() {
    let args = args![shards(), "--split", "val", "--pread", "--batch", "8", "--seconds", "0.05"];
    let said = run("loader-bench", args).ends(0);
    assert!(said.out.contains("images/s"), "{said:?}");
}

#[test]
fn a_sweep_a_consumer_and_a_chart() {
    let dir = tempfile::tempdir().unwrap();
    let svg = dir.path().join("rate.svg");
    let args = args![
        shards(),
        "--threads",
        "3",
        "--batch",
        "8",
        "--seconds",
        "0.05",
        "--repetitions",
        "2",
        "--sweep",
        "--svg",
        svg.clone(),
        "--consumer",
        "100000",
        "--check",
        "first-epoch",
        "--json"
    ];
    let said = run("loader-bench", args).ends(0).json();
    let threads = |rate: &serde_json::Value| rate["threads"].as_u64().unwrap();
    assert_eq!(said["sweep"].as_array().unwrap().iter().map(threads).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((threads(&said), said["runs"].as_array().unwrap().len()), (3, 2));
    let number = |name: &str| said[name].as_f64().unwrap_or_else(|| panic!("{name} in {said}"));
    assert!(number("bound_images_per_second") > 0.0 && number("share_of_bound") > 0.0);
    assert!((0.0..=1.0).contains(&number("stalled")));
    let chart = std::fs::read_to_string(svg).unwrap();
    assert!(chart.starts_with("<svg") && chart.matches("<polyline").count() == 2, "{chart}");
}

#[test]
fn one_photo_under_many_draws() {
    let dir = tempfile::tempdir().unwrap();
    let sheet = dir.path().join("sheet.png");
    run("loader-bench", args![shards(), "--show", sheet.clone()]).ends(0);
    let sheet = image::open(sheet).unwrap().to_rgb8();
    // Eight pictures of 7/8 of a record in a row, in four rows, with gaps of four white pixels.
    let side = (sheet.width() + 4) / 8 - 4;
    assert_eq!(sheet.dimensions(), (8 * (side + 4) - 4, 4 * (side + 4) - 4));
    let picture = |i: u32| image::imageops::crop_imm(&sheet, i * (side + 4), 0, side, side).to_image();
    assert_ne!(picture(0), picture(1), "two draws look different");
}
