//! Kaggle's copy of ILSVRC2012 has two text files in the devkit's place.
//!
//! `LOC_synset_mapping.txt` lists the classes in the order of their WNIDs (`n01440764 tench, Tinca tinca`), without
//! official ids; `LOC_val_solution.csv` tells the boxes of the validation photos, each with its class, the same for all
//! boxes of a photo (`ILSVRC2012_val_00048981,n03995372 85 1 499 272 n03995372 …`).

use std::path::Path;

use alexnet_shard::Split;

use super::{Devkit, Synset};
use crate::error::Error;
use crate::source::{is_wnid, official_number};

pub(super) const MAPPING: &str = "LOC_synset_mapping.txt";
pub(super) const SOLUTION: &str = "LOC_val_solution.csv";

/// A number of a validation photo above this is none (there are 50,000).
const MAX_NUMBER: u64 = 1 << 20;

/// The devkit that both files make up. Without the second no class of a validation photo is known.
pub(super) fn read(path: &Path, mapping: &[u8], solution: Option<&[u8]>) -> Result<Devkit, Error> {
    let mut synsets: Vec<Synset> = Vec::new();
    for (line, text) in (1..).zip(String::from_utf8_lossy(mapping).lines()) {
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        let (wnid, words) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let bad = |reason: String| Error::devkit(path, format!("{MAPPING} line {line}: {reason}"));
        if !is_wnid(wnid) {
            let shown: String = wnid.chars().take(20).collect();
            return Err(bad(format!("{shown:?} is no WNID")));
        }
        synsets.push(Synset { id: 0, wnid: wnid.to_owned(), words: words.trim().to_owned() });
    }
    if synsets.is_empty() {
        return Err(Error::devkit(path, format!("{MAPPING} lists no class")));
    }
    synsets.sort_by(|a, b| a.wnid.cmp(&b.wnid));
    if let Some(pair) = synsets.windows(2).find(|pair| pair[0].wnid == pair[1].wnid) {
        return Err(Error::devkit(path, format!("{MAPPING}: WNID {} occurs twice", pair[0].wnid)));
    }
    for (id, synset) in (1..).zip(&mut synsets) {
        synset.id = id;
    }
    let ground_truth = match solution {
        Some(text) => truth(path, &String::from_utf8_lossy(text), &synsets)?,
        None => Vec::new(),
    };
    Ok(Devkit {
        synsets,
        inner_synsets: 0,
        ground_truth,
        test_truth: Vec::new(),
        official_ids: false,
        year: Some(2012),
    })
}

fn truth(path: &Path, text: &str, synsets: &[Synset]) -> Result<Vec<u32>, Error> {
    let mut truth = Vec::new();
    for (line, row) in (1..).zip(text.lines()) {
        let row = row.trim();
        if row.is_empty() || (line == 1 && row.starts_with("ImageId")) {
            continue;
        }
        let bad = |reason: String| Error::devkit(path, format!("{SOLUTION} line {line}: {reason}"));
        let (image, boxes) = row.split_once(',').ok_or_else(|| bad("no comma".into()))?;
        let number = official_number(&format!("{image}.JPEG"))
            .filter(|&(split, number)| split == Split::Val && (1..=MAX_NUMBER).contains(&number));
        let Some((_, number)) = number else {
            let shown: String = image.chars().take(40).collect();
            return Err(bad(format!("{shown:?} is no name of a validation photo")));
        };
        let wnid = boxes.trim_matches('"').split_whitespace().next().unwrap_or_default();
        let place = synsets.binary_search_by(|synset| synset.wnid.as_str().cmp(wnid)).map_err(|_| {
            let shown: String = wnid.chars().take(20).collect();
            bad(format!("{shown:?} is no class of {MAPPING}"))
        })?;
        let (at, id) = (number as usize - 1, place as u32 + 1);
        if truth.len() <= at {
            truth.resize(at + 1, 0);
        }
        if truth[at] != 0 && truth[at] != id {
            return Err(bad(format!("photo {number} was of another class before")));
        }
        truth[at] = id;
    }
    Ok(truth)
}
