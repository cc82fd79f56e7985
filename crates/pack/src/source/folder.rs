//! Class folders on disk: `root/<class>/<photo>.JPEG`, class tars `root/<WNID>.tar`, or photos directly in `root`.
//!
//! The order is that of the names as bytes, so it does not depend on the file system. Links are followed. Folders below a
//! class folder are not entered: with a photo or a class tar in them they are refused, else counted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::collect::{is_junk_folder, is_photo};
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
    /// What is neither: its path below the root.
    Other(String),
}

/// Calls `found` for each file, classes in order of their names, files in order of theirs; the root's own files
/// come first.
pub(super) fn walk(root: &Path, found: &mut dyn FnMut(Found) -> Result<(), Error>) -> Result<(), Error> {
    let Listing { folders, files, others } = list(root)?;
    let (junk, folders): (Vec<String>, Vec<String>) = folders.into_iter().partition(|f| is_junk_folder(f));
    let mut classes: Vec<(String, bool)> = folders.into_iter().map(|name| (name, false)).collect();
    for (name, stamp) in files {
        match class_tar(&name) {
            Some(wnid) => classes.push((wnid.to_owned(), true)),
            None => found(Found::File(File { folder: None, name, stamp }))?,
        }
    }
    others.into_iter().chain(junk).try_for_each(|name| found(Found::Other(name)))?;
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
        let folder = root.join(&class);
        let Listing { folders, files, others } = list(&folder)?;
        for (name, stamp) in files {
            if class_tar(&name).is_some() {
                return Err(Error::Below { photo: folder.join(name), path: folder });
            }
            found(Found::File(File { folder: Some(class.clone()), name, stamp }))?;
        }
        for below in &folders {
            let photo = if is_junk_folder(below) { None } else { first_photo(&folder.join(below))? };
            if let Some(photo) = photo {
                return Err(Error::Below { path: folder, photo });
            }
        }
        for name in folders.into_iter().chain(others) {
            found(Found::Other(format!("{class}/{name}")))?;
        }
    }
    Ok(())
}

/// What a folder holds, by name.
#[derive(Default)]
struct Listing {
    folders: Vec<String>,
    files: Vec<(String, Stamp)>,
    /// Devices, sockets and the like.
    others: Vec<String>,
}

fn list(folder: &Path) -> Result<Listing, Error> {
    let mut listing = Listing::default();
    for entry in fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        let name = path.file_name().and_then(|n| n.to_str()).map(str::to_owned);
        let name = name.ok_or_else(|| Error::io(&path, io::Error::other("the file's name is not UTF-8")))?;
        let metadata = fs::metadata(&path).map_err(|e| Error::io(&path, e))?;
        if metadata.is_dir() {
            listing.folders.push(name);
        } else if metadata.is_file() {
            listing.files.push((name, Stamp::of(&metadata)));
        } else {
            listing.others.push(name);
        }
    }
    listing.folders.sort_unstable();
    listing.files.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    listing.others.sort_unstable();
    Ok(listing)
}

/// The class that a file is the tar of by its name.
fn class_tar(name: &str) -> Option<&str> {
    name.strip_suffix(".tar").filter(|stem| is_wnid(stem))
}

/// The first photo or class tar anywhere below a folder. Links to folders are not followed: they may lead in circles.
fn first_photo(folder: &Path) -> Result<Option<PathBuf>, Error> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let entry = entry.map_err(|e| Error::io(folder, e))?;
        entries.push((entry.path(), entry.file_type().map_err(|e| Error::io(folder, e))?.is_dir()));
    }
    entries.sort_unstable();
    for (path, is_folder) in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match is_folder {
            true if is_junk_folder(&name) => {}
            true => {
                if let Some(photo) = first_photo(&path)? {
                    return Ok(Some(photo));
                }
            }
            false if is_photo(&name) || class_tar(&name).is_some() => return Ok(Some(path)),
            false => {}
        }
    }
    Ok(None)
}
