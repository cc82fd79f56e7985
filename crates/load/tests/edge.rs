//! No path reads past the end of a record: the page behind it cannot be touched.
#![allow(unsafe_code)]

use std::io::Write;

use alexnet_load::{Augment, Draw, Layout, Mean, Output, Pass, Path};

const PAGE: usize = 4096;

#[test]
#[cfg(unix)]
fn nothing_is_read_past_a_record() {
    // 64 × 64 pixels are three pages; the fourth is mapped, but the file has no bytes for it: touching it kills.
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(&[77; 3 * PAGE]).expect("room for three pages");
    // SAFETY: nobody else has the file, and the slice below ends where the file does.
    let map = unsafe { memmap2::MmapOptions::new().len(4 * PAGE).map(&file) }.expect("a mapping");
    let record = &map[..3 * PAGE];
    for path in Path::available() {
        for output in [Output::U8, Output::Bf16, Output::F16, Output::F32] {
            for (layout, width) in
                [Layout::Nchw, Layout::Nhwc].into_iter().flat_map(|l| [16, 50, 64].map(|w| (l, w)))
            {
                let augment = Augment {
                    record: [64, 64],
                    crop: [width, 8],
                    mean: Mean::Channel([0.0; 3]),
                    scale: [1.0; 3],
                    output,
                    layout,
                };
                let pass = Pass::on(path, augment).expect("a sound configuration");
                for mirror in [false, true] {
                    let draw =
                        Draw { left: 64 - width as u32, top: 56, mirror, shift: [0.0; 3], ..Draw::default() };
                    let mut out = vec![0u64; width * 8 * 3 * output.bytes() / 8];
                    pass.apply(record, &draw, bytemuck::cast_slice_mut(&mut out));
                    assert!(out.iter().all(|&word| word == out[0]), "{} {output:?}", path.name());
                }
            }
        }
    }
}
