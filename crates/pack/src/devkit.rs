//! The development kit of ILSVRC: its classes and the classes of the validation photos.
//!
//! Reads `ILSVRC2012_devkit_t12.tar.gz` or `ILSVRC2010_devkit-1.0.tar.gz` as downloaded, the plain tar, an unpacked
//! folder, or what Kaggle gives instead ([`kaggle`]). A [`Devkit`] is consistent: ids run from 1 without gaps, WNIDs are
//! distinct, and every ground truth is an id. How ids become labels is decided in [`crate::ClassTable`].

mod kaggle;
mod members;
mod truth;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use alexnet_shard::Split;

use crate::error::Error;
use crate::matfile::{self, Value};
use crate::source::official_year;

/// Members above this are none of the devkit's (the largest real one has 2.6 MB).
const MAX_MEMBER_BYTES: u64 = 64 << 20;

/// One class (a leaf of the tree of synsets).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synset {
    /// `ILSVRC2012_ID` (or of 2010), from 1; without official ids, the place in the order of the WNIDs, from 1.
    pub id: u32,
    /// WordNet id, for example `n01440764`.
    pub wnid: String,
    /// Synonyms, for example `tench, Tinca tinca`.
    pub words: String,
}

/// What is read of a devkit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Devkit {
    /// The classes in order of their ids: `synsets[id − 1].id == id`.
    pub synsets: Vec<Synset>,
    /// Synsets of the tree that are no classes (860 in ILSVRC2012).
    pub inner_synsets: usize,
    /// `ground_truth[n − 1]` is the id of validation photo number `n`; 0 if it is not told.
    pub ground_truth: Vec<u32>,
    /// The same of the test photos; empty if their classes are unknown, as ILSVRC2012's are.
    pub test_truth: Vec<u32>,
    /// Whether the ids are the official ones.
    pub official_ids: bool,
    /// Of which challenge it is: 2010's ids are other classes than 2012's, and its photos have the same numbers.
    pub year: Option<u32>,
}

impl Devkit {
    /// Reads a `.tar.gz`, a `.tar`, or an unpacked folder.
    ///
    /// # Errors
    /// If the file cannot be read, lacks `meta.mat` or the ground truth, or contradicts itself.
    pub fn read(path: &Path) -> Result<Devkit, Error> {
        let files = if fs::metadata(path).map_err(|e| Error::io(path, e))?.is_dir() {
            Files::of_folder(path)?
        } else if path.file_name().is_some_and(|name| name == kaggle::MAPPING) {
            Files::beside(path)?
        } else {
            Files::of_archive(path)?
        };
        if let (None, Some(mapping)) = (&files.meta, &files.mapping) {
            return kaggle::read(path, mapping, files.solution.as_deref());
        }
        let meta = files.meta.ok_or_else(|| Error::devkit(path, "no data/meta.mat in this devkit"))?;
        let truth = files.ground_truth.ok_or_else(|| {
            Error::devkit(path, "no data/ILSVRC2012_validation_ground_truth.txt in this devkit")
        })?;
        let (synsets, inner_synsets, year) = synsets(path, &meta)?;
        let ground_truth = truth::parse(path, &truth, synsets.len())?;
        // Another year's truth may lie in the same folder.
        let test_truth = match files.test_truth {
            Some(text) if files.test_year.is_none_or(|of| of == year) => {
                truth::parse(path, &text, synsets.len())?
            }
            _ => Vec::new(),
        };
        Ok(Devkit { synsets, inner_synsets, ground_truth, test_truth, official_ids: true, year: Some(year) })
    }

    /// Reads the classes of the test photos (`ILSVRC2010_test_ground_truth.txt`: line n is the id of photo n).
    ///
    /// # Errors
    /// If the file cannot be read, is of another year than the devkit, or a line is no id of it; if the devkit has no official
    /// ids, which is what the lines are.
    pub fn read_test_truth(&mut self, path: &Path) -> Result<(), Error> {
        if !self.official_ids {
            return Err(Error::devkit(
                path,
                "it holds official ids, and the devkit given has none (Kaggle's)",
            ));
        }
        let of = path.file_name().and_then(|name| official_year(name.to_str()?));
        if let (Some(of), Some(year)) = (of, self.year)
            && of != year
        {
            return Err(Error::devkit(path, format!("it is of ILSVRC{of}, the devkit of ILSVRC{year}")));
        }
        let text = File::open(path).and_then(bounded).map_err(|e| Error::io(path, e))?;
        self.test_truth = truth::parse(path, &text, self.synsets.len())?;
        Ok(())
    }

    /// The ground truth of a split; empty for training photos.
    pub fn truth(&self, split: Split) -> &[u32] {
        match split {
            Split::Train => &[],
            Split::Val => &self.ground_truth,
            Split::Test => &self.test_truth,
        }
    }

    /// The class of photo `number` (from 1) of a split, if its ground truth goes so far.
    pub fn synset_of(&self, split: Split, number: u64) -> Option<&Synset> {
        let line = usize::try_from(number.checked_sub(1)?).ok()?;
        let id = *self.truth(split).get(line)?;
        self.synsets.get((id as usize).checked_sub(1)?)
    }

    /// The class of validation photo `number` (from 1), if the ground truth goes so far.
    pub fn val_synset(&self, number: u64) -> Option<&Synset> {
        self.synset_of(Split::Val, number)
    }
}

#[derive(Default)]
struct Files {
    meta: Option<Vec<u8>>,
    ground_truth: Option<Vec<u8>>,
    test_truth: Option<Vec<u8>>,
    /// The year in its name.
    test_year: Option<u32>,
    /// Kaggle's class table and validation classes.
    mapping: Option<Vec<u8>>,
    solution: Option<Vec<u8>>,
}

impl Files {
    fn slot(&mut self, name: &str) -> Option<&mut Option<Vec<u8>>> {
        match name {
            "meta.mat" => Some(&mut self.meta),
            kaggle::MAPPING => Some(&mut self.mapping),
            kaggle::SOLUTION => Some(&mut self.solution),
            _ if name.starts_with("ILSVRC") && name.ends_with("_test_ground_truth.txt") => {
                if self.test_truth.is_none() {
                    self.test_year = official_year(name);
                }
                Some(&mut self.test_truth)
            }
            _ if name.starts_with("ILSVRC") && name.ends_with("_validation_ground_truth.txt") => {
                Some(&mut self.ground_truth)
            }
            _ => None,
        }
    }

    fn of_archive(path: &Path) -> Result<Files, Error> {
        let mut file = BufReader::new(File::open(path).map_err(|e| Error::io(path, e))?);
        let mut magic = [0; 2];
        let read = file.read(&mut magic).map_err(|e| Error::io(path, e))?;
        let file = io::Cursor::new(magic).take(read as u64).chain(file);
        let stream: Box<dyn Read> =
            if magic == [0x1f, 0x8b] { Box::new(flate2::read::GzDecoder::new(file)) } else { Box::new(file) };
        let mut files = Files::default();
        members::each(stream, &mut |name, data| {
            let base = name.rsplit('/').next().unwrap_or_default();
            if let Some(slot) = files.slot(base).filter(|slot| slot.is_none()) {
                *slot = Some(bounded(data).map_err(|e| io::Error::other(format!("member {name}: {e}")))?);
            }
            Ok(())
        })
        .map_err(|e| Error::devkit(path, format!("no readable tar or tar.gz archive: {e}")))?;
        Ok(files)
    }

    /// Kaggle's class table itself, with the validation classes beside it, if they are there.
    fn beside(path: &Path) -> Result<Files, Error> {
        let read = |path: &Path| File::open(path).and_then(bounded).map_err(|e| Error::io(path, e));
        let solution = path.with_file_name(kaggle::SOLUTION);
        let solution = solution.exists().then(|| read(&solution)).transpose()?;
        Ok(Files { mapping: Some(read(path)?), solution, ..Files::default() })
    }

    /// Looks in the folder itself, in `data/`, and in the same places one folder down.
    fn of_folder(path: &Path) -> Result<Files, Error> {
        let mut places = vec![path.to_path_buf(), path.join("data")];
        for entry in fs::read_dir(path).map_err(|e| Error::io(path, e))? {
            let below = entry.map_err(|e| Error::io(path, e))?.path();
            if below.is_dir() {
                places.push(below.join("data"));
            }
        }
        places.sort_unstable();
        let mut files = Files::default();
        for place in places.iter().filter(|p| p.is_dir()) {
            let listing = fs::read_dir(place).map_err(|e| Error::io(place, e))?;
            let mut members: Vec<PathBuf> = listing
                .map(|entry| entry.map(|e| e.path()).map_err(|e| Error::io(place, e)))
                .collect::<Result<_, _>>()?;
            members.sort_unstable();
            for member in members {
                let Some(name) = member.file_name().and_then(|n| n.to_str()) else { continue };
                if let Some(slot) = files.slot(name).filter(|slot| slot.is_none()) {
                    *slot = Some(File::open(&member).and_then(bounded).map_err(|e| Error::io(&member, e))?);
                }
            }
        }
        Ok(files)
    }
}

fn bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_MEMBER_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_MEMBER_BYTES {
        return Err(io::Error::other(format!("larger than {MAX_MEMBER_BYTES} bytes")));
    }
    Ok(bytes)
}

/// The leaves in order of their ids, how many other synsets there are, and the challenge's year.
fn synsets(path: &Path, meta: &[u8]) -> Result<(Vec<Synset>, usize, u32), Error> {
    let bad = |reason: String| Error::devkit(path, format!("meta.mat: {reason}"));
    let variables =
        matfile::read(meta).map_err(|source| Error::Mat { path: path.join("meta.mat"), source })?;
    let synsets = variables.into_iter().find(|(name, _)| name == "synsets").map(|(_, value)| value);
    let Some(Value::Struct { fields, values, .. }) = synsets else {
        return Err(bad("no struct array named synsets".into()));
    };
    let column = |name: &str| fields.iter().position(|f| f == name);
    let field = |name: &str| column(name).ok_or_else(|| bad(format!("synsets has no field {name}")));
    let id = [2012, 2010].into_iter().find_map(|year| Some((column(&format!("ILSVRC{year}_ID"))?, year)));
    let (id, year) = id.ok_or_else(|| bad("synsets has no field ILSVRC2012_ID".into()))?;
    let (wnid, words, children) = (field("WNID")?, field("words")?, field("num_children")?);

    let mut leaves = Vec::new();
    let mut inner = 0;
    for (row, synset) in values.chunks_exact(fields.len()).enumerate() {
        let number = |column: usize| {
            let name = &fields[column];
            synset[column].scalar().ok_or_else(|| bad(format!("synset {}: {name} is no number", row + 1)))
        };
        if number(children)? != 0.0 {
            inner += 1;
            continue;
        }
        let text = |column: usize| {
            let name = &fields[column];
            synset[column].text().ok_or_else(|| bad(format!("synset {}: {name} is no text", row + 1)))
        };
        let (id, wnid) = (number(id)?, text(wnid)?.trim());
        if id.fract() != 0.0 || !(1.0..=1e6).contains(&id) {
            return Err(bad(format!("synset {}: id {id} is none", row + 1)));
        }
        if wnid.is_empty() {
            return Err(bad(format!("synset {}: empty WNID", row + 1)));
        }
        leaves.push(Synset { id: id as u32, wnid: wnid.to_owned(), words: text(words)?.trim().to_owned() });
    }
    leaves.sort_by_key(|s| s.id);
    if leaves.is_empty() {
        return Err(bad("no synset without children".into()));
    }
    if let Some((place, synset)) = leaves.iter().enumerate().find(|(place, s)| s.id as usize != place + 1) {
        return Err(bad(format!(
            "ids of the leaves do not run from 1: place {} has {}",
            place + 1,
            synset.id
        )));
    }
    let mut seen = HashSet::new();
    if let Some(twice) = leaves.iter().find(|s| !seen.insert(&s.wnid)) {
        return Err(bad(format!("WNID {} occurs twice", twice.wnid)));
    }
    Ok((leaves, inner, year))
}
