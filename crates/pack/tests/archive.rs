//! What the tests share: small archives in exactly the official layout, fixtures, real data.

use std::io::Write;
use std::path::{Path, PathBuf};

use alexnet_rng::{Purpose, Stream};

/// A committed input or expectation (made by tools/pack-fixtures.py).
pub fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A fixture that is an RGB PNG: width, height, pixels.
pub fn fixture_pixels(name: &str) -> (u32, u32, Vec<u8>) {
    let image = image::load_from_memory(&fixture(name)).unwrap().into_rgb8();
    (image.width(), image.height(), image.into_raw())
}

/// A file of the real test data, or `None` after saying what is skipped. `REQUIRE_DATA=1` makes absence a failure.
pub fn real_data(test: &str, name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("IMAGENET_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    let required = std::env::var_os("REQUIRE_DATA").is_some_and(|v| v == "1");
    assert!(!required, "REQUIRE_DATA=1, but {} is absent", path.display());
    eprintln!("skipped: {test}: {} is absent", path.display());
    None
}

/// A tar archive in memory.
pub struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    pub fn new() -> Self {
        Tar(tar::Builder::new(Vec::new()))
    }

    pub fn add(&mut self, path: &str, data: &[u8]) -> &mut Self {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_339_640_820);
        self.0.append_data(&mut header, path, data).unwrap();
        self
    }

    /// A header of any kind before `data`, written as it is.
    pub fn raw(&mut self, header: &tar::Header, data: &[u8]) -> &mut Self {
        self.0.append(header, data).unwrap();
        self
    }

    pub fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// A smooth colour JPEG that differs for every seed.
pub fn jpeg(width: u32, height: u32, seed: u64) -> Vec<u8> {
    let stream = Stream::new(seed, 0, 0, Purpose::Sample);
    let base: Vec<f64> = (0..9).map(|i| stream.uniform(i)).collect();
    let image = image::RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([0, 1, 2].map(|c| {
            let wave =
                (f64::from(x) * (0.02 + 0.1 * base[c]) + f64::from(y) * (0.02 + 0.1 * base[c + 3])).sin();
            (128.0 + 60.0 * wave + 60.0 * (base[c + 6] - 0.5)) as u8
        }))
    });
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(&image).unwrap();
    bytes
}

/// Writes bytes to a file of `dir`.
pub fn write(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
    path
}

/// Name and bytes of a member.
pub type Member = (String, Vec<u8>);

/// The official train layout: one tar per WNID inside one tar.
pub fn train_tar(classes: &[(&str, Vec<Member>)]) -> Vec<u8> {
    let mut outer = Tar::new();
    for (wnid, photos) in classes {
        let mut inner = Tar::new();
        for (name, bytes) in photos {
            inner.add(name, bytes);
        }
        outer.add(&format!("{wnid}.tar"), &inner.bytes());
    }
    outer.bytes()
}

/// A MAT file whose one variable `synsets` has the official fields used: (id, wnid, words, num_children).
pub fn meta_mat(rows: &[(u16, &str, &str, u8)]) -> Vec<u8> {
    mat_file(&[synsets("ILSVRC2012_ID", rows)])
}

/// The same as ILSVRC2010 has it: another name for the ids, and a `cost_matrix` before.
pub fn meta_mat_2010(rows: &[(u16, &str, &str, u8)]) -> Vec<u8> {
    let mut cost = Vec::new();
    array_head(&mut cost, 6, &[1000, 1000], "cost_matrix");
    element(&mut cost, 2, &(0..1_000_000u32).map(|i| (i % 1001) as u8).collect::<Vec<u8>>());
    mat_file(&[cost, synsets("ILSVRC2010_ID", rows)])
}

fn synsets(id_field: &str, rows: &[(u16, &str, &str, u8)]) -> Vec<u8> {
    let fields = [id_field, "WNID", "words", "num_children"];
    let mut body = Vec::new();
    array_head(&mut body, 2, &[rows.len() as i32, 1], "synsets");
    small(&mut body, 5, &32i32.to_le_bytes());
    let names: Vec<u8> = fields.iter().flat_map(|f| format!("{f:\0<32}").into_bytes()).collect();
    element(&mut body, 1, &names);
    for &(id, wnid, words, children) in rows {
        matrix(&mut body, 11, &[1, 1], |b| small(b, 4, &id.to_le_bytes()));
        for text in [wnid, words] {
            let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            matrix(&mut body, 4, &[1, text.encode_utf16().count() as i32], |b| element(b, 17, &units));
        }
        matrix(&mut body, 9, &[1, 1], |b| small(b, 2, &[children]));
    }
    body
}

/// A file of variables, each a compressed element.
fn mat_file(variables: &[Vec<u8>]) -> Vec<u8> {
    let mut file = format!("{:<124}", "MATLAB 5.0 MAT-file").into_bytes();
    file.extend([0, 1, b'I', b'M']);
    for body in variables {
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        let mut plain = Vec::new();
        element(&mut plain, 14, body);
        packed.write_all(&plain).unwrap();
        let packed = packed.finish().unwrap();
        file.extend(15u32.to_le_bytes());
        file.extend((packed.len() as u32).to_le_bytes());
        file.extend(packed);
    }
    file
}

fn matrix(out: &mut Vec<u8>, class: u8, dims: &[i32], data: impl Fn(&mut Vec<u8>)) {
    let mut body = Vec::new();
    array_head(&mut body, class, dims, "");
    data(&mut body);
    element(out, 14, &body);
}

fn array_head(out: &mut Vec<u8>, class: u8, dims: &[i32], name: &str) {
    element(out, 6, &[class, 0, 0, 0, 0, 0, 0, 0]);
    element(out, 5, &dims.iter().flat_map(|d| d.to_le_bytes()).collect::<Vec<u8>>());
    element(out, 1, name.as_bytes());
}

/// An element with a full tag.
pub fn element(out: &mut Vec<u8>, kind: u32, data: &[u8]) {
    out.extend(kind.to_le_bytes());
    out.extend((data.len() as u32).to_le_bytes());
    out.extend(data);
    out.resize(out.len().next_multiple_of(8), 0);
}

/// An element of at most four bytes in the short form.
fn small(out: &mut Vec<u8>, kind: u16, data: &[u8]) {
    out.extend(kind.to_le_bytes());
    out.extend((data.len() as u16).to_le_bytes());
    out.extend(data);
    out.resize(out.len() + 4 - data.len(), 0);
}

/// A devkit as a `.tar.gz` in the official layout.
pub fn devkit_tar_gz(rows: &[(u16, &str, &str, u8)], ground_truth: &[u32]) -> Vec<u8> {
    let mut tar = Tar::new();
    tar.add("ILSVRC2012_devkit_t12/readme.txt", b"hello");
    tar.add("ILSVRC2012_devkit_t12/data/meta.mat", &meta_mat(rows));
    let lines: String = ground_truth.iter().map(|id| format!("{id}\n")).collect();
    tar.add("ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", lines.as_bytes());
    gzip(&tar.bytes())
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}
