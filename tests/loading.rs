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
