//! The output folder of a packing run: whose it is, how far it is, and who may write.
//!
//! It keeps a folder to one recipe: a run goes on only where every file is of the set it would write itself. Looking
//! changes nothing; only [`Folder::open`] writes, and only after looking. What remains to be packed is the packer's
//! business.

use crate::digest::Digest;
use crate::error::Error;
use crate::file::{PARTIAL_SUFFIX, create_folder, sync_folder};
use crate::manifest::{MANIFEST_NAME, REPORT_NAME, named_shard, open_named, write_manifest};
use crate::set::ShardSet;
use crate::shard::Access;
use crate::split::Split;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Held while a run packs; says whose folder it is. Removed when the set is complete.
pub(crate) const LOCK_NAME: &str = ".packing.lock";

/// How far a folder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not there, or empty.
    Fresh,
    /// Begun with this recipe; these shards are finished (header and index are sound).
    Partial(Vec<(Split, u32)>),
    /// The set of this recipe is here and opens.
    Complete,
}

/// A folder that this process may pack into, or that is complete.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    state: State,
    lock: Option<File>,
}

impl Folder {
    /// Looks at a folder without touching it.
    ///
    /// # Errors
    /// If it holds a foreign file, belongs to another recipe, or a finished shard in it is damaged.
    pub fn inspect(dir: &Path, recipe: Digest) -> Result<State, Error> {
        let names = match list(dir) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(State::Fresh),
            other => other?,
        };
        if let Some(foreign) = names.iter().find(|path| !ours(path)) {
            return Err(Error::ForeignFile { path: foreign.clone() });
        }
        let same = |path: &Path, found: Digest| match found == recipe {
            true => Ok(()),
            false => Err(Error::OtherRecipe { path: path.to_owned(), expected: recipe, found }),
        };
        let owner = read_owner(&dir.join(LOCK_NAME))?;
        if let Some(found) = owner {
            same(&dir.join(LOCK_NAME), found)?;
        }
        if dir.join(MANIFEST_NAME).exists() {
            let set = ShardSet::open(dir, Access::Read)?;
            same(&dir.join(MANIFEST_NAME), set.manifest().recipe_digest)?;
            let named: Vec<&str> = set
                .manifest()
                .splits
                .values()
                .flat_map(|split| &split.shards)
                .map(|s| s.file.as_str())
                .collect();
            let spare = |path: &&PathBuf| {
                named_shard(path).is_some() && !named.iter().any(|name| path.ends_with(name))
            };
            return match names.iter().find(spare) {
                Some(path) => Err(Error::ForeignFile { path: path.clone() }),
                None => Ok(State::Complete),
            };
        }
        let mut finished = Vec::new();
        for path in &names {
            if let Some(shard) = named_shard(path) {
                same(path, open_named(path, Access::Read)?.header().recipe)?;
                finished.push(shard);
            }
        }
        finished.sort_unstable();
        // Unfinished files say nothing of their recipe; the lock file or a finished shard must speak for them.
        let partial = names.iter().find(|path| !path.ends_with(LOCK_NAME));
        match (owner, partial) {
            (None, Some(path)) if finished.is_empty() => Err(Error::ForeignFile { path: path.clone() }),
            (None, None) => Ok(State::Fresh),
            _ => Ok(State::Partial(finished)),
        }
    }

    /// Opens a folder for packing: creates it if need be, and locks it unless it is complete.
    ///
    /// # Errors
    /// As [`inspect`](Self::inspect); and if another process holds the lock, or the folder cannot be written.
    pub fn open(dir: &Path, recipe: Digest) -> Result<Self, Error> {
        let lock_path = dir.join(LOCK_NAME);
        if Self::inspect(dir, recipe)? == State::Complete && !lock_path.exists() {
            return Ok(Folder { dir: dir.to_owned(), state: State::Complete, lock: None });
        }
        create_folder(dir)?;
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let mut lock = hold(&lock_path, &options, &mut || {})?;
        // Another process may have finished between the first look and the lock.
        let state = Self::inspect(dir, recipe)?;
        let mut folder = Folder { dir: dir.to_owned(), state, lock: None };
        if folder.state == State::Complete {
            folder.remove_lock()?;
            return Ok(folder);
        }
        if read_owner(&lock_path)?.is_none() {
            lock.write_all(format!("{recipe}\n").as_bytes()).map_err(Error::io(&lock_path, "write"))?;
            lock.sync_all().map_err(Error::io(&lock_path, "sync"))?;
            sync_folder(dir)?;
        }
        folder.lock = Some(lock);
        Ok(folder)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// How far the folder was when it was opened.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Writes report and manifest from the shards, and gives the lock up. Returns the set's identity.
    ///
    /// # Errors
    /// As [`write_manifest`]; the folder then stays partial.
    pub fn complete(mut self) -> Result<Digest, Error> {
        let identity = write_manifest(&self.dir)?;
        self.remove_lock()?;
        Ok(identity)
    }

    /// Gives the lock up and leaves the folder as it is: a part of a set, without a manifest.
    ///
    /// # Errors
    /// If the lock file cannot be removed.
    pub fn leave(mut self) -> Result<(), Error> {
        self.remove_lock()
    }

    /// Removes the lock file. On systems that do not remove locked files, the lock is given up first.
    fn remove_lock(&mut self) -> Result<(), Error> {
        if cfg!(not(unix)) {
            self.lock = None;
        }
        let path = self.dir.join(LOCK_NAME);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io(&path, "remove")(e)),
            _ => sync_folder(&self.dir),
        }
    }
}

/// Opens a lock file and locks it. Who removes one holds it, so that after waiting for nobody the file may be gone, or
/// another one be in its place that another process holds: then it is the new one that counts. `opened` is called between
/// opening and locking.
pub(crate) fn hold(path: &Path, options: &OpenOptions, opened: &mut dyn FnMut()) -> Result<File, Error> {
    loop {
        let lock = options.open(path).map_err(Error::io(path, "open"))?;
        opened();
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => {
                return Err(Error::Io { path: path.to_owned(), action: "lock", source });
            }
        }
        if is_at(&lock, path)? {
            return Ok(lock);
        }
    }
}

/// Whether an open file is the one that has this path now.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> Result<bool, Error> {
    use std::os::unix::fs::MetadataExt;
    let of = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let held = file.metadata().map_err(Error::io(path, "look at"))?;
    match fs::metadata(path) {
        Ok(there) => Ok(of(there) == of(held)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::io(path, "look at")(e)),
    }
}

/// Systems that do not remove open files have no such window.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> Result<bool, Error> {
    Ok(true)
}

/// All entries of a folder, by name.
pub(crate) fn list(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::io(dir, "list"))? {
        names.push(entry.map_err(Error::io(dir, "list"))?.path());
    }
    names.sort_unstable();
    Ok(names)
}

/// Whether a file of this name is one that packing writes.
fn ours(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    let whole = name.strip_suffix(PARTIAL_SUFFIX).unwrap_or(name);
    name == LOCK_NAME
        || Split::parse_file_name(whole).is_some()
        || [MANIFEST_NAME, REPORT_NAME].contains(&whole)
}

/// The recipe that a lock file names; `None` if there is no such file or it is still empty.
fn read_owner(path: &Path) -> Result<Option<Digest>, Error> {
    let file = match File::open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.map_err(Error::io(path, "open"))?,
    };
    let mut text = String::new();
    let read = file.take(100).read_to_string(&mut text);
    match text.trim_end().parse() {
        Ok(digest) if read.is_ok() => Ok(Some(digest)),
        _ if text.is_empty() && read.is_ok() => Ok(None),
        _ => Err(Error::ForeignFile { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one who held the lock file removes it just when the next has opened it, and a third makes a new one: only one of
    /// the two then holds the folder.
    #[test]
    fn a_lock_file_that_is_gone_holds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LOCK_NAME);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        // Removed and not made anew: the second attempt makes one and holds that.
        let mut times = 0;
        let held = hold(&path, &options, &mut || {
            times += 1;
            if times == 1 {
                fs::remove_file(&path).unwrap();
            }
        });
        assert_eq!(times, 2);
        assert!(is_at(&held.unwrap(), &path).unwrap());
        // Removed and held by another: refused.
        let mut third = None;
        let second = hold(&path, &options, &mut || {
            if third.is_none() {
                fs::remove_file(&path).unwrap();
                third = Some(hold(&path, &options, &mut || {}).unwrap());
            }
        });
        assert!(matches!(second, Err(Error::Locked { .. })), "{second:?}");
        drop(third);
        // A part's lock file that is gone for good is no file to make.
        let gone = hold(&path, File::options().read(true), &mut || drop(fs::remove_file(&path)));
        assert!(matches!(gone, Err(Error::Io { .. })), "{gone:?}");
    }
}
