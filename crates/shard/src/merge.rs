//! Bringing the parts of a set, packed in folders of their own, into one folder.
//!
//! Nothing is moved before all shards are known to be there, sound in header and index, and of one recipe. A merge that
//! is stopped leaves some shards in the parts and some in the target: the same call goes on. The merged set is byte for
//! byte the one that a single run would have written.

use crate::digest::Digest;
use crate::error::Error;
use crate::file::{PARTIAL_SUFFIX, partial_path, seal, sync_folder};
use crate::folder::{Folder, LOCK_NAME, State, hold, list};
use crate::manifest::{Facts, MANIFEST_NAME, Manifest, REPORT_NAME, named_shard, open_named};
use crate::shard::Access;
use crate::split::Split;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What a merge did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// Identity of the set.
    pub identity: Digest,
    /// Shards renamed into the folder.
    pub moved: u64,
    /// Shards copied, because they were on another file system; their originals are left where they are.
    pub copied: u64,
}

/// Brings the shards of `parts` into `out` and writes report and manifest there. Parts that end up empty are removed.
///
/// # Errors
/// If a shard is missing, damaged, of another recipe or there in two versions, a part is unfinished, being packed, or
/// holds foreign files or a finished set, or a file cannot be moved or written.
pub fn merge(parts: &[PathBuf], out: &Path) -> Result<Merged, Error> {
    let target = out.canonicalize().ok();
    let mut shards = BTreeMap::new();
    if target.is_some() {
        for path in list(out)?.iter().filter(|path| named_shard(path).is_some()) {
            add(&mut shards, path)?;
        }
    }
    let in_target: Vec<(Split, u32)> = shards.keys().copied().collect();
    // A part that is not there may have gone with a merge that was stopped; then nothing is missing.
    let (parts, gone): (Vec<&PathBuf>, Vec<&PathBuf>) = parts.iter().partition(|part| part.exists());
    let is_target = |part: &PathBuf| target.is_some() && part.canonicalize().ok() == target;
    let parts: Vec<&PathBuf> = parts.into_iter().filter(|part| !is_target(part)).collect();
    let mut locks = Vec::new();
    for part in &parts {
        locks.extend(look(part, &mut shards)?);
    }
    // Missing and foreign shards are found here, before anything is touched.
    let facts: Vec<Facts> = shards.values().map(|(_, facts)| facts.clone()).collect();
    let (manifest, _) = Manifest::of(out, facts).map_err(|error| match gone.first() {
        Some(part) => Error::io(part, "list")(ErrorKind::NotFound.into()),
        None => error,
    })?;
    let folder = Folder::open(out, manifest.recipe_digest)?;
    let mut merged = Merged { identity: manifest.identity(), moved: 0, copied: 0 };
    if *folder.state() != State::Complete {
        for (key, (path, _)) in shards.iter().filter(|(key, _)| !in_target.contains(key)) {
            match bring(path, &out.join(key.0.file_name(key.1)), |from, to| fs::rename(from, to))? {
                How::Moved => merged.moved += 1,
                How::Copied => merged.copied += 1,
            }
        }
        sync_folder(out)?;
        merged.identity = folder.complete()?;
    }
    // Only what is empty but for its lock goes; a shard that was copied keeps its folder.
    for part in parts {
        let lock = part.join(LOCK_NAME);
        if list(part).is_ok_and(|left| left.iter().all(|path| *path == lock)) {
            let _ = fs::remove_file(lock);
            let _ = fs::remove_dir(part);
        }
    }
    Ok(merged)
}

type Found = BTreeMap<(Split, u32), (PathBuf, Facts)>;

/// Adds the shards of one part, and takes its lock if there is one.
fn look(part: &Path, shards: &mut Found) -> Result<Option<File>, Error> {
    let mut held = None;
    for path in list(part)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if named_shard(&path).is_some() {
            add(shards, &path)?;
        } else if name == LOCK_NAME {
            held = Some(hold(&path, File::options().read(true), &mut || {})?);
        } else if name.strip_suffix(PARTIAL_SUFFIX).is_some_and(|name| Split::parse_file_name(name).is_some())
        {
            return Err(Error::Unfinished { path });
        } else if [MANIFEST_NAME, REPORT_NAME].contains(&name) {
            return Err(Error::Finished { path });
        } else {
            return Err(Error::ForeignFile { path });
        }
    }
    Ok(held)
}

fn add(shards: &mut Found, path: &Path) -> Result<(), Error> {
    let facts = Facts::of(&open_named(path, Access::Read)?);
    let key = named_shard(path).expect("a path that names a shard");
    match shards.get(&key) {
        None => drop(shards.insert(key, (path.to_owned(), facts))),
        Some((_, first)) if first.identity() == facts.identity() => {}
        Some((first, _)) => {
            let problem = format!("it differs from {}, which is the same shard", first.display());
            return Err(Error::Stranger { path: path.to_owned(), problem });
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum How {
    Moved,
    Copied,
}

/// Renames a shard, or copies it where `rename` says that it would cross file systems.
fn bring(from: &Path, to: &Path, rename: impl Fn(&Path, &Path) -> io::Result<()>) -> Result<How, Error> {
    match rename(from, to) {
        Ok(()) => return Ok(How::Moved),
        Err(e) if e.kind() == ErrorKind::CrossesDevices => {}
        Err(e) => return Err(Error::io(from, "rename")(e)),
    }
    let partial = partial_path(to);
    fs::copy(from, &partial).map_err(Error::io(&partial, "write"))?;
    let file = File::open(&partial).map_err(Error::io(&partial, "open"))?;
    seal(&file, &partial, to)?;
    Ok(How::Copied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_on_another_file_system_is_copied() {
        let dir = tempfile::tempdir().expect("a folder");
        let (from, to) = (dir.path().join("from"), dir.path().join("to.shard"));
        fs::write(&from, b"bytes").expect("a file");
        let refuses = |_: &Path, _: &Path| Err(io::Error::from(ErrorKind::CrossesDevices));
        assert_eq!(bring(&from, &to, refuses).expect("a copy"), How::Copied);
        assert_eq!(
            (fs::read(&from).unwrap(), fs::read(&to).unwrap()),
            (b"bytes".to_vec(), b"bytes".to_vec())
        );
        assert!(!partial_path(&to).exists());
        let denied = |_: &Path, _: &Path| Err(io::Error::from(ErrorKind::PermissionDenied));
        assert!(bring(&from, &to, denied).is_err());
        assert_eq!(bring(&from, &to, |a, b| fs::rename(a, b)).expect("a move"), How::Moved);
        assert!(!from.exists());
    }
}
