//! What lies in a folder of downloads: archives under their official names, Kaggle's tree, or folders `train` and `val`.
//!
//! Looking decides only which path is which; whether a file is what its name says is found when it is read. Folders `train`
//! and `val` may be anyone's, or what other programs unpacked beside the archives: they count where nothing else is found.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// What was found; each may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The data set, in words.
    pub name: &'static str,
    /// Training photos.
    pub train: Option<PathBuf>,
    /// Validation photos.
    pub val: Option<PathBuf>,
    /// Test photos.
    pub test: Option<PathBuf>,
    /// Devkit, or the folder of Kaggle's two files.
    pub devkit: Option<PathBuf>,
    /// Photos that replace those of the same names.
    pub patch: Option<PathBuf>,
    /// Classes of the test photos.
    pub test_truth: Option<PathBuf>,
}

/// A data set and the names that its things may have, the best first.
struct Known {
    name: &'static str,
    train: &'static [&'static str],
    val: &'static [&'static str],
    test: &'static [&'static str],
    devkit: &'static [&'static str],
    patch: &'static [&'static str],
    test_truth: &'static [&'static str],
}

const KNOWN: [Known; 5] = [
    Known {
        name: "ILSVRC2012",
        train: &["ILSVRC2012_img_train.tar", "ILSVRC2012_img_train"],
        val: &["ILSVRC2012_img_val.tar", "ILSVRC2012_img_val"],
        test: &["ILSVRC2012_img_test_v10102019.tar", "ILSVRC2012_img_test.tar"],
        devkit: &["ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_devkit_t12.tar", "ILSVRC2012_devkit_t12"],
        patch: &[],
        test_truth: &[],
    },
    Known {
        name: "ILSVRC2010",
        train: &["ILSVRC2010_images_train.tar", "ILSVRC2010_images_train"],
        val: &["ILSVRC2010_images_val.tar", "ILSVRC2010_images_val"],
        test: &["ILSVRC2010_images_test.tar", "ILSVRC2010_images_test"],
        devkit: &["ILSVRC2010_devkit-1.0.tar.gz", "ILSVRC2010_devkit-1.0.tar", "devkit-1.0"],
        patch: &["patch_images.tar"],
        test_truth: &["ILSVRC2010_test_ground_truth.txt"],
    },
    Known { name: "ImageNet Fall 2011", train: &["fall11_whole.tar"], ..NOTHING },
    Known {
        name: "ImageNet Winter 2021",
        train: &["winter21_whole.tar", "winter21_whole.tar.gz"],
        ..NOTHING
    },
    // Kaggle's tree as unpacked: its two files lie beside `ILSVRC`. The official devkit knows more, where it is there too.
    Known {
        name: "ILSVRC2012 as Kaggle has it",
        train: &["ILSVRC/Data/CLS-LOC/train", "Data/CLS-LOC/train", "CLS-LOC/train"],
        val: &["ILSVRC/Data/CLS-LOC/val", "Data/CLS-LOC/val", "CLS-LOC/val"],
        test: &["ILSVRC/Data/CLS-LOC/test", "Data/CLS-LOC/test", "CLS-LOC/test"],
        devkit: &[
            "ILSVRC2012_devkit_t12.tar.gz",
            "ILSVRC2012_devkit_t12.tar",
            "ILSVRC2012_devkit_t12",
            "LOC_synset_mapping.txt",
            "ILSVRC/LOC_synset_mapping.txt",
            "../LOC_synset_mapping.txt",
            "../../LOC_synset_mapping.txt",
        ],
        patch: &[],
        test_truth: &[],
    },
];

/// Where nothing known is found: class folders as torchvision makes and reads them, or the inside of Kaggle's tree.
const FOLDERS: Known = Known {
    name: "folders train and val",
    train: &["train"],
    val: &["val"],
    test: &["test"],
    devkit: &[
        "ILSVRC2012_devkit_t12.tar.gz",
        "ILSVRC2012_devkit_t12.tar",
        "ILSVRC2012_devkit_t12",
        "LOC_synset_mapping.txt",
        "../LOC_synset_mapping.txt",
        "../../LOC_synset_mapping.txt",
        "../../../LOC_synset_mapping.txt",
    ],
    patch: &[],
    test_truth: &[],
};

const NOTHING: Known =
    Known { name: "", train: &[], val: &[], test: &[], devkit: &[], patch: &[], test_truth: &[] };

impl Layout {
    /// Looks into a folder.
    ///
    /// # Errors
    /// If the folder cannot be read, or holds photos of no or of several known data sets.
    pub fn look(folder: &Path) -> Result<Layout, Error> {
        fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
        let mut found: Vec<Layout> = KNOWN.iter().filter_map(|known| known.find(folder)).collect();
        if found.is_empty() {
            // Files of these names would be something else, and test photos alone are hardly a data set.
            let folders = FOLDERS.find(folder).filter(|layout| {
                [&layout.train, &layout.val].into_iter().flatten().any(|path| path.is_dir())
            });
            found.extend(folders);
        }
        let options = |reason: String, hint: &str| Error::Options { reason, hint: hint.into() };
        match found.len() {
            0 => Err(options(
                format!(
                    "{}: neither archives of a known name nor folders train and val are here",
                    folder.display()
                ),
                "name them: --train, --val, --devkit; datasets/README.md lists the known names",
            )),
            1 => Ok(found.swap_remove(0)),
            _ => {
                let names: Vec<&str> = found.iter().map(|layout| layout.name).collect();
                let reason = format!(
                    "{}: several data sets are in this folder: {}",
                    folder.display(),
                    names.join(", ")
                );
                Err(options(reason, "name the archives of one of them: --train, --val, --test, --devkit"))
            }
        }
    }
}

impl Known {
    /// What of it is in a folder; `None` without any photos.
    fn find(&self, folder: &Path) -> Option<Layout> {
        let first = |names: &[&str]| names.iter().map(|name| folder.join(name)).find(|path| path.exists());
        let layout = Layout {
            name: self.name,
            train: first(self.train),
            val: first(self.val),
            test: first(self.test),
            devkit: first(self.devkit),
            patch: first(self.patch),
            test_truth: first(self.test_truth),
        };
        let has_photos = [&layout.train, &layout.val, &layout.test].iter().any(|path| path.is_some());
        has_photos.then_some(layout)
    }
}
