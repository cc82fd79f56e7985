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

#[test]
fn orders_draws_and_cold_epochs() {
    for more in [["--order", "blocks"], ["--order", "sequential"], ["--check", "first-epoch"]] {
        let mut args = args![shards(), "--batch", "8", "--seconds", "0.05", "--vary"].to_vec();
        args.extend(more.map(Into::into));
        assert!(run("loader-bench", args).ends(0).out.contains("images/s"));
    }
    // The order of blocks wants several windows, the shuffled one random reads.
    for (order, random) in [("blocks", false), ("shuffled", true)] {
        let args = args![
            shards(),
            "--cold",
            "--order",
            order,
            "--window",
            "2",
            "--batch",
            "8",
            "--repetitions",
            "2",
            "--json"
        ];
        let said = run("loader-bench", args).ends(0).json();
        assert_eq!((said["random"].as_bool(), said["shares"].as_array().unwrap().len()), (Some(random), 2));
        assert!(said["share_of_disk"].as_f64().unwrap() > 0.0);
    }
}

/// The files of a set, as a set of its own that may be harmed.
fn copy(name: &str) -> std::path::PathBuf {
    let to = crate::program::scratch().join(name);
    let _ = std::fs::remove_dir_all(&to);
    std::fs::create_dir_all(&to).unwrap();
    for (name, bytes) in crate::program::contents(shards()) {
        std::fs::write(to.join(name), bytes).unwrap();
    }
    to
}

/// One bit of a record: named by file and record where checksums are tested, unnoticed where they are not.
#[test]
fn damage_is_named_at_its_first_touch() {
    use std::os::unix::fs::FileExt;
    let set = copy("damaged-set");
    let file = std::fs::OpenOptions::new().write(true).open(set.join("train-00001.shard")).unwrap();
    // Record 3 of 64×64: four pages of header and records before it.
    file.write_all_at(&[0x5A; 40], 4096 + 3 * 12_288 + 1000).unwrap();
    let bench = args![&set, "--batch", "8", "--seconds", "0.3"].to_vec();
    let run_dir = crate::program::scratch().join("damaged-run");
    let _ = std::fs::remove_dir_all(&run_dir);
    let train = args![
        "--data", &set, "--out", &run_dir, "--net", "original", "--narrow", "8", "--crop", "56", "--batch",
        "32", "--device", "cpu", "--quiet", "--steps", "4"
    ]
    .to_vec();
    for (program, args) in [("loader-bench", bench), ("train", train)] {
        for more in [&["--check", "first-epoch"][..], &["--check", "first-epoch", "--pread"]] {
            let mut args = args.clone();
            args.extend(more.iter().map(Into::into));
            let said = run(program, args).ends(2);
            for part in ["train-00001.shard", "record 3", "crc32c", "hint:"] {
                assert!(said.err.contains(part), "{part}: {said:?}");
            }
        }
        run(program, args).ends(0);
    }
}

/// A mapped shard that is cut short while a program reads it: exit 2 with its name, not a signal.
#[cfg(target_os = "linux")]
#[test]
fn a_shard_cut_short_under_a_program_is_named() {
    use std::process::{Command, Stdio};
    for access in ["", "--pread"] {
        let set = copy("cut-set");
        let mut command = Command::new(env!("CARGO_BIN_EXE_loader-bench"));
        command.arg(&set).args(["--batch", "8", "--seconds", "60", "--repetitions", "600"]);
        command.args(Some(access).filter(|access| !access.is_empty()));
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(700));
        for name in ["train-00000.shard", "train-00001.shard"] {
            std::fs::OpenOptions::new().write(true).open(set.join(name)).unwrap().set_len(4096).unwrap();
        }
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{access}: {err}");
        assert!(err.contains(".shard") && err.contains("hint:"), "{access}: {err}");
    }
}
