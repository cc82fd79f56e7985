//! Class folders on disk: `root/<class>/<photo>.JPEG`, or photos directly in `root`.
//!
//! The order is that of the names as bytes, so it does not depend on the file system. Links are followed; folders
//! below a class folder are not entered.

use std::fs;
use std::io;
use std::path::Path;

use crate::error::Error;

/// One file found.
pub(super) struct Found {
    /// Name of the class folder; `None` for a file directly in the root.
    pub folder: Option<String>,
    /// Name of the file.
    pub name: String,
    /// Its length in bytes.
    pub length: u64,
}

/// Calls `found` for each file, classes in order of their names, files in order of theirs; the root's own files
/// come first.
pub(super) fn walk(root: &Path, found: &mut dyn FnMut(Found)) -> Result<(), Error> {
    let (folders, files) = list(root)?;
    for (name, length) in files {
        found(Found { folder: None, name, length });
    }
    for folder in folders {
        for (name, length) in list(&root.join(&folder))?.1 {
            found(Found { folder: Some(folder.clone()), name, length });
        }
    }
    Ok(())
}

type Listing = (Vec<String>, Vec<(String, u64)>);

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
            files.push((name, metadata.len()));
        }
    }
    folders.sort_unstable();
    files.sort_unstable();
    Ok((folders, files))
}
