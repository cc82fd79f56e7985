use alexnet_pack::matfile::{self, Value};
use alexnet_rng::{Purpose, Stream};

use crate::archive::{element, fixture, meta_mat};

fn numbers(value: &Value) -> (&[usize], &[f64]) {
    match value {
        Value::Numeric { dims, data } => (dims, data),
        other => panic!("no numbers: {other:?}"),
    }
}

/// SciPy wrote these: packed and unpacked give the same values, which are those given to SciPy.
#[test]
fn reads_what_scipy_wrote() {
    let plain = matfile::read(&fixture("meta.mat")).unwrap();
    assert_eq!(plain, matfile::read(&fixture("meta-packed.mat")).unwrap());
    let names: Vec<&str> = plain.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["synsets", "cells"]);
    let Value::Struct { dims, fields, values } = &plain[0].1 else { panic!("no struct") };
    assert_eq!(dims, &[3, 1]);
    assert_eq!(fields, &["ILSVRC2012_ID", "WNID", "words", "num_children", "children", "score"]);
    let row = |i: usize| &values[i * fields.len()..][..fields.len()];
    assert_eq!(row(1)[0].scalar(), Some(1.0));
    assert_eq!(row(1)[1].text(), Some("n00000001"));
    assert_eq!(row(1)[2].text(), Some("größte ‘eins’"));
    assert_eq!(row(1)[5].scalar(), Some(-1.0));
    assert_eq!(numbers(&row(1)[4]), (&[1, 0][..], &[][..]));
    assert_eq!(numbers(&row(2)[4]), (&[1, 2][..], &[1.0, 2.0][..]));
    let Value::Cell { dims, values } = &plain[1].1 else { panic!("no cell") };
    assert_eq!(dims, &[1, 2]);
    assert_eq!(numbers(&values[0]), (&[2, 2][..], &[1.0, 3.0, 2.0, 4.0][..]), "column-major");
    assert_eq!(values[1].text(), Some("text"));
}

#[test]
fn reads_the_other_byte_order() {
    let mut file = vec![b' '; 124];
    file.extend([1, 0, b'M', b'I']);
    let mut body = Vec::new();
    let part = |body: &mut Vec<u8>, kind: u32, data: &[u8]| {
        body.extend(kind.to_be_bytes());
        body.extend((data.len() as u32).to_be_bytes());
        body.extend(data);
        body.resize(body.len().next_multiple_of(8), 0);
    };
    part(&mut body, 6, &[0, 0, 0, 6, 0, 0, 0, 0]);
    part(&mut body, 5, &[0, 0, 0, 1, 0, 0, 0, 3]);
    part(&mut body, 1, b"x");
    // Stored smaller than its class, as MATLAB does.
    part(&mut body, 3, &[0, 1, 0xff, 0xfe, 1, 0]);
    part(&mut file, 14, &body);
    let read = matfile::read(&file).unwrap();
    assert_eq!(read[0].0, "x");
    assert_eq!(numbers(&read[0].1), (&[1, 3][..], &[1.0, -2.0, 256.0][..]));
}

#[test]
fn refuses_other_files() {
    let message = |bytes: &[u8]| matfile::read(bytes).unwrap_err().to_string();
    assert!(message(b"short").contains("too short"));
    assert!(message(&[0; 200]).contains("no MAT version 5 header"));
    let mut hdf = vec![b' '; 124];
    hdf.extend([0, 2, b'I', b'M']);
    assert!(message(&hdf).contains("7.3"));
}

/// No input, however mangled, makes it panic, and every cut is noticed.
#[test]
fn survives_mangled_files() {
    let plain = fixture("meta.mat");
    for cut in 128..plain.len() {
        // Whole variables may remain; never more than there were.
        if let Ok(variables) = matfile::read(&plain[..cut]) {
            assert!(variables.len() < 2, "cut at {cut}");
        }
    }
    let packed = fixture("meta-packed.mat");
    assert!((137..packed.len()).filter(|&cut| matfile::read(&packed[..cut]).is_ok()).count() <= 1);
    let (mut refused, rounds) = (0, 20_000);
    for i in 0..rounds {
        let stream = Stream::new(7, 0, i, Purpose::Sample);
        let mut bytes = plain.clone();
        for change in 0..1 + stream.below(0, 3) as u64 {
            let at = 128 + stream.below(2 + 3 * change, plain.len() as u32 - 128) as usize;
            bytes[at] = match stream.below(3 + 3 * change, 3) {
                0 => 0xff,
                1 => bytes[at] ^ (1 << stream.below(4 + 3 * change, 8)),
                _ => stream.word(4 + 3 * change) as u8,
            };
        }
        refused += u64::from(matfile::read(&bytes).is_err());
    }
    assert!(refused > rounds / 10, "{refused} of {rounds} refused: the mangling does not bite");
}

#[test]
fn bounds_depth_and_memory() {
    let header = |body: &[u8]| {
        let mut file = vec![b' '; 124];
        file.extend([0, 1, b'I', b'M']);
        file.extend(body);
        file
    };
    // Cells in cells.
    let cell = |inside: &[u8]| {
        let mut body = Vec::new();
        element(&mut body, 6, &[1, 0, 0, 0, 0, 0, 0, 0]);
        element(&mut body, 5, &[1, 0, 0, 0, 1, 0, 0, 0]);
        element(&mut body, 1, b"");
        body.extend(inside);
        let mut out = Vec::new();
        element(&mut out, 14, &body);
        out
    };
    let mut nested = Vec::new();
    element(&mut nested, 14, &[]);
    for depth in 1..40 {
        nested = cell(&nested);
        assert_eq!(matfile::read(&header(&nested)).is_ok(), depth <= 16, "depth {depth}");
    }
    // A cell that claims four thousand million elements.
    let mut body = Vec::new();
    element(&mut body, 6, &[1, 0, 0, 0, 0, 0, 0, 0]);
    element(&mut body, 5, &[0xff, 0xff, 0xff, 0x7f, 2, 0, 0, 0]);
    element(&mut body, 1, b"");
    let mut huge = Vec::new();
    element(&mut huge, 14, &body);
    assert!(matfile::read(&header(&huge)).unwrap_err().to_string().contains("do not fit"));
    // A bomb: zeros that unpack to more than the bound.
    let zeros = vec![0; matfile::MAX_UNPACKED_BYTES + 1];
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packed, &zeros).unwrap();
    let mut bomb = Vec::new();
    element(&mut bomb, 15, &packed.finish().unwrap());
    assert!(matfile::read(&header(&bomb)).unwrap_err().to_string().contains("unpacks to more"));
}

#[test]
fn reads_what_the_tests_write() {
    let read =
        matfile::read(&meta_mat(&[(7, "n00000007", "sieben", 0), (300, "n00000300", "é", 3)])).unwrap();
    let Value::Struct { values, .. } = &read[0].1 else { panic!("no struct") };
    assert_eq!(values[4].scalar(), Some(300.0));
    assert_eq!(values[6].text(), Some("é"));
}
