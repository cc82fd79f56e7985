//! Class folders on disk: `root/<class>/<photo>.JPEG`, class tars `root/<WNID>.tar`, or photos directly in `root`.
//!
//! The order is that of the names as bytes, so it does not depend on the file system. Links are followed; folders
//! below a class folder are not entered.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::file::Stamp;
use super::is_wnid;
use crate::error::Error;

/// A file that is no class tar.
pub(super) struct File {
    /// Name of the class folder; `None` for a file directly in the root.
    pub folder: Option<String>,
    /// Name of the file.
    pub name: String,
    /// What it is now.
    pub stamp: Stamp,
}

/// One thing found.
pub(super) enum Found {
    File(File),
    /// A tar in the root that is named by a WNID.
    Tar {
        wnid: String,
        path: PathBuf,
    },
}

/// Calls `found` for each file, classes in order of their names, files in order of theirs; the root's own files
/// come first.
pub(super) fn walk(root: &Path, found: &mut dyn FnMut(Found) -> Result<(), Error>) -> Result<(), Error> {
    let (folders, files) = list(root)?;
    let mut classes: Vec<(String, bool)> = folders.into_iter().map(|name| (name, false)).collect();
    for (name, stamp) in files {
        match name.strip_suffix(".tar").filter(|stem| is_wnid(stem)) {
            Some(wnid) => classes.push((wnid.to_owned(), true)),
            None => found(Found::File(File { folder: None, name, stamp }))?,
        }
    }
    classes.sort_unstable();
    if let Some(twice) = classes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(Error::ClassTwice { path: root.to_path_buf(), wnid: twice[0].0.clone() });
    }
    for (class, is_tar) in classes {
        if is_tar {
            let path = root.join(format!("{class}.tar"));
            found(Found::Tar { wnid: class, path })?;
            continue;
        }
        for (name, stamp) in list(&root.join(&class))?.1 {
            found(Found::File(File { folder: Some(class.clone()), name, stamp }))?;
        }
    }
    Ok(())
}

type Listing = (Vec<String>, Vec<(String, Stamp)>);

fn list(folder: &Path) -> Result<Listing, Error> {
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        let name = path.file_name().and_then(|n| n.to_str()).map(str::to_owned);
        let name = name.ok_or_else(|| Error::io(&path, io::Error::other("the file's name is not UTF-8")))?;
        let metadata = fs::metadata(&path).map_err(|e| Error::io(&path, e))?;
        if metadata.is_dir() {
            folders.push(name);
        } else if metadata.is_file() {
            files.push((name, Stamp::of(&metadata)));
        }
    }
    folders.sort_unstable();
    files.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok((folders, files))
}
