//! The folder of a run: who it belongs to, and where its files are.
//!
//! `run.json` is written first and names everything that decides the result (data, network, recipe, seed, length). The
//! same description continues the run, another one is refused with nothing touched. `last.safetensors` and
//! `best.safetensors` are whole checkpoints; `log.jsonl` carries times and is not part of the result.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;

const DESCRIPTION: &str = "run.json";
const LOCK: &str = ".training.lock";

/// Everything that decides what a run results in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The network.
    pub net: serde_json::Value,
    /// The recipe.
    pub recipe: serde_json::Value,
    /// Identity of the packed set.
    pub data: String,
    /// Where mean and lighting come from.
    pub colour: String,
    /// Which photos are for validation.
    pub validation: String,
    /// Seed of weights, order, draws and dropout.
    pub seed: u64,
    /// Digest of the checkpoint whose parameters it starts from, if it starts from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<String>,
    /// Where the run ends: `90 epochs` or `300 steps`.
    pub length: String,
}

/// A run's folder, held against other processes while this lives.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// None where another rank holds it.
    _lock: Option<File>,
}

impl Folder {
    /// Takes the folder for the run that `description` names: makes it, or finds the same run in it.
    pub fn take(path: &Path, description: &Description) -> Result<Self, Error> {
        let text = serde_json::to_string_pretty(description).expect("a description is plain data") + "\n";
        if path.exists() {
            check(path, description)?;
        } else {
            fs::create_dir_all(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        }
        let lock_path = path.join(LOCK);
        let lock =
            File::create(&lock_path).map_err(|source| Error::Io { path: lock_path.clone(), source })?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(Error::Busy { path: path.to_owned() }),
            Err(fs::TryLockError::Error(source)) => return Err(Error::Io { path: lock_path, source }),
        }
        let folder = Folder { path: path.to_owned(), _lock: Some(lock) };
        if !folder.file(DESCRIPTION).exists() {
            folder.write(DESCRIPTION, text.as_bytes())?;
        }
        Ok(folder)
    }

    /// The folder that rank 0 has taken, to read checkpoints from; nothing is written there.
    pub fn follow(path: &Path) -> Self {
        Folder { path: path.to_owned(), _lock: None }
    }

    /// The description of the run in `path`.
    pub fn describe(path: &Path) -> Result<Description, Error> {
        let file = path.join(DESCRIPTION);
        let text = fs::read_to_string(&file).map_err(|source| Error::Io { path: file.clone(), source })?;
        serde_json::from_str(&text).map_err(|e| Error::Foreign { path: file, cause: e.to_string() })
    }

    /// A file of the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The newest checkpoint.
    pub fn last(&self) -> PathBuf {
        self.file("last.safetensors")
    }

    /// The checkpoint with the lowest validation error.
    pub fn best(&self) -> PathBuf {
        self.file("best.safetensors")
    }

    /// Writes a small file beside its name, syncs it and renames it.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let (path, partial) = (self.file(name), self.file(&format!("{name}.partial")));
        let io = |source| Error::Io { path: path.clone(), source };
        let mut file = File::create(&partial).map_err(io)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io)?;
        fs::rename(&partial, &path).map_err(io)
    }
}

fn check(path: &Path, wanted: &Description) -> Result<(), Error> {
    let foreign = |cause: String| Error::Foreign { path: path.to_owned(), cause };
    if !path.join(DESCRIPTION).exists() {
        let entries = fs::read_dir(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let ours = |name: &str| name == LOCK || name.ends_with(".partial");
        for entry in entries {
            let name = entry.map_err(|source| Error::Io { path: path.to_owned(), source })?.file_name();
            let name = name.to_string_lossy();
            if !ours(&name) {
                return Err(foreign(format!(
                    "not the folder of a run: it holds {name} and no {DESCRIPTION}"
                )));
            }
        }
        return Ok(());
    }
    let found = Folder::describe(path)?;
    let value = |d: &Description| serde_json::to_value(d).expect("a description is plain data");
    match difference("", &value(&found), &value(wanted)) {
        None => Ok(()),
        Some(what) => Err(foreign(format!("holds another run: {what}"))),
    }
}

/// The first place where two descriptions differ, in words.
pub(crate) fn difference(at: &str, found: &serde_json::Value, wanted: &serde_json::Value) -> Option<String> {
    use serde_json::Value::{Array, Object};
    match (found, wanted) {
        (Object(f), Object(w)) => {
            let keys: std::collections::BTreeSet<_> = f.keys().chain(w.keys()).collect();
            let none = serde_json::Value::Null;
            keys.into_iter().find_map(|key| {
                let place = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                difference(&place, f.get(key).unwrap_or(&none), w.get(key).unwrap_or(&none))
            })
        }
        (Array(f), Array(w)) if f.len() == w.len() => {
            f.iter().zip(w).enumerate().find_map(|(i, (f, w))| difference(&format!("{at}[{i}]"), f, w))
        }
        _ if found == wanted => None,
        _ => Some(format!("its {at} is {found}, now it would be {wanted}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn description() -> Description {
        Description {
            net: json!({"columns": 2}),
            recipe: json!({"batch": 32}),
            data: "abc".into(),
            colour: "set".into(),
            validation: "val split".into(),
            seed: 1,
            initial: None,
            length: "300 steps".into(),
        }
    }

    #[test]
    fn the_same_run_is_continued_and_another_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runs/a");
        drop(Folder::take(&path, &description()).unwrap());
        drop(Folder::take(&path, &description()).unwrap());
        let other = Description { net: json!({"columns": 4}), ..description() };
        let error = Folder::take(&path, &other).unwrap_err();
        assert!(error.to_string().ends_with("its net.columns is 2, now it would be 4"), "{error}");
    }

    #[test]
    fn a_second_trainer_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Folder::take(dir.path(), &description()).unwrap();
        assert!(matches!(Folder::take(dir.path(), &description()), Err(Error::Busy { .. })));
    }

    #[test]
    fn a_folder_with_other_files_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "").unwrap();
        let error = Folder::take(dir.path(), &description()).unwrap_err();
        assert!(error.to_string().contains("thesis.tex"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
