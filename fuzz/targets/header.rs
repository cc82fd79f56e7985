#![no_main]
#[path = "../surfaces.rs"]
#[allow(dead_code)]
mod surfaces;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| surfaces::header(bytes));
