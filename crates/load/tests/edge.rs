//! No path reads past the end of a record: the page behind it cannot be touched.
#![allow(unsafe_code)]

use std::io::Write;

use alexnet_load::{Augment, Draw, HeapMemory, Layout, Mean, Memory, Output, Pass, Path};

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
            // As many pixels in another shape, for crops whose groups of bytes run on from row to row.
            let sizes = [([64, 64], 16), ([64, 64], 50), ([64, 64], 64), ([128, 32], 96), ([128, 32], 100)];
            for (layout, (size, width)) in
                [Layout::Nchw, Layout::Nhwc].into_iter().flat_map(|l| sizes.map(|s| (l, s)))
            {
                let [left, top] = [size[0] - width, size[1] - 8].map(|slack| slack as u32);
                let augment = Augment {
                    record: size,
                    crop: [width, 8],
                    mean: Mean::Channel([0.0; 3]),
                    scale: [1.0; 3],
                    output,
                    layout,
                };
                let pass = Pass::on(path, augment).expect("a sound configuration");
                for mirror in [false, true] {
                    let draw = Draw { left, top, mirror, shift: [0.0; 3], ..Draw::default() };
                    let mut out = HeapMemory::new(width * 8 * 3 * output.bytes());
                    pass.apply(record, &draw, out.bytes_mut());
                    let words: &[u64] = bytemuck::cast_slice(out.bytes());
                    assert!(words.iter().all(|&word| word == words[0]), "{} {output:?}", path.name());
                }
            }
        }
    }
}
