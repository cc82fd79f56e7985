//! The sample's `ILSVRC2012_devkit_t12.tar.gz`: `meta.mat` and the validation ground truth.
//!
//! As in the official one the leaves come first, in the order of their `ILSVRC2012_ID`, and the inner synsets
//! follow; line i of the ground truth is the ID of validation photo i.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::archive;
use super::class::{CLASSES, SampleClass};
use super::mat::{self, Value};

const ROOT: &str = "ILSVRC2012_devkit_t12";

const FIELDS: [&str; 8] = [
    "ILSVRC2012_ID",
    "WNID",
    "words",
    "gloss",
    "num_children",
    "children",
    "wordnet_height",
    "num_train_images",
];

/// An inner synset: identifier, words, gloss, height, and the IDs under it.
struct Inner {
    wnid: &'static str,
    words: &'static str,
    gloss: &'static str,
    height: u16,
    children: Vec<u16>,
}

fn inner() -> [Inner; 3] {
    let leaves = |plain: bool| {
        let mut ids: Vec<u16> =
            CLASSES.iter().filter(|class| class.is_plain() == plain).map(|class| class.id).collect();
        ids.sort_unstable();
        ids
    };
    let first = CLASSES.len() as u16 + 1;
    [
        Inner {
            wnid: "n99100001",
            words: "sample object",
            gloss: "something that the generator of the built-in sample can draw",
            height: 2,
            children: vec![first + 1, first + 2],
        },
        Inner {
            wnid: "n99100002",
            words: "patterned object",
            gloss: "a sample object with a pattern of two tones",
            height: 1,
            children: leaves(false),
        },
        Inner {
            wnid: "n99100003",
            words: "plain object",
            gloss: "a sample object of one tone",
            height: 1,
            children: leaves(true),
        },
    ]
}

/// The bytes of `meta.mat`: the struct array `synsets` of ten leaves and three inner synsets.
pub fn meta_mat(train_per_class: u32) -> Vec<u8> {
    let mut leaves: Vec<&SampleClass> = CLASSES.iter().collect();
    leaves.sort_by_key(|class| class.id);
    // The field is 16 bits wide; a sample with more photos than that says the most it can.
    let train = train_per_class.min(u32::from(u16::MAX)) as u16;
    let mut rows: Vec<Vec<Value>> = leaves
        .iter()
        .map(|class| row(class.id, class.wnid, class.words, class.gloss, &[], 0, train))
        .collect();
    for (i, synset) in inner().iter().enumerate() {
        let id = (CLASSES.len() + 1 + i) as u16;
        rows.push(row(id, synset.wnid, synset.words, synset.gloss, &synset.children, synset.height, 0));
    }
    mat::struct_column("synsets", &FIELDS, &rows)
}

fn row(
    id: u16,
    wnid: &str,
    words: &str,
    gloss: &str,
    children: &[u16],
    height: u16,
    train: u16,
) -> Vec<Value> {
    vec![
        Value::Number(id),
        Value::Text(wnid.to_owned()),
        Value::Text(words.to_owned()),
        Value::Text(gloss.to_owned()),
        Value::Number(children.len() as u16),
        Value::Row(children.to_vec()),
        Value::Number(height),
        Value::Number(train),
    ]
}

/// Writes the devkit. `val` holds the row in [`CLASSES`] of each validation photo, in the order of the photos.
///
/// # Errors
/// Those of `out`.
pub fn write(out: impl Write, train_per_class: u32, val: &[usize]) -> std::io::Result<()> {
    let truth: String = val.iter().map(|&class| format!("{}\n", CLASSES[class].id)).collect();
    let mut tar = tar::Builder::new(GzEncoder::new(out, Compression::default()));
    archive::append(&mut tar, &format!("{ROOT}/data/meta.mat"), &meta_mat(train_per_class))?;
    archive::append(
        &mut tar,
        &format!("{ROOT}/data/ILSVRC2012_validation_ground_truth.txt"),
        truth.as_bytes(),
    )?;
    tar.into_inner()?.finish()?.flush()
}
