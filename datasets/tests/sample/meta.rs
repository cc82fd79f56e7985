//! The structure of `meta.mat`, element by element, against what the official file looks like: header, one
//! compressed element, and in it a struct array with the same fields, classes and storage types.

use std::io::Read;

use alexnet_datasets::sample::CLASSES;

use crate::archives::{Contents, small};

/// One element: type, data, and what follows it.
fn element(bytes: &[u8]) -> (u32, &[u8], &[u8]) {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    if word(0) >> 16 != 0 {
        let length = (word(0) >> 16) as usize;
        assert!(length <= 4, "short element of {length} bytes");
        assert!(bytes[4 + length..8].iter().all(|&byte| byte == 0), "padding of a short element");
        (word(0) & 0xFFFF, &bytes[4..4 + length], &bytes[8..])
    } else {
        let length = word(4) as usize;
        let end = 8 + length.next_multiple_of(8);
        assert!(bytes[8 + length..end].iter().all(|&byte| byte == 0), "padding");
        (word(0), &bytes[8..8 + length], &bytes[end..])
    }
}

/// A matrix's class, dimensions, name, and the elements behind them.
fn matrix(bytes: &[u8]) -> (u8, [i32; 2], &[u8], &[u8]) {
    let (kind, flags, rest) = element(bytes);
    assert_eq!((kind, flags.len()), (6, 8), "array flags are two uint32");
    assert!(flags[1..].iter().all(|&byte| byte == 0));
    let (kind, sizes, rest) = element(rest);
    assert_eq!((kind, sizes.len()), (5, 8), "dimensions are two int32");
    let size = |at: usize| i32::from_le_bytes(sizes[at..at + 4].try_into().unwrap());
    let (kind, name, rest) = element(rest);
    assert_eq!(kind, 1, "a name is int8");
    (flags[0], [size(0), size(4)], name, rest)
}

/// Values of a row of numbers, or the characters of a text.
fn values(bytes: &[u8]) -> (Vec<u16>, String) {
    let (class, [rows, columns], name, rest) = matrix(bytes);
    let (kind, data, rest) = element(rest);
    assert!(rest.is_empty() && name.is_empty());
    assert_eq!(rows, 1);
    let (numbers, text) = match (class, kind) {
        (6, 2) => (data.iter().map(|&byte| u16::from(byte)).collect(), String::new()),
        (6, 4) => {
            (data.chunks(2).map(|two| u16::from_le_bytes(two.try_into().unwrap())).collect(), String::new())
        }
        (4, 16) => (Vec::new(), String::from_utf8(data.to_vec()).unwrap()),
        other => panic!("class and type {other:?} are not in the official file"),
    };
    assert_eq!(columns as usize, numbers.len() + text.chars().count());
    (numbers, text)
}

#[test]
fn meta_mat_is_built_like_the_official_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = Contents::read(&small(dir.path(), 2)).meta;
    assert!(file.starts_with(b"MATLAB 5.0 MAT-file"));
    assert_eq!(&file[124..128], [0, 1, b'I', b'M']);
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    assert_eq!((word(128), word(132) as usize), (15, file.len() - 136), "one compressed element to the end");
    let mut plain = Vec::new();
    flate2::read::ZlibDecoder::new(&file[136..]).read_to_end(&mut plain).unwrap();

    let (kind, variable, rest) = element(&plain);
    assert_eq!((kind, rest), (14, &[][..]));
    let (class, sizes, name, rest) = matrix(variable);
    assert_eq!((class, sizes, name), (2, [13, 1], &b"synsets"[..]));
    let (kind, width, rest) = element(rest);
    assert_eq!((kind, width), (5, &17i32.to_le_bytes()[..]));
    let (kind, names, mut rest) = element(rest);
    let fields: Vec<&str> =
        names.chunks(17).map(|name| std::str::from_utf8(name).unwrap().trim_end_matches('\0')).collect();
    assert_eq!(kind, 1);
    assert_eq!(
        fields,
        [
            "ILSVRC2012_ID",
            "WNID",
            "words",
            "gloss",
            "num_children",
            "children",
            "wordnet_height",
            "num_train_images"
        ]
    );

    let mut reached = Vec::new();
    for id in 1..=13u16 {
        let row: [(Vec<u16>, String); 8] = std::array::from_fn(|_| {
            let (kind, value, behind) = element(rest);
            assert_eq!(kind, 14);
            rest = behind;
            values(value)
        });
        let [(ids, _), (_, wnid), (_, words), (_, gloss), (count, _), (children, _), _, (photos, _)] = row;
        assert_eq!(ids, [id], "leaves and inner synsets in the order of their IDs");
        assert_eq!(count, [children.len() as u16]);
        assert!(!gloss.is_empty());
        match CLASSES.iter().find(|class| class.id == id) {
            Some(class) => {
                assert_eq!((wnid.as_str(), words.as_str(), &photos[..]), (class.wnid, class.words, &[3][..]));
                assert!(children.is_empty());
            }
            None => assert!(!children.is_empty() && photos == [0], "{wnid} is an inner synset"),
        }
        reached.extend(children);
    }
    assert!(rest.is_empty());
    reached.sort_unstable();
    let all_but_the_root: Vec<u16> = (1..=13).filter(|&id| id != 11).collect();
    assert_eq!(reached, all_but_the_root);
}
