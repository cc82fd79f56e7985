//! `sample.json`, the record beside the archives: how they were made, and their digests.
//!
//! It is put in place before the first archive is, so an archive without a record is never ours, and one that
//! differs from its record is not touched.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Changes whenever the generator draws other bytes for the same options.
pub const GENERATOR: u32 = 1;

/// File name of the record.
pub const NAME: &str = "sample.json";

/// The record's content. Field order is the order in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub generator: u32,
    pub seed: u64,
    pub train_per_class: u32,
    pub val_per_class: u32,
    /// File name and SHA-256 of each archive: train, val, devkit.
    pub archives: Vec<(String, String)>,
}

impl Record {
    /// Whether both were made in the same way, whatever their digests.
    pub fn same_recipe(&self, other: &Record) -> bool {
        let recipe = |r: &Record| (r.generator, r.seed, r.train_per_class, r.val_per_class);
        recipe(self) == recipe(other)
    }

    /// Writes the record to `path` and onto the disk.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        let mut file = File::create(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }

    /// One line that names the recipe.
    pub fn recipe(&self) -> String {
        format!(
            "generator {}, seed {}, {} train and {} val photos per class",
            self.generator, self.seed, self.train_per_class, self.val_per_class
        )
    }
}

/// SHA-256 of a file in hexadecimal digits, or `None` if there is no such file.
pub fn digest(path: &Path) -> io::Result<Option<String>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) => hash.update(&buffer[..bytes]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}
