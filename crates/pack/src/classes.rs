//! The class table of a set and the rule that numbers it.
//!
//! A label is a place in this table and nothing else, so the table is stored in every shard. Two numberings are in
//! use for ImageNet; weights trained with one look like chance under the other, so the order is a named option.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use alexnet_shard::Class;

use crate::devkit::Devkit;
use crate::error::Error;

/// How classes are numbered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LabelOrder {
    /// Place in the order of the WNIDs, from 0 (torchvision, Caffe).
    #[default]
    Wnid,
    /// Place in the order of `ILSVRC2012_ID`, from 0: the id − 1 if all classes are packed (the 2012 code).
    Devkit,
}

impl LabelOrder {
    /// The name used on the command line and in recipes.
    pub fn as_str(self) -> &'static str {
        match self {
            LabelOrder::Wnid => "wnid",
            LabelOrder::Devkit => "devkit",
        }
    }
}

impl fmt::Display for LabelOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for LabelOrder {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "wnid" => Ok(LabelOrder::Wnid),
            "devkit" => Ok(LabelOrder::Devkit),
            _ => Err(format!("unknown label order {name:?} (wnid, devkit)")),
        }
    }
}

/// The classes of a set in label order.
#[derive(Clone, Debug)]
pub struct ClassTable {
    classes: Vec<Class>,
    labels: HashMap<String, u32>,
    /// Classes that exist but were not chosen: their photos are left out, not refused.
    unchosen: HashSet<String>,
}

impl ClassTable {
    /// The table of a devkit, or without one the sorted union of `groups`; of it only `chosen`, if given.
    ///
    /// # Errors
    /// If the devkit's order is asked for without a devkit, or a chosen class does not exist.
    pub fn new<'a>(
        devkit: Option<&Devkit>,
        groups: impl Iterator<Item = &'a str>,
        order: LabelOrder,
        chosen: Option<&[String]>,
    ) -> Result<ClassTable, Error> {
        let mut classes: Vec<Class> = match (devkit, order) {
            (Some(devkit), LabelOrder::Devkit) if !devkit.official_ids => {
                return Err(Error::Options {
                    reason: "label order devkit needs the official ids, which Kaggle's files lack".into(),
                    hint: "add --devkit ILSVRC2012_devkit_t12.tar.gz, or use --label-order wnid".into(),
                });
            }
            // Synsets are in order of their ids.
            (Some(devkit), _) => {
                let class =
                    |s: &crate::devkit::Synset| Class { wnid: s.wnid.clone(), words: s.words.clone() };
                devkit.synsets.iter().map(class).collect()
            }
            (None, LabelOrder::Wnid) => {
                let class = |wnid: &str| Class { wnid: wnid.to_owned(), words: String::new() };
                groups.map(class).collect()
            }
            (None, LabelOrder::Devkit) => {
                return Err(Error::Options {
                    reason: "label order devkit needs a devkit".into(),
                    hint: "add --devkit ILSVRC2012_devkit_t12.tar.gz, or use --label-order wnid".into(),
                });
            }
        };
        if order == LabelOrder::Wnid {
            classes.sort_by(|a, b| a.wnid.cmp(&b.wnid));
            classes.dedup_by(|a, b| a.wnid == b.wnid);
        }
        let mut unchosen = HashSet::new();
        if let Some(chosen) = chosen {
            let known: HashSet<&str> = classes.iter().map(|c| c.wnid.as_str()).collect();
            if let Some(unknown) = chosen.iter().find(|c| !known.contains(c.as_str())) {
                return Err(Error::Options {
                    reason: format!(
                        "class {unknown} of the list of classes is none of the {}",
                        classes.len()
                    ),
                    hint: "the list holds WNIDs of the devkit, or without one those of the archives".into(),
                });
            }
            let chosen: HashSet<&str> = chosen.iter().map(String::as_str).collect();
            let (kept, left): (Vec<Class>, Vec<Class>) =
                classes.into_iter().partition(|c| chosen.contains(c.wnid.as_str()));
            classes = kept;
            unchosen = left.into_iter().map(|c| c.wnid).collect();
        }
        let labels = classes.iter().enumerate().map(|(i, c)| (c.wnid.clone(), i as u32)).collect();
        Ok(ClassTable { classes, labels, unchosen })
    }

    /// The classes; a label is an index into them.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// The label of a WNID.
    pub fn label(&self, wnid: &str) -> Option<u32> {
        self.labels.get(wnid).copied()
    }

    /// Whether this class exists but was not chosen.
    pub fn is_unchosen(&self, wnid: &str) -> bool {
        self.unchosen.contains(wnid)
    }
}

/// Reads a list of classes: the first word of each line; `#` starts a comment, blank lines do not count.
///
/// # Errors
/// If the file cannot be read, names a class twice, or names none.
pub fn read_class_list(path: &Path) -> Result<Vec<String>, Error> {
    let text = fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let bad = |line: usize, reason: String| Error::ClassList { path: path.to_path_buf(), line, reason };
    let mut classes = Vec::new();
    let mut seen = HashMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let Some(wnid) = line.split('#').next().and_then(|l| l.split_whitespace().next()) else { continue };
        if let Some(first) = seen.insert(wnid.to_owned(), number) {
            return Err(bad(number, format!("class {wnid} is already in line {first}")));
        }
        classes.push(wnid.to_owned());
    }
    if classes.is_empty() {
        return Err(bad(0, "no class in the list".into()));
    }
    Ok(classes)
}
